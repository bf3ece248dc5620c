from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from convbench.errors import DataError
from convbench.harness.stage_rows import StageRows
from convbench.io.jsonl import dump_line


@pytest.fixture
def rows() -> dict[str, dict[str, object]]:
    chance = random.Random(3)
    texts = ["", "naïve café", "שלום", "a\nb\u2028c\r", "x" * 200_000, "\\n"]
    return {
        f"c{number}_1": {"turn_id": f"c{number}_1", "text": text, "passages": [["p", chance.random()]]} for number, text in enumerate(texts)
    }


def written(path: Path, rows: dict[str, dict[str, object]]) -> StageRows:
    path.write_bytes(b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows.values()))
    return StageRows(path, list(rows))


def test_rows_are_those_of_the_file_in_whatever_order_they_are_asked_for(rows: dict[str, dict[str, object]], tmp_path: Path) -> None:
    found = written(tmp_path / "stage.jsonl", rows)
    assert list(found) == list(rows)
    assert list(found.values()) == list(rows.values())
    for turn_id in sorted(rows, reverse=True):
        assert found[turn_id] == rows[turn_id]
    assert len(found) == len(rows)


def test_a_turn_that_the_stage_does_not_have(rows: dict[str, dict[str, object]], tmp_path: Path) -> None:
    found = written(tmp_path / "stage.jsonl", rows)
    assert "c9_1" not in found
    with pytest.raises(KeyError):
        found["c9_1"]


def test_a_line_that_is_the_row_of_another_turn(rows: dict[str, dict[str, object]], tmp_path: Path) -> None:
    path = tmp_path / "stage.jsonl"
    written(path, dict(reversed(rows.items())))
    found = StageRows(path, list(rows))
    with pytest.raises(DataError, match=r"stage\.jsonl:1: found the row of turn 'c5_1', expected that of turn 'c0_1'"):
        found["c0_1"]


def test_a_file_that_changes_after_it_was_opened(rows: dict[str, dict[str, object]], tmp_path: Path) -> None:
    path = tmp_path / "stage.jsonl"
    found, last = written(path, rows), list(rows)[-1]
    assert found[last] == rows[last]
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(DataError, match=r"stage\.jsonl:6: found no row, expected that of turn 'c5_1'; delete the file"):
        found[last]


def test_a_file_with_fewer_rows_than_turns(rows: dict[str, dict[str, object]], tmp_path: Path) -> None:
    path = tmp_path / "stage.jsonl"
    written(path, {"c0_1": rows["c0_1"]})
    with pytest.raises(DataError, match=r"stage\.jsonl: found 1 rows, expected 6"):
        StageRows(path, list(rows))["c0_1"]


def test_whether_a_turn_is_there_is_known_without_its_file(tmp_path: Path) -> None:
    found = StageRows(tmp_path / "not-there.jsonl", ["c0_1"])
    assert "c0_1" in found
    assert "c1_1" not in found


def test_rows_that_are_asked_for_in_order_from_any_place_and_again(tmp_path: Path) -> None:
    chance = random.Random(7)
    many = {f"c{n}_1": {"turn_id": f"c{n}_1", "text": "é" * chance.randrange(4000)} for n in range(300)}
    found, ids = written(tmp_path / "stage.jsonl", many), list(many)
    for _ in range(40):
        start = chance.randrange(300)
        for turn_id in ids[start : start + chance.randrange(1, 120)]:
            assert found[turn_id] == many[turn_id]
            if chance.random() < 0.05:
                again = chance.choice(ids)
                assert found[again] == many[again]


RANKINGS: list[list[list[object]]] = [
    [],
    [["p", 1.5]],
    [["p],[q", 2], ['quo"te', -0.0], ["back\\slash", 1e-7], ["né]", 1e22], ["", 0.1]],
    [[f"p{n}", float(-n)] for n in range(100)],
]


@pytest.mark.parametrize("ranking", RANKINGS)
@pytest.mark.parametrize("turn_id", ["c_1", 'né"c\\_1', "],_2"])
def test_the_first_items_of_a_list_are_those_of_the_whole_row(ranking: list[list[object]], turn_id: str, tmp_path: Path) -> None:
    behind: dict[str, object] = {
        "turn_id": turn_id,
        "text": '"passages":[["x",1]]',
        "nested": {"passages": [["x", 1]]},
        "passages": ranking,
    }
    for row in ({"turn_id": turn_id, "passages": ranking, "usage": {}}, {"turn_id": turn_id, "passages": ranking}, behind):
        path = tmp_path / "stage.jsonl"
        path.write_text(dump_line(row), encoding="utf-8")
        found = StageRows(path, [turn_id])
        for count in (0, 1, 2, 3, 5, 99, 100, 101):
            assert found.leading(turn_id, "passages", count) == found[turn_id]["passages"][:count] == ranking[:count]


def test_a_list_that_is_damaged_where_it_is_read_is_said_to_be_no_row(tmp_path: Path) -> None:
    path = tmp_path / "stage.jsonl"
    line = dump_line({"turn_id": "c_1", "passages": [["p", 1.5], ["q", 1.25]], "cut": 0})
    for damaged in (line.replace("],[", "] ["), line.replace("1.25]]", "1.25]"), line[:30] + "\n", "{}\n", "\n"):
        path.write_text(damaged, encoding="utf-8")
        with pytest.raises(DataError, match=r"stage\.jsonl:1: found no row, expected that of turn 'c_1'"):
            StageRows(path, ["c_1"]).leading("c_1", "passages", 3)


def test_the_first_items_of_another_turns_row(tmp_path: Path) -> None:
    path = tmp_path / "stage.jsonl"
    path.write_text(dump_line({"turn_id": "c_2", "passages": [["p", 1.5]]}), encoding="utf-8")
    with pytest.raises(DataError, match="found the row of turn 'c_2', expected that of turn 'c_1'"):
        StageRows(path, ["c_1"]).leading("c_1", "passages", 1)
