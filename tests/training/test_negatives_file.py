"""The file of hard negatives: what is written is read, and what is not one is refused by line and field."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from convbench.errors import DataError, MissingFileError
from convbench.training.negatives import Negative, NegativesHeader, check_in_collection, read_negatives, write_negatives
from convbench.types import Passage

if TYPE_CHECKING:
    from conftest import StoreOf

HEADER = NegativesHeader(
    dataset="test",
    split="dev",
    options={"first-question": "asked"},
    collection={"origin": "corpus", "sha256": "0", "passages": 3},
    retriever={"name": "bm25"},
    query=None,
    depth=100,
    skip=2,
    count=8,
    keep_answers=False,
    earlier_gold=True,
    counts={"turns": 2},
)
NEGATIVES: dict[str, tuple[Negative, ...]] = {
    "a_1": (Negative("p 1", None, None, "earlier-gold"), Negative("ü", 3, 0.1, "retrieved")),
    "a_2": (),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_negatives(tmp_path / "n.jsonl", HEADER, NEGATIVES)
    return tmp_path / "n.jsonl"


def test_what_is_written_is_read(path: Path) -> None:
    assert read_negatives(path) == (HEADER, NEGATIVES)
    packed = path.with_suffix(".jsonl.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert read_negatives(packed) == (HEADER, NEGATIVES)


def changed(path: Path, line: int, change: Callable[[dict[str, Any]], object]) -> Path:
    values = [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()]
    change(values[line - 1])
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    return path


HEADERS: list[tuple[str, Any, str]] = [
    ("schema", "convbench.run/1", "expected a header line of schema 'convbench.negatives/1'; make the file with `convbench train mine`"),
    ("dataset", None, "field 'dataset': expected a string, found null"),
    ("options", {"a": 1}, "field 'options', 'a': expected a string, found int 1"),
    ("query", 3, "field 'query': expected a string, found int 3"),
    ("depth", 0, "field 'depth': expected at least 1, found 0"),
    ("skip", True, "field 'skip': expected an integer, found bool True"),
    ("keep_answers", "no", "field 'keep_answers': expected true or false, found str 'no'"),
    ("collection", [], "field 'collection': expected an object, found list"),
    ("retriever", {"score": float("inf")}, "field 'retriever' holds a number that is not finite"),
    ("counts", {"\ud800": 1}, "field 'counts' holds '\\ud800', half of a surrogate pair"),
]


@pytest.mark.parametrize(("field", "value", "said"), HEADERS, ids=[field for field, _, _ in HEADERS])
def test_headers_that_are_refused(path: Path, field: str, value: Any, said: str) -> None:
    with pytest.raises(DataError) as error:
        read_negatives(changed(path, 1, lambda header: header.update({field: value})))
    assert f"{path}:1: {said}" in str(error.value)


NEGATIVE = {"id": "p", "rank": 1, "score": 1.5, "kind": "retrieved"}
LINES: list[tuple[dict[str, Any], str]] = [
    ({"turn_id": 1}, ":2: field 'turn_id': expected a string, found int 1"),
    ({"turn_id": "a_2"}, ":3: turn 'a_2' appears twice"),
    ({"negatives": None}, ":2: field 'negatives': expected a list, found null"),
    ({"negatives": ["p"]}, ":2 [negatives[0]]: expected an object, found str 'p'"),
    ({"negatives": [NEGATIVE, {**NEGATIVE, "id": 3}]}, ":2 [negatives[1]]: field 'id': expected a string, found int 3"),
    ({"negatives": [{**NEGATIVE, "id": "\ud800"}]}, ":2 [negatives[0]]: field 'id' holds '\\ud800', half of a surrogate pair"),
    ({"negatives": [{**NEGATIVE, "kind": "gold"}]}, ":2 [negatives[0]]: field 'kind': expected retrieved or earlier-gold, found 'gold'"),
    ({"negatives": [{**NEGATIVE, "rank": None}]}, ":2 [negatives[0]]: field 'rank': expected an integer, found null"),
    ({"negatives": [{**NEGATIVE, "rank": None, "score": None}]}, ":2 [negatives[0]]: field 'rank': expected an integer, found null"),
    ({"negatives": [{**NEGATIVE, "rank": 0}]}, ":2 [negatives[0]]: field 'rank': expected at least 1, found 0"),
    ({"negatives": [{**NEGATIVE, "score": None}]}, ":2 [negatives[0]]: field 'score': expected a finite number, found None"),
    ({"negatives": [{**NEGATIVE, "score": float("nan")}]}, ":2 [negatives[0]]: field 'score': expected a finite number, found nan"),
    ({"negatives": [{**NEGATIVE, "score": True}]}, ":2 [negatives[0]]: field 'score': expected a finite number, found True"),
    ({"negatives": [NEGATIVE, NEGATIVE]}, ":2 [negatives[1]]: turn 'a_1': passage 'p' appears twice"),
]


@pytest.mark.parametrize(("values", "said"), LINES)
def test_lines_that_are_refused(path: Path, values: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError) as error:
        read_negatives(changed(path, 2, lambda line: line.update(values)))
    assert f"{path}{said}" in str(error.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="no such file"):
        read_negatives(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(DataError, match=r"empty.jsonl:1: expected a header line"):
        read_negatives(tmp_path / "empty.jsonl")


def test_every_negative_must_be_in_the_collection(path: Path, store_of: StoreOf) -> None:
    check_in_collection(path, NEGATIVES, store_of([Passage("p 1", "one"), Passage("ü", "two")]))
    check_in_collection(path, {}, store_of([Passage("q", "one")]))
    with pytest.raises(DataError) as error:
        check_in_collection(path, NEGATIVES, store_of([Passage("p 1", "one"), Passage("p2", "two")]))
    assert "1 of 2 negatives are not in the collection of 2 passages (first: 'ü' of turn 'a_1')" in str(error.value)
