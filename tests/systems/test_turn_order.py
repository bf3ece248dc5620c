"""Systems that go by their own earlier responses: checked against a loop over one conversation and one turn after the other."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from command_line import convbench, succeed

from convbench.config import build_config
from convbench.datasets.adapters import load_card
from convbench.datasets.collection import prepare_store
from convbench.datasets.loading import Dataset, DatasetRequest, open_dataset
from convbench.datasets.store import PassageStore
from convbench.errors import UsageError
from convbench.generation.base import GenerationInput
from convbench.generation.extractive import ExtractiveConfig, ExtractiveGenerator
from convbench.harness.plan import split_batches
from convbench.io.runfile import read_run
from convbench.meter import Meter
from convbench.retrieval.bm25 import BM25Config, BM25Retriever
from convbench.systems.base import Settings, Stage, Workplace
from convbench.systems.turn_order import InTurnOrder, unpacked, with_own_responses
from convbench.systems.two_stage import TwoStage, TwoStageConfig
from convbench.types import Exchange, Turn
from convbench.views.query import Query

BM25 = {"k1": 0.9, "b": 0.4}


class Opened:
    """A mini set with its passages."""

    def __init__(self, name: str, cache: Path) -> None:
        self.dataset: Dataset = open_dataset(DatasetRequest(name))
        self.store: PassageStore = prepare_store(self.dataset, self.dataset.adapter.collection(), cache)
        self.workplace = Workplace(self.store, cache, Meter())


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Opened]:
    cache = tmp_path_factory.mktemp("cache")
    return lambda name: Opened(name, cache)


def system(**changes: Any) -> TwoStage:
    history = {"view": "full-own", "order": "oldest-first"}
    values = {"kind": "two-stage", "name": "own", "history": history, "retriever": {"type": "bm25", **BM25}, "k": 10, **changes}
    return build_config(TwoStageConfig, values, "test").build(Settings(load_card("topiocqa"), offline=True, seed=0))


def rows_of(made: TwoStage, opened: Opened, size: int) -> list[dict[str, Any]]:
    """The rows of its only stage, whole conversations in batches."""
    (stage,) = made.stages()
    assert stage.unit == "conversation"
    stage.check(opened.dataset.turns)
    stage.open(opened.workplace)
    return [row for batch in split_batches(opened.dataset.turns, size, stage.unit) for row in stage.run(batch, {})]


def by_hand(opened: Opened) -> dict[str, tuple[str, list[str], str]]:
    """Query, passages and response of every turn, one at a time."""
    retriever = BM25Retriever(BM25Config(type="bm25", **BM25))
    retriever.index(opened.store, opened.workplace.cache, Meter())
    generator = ExtractiveGenerator(ExtractiveConfig())
    answers: dict[str, tuple[str, list[str], str]] = {}
    for conversation in opened.dataset.conversations:
        for turn in conversation.turns:
            said = []
            for exchange in turn.history:
                own = exchange.query and exchange.turn_id in answers
                said += [exchange.query, answers[exchange.turn_id][2] if own else exchange.response]
            query = "\n".join([*filter(None, said), turn.query])
            (found,) = retriever.search([Query.of(turn.id, query)], 10, Meter())
            ids = [passage_id for passage_id, _ in found.ranking.passages]
            evidence = GenerationInput(turn.id, turn.query, tuple(opened.store.get(ids[:3])))
            answers[turn.id] = (query, ids, generator.generate([evidence], Meter())[0].text)
    return answers


@pytest.mark.parametrize("name", ["topiocqa", "faithdial"])
def test_it_equals_a_loop_over_the_turns(name: str, mini: Callable[[str], Opened]) -> None:
    opened, made = mini(name), system()
    expected = by_hand(opened)
    records = {row["turn_id"]: made.record(row["turn_id"], {"converse": row}) for row in rows_of(made, opened, 4)}
    assert list(records) == list(expected) == [turn.id for turn in opened.dataset.turns]
    for turn_id, record in records.items():
        assert (record.query, [passage_id for passage_id, _ in record.passages], record.response) == expected[turn_id]


def test_how_many_conversations_go_together_does_not_matter(mini: Callable[[str], Opened]) -> None:
    opened, made = mini("inscit"), system()
    assert rows_of(made, opened, 1) == rows_of(made, opened, 8) == rows_of(made, opened, 100)


class TestRuns:
    """Through the command line, in batches of two conversations."""

    @pytest.fixture(autouse=True)
    def _small_batches(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(InTurnOrder, "batch_size", property(lambda self: 2, lambda self, size: None), raising=False)

    def arguments(self, folder: Path, system: str = "bm25-history") -> list[object]:
        return ["run", system, "-d", "topiocqa", "--history", "full-own", "--out", folder, "--metrics", "retrieval", "--offline"]

    def calls(self, monkeypatch: pytest.MonkeyPatch, interrupted_at: int = 0) -> list[int]:
        """Counts the generator's calls, and interrupts one."""
        generate, calls = ExtractiveGenerator.generate, []

        def counted(self: ExtractiveGenerator, inputs: Sequence[GenerationInput], meter: Meter) -> Any:
            calls.append(len(inputs))
            if len(calls) == interrupted_at:
                raise KeyboardInterrupt
            return generate(self, inputs, meter)

        monkeypatch.setattr(ExtractiveGenerator, "generate", counted)
        return calls

    def test_one_that_was_interrupted_ends_with_the_same_bytes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        whole, resumed = tmp_path / "whole", tmp_path / "resumed"
        with monkeypatch.context() as patch:
            calls = self.calls(patch)
            succeed(*self.arguments(whole))
        assert sum(calls) == 56
        with monkeypatch.context() as patch:
            self.calls(patch, interrupted_at=len(calls) // 2)
            assert convbench(*self.arguments(resumed)).code == 130
        kept = next(resumed.glob("stages/converse.*.part")).read_bytes().count(b"\n")
        with monkeypatch.context() as patch:
            rest = self.calls(patch)
            succeed(*self.arguments(resumed))
        assert 0 < kept == 56 - sum(rest) < 56
        for name in ("turns.jsonl", "retrieval.trec", "stages/converse.jsonl"):
            assert (resumed / name).read_bytes() == (whole / name).read_bytes(), name

    def test_the_condition_replaces_a_rewriter_and_is_reported(self, tmp_path: Path) -> None:
        succeed(*self.arguments(tmp_path, "bm25-rewrite"))
        conditions = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["conditions"]
        assert (conditions["history"]["view"], conditions["rewriter"]) == ("full-own", "none")
        records = read_run(tmp_path / "turns.jsonl").records
        assert records["1_2"].query.split("\n")[1] == records["1_1"].response


HISTORY = (
    Exchange("1_1", "", "Hello, I know about boats."),
    Exchange("1_2", "who sails", "Nobody."),
    Exchange("1_3", "since when", None),
    Exchange("1_4", "and why", "Because."),
)
TURN = Turn("1_5", "so", HISTORY)


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({}, ["Hello, I know about boats.", "Nobody.", None, "Because."]),
        ({"1_2": "Orr.", "1_3": "Since 1851."}, ["Hello, I know about boats.", "Orr.", "Since 1851.", "Because."]),
        ({"1_1": "Mine.", "1_2": "", "1_4": ""}, ["Hello, I know about boats.", None, None, None]),
        ({"2_2": "Other."}, ["Hello, I know about boats.", "Nobody.", None, "Because."]),
    ],
)
def test_own_responses_take_the_place_of_the_datasets(own: dict[str, str], expected: list[str | None]) -> None:
    turn = with_own_responses(TURN, own)
    assert [exchange.response for exchange in turn.history] == expected
    assert [exchange.query for exchange in turn.history] == ["", "who sails", "since when", "and why"]
    assert TURN.history == HISTORY


def test_rows_are_unpacked_by_stage() -> None:
    search, generate = {"turn_id": "1_1", "passages": []}, {"turn_id": "1_1", "text": "Ames."}
    assert unpacked({"search": search, "generate": generate}) == {"search": search, "generate": generate}
    packed = unpacked({"converse": {"turn_id": "1_1", "search": search, "generate": generate}})
    assert (packed["search"], packed["generate"]) == (search, generate)


def test_it_is_a_stage_that_speaks_for_the_inner_ones() -> None:
    (stage,) = system().stages()
    assert isinstance(stage, Stage)
    assert stage.batch_size == 32
    described = stage.describe()["stages"]
    assert [name for name, _, _ in described] == ["view", "rewrite", "search", "generate"]
    assert described != system(k=9).stages()[0].describe()["stages"]
    with pytest.raises(UsageError, match="--evidence other-turn"):
        system(evidence="other-turn").stages()[0].check([Turn("1_1", "who", gold={"a": 1})])
