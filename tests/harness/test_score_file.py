from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convbench.harness.score_file import read_scores, write_scores
from convbench.io.jsonl import dump_line
from convbench.types import Score

TEXTS = st.text(max_size=12) | st.sampled_from(['"', "\\", "\x00\x7f\u2028", "né"])
VALUES = st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**70), 2**70) | st.booleans()
SCORES = st.builds(Score, TEXTS, TEXTS, VALUES, st.none() | TEXTS, TEXTS)


def as_json(score: Score) -> str:
    line: dict[str, Any] = {"turn_id": score.turn_id, "protocol": score.protocol, "measure": score.measure, "value": score.value}
    return dump_line(line | {"reason": score.reason} if score.reason else line)


@settings(max_examples=50)
@given(st.lists(SCORES, max_size=6))
def test_lines_are_those_of_the_json_encoder(tmp_path_factory: pytest.TempPathFactory, scores: list[Score]) -> None:
    path = tmp_path_factory.mktemp("scores") / "scores.jsonl"
    write_scores(path, scores)
    assert path.read_bytes() == "".join(map(as_json, scores)).encode()


def test_scores_read_back_to_the_last_digit(tmp_path: Path) -> None:
    values = [None, 0.0, 1.0, 1 / 3, 5e-324, 1e16, 0.1 + 0.2, float(np.float32(0.1))]
    scores = [Score(f"c_{n}", "F1", value, "because" if value is None else None, "p") for n, value in enumerate(values)]
    write_scores(tmp_path / "scores.jsonl", scores)
    assert read_scores(tmp_path / "scores.jsonl") == scores


def test_numbers_of_numpy_are_written_as_numbers(tmp_path: Path) -> None:
    write_scores(tmp_path / "scores.jsonl", [Score("c_1", "F1", np.float64(0.25))])
    assert (tmp_path / "scores.jsonl").read_text() == '{"turn_id":"c_1","protocol":"","measure":"F1","value":0.25}\n'


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_refused_and_leaves_nothing(value: float, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_scores(tmp_path / "scores.jsonl", [Score("c_1", "F1", 1.0), Score("c_2", "F1", value)])
    assert list(tmp_path.iterdir()) == []
