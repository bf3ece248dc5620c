"""Joint runs and response files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convbench.errors import DataError, RunFileError
from convbench.io.runfile import SCHEMA, write_run
from convbench.systems.replay import read_records
from convbench.types import TurnRecord
from convbench.validation.problems import Findings, Problem
from convbench.validation.rankings import check_rankings
from convbench.validation.record_files import scan_joint_run, scan_responses

TURNS = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("records")


def problems(path: Path, *, responses: bool = False) -> list[Problem]:
    findings = Findings()
    if responses:
        scan_responses(path, findings)
    else:
        check_rankings(scan_joint_run(path, findings).table, findings)
    return findings.problems()


def found(path: Path, *, responses: bool = False) -> dict[str, tuple[int, ...]]:
    return {problem.check: problem.lines for problem in problems(path, responses=responses)}


def good_run(path: Path) -> list[dict[str, Any]]:
    records = [
        TurnRecord(f"9_{n}", f"query {n}", (("Rio Grande:1", 9.5), ("p\N{NO-BREAK SPACE}2", 7.25), ("p3", -n / 3)), f"Answer {n}.\n\tYes.")
        for n in range(1, TURNS + 1)
    ]
    write_run(path, {"dataset": "topiocqa"}, records)
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write(path: Path, values: list[Any]) -> Path:
    path.write_text("".join(f"{value if isinstance(value, str) else json.dumps(value)}\n" for value in values), encoding="utf-8")
    return path


def test_a_written_run_has_no_problems(folder: Path) -> None:
    good_run(folder / "run.jsonl")
    assert found(folder / "run.jsonl") == {}


def put(*keys: Any, value: Any) -> Callable[[list[Any], int], None]:
    """Puts a value into the line's object."""

    def change(lines: list[Any], at: int) -> None:
        place = lines[at]
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value

    return change


FAULTS = {
    "no JSON": ("json", lambda lines, at: lines.insert(at, '{"turn_id": "9_9", "passages": [')),
    "no object": ("json", lambda lines, at: lines.insert(at, ["9_9"])),
    "deep nesting": ("json", lambda lines, at: lines.insert(at, "[" * 100_000)),
    "endless number": ("json", lambda lines, at: lines.insert(at, '{"turn_id": ' + "9" * 5000 + "}")),
    "no turn": ("fields", lambda lines, at: lines.insert(at, {"passages": []})),
    "turn that is a number": ("fields", lambda lines, at: lines.insert(at, {"turn_id": 9})),
    "half a surrogate pair": ("fields", lambda lines, at: lines.insert(at, '{"turn_id": "\\ud800_1"}')),
    "blank in a turn id": ("id-blanks", put("turn_id", value="9 _1")),
    "control character in a turn id": ("control-characters", put("turn_id", value="9\x00_1")),
    "turn without number": ("turn-ids", put("turn_id", value="9_one")),
    "passages of the wrong kind": ("fields", put("passages", 1, value="p")),
    "passage that is a number": ("fields", put("passages", 1, 0, value=7)),
    "passage without name": ("fields", put("passages", 1, 0, value=" ")),
    "control character in a passage id": ("control-characters", put("passages", 1, 0, value="a\tb\x07")),
    "box in a passage id": ("fields", put("passages", 1, 0, value="a\N{OPEN BOX}b")),
    "NaN": ("scores", put("passages", 2, 1, value=float("nan"))),
    "true": ("scores", put("passages", 2, 1, value=True)),
    "text as score": ("scores", put("passages", 2, 1, value="1.5")),
    "endless score": ("scores", put("passages", 2, 1, value=10**400)),
    "passage twice": ("duplicate-passages", put("passages", 2, 0, value="Rio Grande:1")),
    "scores that rise": ("rank-order", put("passages", 1, 1, value=11.0)),
    "tie": ("tied-scores", put("passages", 1, 1, value=9.5)),
    "no passages": ("empty-rankings", put("passages", value=[])),
    "passage missing": ("depth", lambda lines, at: lines[at]["passages"].pop()),
    "no response": ("missing-responses", put("response", value=None)),
    "empty response": ("empty-responses", put("response", value=" \n")),
    "response of the wrong kind": ("fields", put("response", value=["yes"])),
    "control character in a response": ("response-characters", put("response", value="yes\x1b[2J")),
    "query of the wrong kind": ("fields", put("query", value=3)),
    "evidence of the wrong kind": ("fields", put("evidence", value="p1")),
    "number that is not finite": ("fields", put("ledger", value={"x": float("inf")})),
}


