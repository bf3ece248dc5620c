from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from convbench.config import build_config
from convbench.datasets.adapters import load_card
from convbench.errors import UsageError
from convbench.meter import Meter
from convbench.retrieval.canonical import is_canonical
from convbench.systems.base import Settings, Stage, System, Workplace
from convbench.systems.two_stage import TwoStage, TwoStageConfig
from convbench.types import Exchange, Passage, Ranking, Turn, TurnRecord

if TYPE_CHECKING:
    from conftest import StoreOf

PASSAGES = [
    Passage("lamp", "It burns whale oil. Ames fills the lamp every evening.", "Lighthouse [SEP] Lamp"),
    Passage("tower", "The tower has ninety steps. Ames painted it in 1851.", "Lighthouse [SEP] Tower"),
    Passage("boat", "A red boat lies in the harbour. Orr sails it."),
    Passage("bread", "Bread rests for an hour. The oven is hot."),
]
HISTORY = (
    Exchange("1_1", "tell me of the lighthouse", "It has a tower of ninety steps."),
    Exchange("1_2", "who paints it", "Ames."),
)
TURNS = [
    Turn("1_3", "and who fills the lamp", HISTORY, gold={"lamp": 1}, rewrite="who fills the lamp of the lighthouse"),
    Turn("2_1", "who sails the boat", gold={"boat": 2, "bread": 1}, rewrite="who sails the red boat"),
]
SETTINGS = Settings(load_card("topiocqa"), offline=True, seed=0)
FORM = {"retriever": {"type": "bm25"}, "form": "add"}
T5 = {"type": "seq2seq", "model": {"type": "seq2seq", "model": "owner/t5"}}
SEVERAL = {"type": "several", "rewriters": {"ad": "human", "ft": T5}}


def config(**changes: Any) -> TwoStageConfig:
    values = {"kind": "two-stage", "name": "test", "retriever": {"type": "bm25"}, "k": 3, **changes}
    return build_config(TwoStageConfig, values, "test")


def records(made: TwoStageConfig, workplace: Workplace, turns: list[Turn] = TURNS) -> list[TurnRecord]:
    """What the harness does, in one batch."""
    system = made.build(SETTINGS)
    upstream: dict[str, dict[str, dict[str, Any]]] = {}
    for stage in system.stages():
        stage.check(turns)
        stage.open(workplace)
        rows = stage.run(turns, upstream)
        assert [row["turn_id"] for row in rows] == [turn.id for turn in turns]
        upstream[stage.name] = json.loads(json.dumps({row["turn_id"]: row for row in rows}))
    joined = [system.record(turn.id, {name: rows[turn.id] for name, rows in upstream.items()}) for turn in turns]
    assert None not in joined
    return [record for record in joined if record is not None]


@pytest.fixture
def workplace(store_of: StoreOf, tmp_path: Path) -> Workplace:
    return Workplace(store_of(PASSAGES), tmp_path / "cache", Meter())


