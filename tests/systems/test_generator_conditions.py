"""What a prompted generator sees within a system: history, evidence, its own earlier responses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from backends.chat_server import Asked, ChatServer, chat_server, completion

from convbench.config import build_config
from convbench.datasets.adapters import load_card
from convbench.meter import Meter
from convbench.systems.base import Settings, Workplace
from convbench.systems.two_stage import TwoStageConfig
from convbench.types import Exchange, Passage, Turn, TurnRecord

if TYPE_CHECKING:
    from conftest import StoreOf

PASSAGES = [Passage("lamp", "Ames fills the lamp every evening."), Passage("boat", "A red boat lies in the harbour. Orr sails it.")]
TURNS = [
    Turn("1_1", "who fills the lamp", gold={"lamp": 1}, rewrite="who fills the lamp"),
    Turn("1_2", "and the boat", (Exchange("1_1", "who fills the lamp", "Nobody knows."),), gold={"boat": 1}, rewrite="who sails the boat"),
]
PROMPT = {"version": 1, "source": "a test", "user": "{history}|{asked}|{question}|{passages}", "passage": "{text}"}
CLOSED = {"version": 1, "source": "a test", "user": "closed|{history}|{question}"}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    monkeypatch.setenv("CONVBENCH_CACHE", str(tmp_path / "answers"))
    with chat_server() as running:
        running.answer = lambda asked: completion(f"[{len(prompt_of(asked))} signs]")
        yield running


@pytest.fixture
def workplace(store_of: StoreOf, tmp_path: Path) -> Workplace:
    return Workplace(store_of(PASSAGES), tmp_path / "cache", Meter())


def prompt_of(asked: Asked) -> str:
    text: str = asked.body["messages"][0]["content"]
    return text


def records(server: ChatServer, workplace: Workplace, **changes: Any) -> list[TurnRecord]:
    model = {"type": "server", "model": "served", "base_url": server.url}
    generator = {"type": "prompted", "model": model, "prompt": PROMPT, "closed_book_prompt": CLOSED, "passages": 1}
    values = {"kind": "two-stage", "name": "test", "retriever": {"type": "bm25"}, "k": 2, "generator": generator, **changes}
    system = build_config(TwoStageConfig, values, "test").build(Settings(load_card("topiocqa"), offline=True, seed=0))
    upstream: dict[str, dict[str, dict[str, Any]]] = {}
    for stage in system.stages():
        stage.check(TURNS)
        stage.open(workplace)
        upstream[stage.name] = {row["turn_id"]: row for row in stage.run(TURNS, upstream)}
    return [system.record(turn.id, {name: rows[turn.id] for name, rows in upstream.items()}) for turn in TURNS]


def test_the_history_view_decides_what_the_prompt_shows(server: ChatServer, workplace: Workplace) -> None:
    first, second = records(server, workplace, history={"view": "full"})
    prompts = {prompt_of(asked) for asked in server.asked}
    said = "User: who fills the lamp\nSystem: Nobody knows."
    assert "|who fills the lamp|who fills the lamp|Ames fills the lamp every evening." in prompts
    assert any(prompt.startswith(f"{said}|and the boat|and the boat|") for prompt in prompts)
    assert (first.evidence, first.usage["tokens_out"]) == (("lamp",), 7)
    assert second.response


def test_with_a_rewriter_both_forms_of_the_question_are_there(server: ChatServer, workplace: Workplace) -> None:
    _, second = records(server, workplace, rewriter="human")
    assert "|and the boat|who sails the boat|A red boat lies in the harbour. Orr sails it." in {prompt_of(asked) for asked in server.asked}
    assert second.evidence == ("boat",)


def test_a_live_conversation_shows_the_systems_own_responses(server: ChatServer, workplace: Workplace) -> None:
    history = {"view": "full-own", "order": "oldest-first"}
    first, second = records(server, workplace, history=history)
    later = prompt_of(server.asked[1])
    assert later.startswith(f"User: who fills the lamp\nSystem: {first.response}|and the boat|")
    assert "Nobody knows" not in later
    assert second.query == f"who fills the lamp\n{first.response}\nand the boat"


@pytest.mark.parametrize(("evidence", "kept"), [("none", ()), ("gold", ("boat",))])
def test_evidence_conditions(server: ChatServer, workplace: Workplace, evidence: str, kept: tuple[str, ...]) -> None:
    _, second = records(server, workplace, evidence=evidence)
    assert second.evidence == kept
    assert second.passages
    shown = {prompt_of(asked) for asked in server.asked}
    assert all(prompt.startswith("closed|") for prompt in shown) == (evidence == "none")
