from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convbench.errors import DataError, RunFileError
from convbench.io.runfile import SCHEMA, read_run, write_run
from convbench.types import Run, TurnRecord

TEXTS = st.text(max_size=20)
PASSAGES = st.dictionaries(st.text(min_size=1), st.floats(allow_nan=False, allow_infinity=False), max_size=4).map(
    lambda d: tuple(d.items())
)
RECORDS = st.builds(
    TurnRecord,
    turn_id=st.from_regex(r"[A-Za-z0-9-]{1,9}_[1-9]", fullmatch=True),
    query=TEXTS,
    passages=PASSAGES,
    response=st.none() | TEXTS,
    evidence=st.lists(TEXTS, max_size=2).map(tuple),
    abstained=st.booleans(),
    usage=st.dictionaries(TEXTS, st.integers(0), max_size=2),
    ledger=st.dictionaries(TEXTS, st.lists(TEXTS, max_size=2), max_size=2),
)


def written(tmp_path: Path, *lines: dict[str, Any] | str, name: str = "turns.jsonl") -> Path:
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@given(st.lists(RECORDS, max_size=4, unique_by=lambda record: record.turn_id))
def test_what_is_written_reads_back(tmp_path_factory: pytest.TempPathFactory, records: list[TurnRecord]) -> None:
    path = tmp_path_factory.mktemp("run") / "turns.jsonl"
    header = {"system": "bm25", "turns": {"sha256": "ab"}}
    write_run(path, header, records)
    run = read_run(path)
    assert run == Run(header, {record.turn_id: record for record in records})
    assert list(run.records) == [record.turn_id for record in records]


def test_the_layout_on_disk(tmp_path: Path) -> None:
    record = TurnRecord("1_1", "où?", (("a b", 0.1 + 0.2),), "là", ("a b",), usage={"tokens_in": 3})
    write_run(tmp_path / "turns.jsonl", {"system": "x"}, [record])
    header, line = (tmp_path / "turns.jsonl").read_text(encoding="utf-8").splitlines()
    assert header == '{"schema":"convbench.run/1","system":"x"}'
    assert line == (
        '{"turn_id":"1_1","query":"où?","passages":[["a b",0.30000000000000004]],"response":"là",'
        '"evidence":["a b"],"abstained":false,"usage":{"tokens_in":3},"ledger":{}}'
    )


@pytest.mark.parametrize("name", ["turns.jsonl", "turns.jsonl.gz"])
def test_other_tools_need_only_the_turn_id(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, {"turn_id": "1_1"}, {"turn_id": "1_2", "passages": [{"id": "p", "score": 2}], "note": "spare"}, name=name)
    assert read_run(path) == Run({}, {"1_1": TurnRecord("1_1"), "1_2": TurnRecord("1_2", passages=(("p", 2.0),))})


@pytest.mark.parametrize(
    ("line", "error", "message"),
    [
        ({"schema": SCHEMA, "system": {"a\ud83d": 1}}, DataError, r"field 'header' holds '\\ud83d', half of a surrogate pair"),
        ({"schema": SCHEMA, "seed": math.nan}, RunFileError, "field 'header' holds a number that is not finite"),
        ({"turn_id": "1_1", "ledger": {"a": ["\ud83d"]}}, DataError, r"field 'ledger' holds '\\ud83d', half of a surrogate pair"),
    ],
)
def test_what_could_not_be_written_again_is_refused(tmp_path: Path, line: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=rf"turns\.jsonl:1: {message}"):
        read_run(written(tmp_path, line))