class TestRecords:
    def test_query_alone(self, workplace: Workplace) -> None:
        lamp, boat = records(config(), workplace)
        assert lamp.query == "and who fills the lamp"
        assert [passage_id for passage_id, _ in lamp.passages] == ["lamp"]
        assert (lamp.response, lamp.evidence) == ("Ames fills the lamp every evening.", ("lamp",))
        assert lamp.ledger == {"history_kept": [], "history_dropped": ["1_1", "1_2"], "truncated": {}}
        assert boat.response == "Orr sails it."

    def test_the_whole_history_reaches_the_retriever_newest_first(self, workplace: Workplace) -> None:
        lamp, boat = records(config(history={"view": "full"}), workplace)
        assert lamp.query == ("and who fills the lamp\nAmes.\nwho paints it\nIt has a tower of ninety steps.\ntell me of the lighthouse")
        assert {passage_id for passage_id, _ in lamp.passages} == {"lamp", "tower"}
        assert lamp.ledger == {"history_kept": ["1_1", "1_2"], "history_dropped": [], "truncated": {}}
        assert boat.query == "who sails the boat"

    def test_oldest_first_and_only_the_last(self, workplace: Workplace) -> None:
        lamp, _ = records(config(history={"view": "last-1", "order": "oldest-first"}), workplace)
        assert lamp.query == "who paints it\nAmes.\nand who fills the lamp"
        assert lamp.ledger == {"history_kept": ["1_2"], "history_dropped": ["1_1"], "truncated": {}}

    def test_roles_and_a_separator_of_ones_own(self, workplace: Workplace) -> None:
        history = {"view": "last-1", "order": "oldest-first", "user": "U: {text}", "agent": "A: {text}", "separator": " | "}
        lamp, boat = records(config(history=history), workplace)
        assert lamp.query == "U: who paints it | A: Ames. | U: and who fills the lamp"
        assert boat.query == "U: who sails the boat"

    def test_queries_do_not_leak_gold_responses(self, workplace: Workplace) -> None:
        lamp, _ = records(config(history={"view": "queries"}), workplace)
        assert lamp.query == "and who fills the lamp\nwho paints it\ntell me of the lighthouse"

    def test_human_rewrites(self, workplace: Workplace) -> None:
        lamp, _ = records(config(rewriter="human"), workplace)
        assert lamp.query == "who fills the lamp of the lighthouse"
        assert {passage_id for passage_id, _ in lamp.passages} == {"lamp", "tower"}

    def test_the_responder_hears_the_question_not_the_history(self, workplace: Workplace) -> None:
        turn = Turn("1_2", "who fills the lamp", (Exchange("1_1", "ninety steps tower ninety steps", "Ninety steps."),))
        (record,) = records(config(history={"view": "full"}), workplace, [turn])
        assert record.response == "Ames fills the lamp every evening."

    def test_gold_evidence(self, workplace: Workplace) -> None:
        _, boat = records(config(evidence="gold"), workplace)
        assert boat.evidence == ("boat", "bread")
        assert [passage_id for passage_id, _ in boat.passages] == ["boat"]

    def test_gold_evidence_that_the_collection_lacks_is_an_error(self, workplace: Workplace) -> None:
        with pytest.raises(UsageError, match="turn 1_1: gold passage 'elsewhere' is not in the collection"):
            records(config(evidence="gold"), workplace, [Turn("1_1", "who", gold={"elsewhere": 1})])

    def test_evidence_of_every_other_kind(self, workplace: Workplace) -> None:
        turns = [replace(TURNS[0], query="tower lamp boat"), TURNS[1]]
        top = [passage_id for passage_id, _ in records(config(), workplace, turns)[0].passages]
        assert set(top) == {"lamp", "tower", "boat"}
        noise = [passage_id for passage_id in top if passage_id != "lamp"]
        seen = {name: records(config(evidence=name), workplace, turns)[0].evidence for name in ("retrieved-minus-gold", "gold+noise")}
        assert seen == {"retrieved-minus-gold": tuple(noise), "gold+noise": ("lamp", *noise)}
        lamp, boat = records(config(evidence="other-turn"), workplace, turns)
        assert (lamp.evidence, boat.evidence) == (("boat", "bread"), ("lamp",))

    def test_evidence_of_another_conversation_needs_another_conversation(self) -> None:
        generate = config(evidence="other-turn").build(SETTINGS).stages()[3]
        generate.check(TURNS)
        with pytest.raises(UsageError, match=r"^turn 1_3: no other conversation of this run has gold passages"):
            generate.check(TURNS[:1])

    def test_no_evidence_no_answer(self, workplace: Workplace) -> None:
        for record in records(config(evidence="none"), workplace):
            assert (record.response, record.evidence, record.abstained) == ("", (), True)
            assert record.passages

    def test_a_query_that_matches_nothing_abstains(self, workplace: Workplace) -> None:
        (record,) = records(config(), workplace, [Turn("3_1", "quantum zeppelins")])
        assert (record.passages, record.response, record.abstained) == ((), "", True)

    def test_depth_and_number_of_read_passages(self, workplace: Workplace) -> None:
        turns = [Turn("1_1", "lighthouse boat bread")]
        (wide,) = records(config(k=4, generator={"passages": 2}), workplace, turns)
        assert len(wide.passages) == 4
        assert wide.evidence == tuple(passage_id for passage_id, _ in wide.passages[:2])
        (narrow,) = records(config(k=1), workplace, turns)
        assert narrow.passages == wide.passages[:1]
        assert is_canonical(Ranking("1_1", wide.passages))

    def test_retrieval_alone(self, workplace: Workplace) -> None:
        made = config(generator=None)
        assert [stage.name for stage in made.build(SETTINGS).stages()] == ["view", "rewrite", "search"]
        for record in records(made, workplace):
            assert record.passages
            assert (record.response, record.evidence, record.abstained) == (None, (), False)

    def test_dense_retrieval(self, workplace: Workplace, minilm: Any) -> None:
        lamp, boat = records(config(retriever={"type": "dense", "encoder": {"model": minilm.config.model}}), workplace)
        assert [record.passages[0][0] for record in (lamp, boat)] == ["lamp", "boat"]
        assert len(lamp.passages) == 3


