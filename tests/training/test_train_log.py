from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convbench.errors import DataError, StorageError
from convbench.training.gradients import Gradients
from convbench.training.log import TrainLog, read_log
from convbench.training.loss_curve import curves_of, draw_curves

DONE = Gradients({"retrieval": 2.0, "response": 1.0}, 2.3, 0.5, 40, ("a/1",))


def written(path: Path, steps: int, after: int = 0) -> bytes:
    with TrainLog(path, after) as log:
        for step in range(after + 1, steps + 1):
            log.update(step, DONE, learning_rate=1e-3, seconds=0.5)
            if step % 2 == 0:
                log.metrics(step, {"nDCG@3": step / 10, "$odd": float("nan")})
    return path.read_bytes()


def test_what_a_line_says(tmp_path: Path) -> None:
    written(tmp_path / "train.jsonl", 2)
    first, _, third = read_log(tmp_path / "train.jsonl")
    assert first == {
        "step": 1,
        "losses": {"retrieval": 2.0, "response": 1.0},
        "total": 2.3,
        "learning_rate": 0.001,
        "gradient_norm": 0.5,
        "tokens": 40,
        "tokens_per_second": 80.0,
        "seconds": 0.5,
    }
    assert third == {"step": 2, "metrics": {"nDCG@3": 0.2, "$odd": None}}


def test_a_line_is_there_as_soon_as_it_is_written(tmp_path: Path) -> None:
    with TrainLog(tmp_path / "train.jsonl", 0) as log:
        log.update(1, DONE, learning_rate=1e-3, seconds=0.5)
        assert len(list(read_log(tmp_path / "train.jsonl"))) == 1


@given(after=st.integers(0, 6), cut=st.integers(0, 30))
def test_lines_after_the_checkpoint_are_written_anew(tmp_path_factory: pytest.TempPathFactory, after: int, cut: int) -> None:
    path = tmp_path_factory.mktemp("log") / "train.jsonl"
    whole = written(path, 7)
    path.write_bytes(whole[: len(whole) - cut])
    assert written(path, 7, after=after) == whole


@pytest.mark.parametrize("line", ["no json\n", "[1]\n", '{"loss": 1}\n'])
def test_another_file_is_not_cut(tmp_path: Path, line: str) -> None:
    path = tmp_path / "train.jsonl"
    written(path, 1)
    with path.open("a") as handle:
        handle.write(line)
    with pytest.raises(DataError, match=r"train\.jsonl:2: expected a line of a training's log"):
        TrainLog(path, 5)
    assert path.read_text().endswith(line)
    with pytest.raises(DataError):
        list(read_log(path))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_a_full_disk_is_said(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").symlink_to("/dev/full")
    with pytest.raises(StorageError, match="the disk is full"), TrainLog(tmp_path / "train.jsonl", 0) as log:
        log.update(1, DONE, learning_rate=1e-3, seconds=0.5)


@pytest.mark.parametrize(
    ("losses", "expected"),
    [({"retrieval": 2.0}, ["retrieval"]), ({"retrieval": 2.0, "response": 1.0}, ["retrieval", "response", "total"])],
)
def test_the_total_is_drawn_where_it_says_more(losses: dict[str, float], expected: list[str]) -> None:
    found, metrics = curves_of([{"step": 1, "losses": losses, "total": 2.3}, {"step": 1, "metrics": {"F1": 0.5, "odd": None}}])
    assert list(found) == expected
    assert metrics == {"F1": ([1], [0.5])}


@pytest.mark.parametrize("steps", [1, 9])
def test_the_picture(tmp_path: Path, steps: int) -> None:
    written(tmp_path / "train.jsonl", steps)
    paths = draw_curves(tmp_path / "train.jsonl", tmp_path)
    assert [path.name for path in paths] == ["loss.svg", "loss.png"]
    texts = [element.text for element in ElementTree.parse(paths[0]).iter("{http://www.w3.org/2000/svg}text")]
    assert {"Step", "Loss", "retrieval", "response", "total"} <= set(texts)
    assert ("nDCG@3" in texts) == (steps > 1)
    first = [path.read_bytes() for path in paths]
    assert [path.read_bytes() for path in draw_curves(tmp_path / "train.jsonl", tmp_path)] == first