@pytest.mark.parametrize("fault", FAULTS)
@given(at=st.integers(1, TURNS))
@settings(max_examples=TURNS)
def test_one_fault_is_one_problem_at_its_line(folder: Path, fault: str, at: int) -> None:
    check, change = FAULTS[fault]
    lines: list[Any] = good_run(folder / "run.jsonl")
    change(lines, at)
    assert found(write(folder / "run.jsonl", lines)) == {check: (at + 1,)}


def test_a_turn_twice(folder: Path) -> None:
    lines = good_run(folder / "run.jsonl")
    assert found(write(folder / "run.jsonl", [*lines, lines[2]])) == {"duplicate-turns": (len(lines) + 1,)}


def test_a_header_of_another_version(folder: Path) -> None:
    lines = good_run(folder / "run.jsonl")
    lines[0]["schema"] = "convbench.run/9"
    (problem,) = problems(write(folder / "run.jsonl", lines))
    assert (problem.check, problem.lines, problem.examples) == ("schema", (1,), ("'convbench.run/9'",))
    assert SCHEMA in problem.message


def test_an_abstention_may_be_empty(folder: Path) -> None:
    assert found(write(folder / "a.jsonl", [{"turn_id": "1_1", "response": "", "abstained": True}])) == {}


def test_objects_as_passages_and_no_header(folder: Path) -> None:
    path = write(folder / "a.jsonl", [{"turn_id": "1_1", "passages": [{"id": "a", "score": 2}, {"id": "b", "score": 1}]}])
    assert found(path) == {}


@pytest.mark.parametrize("responses", [True, False])
def test_an_empty_file(folder: Path, responses: bool) -> None:
    assert found(write(folder / "empty.jsonl", [""]), responses=responses) == {"empty": ()}


def test_responses(folder: Path) -> None:
    good = [{"turn_id": f"1_{n}", "response": f"Answer {n}", "other": [n]} for n in range(1, 5)]
    assert found(write(folder / "r.jsonl", good), responses=True) == {}
    bad = [*good, {"turn_id": "1_5"}, {"turn_id": "1_6", "response": 7}, good[0], {"turn_id": "1_7", "response": ""}, "{"]
    assert found(write(folder / "r.jsonl", bad), responses=True) == {
        "fields": (5, 6),
        "duplicate-turns": (7,),
        "json": (9,),
        "empty-responses": (8,),
    }


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.floats(), st.text(max_size=4)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["id", "score", "x"]), inner, max_size=3)),
    max_leaves=6,
)
RECORDS = st.fixed_dictionaries(
    {"turn_id": st.one_of(st.sampled_from(["1_1", "1_2", "1 _1"]), VALUES)},
    optional={
        "passages": st.one_of(
            st.lists(
                st.tuples(
                    st.sampled_from(["a", "b", " ", "a\N{OPEN BOX}", "a\nb"]),
                    st.floats() | st.sampled_from([-3e38, -3.4028234663852886e38]),
                )
            ),
            VALUES,
        ),
        "response": VALUES,
        "query": VALUES,
        "evidence": VALUES,
        "abstained": VALUES,
        "usage": VALUES,
        "schema": VALUES,
    },
)


@given(st.lists(RECORDS, max_size=4))
def test_what_the_strict_reader_refuses_is_an_error(folder: Path, records: list[dict[str, Any]]) -> None:
    path = write(folder / "random.jsonl", records)
    errors = {problem.check for problem in problems(path) if problem.severity == "error"}
    try:
        read_records(path)
    except (DataError, RunFileError):
        assert errors