class TestConditions:
    @pytest.mark.parametrize(
        ("history", "view", "rewriter"), [("full", "full", "none"), ("full-own", "full-own", "none"), ("rewrite", "query", "human")]
    )
    def test_another_history(self, history: str, view: str, rewriter: str) -> None:
        changed = config(history={"view": "queries", "order": "oldest-first"}).with_conditions(history=history, evidence=None)
        assert (changed.history.view, changed.history.order, changed.rewriter) == (view, "oldest-first", rewriter)

    def test_another_evidence(self) -> None:
        changed = config().with_conditions(history=None, evidence="gold")
        assert changed.evidence == "gold"
        assert changed.model_copy(update={"evidence": "retrieved"}) == config()

    def test_none_changes_nothing(self) -> None:
        made = config(retriever={"type": "bm25", "k1": 1.2})
        assert made.with_conditions(history=None, evidence=None) == made

    def test_evidence_is_for_those_that_respond(self) -> None:
        with pytest.raises(UsageError, match=r"^test: --evidence is what a responder sees, and it does not respond$"):
            config(generator=None).with_conditions(history=None, evidence="gold")

    def test_unknown_ones_are_refused_in_one_line(self) -> None:
        with pytest.raises(UsageError, match="unknown history view 'last-0'"):
            config().with_conditions(history="last-0", evidence=None)
        with pytest.raises(
            UsageError, match=r"^unknown evidence view 'golden'\. Did you mean 'gold'\? Known: none, retrieved, gold, gold\+noise,"
        ):
            config().with_conditions(history=None, evidence="golden")
        with pytest.raises(
            UsageError, match=r"^test: evidence: input should be 'none', 'retrieved', .*, found 'golden'\. Did you mean 'gold'\?$"
        ):
            config(evidence="golden")
        with pytest.raises(UsageError, match="unknown history view 'al'"):
            config(history={"view": "al"}).build(SETTINGS)

    def test_both_can_be_overridden_and_both_are_reported(self) -> None:
        assert TwoStageConfig.overrides == {"history", "evidence", "rankings"}
        assert config(rewriter="human", evidence="gold").build(SETTINGS).conditions() == {
            "history": {"view": "query", "order": "newest-first", "user": "{text}", "agent": "{text}", "separator": "\n"},
            "rewriter": "human",
            "evidence": "gold",
            "k": 3,
        }


class TestOwnResponses:
    def test_a_later_turn_sees_the_systems_own_response(self, workplace: Workplace) -> None:
        first = Turn("1_1", "who fills the lamp")
        second = Turn("1_2", "and the boat", (Exchange("1_1", "who fills the lamp", "Nobody knows."),))
        made = config(history={"view": "full-own", "order": "oldest-first"})
        assert [stage.name for stage in made.build(SETTINGS).stages()] == ["converse"]
        lamp, boat = records(made, workplace, [first, second])
        assert lamp.response == "Ames fills the lamp every evening."
        assert boat.query == "who fills the lamp\nAmes fills the lamp every evening.\nand the boat"
        assert boat.ledger == {"history_kept": ["1_1"], "history_dropped": [], "truncated": {}}
        assert made.build(SETTINGS).conditions()["history"]["view"] == "full-own"

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"generator": None}, "history view 'full-own' shows the system its own responses: it needs a generator"),
            ({"rewriter": "human"}, "human rewrites go with the dataset's responses, not with history view 'full-own'"),
        ],
    )
    def test_what_cannot_be_combined(self, change: dict[str, Any], message: str) -> None:
        with pytest.raises(UsageError, match=f"^test: {message}"):
            config(history={"view": "full-own"}, **change).build(SETTINGS)


