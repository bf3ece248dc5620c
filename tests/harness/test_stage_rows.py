from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

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
