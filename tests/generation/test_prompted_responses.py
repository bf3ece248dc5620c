from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from backends.chat_server import Asked, ChatServer, Reply, chat_server, completion, refusal
from backends.small import folder_of

from convbench.config import Config, build_config
from convbench.errors import UsageError
from convbench.generation.base import GenerationInput, Generator
from convbench.generation.extractive import ExtractiveConfig, ExtractiveGenerator
from convbench.generation.first_sentence import FirstSentenceGenerator
from convbench.generation.open import GeneratorConfig, open_generator
from convbench.generation.prompted import PromptedGenerator
from convbench.meter import Meter
from convbench.types import Passage, Response
from convbench.views.session import Utterance
from convbench.writing.base import Request
from convbench.writing.open import open_language_model
from convbench.writing.prompts import messages, prompt_names, read_prompt

LAMP = Passage("lamp", "It burns whale oil. Ames fills it.", "Lighthouse [SEP] Lamp")
TOWER = Passage("tower", "The tower has ninety steps.", "Tower")
BOAT = Passage("boat", "A red boat {lies} in the harbour.")
EARLIER = (Utterance("user", "tell me of {question}"), Utterance("agent", "It is old."))
TURN = GenerationInput("1_2", "who fills the lamp", (LAMP, TOWER, BOAT), "and who fills it", EARLIER)

WRITTEN = {"version": 1, "source": "a test", "system": "Be brief.", "user": "{passages}\n--\n{history}\n--\n{asked} = {question}"}
ABSTAINING = {**WRITTEN, "user": "{passages} {question} else: {abstain}", "abstain": "I don't know that."}
CLOSED = {"version": 1, "source": "a test", "user": "From memory: {question}"}


class Setting(Config):
    generator: GeneratorConfig


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    monkeypatch.setenv("CONVBENCH_CACHE", str(tmp_path))
    with chat_server() as running:
        yield running


def opened(**values: Any) -> Generator:
    setting = build_config(Setting, {"generator": values}, "test")
    return open_generator(setting.generator, offline=True, seed=1)


def asking(server: ChatServer, **values: Any) -> Generator:
    return opened(type="prompted", model={"type": "server", "model": "served", "base_url": server.url}, **values)


def local(**values: Any) -> Generator:
    return opened(type="prompted", model=local_model(), **values)


def local_model(new: int = 6, **decoding: Any) -> dict[str, Any]:
    return {"type": "transformers", "model": str(folder_of("llama")), "decoding": {"max_new_tokens": new, **decoding}}


def said(asked: Asked) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in asked.body["messages"]]


def respond(generator: Generator, *inputs: GenerationInput, meter: Meter | None = None) -> list[Response]:
    generator.check()
    return generator.generate(inputs, meter or Meter())


class TestPrompt:
    def test_what_is_asked_and_what_becomes_of_the_answer(self, server: ChatServer) -> None:
        server.answer = lambda _: completion("  Ames.\n")
        (response,) = respond(asking(server, prompt=WRITTEN), TURN)
        passages = (
            "[1] Lighthouse Lamp: It burns whale oil. Ames fills it.\n"
            "[2] Tower: The tower has ninety steps.\n[3] A red boat {lies} in the harbour."
        )
        history = "User: tell me of {question}\nSystem: It is old."
        user = f"{passages}\n--\n{history}\n--\nand who fills it = who fills the lamp"
        assert [said(asked) for asked in server.asked] == [[("system", "Be brief."), ("user", user)]]
        assert response == Response("1_2", "Ames.", evidence=("lamp", "tower", "boat"), tokens_in=100, tokens_out=7)

    def test_every_turn_gets_its_own_answer(self, server: ChatServer) -> None:
        server.answer = lambda asked: completion(said(asked)[-1][1].rpartition(" ")[2])
        turns = [GenerationInput(f"1_{number}", f"what is {number}", (LAMP,)) for number in range(9)]
        responses = respond(asking(server, prompt=ABSTAINING | {"user": "{passages} {question}"}), *turns)
        assert [(response.turn_id, response.text) for response in responses] == [(f"1_{number}", str(number)) for number in range(9)]
        assert respond(asking(server, prompt=WRITTEN)) == []

    def test_what_is_extracted(self, server: ChatServer) -> None:
        prompt = {**WRITTEN, "extract": r"Answer:(?P<text>.*)"}
        server.answer = lambda _: completion("Let me see.\nAnswer: Ames.")
        assert respond(asking(server, prompt=prompt), TURN)[0].text == "Ames."
        server.answer = lambda _: completion("Ames, I think.")
        (response,) = respond(asking(server, prompt=prompt), replace(TURN, question="who"))
        assert (response.text, response.finish_reason, response.abstained) == ("", "unusable", False)

    def test_long_passages_are_cut_after_so_many_words(self, server: ChatServer) -> None:
        respond(asking(server, prompt={**WRITTEN, "user": "{passages}"}, passage_words=3), TURN)
        assert said(server.asked[0])[1][1] == "[1] Lighthouse Lamp: It burns whale\n[2] Tower: The tower has\n[3] A red boat"

    def test_finish_reasons_are_passed_on(self, server: ChatServer) -> None:
        for reason, text in (("length", "Ames and"), ("content_filter", None), ("stop", "")):
            server.answer = lambda _, reason=reason, text=text: completion(text, reason)  # type: ignore[misc]
            (response,) = respond(asking(server, prompt=WRITTEN), replace(TURN, question=f"who {reason}"))
            assert (response.text, response.finish_reason) == (text or "", reason if text or reason != "stop" else "empty")
            assert not response.abstained