class TestBM25Parameters:
    @pytest.mark.parametrize(
        ("usual", "given", "expected"),
        [
            ({}, {}, (0.9, 0.4)),
            ({"k1": 0.82, "b": 0.68}, {}, (0.82, 0.68)),
            ({"k1": 0.82, "b": 0.68}, {"b": 0.75}, (0.82, 0.75)),
            ({"b": 0.68}, {"k1": 0}, (0, 0.68)),
        ],
    )
    def test_given_then_the_datasets_then_pyserinis(
        self, usual: dict[str, float], given: dict[str, float], expected: tuple[float, float]
    ) -> None:
        settings = Settings(SETTINGS.card.model_copy(update={"bm25": usual}), offline=True, seed=0)
        search = config(retriever={"type": "bm25", **given}).build(settings).stages()[2]
        described = search.describe()["retriever"]
        assert (described["k1"], described["b"]) == expected


class TestStages:
    def test_protocols(self) -> None:
        system = config().build(SETTINGS)
        assert isinstance(system, TwoStage)
        assert isinstance(system, System)
        assert system.needs_passages
        assert [stage.name for stage in system.stages()] == ["view", "rewrite", "search", "generate"]
        assert all(isinstance(stage, Stage) and stage.batch_size >= 1 for stage in system.stages())

    @pytest.mark.parametrize(
        ("change", "stage"),
        [
            ({"history": {"view": "full"}}, "view"),
            ({"history": {"order": "oldest-first"}}, "rewrite"),
            ({"history": {"user": "user: {text}"}}, "rewrite"),
            ({"rewriter": "human"}, "rewrite"),
            ({"k": 4}, "search"),
            ({"retriever": {"type": "bm25", "k1": 2}}, "search"),
            ({"evidence": "gold"}, "generate"),
            ({"generator": {"passages": 5}}, "generate"),
        ],
    )
    def test_a_setting_changes_the_description_of_its_stage_alone(self, change: dict[str, Any], stage: str) -> None:
        before, after = ({s.name: json.dumps(s.describe()) for s in made.build(SETTINGS).stages()} for made in (config(), config(**change)))
        assert [name for name in before if before[name] != after[name]] == [stage]

    def test_a_missing_rewrite_stops_it_before_any_work(self) -> None:
        rewrite = config(rewriter="human").build(SETTINGS).stages()[1]
        rewrite.check(TURNS)
        with pytest.raises(UsageError, match="1 of 2 turns have no human rewrite"):
            rewrite.check([TURNS[0], Turn("9_1", "why")])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": 0}, "k: input should be greater than or equal to 1"),
        ({"retriever": {"type": "bm52"}}, r"retriever\.type: input should be .*found .bm52.\. Did you mean .bm25.\?"),
        ({"retriever": {"type": "dense"}}, r"retriever\.encoder: field required"),
        ({"generator": {"type": "extractive", "passges": 3}}, r"generator\.passges: extra inputs"),
        ({"name": "my system"}, "name: [Ss]tring should match pattern"),
        ({"retriever": {"type": "none"}, "generator": None}, "retriever: none and generator: none"),
        ({"retriever": {"type": "none"}}, "generator: without a retriever there is nothing"),
        ({"retriever": {"type": "none"}, "reranker": {"model": "a/b"}, "evidence": "gold"}, "reranker: .* has no passages"),
        ({"retriever": {"type": "fusion", "retrievers": [FORM, FORM]}}, "retriever: the rewriter makes no form 'add'. Known: none"),
        (
            {"retriever": {"type": "fusion", "retrievers": [FORM, FORM]}, "rewriter": SEVERAL, "history": {"view": "full"}},
            "retriever: the rewriter makes no form .add.. Did you mean .ad.\\? Known: ad, ft",
        ),
        ({"rewriter": SEVERAL, "history": {"view": "full"}}, "rewriter: no retriever searches with the form 'ad'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"^test: {message}") as caught:
        config(**change)
    assert "\n" not in str(caught.value)


def test_a_configuration_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        config().k = 9  # type: ignore[misc]
