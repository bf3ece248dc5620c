"""What fits into a budget: checked against rules that hold for every session, every evidence and every tokenizer."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convbench.errors import UsageError
from convbench.types import Exchange, Passage
from convbench.views.history import HistoryView, utterances
from convbench.views.prompt import FittedEvidence, FittedSession, fit_evidence, fit_session, truncation
from convbench.views.session import SessionTemplate

FORM = "passage {rank}: {title}\n{text}\n"
CUE = "agent:"
WORDS = st.lists(st.sampled_from(["boat", "lamp", "the", "harbour-master", "1851", "東京", "é"]), max_size=30).map(" ".join)


def letters(text: str) -> list[int]:
    return [ord(letter) for letter in text]


def words(text: str) -> list[int]:
    """A token a word with what stands before it, as byte-pair tokenizers do; a text cannot be cut at any letter."""
    return [hash(token) for token in re.findall(r"\s*[\w-]+|\s*[^\w\s]|\s+", text)]


def shown(tokens: tuple[int, ...]) -> str:
    """The text of ``letters``."""
    return "".join(map(chr, tokens))


ENCODES = st.sampled_from([letters, words])
TEMPLATES = st.builds(
    SessionTemplate, order=st.sampled_from(["newest-first", "oldest-first"]), user=st.sampled_from(["{text}", "user: {text}"])
)
HISTORIES = st.lists(st.tuples(WORDS, st.none() | WORDS), max_size=7).map(
    lambda pairs: HistoryView("full", tuple(Exchange(f"1_{n}", query, response) for n, (query, response) in enumerate(pairs, 1)), ())
)
PASSAGES = st.lists(st.tuples(WORDS, WORDS), max_size=6).map(
    lambda pairs: [Passage(f"p{rank}", text, title) for rank, (title, text) in enumerate(pairs, 1)]
)


class TestSession:
    @given(HISTORIES, WORDS, TEMPLATES, ENCODES, st.integers(0, 400))
    def test_it_holds_the_question_and_as_many_of_the_latest_exchanges_as_fit(
        self, view: HistoryView, question: str, template: SessionTemplate, encode: Any, budget: int
    ) -> None:
        def written(exchanges: int) -> str:
            latest = view.history[len(view.history) - exchanges :]
            return template.write(question, utterances(HistoryView("full", latest, ())))

        if len(encode(written(0))) > budget:
            with pytest.raises(UsageError, match=r"^turn 1_9: the question alone has \d+ tokens, and \d+ fit"):
                fit_session(view, question, template.write, encode, budget, "1_9")
            return
        fitted = fit_session(view, question, template.write, encode, budget, "1_9")
        number = len(fitted.kept)
        assert (fitted.text, fitted.tokens) == (written(number), tuple(encode(written(number))))
        assert len(fitted.tokens) <= budget
        assert question in fitted.text
        assert fitted.dropped + fitted.kept == view.kept
        if fitted.dropped:
            assert len(encode(written(number + 1))) > budget

    def test_nothing_is_dropped_where_everything_fits(self) -> None:
        view = HistoryView("last-1", (Exchange("1_2", "who paints it", "Ames."),), ("1_1",))
        fitted = fit_session(view, "why", SessionTemplate().write, letters, 23, "1_3")
        assert fitted == FittedSession("why\nAmes.\nwho paints it", tuple(letters("why\nAmes.\nwho paints it")), ("1_2",), ())
        shorter = fit_session(view, "why", SessionTemplate().write, letters, 22, "1_3")
        assert (shorter.text, shorter.kept, shorter.dropped) == ("why", (), ("1_2",))

    def test_a_question_that_is_too_long_says_how_much_is_missing(self) -> None:
        with pytest.raises(UsageError) as caught:
            fit_session(HistoryView("query", (), ()), "a" * 30, SessionTemplate().write, letters, 18, "7_3")
        assert str(caught.value) == (
            "turn 7_3: the question alone has 30 tokens, and 18 fit into a session: "
            "raise lengths.session by 12 or more, as far as the model has positions"
        )

    def test_a_long_history_is_not_encoded_turn_by_turn(self) -> None:
        calls = []

        def counted(text: str) -> list[int]:
            calls.append(text)
            return letters(text)

        view = HistoryView("full", tuple(Exchange(f"1_{n}", f"question {n}", "yes") for n in range(1, 65)), ())
        fitted = fit_session(view, "why", SessionTemplate().write, counted, 100, "1_65")
        assert len(fitted.kept) == 6
        assert len(calls) <= 2 + 6


class TestEvidence:
    @given(PASSAGES, ENCODES, st.integers(0, 500), st.integers(1, 200))
    def test_it_holds_the_cue_and_the_best_passages_that_fit(self, passages: list[Passage], encode: Any, budget: int, longest: int) -> None:
        cue = encode(CUE)
        if len(cue) > budget:
            with pytest.raises(UsageError, match=rf"^turn 1_9: the session leaves {budget} tokens of the prompt"):
                fit_evidence(FORM, CUE, passages, encode, budget, longest, "1_9")
            return
        fitted = fit_evidence(FORM, CUE, passages, encode, budget, longest, "1_9")
        ids = tuple(passage.id for passage in passages)
        assert len(fitted.tokens) <= budget
        assert fitted.tokens[len(fitted.tokens) - len(cue) :] == tuple(cue)
        assert fitted.passages + fitted.dropped == ids
        assert set(fitted.cut) <= set(fitted.passages)
        room = fitted.tokens[: len(fitted.tokens) - len(cue)]
        assert len(room) <= longest * len(fitted.passages)
        if not fitted.cut:
            whole = [encode(f"passage {rank}: {p.title}\n{p.text}\n") for rank, p in enumerate(passages[: len(fitted.passages)], 1)]
            assert list(room) == [token for tokens in whole for token in tokens]

    @given(PASSAGES, ENCODES, st.integers(1, 200))
    def test_more_room_never_shows_fewer_passages(self, passages: list[Passage], encode: Any, longest: int) -> None:
        fits = [fit_evidence(FORM, CUE, passages, encode, budget, longest, "1_9") for budget in range(6, 400, 20)]
        shown_ids = [len(fitted.passages) for fitted in fits]
        assert shown_ids == sorted(shown_ids)

    def evidence(self, budget: int, longest: int = 100, *passages: Passage) -> FittedEvidence:
        given_passages = passages or (Passage("a", "Ames fills the lamp.", "Lamp"), Passage("b", "Orr sails.", "Boat [SEP] Crew"))
        return fit_evidence("{rank} {title}: {text}\n", CUE, given_passages, letters, budget, longest, "1_9")

    def test_all_of_it(self) -> None:
        whole = "1 Lamp: Ames fills the lamp.\n2 Boat Crew: Orr sails.\nagent:"
        fitted = self.evidence(len(whole))
        assert (shown(fitted.tokens), fitted.passages, fitted.dropped, fitted.cut) == (whole, ("a", "b"), (), ())

    def test_the_last_passage_goes_first_and_whole(self) -> None:
        fitted = self.evidence(58)
        assert shown(fitted.tokens) == "1 Lamp: Ames fills the lamp.\nagent:"
        assert (fitted.passages, fitted.dropped, fitted.cut) == (("a",), ("b",), ())

    def test_a_long_text_is_cut_and_its_form_is_not(self) -> None:
        fitted = self.evidence(200, 25)
        assert shown(fitted.tokens) == "1 Lamp: Ames fills the l\n2 Boat Crew: Orr sails.\nagent:"
        assert (fitted.passages, fitted.dropped, fitted.cut) == (("a", "b"), (), ("a",))

    def test_the_best_passage_is_cut_to_what_is_left(self) -> None:
        fitted = self.evidence(28)
        assert shown(fitted.tokens) == "1 Lamp: Ames fills th\nagent:"
        assert (fitted.passages, fitted.dropped, fitted.cut) == (("a",), ("b",), ("a",))

    def test_a_crumb_of_a_passage_is_not_shown(self) -> None:
        assert self.evidence(23).cut == ("a",)
        nothing = self.evidence(22)
        assert (shown(nothing.tokens), nothing.passages, nothing.dropped, nothing.cut) == ("agent:", (), ("a", "b"), ())

    def test_a_passage_is_not_read_as_a_form(self) -> None:
        fitted = self.evidence(200, 100, Passage("a", "{rank} {title}", "{text}"))
        assert shown(fitted.tokens) == "1 {text}: {rank} {title}\nagent:"

    def test_no_passages(self) -> None:
        assert fit_evidence(FORM, CUE, [], letters, 6, 10, "1_9") == FittedEvidence(tuple(letters(CUE)), (), (), ())

    def test_no_room_for_the_cue_says_how_much_is_missing(self) -> None:
        with pytest.raises(UsageError) as caught:
            self.evidence(-3)
        assert str(caught.value) == (
            "turn 1_9: the session leaves 0 tokens of the prompt, and the cue before the response has 6: "
            "raise lengths.prompt by 9 or more, or lower lengths.session"
        )


def test_the_ledger_names_what_did_not_fit_and_nothing_else() -> None:
    whole = FittedSession("why", (1,), ("1_1",), ())
    short = FittedSession("why", (1,), (), ("1_1", "1_2"))
    assert truncation(whole) == truncation(whole, FittedEvidence((1,), ("a",), (), ())) == {}
    assert truncation(short) == {"history": ["1_1", "1_2"]}
    assert truncation(whole, FittedEvidence((1,), ("a",), ("b", "c"), ("a",))) == {"passages_dropped": ["b", "c"], "passages_cut": ["a"]}