class TestAbstention:
    @pytest.mark.parametrize(
        ("text", "abstained"),
        [
            ("I don't know that.", True),
            ("  i DON’T know that\n", True),
            ('"I don\'t know that!"', True),
            ("I don't know that. Ames may know.", True),
            ("I don't know.", False),
            ("Ames says: I don't know that.", False),
            ("Ames.", False),
            ("", False),
        ],
    )
    def test_the_sentence_however_it_is_written(self, server: ChatServer, text: str, abstained: bool) -> None:
        server.answer = lambda _: completion(text)
        (response,) = respond(asking(server, prompt=ABSTAINING), TURN)
        assert said(server.asked[0])[1][1].endswith("else: I don't know that.")
        assert (response.text, response.abstained) == (text.strip(), abstained)

    def test_the_sentence_without_the_form_of_an_answer(self, server: ChatServer) -> None:
        server.answer = lambda _: completion("I don't know that.")
        (response,) = respond(asking(server, prompt={**ABSTAINING, "extract": r"Answer:(?P<text>.*)"}), TURN)
        assert (response.text, response.abstained, response.finish_reason) == ("I don't know that.", True, "stop")

    def test_a_prompt_without_the_sentence_never_abstains(self, server: ChatServer) -> None:
        server.answer = lambda _: completion("I don't know that.")
        assert not respond(asking(server, prompt=WRITTEN), TURN)[0].abstained


class TestTooLong:
    @staticmethod
    def taking(most: int) -> Any:
        def answer(asked: Asked) -> Reply:
            shown = said(asked)[-1][1].count("[")
            long = refusal(400, "This model's maximum context length is 9 tokens.", "context_length_exceeded")
            return completion(f"read {shown}") if shown <= most else long

        return answer

    def test_a_server_is_asked_again_without_the_last_passages(self, server: ChatServer, caplog: pytest.LogCaptureFixture) -> None:
        server.answer = self.taking(1)
        meter = Meter()
        with meter.phase("generate", turns=3), caplog.at_level(logging.WARNING):
            turns = [
                TURN,
                replace(TURN, turn_id="1_3", passages=(BOAT,)),
                replace(TURN, turn_id="1_4", question="why", passages=(LAMP, BOAT)),
            ]
            responses = respond(asking(server, prompt=WRITTEN), *turns, meter=meter)
        assert [response.evidence for response in responses] == [("lamp",), ("boat",), ("lamp",)]
        assert {response.text for response in responses} == {"read 1"}
        assert len(server.asked) == 3 + 2 + 1
        assert meter.take()["phases"]["generate"]["passages_dropped"] == 3
        assert "2 of 3 prompts were too long and lost passages (first: turn 1_2 read 1 of 3)" in caplog.text

    def test_with_one_passage_it_is_given_up(self, server: ChatServer, caplog: pytest.LogCaptureFixture) -> None:
        server.answer = self.taking(0)
        with caplog.at_level(logging.WARNING):
            (response,) = respond(asking(server, prompt=WRITTEN), TURN)
        assert (response.text, response.finish_reason, response.evidence, response.abstained) == ("", "too long", (), False)
        assert len(server.asked) == 3
        assert "1 of 1 prompts got no response (first: turn 1_2: the server does not take this text" in caplog.text

    def test_a_filtered_prompt_is_not_asked_again(self, server: ChatServer) -> None:
        server.answer = lambda _: refusal(400, "The prompt was filtered.", "content_filter")
        (response,) = respond(asking(server, prompt=WRITTEN), TURN)
        assert (response.text, response.finish_reason, response.abstained) == ("", "content_filter", False)
        assert len(server.asked) == 1

    def test_a_model_on_this_machine_reads_as_many_passages_as_fit(self) -> None:
        long = tuple(Passage(str(number), "boat and tower and lamp " * 18) for number in range(4))
        prompt = {**WRITTEN, "user": "{passages}\n{question}"}
        (response,) = respond(local(prompt=prompt), replace(TURN, passages=long))
        count = len(response.evidence)
        assert response.evidence == tuple(str(number) for number in range(count))
        assert 0 < count < 4
        model = open_language_model(prompted_config(prompt).model, offline=True, seed=1)
        more = Request("x", messages(read_prompt(prompt), question=TURN.question, passages=long[: count + 1]))
        assert "tokens" in (model.write([more], Meter())[0][0].failure or "")
        (none,) = respond(local(prompt=prompt), replace(TURN, passages=(Passage("huge", "boat " * 900),)))
        assert (none.text, none.finish_reason, none.evidence) == ("", "too long", ())