def test_nulls_stand_for_what_is_left_out(tmp_path: Path) -> None:
    line = dict.fromkeys(["query", "passages", "response", "evidence", "abstained", "usage", "ledger"])
    assert read_run(written(tmp_path, {"turn_id": "1_1", **line})).records == {"1_1": TurnRecord("1_1")}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"query": "no id"}, "field 'turn_id' is missing"),
        ({"turn_id": 3}, "field 'turn_id': expected a string, found int 3"),
        ({"turn_id": "1_1"}, "turn '1_1' appears twice"),
        ({"turn_id": "2_1", "response": ["a"]}, "field 'response': expected a string or null, found list"),
        ({"turn_id": "2_1", "passages": {"p": 1}}, "field 'passages': expected a list, found dict"),
        ({"turn_id": "2_1", "passages": ["p"]}, r"passages\[0\]: expected \[id, score\], found 'p'"),
        ({"turn_id": "2_1", "passages": [["p", 1], ["q"]]}, r"passages\[1\]: expected \[id, score\], found \['q'\]"),
        ({"turn_id": "2_1", "passages": [[7, 1]]}, r"passages\[0\]: expected \[id, score\], found \[7, 1\]"),
        ({"turn_id": "2_1", "passages": [["p", 1], ["p", 2]]}, "turn '2_1': passage 'p' appears twice"),
        ({"turn_id": "2_1", "passages": [["\ud83d", 1]]}, r"field 'passages\[0\]' holds '\\ud83d', half of a surrogate pair"),
        ({"turn_id": "2_1", "response": "\ud83d"}, r"field 'response' holds '\\ud83d', half of a surrogate pair"),
        ({"turn_id": "2_1", "evidence": "p"}, "field 'evidence': expected a list, found str 'p'"),
        ({"turn_id": "2_1", "abstained": 1}, "field 'abstained': expected true or false, found int 1"),
        ('{"turn_id": "2_1"', "not valid JSON"),
        ("[]", "expected a JSON object, found list"),
    ],
)
def test_bad_lines_name_file_and_line(tmp_path: Path, line: dict[str, Any] | str, message: str) -> None:
    path = written(tmp_path, {"schema": SCHEMA}, {"turn_id": "1_1"}, line)
    with pytest.raises(DataError, match=rf"turns\.jsonl:3: {message}") as caught:
        read_run(path)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"turn_id": "2_1", "passages": [{"id": "p"}]}, "turn '2_1': passage 'p': score None is not a finite number"),
        ({"turn_id": "2_1", "passages": [["p", "1"]]}, "turn '2_1': passage 'p': score '1' is not a finite number"),
        ({"turn_id": "2_1", "passages": [["p", True]]}, "turn '2_1': passage 'p': score True is not a finite number"),
        ('{"turn_id": "2_1", "passages": [["p", NaN]]}', "turn '2_1': passage 'p': score nan is not a finite number"),
        ('{"turn_id": "2_1", "passages": [["p", -Infinity]]}', "turn '2_1': passage 'p': score -inf is not a finite number"),
        (f'{{"turn_id": "2_1", "passages": [["p", 1{"0" * 400}]]}}', "turn '2_1': passage 'p': score 1000.* is not a finite number"),
        ('{"turn_id": "2_1", "usage": {"tokens_in": NaN}}', "field 'usage' holds a number that is not finite"),
        ('{"turn_id": "2_1", "ledger": {"truncated": {"history": [Infinity]}}}', "field 'ledger' holds a number that is not finite"),
    ],
)
def test_a_number_that_cannot_be_used_makes_a_broken_run(tmp_path: Path, line: dict[str, Any] | str, message: str) -> None:
    path = written(tmp_path, {"schema": SCHEMA}, {"turn_id": "1_1"}, line)
    with pytest.raises(RunFileError, match=rf"turns\.jsonl:3: {message}") as caught:
        read_run(path)
    assert caught.value.exit_code == 4
    assert len(str(caught.value)) < 400


def test_another_schema_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"turns\.jsonl:1: schema 'convbench\.run/9' is not known; expected 'convbench\.run/1'"):
        read_run(written(tmp_path, {"schema": "convbench.run/9"}, {"turn_id": "1_1"}))


def test_a_header_stands_first_or_nowhere(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"turns\.jsonl:2: field 'turn_id' is missing"):
        read_run(written(tmp_path, {"turn_id": "1_1"}, {"schema": SCHEMA}))
    with pytest.raises(DataError, match=r"turns\.jsonl:2: field 'turn_id' is missing"):
        read_run(written(tmp_path, {"schema": SCHEMA}, {"schema": SCHEMA}))


def test_nan_is_never_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_run(tmp_path / "turns.jsonl", {}, [TurnRecord("1_1", passages=(("p", float("nan")),))])
    assert list(tmp_path.iterdir()) == []
