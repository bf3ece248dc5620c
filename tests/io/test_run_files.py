from __future__ import annotations

import math
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convbench.io.run_files import write_run_files
from convbench.io.runfile import write_run
from convbench.io.trec_run import write_trec_run
from convbench.types import Ranking, TurnRecord

TEXTS = st.text(max_size=20) | st.sampled_from(['"passages":[]', '\\"passages":[],[', "a b", "],[", '"', "\\", "\x00\x1f\x7f\u2028", ","])
SCORES = st.floats(allow_nan=False, allow_infinity=False) | st.floats(width=32, allow_nan=False, allow_infinity=False) | st.integers(-3, 3)
RECORDS = st.builds(
    TurnRecord,
    turn_id=TEXTS,
    query=TEXTS,
    passages=st.dictionaries(TEXTS, SCORES, max_size=5).map(lambda passages: tuple(passages.items())),
    response=st.none() | TEXTS,
    evidence=st.lists(TEXTS, max_size=2).map(tuple),
    usage=st.dictionaries(TEXTS, st.integers(0), max_size=2),
    ledger=st.dictionaries(TEXTS, st.lists(TEXTS, max_size=2), max_size=2),
)
HEADER = {"system": "x", "notes": ['"passages":[]']}


def one_by_one(folder: Path, records: list[TurnRecord], tag: str) -> None:
    write_run(folder / "expected.jsonl", HEADER, records)
    write_trec_run(folder / "expected.trec", [Ranking(record.turn_id, record.passages) for record in records], tag)


def together(folder: Path, records: list[TurnRecord], tag: str) -> None:
    write_run_files(folder / "found.jsonl", folder / "found.trec", HEADER, records, tag)


def assert_same(folder: Path, records: list[TurnRecord], tag: str = "tag") -> None:
    one_by_one(folder, records, tag)
    together(folder, records, tag)
    for suffix in ("jsonl", "trec"):
        assert (folder / f"found.{suffix}").read_bytes() == (folder / f"expected.{suffix}").read_bytes()


@settings(max_examples=50)
@given(st.lists(RECORDS, max_size=4))
def test_both_files_are_those_that_are_written_one_by_one(tmp_path_factory: pytest.TempPathFactory, records: list[TurnRecord]) -> None:
    assert_same(tmp_path_factory.mktemp("run"), records)


def test_long_rankings_of_single_precision_scores(tmp_path: Path) -> None:
    chance = random.Random(5)
    records = []
    for turn in range(20):
        scores = sorted((float(np.float32(chance.expovariate(0.1))) for _ in range(chance.randrange(300))), reverse=True)
        records.append(TurnRecord(f"c_{turn}", "q", tuple((f"p {chance.randrange(10**6)}", score) for score in scores)))
    assert_same(tmp_path, records)


@pytest.mark.parametrize("score", [0.0, -0.0, 5e-324, 1e-5, 1e-4, 0.1 + 0.2, 1e15, 1e16, 1.7976931348623157e308, 3, 2**70])
def test_scores_at_the_edges(score: float, tmp_path: Path) -> None:
    assert_same(tmp_path, [TurnRecord("c_1", passages=(("p", score), ("q", -score)))])


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_is_refused_and_leaves_nothing(score: float, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        together(tmp_path, [TurnRecord("c_1", passages=(("p", 1.0),)), TurnRecord("c_2", passages=(("p", score),))], "tag")
    assert list(tmp_path.iterdir()) == []


def test_files_of_an_earlier_run_stay_where_writing_fails(tmp_path: Path) -> None:
    def breaking() -> Iterator[TurnRecord]:
        yield TurnRecord("c_1", passages=(("p", 1.0),))
        raise KeyboardInterrupt

    for name in ("found.jsonl", "found.trec"):
        (tmp_path / name).write_text("earlier")
    with pytest.raises(KeyboardInterrupt):
        write_run_files(tmp_path / "found.jsonl", tmp_path / "found.trec", HEADER, breaking(), "tag")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"found.jsonl": "earlier", "found.trec": "earlier"}