def prompted_config(prompt: dict[str, Any]) -> Any:
    return build_config(Setting, {"generator": {"type": "prompted", "model": local_model(), "prompt": prompt}}, "test").generator


class TestClosedBook:
    BARE = replace(TURN, passages=())

    def test_turns_without_passages_get_another_prompt(self, server: ChatServer) -> None:
        server.answer = lambda asked: completion(said(asked)[-1][1][:12])
        responses = respond(asking(server, prompt=WRITTEN, closed_book_prompt=CLOSED), self.BARE, TURN)
        assert [(response.text, response.evidence) for response in responses] == [
            ("From memory:", ()),
            ("[1] Lighthou", ("lamp", "tower", "boat")),
        ]

    def test_or_are_not_asked(self, server: ChatServer) -> None:
        (response,) = respond(asking(server, prompt=ABSTAINING, closed_book_prompt=None), self.BARE)
        assert response == Response("1_2", "", finish_reason="no evidence", abstained=True)
        assert server.asked == []

    def test_a_prompt_that_shows_no_passages_is_for_every_turn(self, server: ChatServer) -> None:
        responses = respond(asking(server, prompt="direct", closed_book_prompt=None), TURN, replace(self.BARE, turn_id="1_3"))
        assert [response.evidence for response in responses] == [(), ()]
        assert len({said(asked)[0][1] for asked in server.asked}) == 1
        assert "whale oil" not in said(server.asked[0])[0][1]


class TestLocalModel:
    def test_it_writes_what_the_model_writes(self) -> None:
        generator = local(prompt=WRITTEN)
        (response,) = respond(generator, TURN)
        prompt = messages(
            read_prompt(WRITTEN), question=TURN.question, earlier=TURN.earlier, passages=TURN.passages, asked="and who fills it"
        )
        model = open_language_model(prompted_config(WRITTEN).model, offline=True, seed=1)
        ((text,),) = model.write([Request("1_2 response", prompt)], Meter())
        assert (response.text, response.finish_reason) == (text.text, text.finish_reason)
        assert (response.tokens_in, response.tokens_out) == (text.tokens_in, text.tokens_out)
        assert text.tokens_in > 50

    def test_a_sampled_response_hangs_on_its_turn_and_not_on_its_batch(self) -> None:
        model = local_model(8, temperature=1.0)
        generator = opened(type="prompted", model=model, prompt=WRITTEN)
        turns = [replace(TURN, turn_id=f"1_{number}") for number in range(3)]
        together = respond(generator, *turns)
        assert [respond(generator, turn)[0] for turn in turns] == together
        assert len({response.text for response in together}) == 3

    def test_loading_counts_the_model(self) -> None:
        meter = Meter()
        local().open(meter)
        ((_, parameters),) = meter.take()["models"].items()
        assert parameters > 0


