"""Runs to exchange: strategies for hypothesis, and a way through a file and back."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import strategies as st

from convbench.datasets.corpora import check_id
from convbench.errors import ConvbenchError, DataError
from convbench.exchange import FORMATS
from convbench.exchange.base import ExportRequest, ImportRequest, Summary
from convbench.exchange.turn_ids import TurnIds
from convbench.io.runfile import read_run, write_run
from convbench.retrieval.canonical import canonical
from convbench.types import Run, TurnRecord


def is_passage_id(text: str) -> bool:
    try:
        check_id(text, Path("source"))
    except DataError:
        return False
    return True


def is_conversation(text: str) -> bool:
    try:
        return TurnIds(("<conversation>",)).parse(text).conversation == text
    except ValueError:
        return False


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
passage_ids = texts.filter(is_passage_id)
conversations = texts.filter(is_conversation) | st.sampled_from(["1", "9-1", "C_ab_0", "conv<::>3", "a::b"])
turn_ids = st.builds("{}_{}".format, conversations, st.integers(1, 2000))
scores = st.floats(-1e30, 1e30) | st.sampled_from([0.0, 0.5, -1.0, 1e-300]) | st.integers(-3, 3).map(float)


@st.composite
def records(draw, ids=turn_ids) -> TurnRecord:
    turn_id = draw(ids)
    passages = canonical(turn_id, draw(st.dictionaries(passage_ids, scores, max_size=6)).items()).passages
    retrieved = [passage_id for passage_id, _ in passages]
    return TurnRecord(
        turn_id,
        query=draw(texts),
        passages=passages,
        response=draw(st.none() | texts),
        evidence=tuple(draw(st.lists(st.sampled_from(retrieved), unique=True))) if retrieved else (),
        abstained=draw(st.booleans()),
        usage=draw(st.dictionaries(st.sampled_from(["tokens_in", "tokens_out"]), st.integers(0, 99))),
        ledger=draw(st.just({}) | st.just({"truncated": {}})),
    )


def runs(ids=turn_ids, header=None) -> st.SearchStrategy[Run]:
    lists = st.lists(records(ids), min_size=1, max_size=5, unique_by=lambda record: record.turn_id)
    headers = header or st.fixed_dictionaries({}, optional={"run_name": st.sampled_from(["bm25", "my-run"]), "seed": st.integers(0, 9)})
    return st.builds(lambda head, found: Run(head, {record.turn_id: record for record in found}), headers, lists)


def there_and_back(name: str, suffix: str, run: Run, *, turn_ids: str | None = None) -> tuple[Run, Summary, Summary]:
    """The run after a file of the format, and the two summaries."""
    with tempfile.TemporaryDirectory() as folder:
        own, foreign, back = Path(folder, "own.jsonl"), Path(folder, f"foreign{suffix}"), Path(folder, "back.jsonl")
        write_run(own, run.header, run.records.values())
        sent = FORMATS.get(name).export(ExportRequest(own, None, foreign, turn_ids))
        brought = FORMATS.get(name).import_(ImportRequest(foreign, back, turn_ids))
        return read_run(back), sent, brought


def refusal(call: Callable[[], object]) -> str | None:
    """The one line with which convbench refuses, or None where it does not. Any other error is the test's failure."""
    try:
        call()
    except ConvbenchError as error:
        message = str(error)
    else:
        return None
    assert "\n" not in message
    return message
