from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from convbench.errors import DataError
from convbench.harness.stage_rows import StageRows


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