class TestConfiguration:
    def test_what_is_opened(self, server: ChatServer) -> None:
        assert isinstance(opened(passages=2), ExtractiveGenerator)
        assert isinstance(opened(type="extractive"), ExtractiveGenerator)
        assert isinstance(opened(type="first-sentence"), FirstSentenceGenerator)
        prompted = asking(server)
        assert isinstance(prompted, PromptedGenerator)
        assert isinstance(prompted, Generator)
        assert Setting(generator=ExtractiveConfig()).generator == ExtractiveConfig()

    def test_its_description_tells_settings_apart_word_by_word(self, server: ChatServer) -> None:
        before = asking(server).describe()
        changes: list[dict[str, Any]] = [
            {"prompt": "short-answer"},
            {"closed_book_prompt": None},
            {"closed_book_prompt": CLOSED},
            {"passages": 3},
            {"passage_words": 50},
        ]
        described = [asking(server, **change).describe() for change in changes]
        assert all(each != before for each in described)
        assert asking(server, batch_size=2).describe() == before
        assert asking(server, prompt=read_prompt("conversational-response").model_dump()).describe() == before
        assert before["model"]["model"] == "served"

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"prompt": "short-anser"}, r"generator\.prompt: .*unknown prompt 'short-anser'\. Did you mean 'short-answer'\?"),
            ({"prompt": {**WRITTEN, "user": "{rewrite}"}}, r"generator\.prompt: .*nothing fills in the placeholder \{rewrite\}"),
            ({"prompt": {**WRITTEN, "abstan": "No."}}, r"generator\.prompt\.abstan: extra inputs .* Did you mean 'abstain'\?"),
            ({"closed_book_prompt": "short-answer"}, r"generator\.closed_book_prompt: .*must hold no \{passages\}"),
            ({"passages": 0}, r"generator\.passages: input should be greater than or equal to 1"),
            ({"passage_words": 0}, r"generator\.passage_words: input should be greater than or equal to 1"),
            ({"type": "promted"}, r"generator\.type: .*found 'promted'\. Did you mean 'prompted'\?"),
        ],
    )
    def test_settings_that_make_no_sense_are_refused(self, change: dict[str, Any], message: str) -> None:
        values = {"type": "prompted", "model": {"type": "server", "model": "served"}, **change}
        with pytest.raises(UsageError, match=f"^test: {message}") as caught:
            build_config(Setting, {"generator": values}, "test")
        assert "\n" not in str(caught.value)


class TestShippedPrompts:
    OPEN_BOOK = ("short-answer", "conversational-response", "conversational-response-abstain")
    CLOSED_BOOK = ("direct", "direct-short-answer")

    def test_they_are_there(self) -> None:
        assert {*self.OPEN_BOOK, *self.CLOSED_BOOK} <= set(prompt_names())

    @pytest.mark.parametrize("name", [*OPEN_BOOK, *CLOSED_BOOK])
    def test_they_read_well_with_a_history_and_without(self, name: str) -> None:
        prompt = read_prompt(name)
        assert prompt.placeholders - {"abstain"} == {"question", "history"} | ({"passages"} if name in self.OPEN_BOOK else set())
        for earlier in (EARLIER, ()):
            ((role, text),) = messages(prompt, question=TURN.question, earlier=earlier, passages=(LAMP, BOAT))
            assert role == "user"  # some chat templates refuse a system message
            assert "\n\n\n" not in text
            assert "User: who fills the lamp\n" in text
            assert ("System: It is old.\nUser: who" in text) == bool(earlier)
            assert ("Ames fills it." in text) == (name in self.OPEN_BOOK)

    def test_what_their_answers_begin_with_is_left_out(self, server: ChatServer) -> None:
        for name, text in (("short-answer", "Short answer: Ames"), ("short-answer", "Ames"), ("conversational-response", "System: Ames")):
            server.answer = lambda _, text=text: completion(text)  # type: ignore[misc]
            assert respond(asking(server, prompt=name), replace(TURN, question=text))[0].text == "Ames"

    def test_only_one_can_abstain(self, server: ChatServer) -> None:
        sentence = read_prompt("conversational-response-abstain").abstain
        assert sentence is not None
        server.answer = lambda _: completion(f"System: {sentence}")
        (response,) = respond(asking(server, prompt="conversational-response-abstain"), TURN)
        assert (response.text, response.abstained) == (sentence, True)
        assert sentence in said(server.asked[0])[0][1]
        assert [name for name in (*self.OPEN_BOOK, *self.CLOSED_BOOK) if read_prompt(name).abstain] == ["conversational-response-abstain"]
