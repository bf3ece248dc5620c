from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from training.test_train_log import DONE
from training.tiny_training import TinyStep, Values, run

from convbench.errors import UsageError
from convbench.training.log import read_log
from convbench.training.logs import opened_logs
from convbench.training.train_settings import TrainSettings

pytest.importorskip("tensorboard", reason="event files need the package tensorboard")


def events(folder: Path) -> list[tuple[str, int, float]]:
    """(tag, step, value) of every event that stands in the files, whether TensorBoard would show it or not."""
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
    from tensorboard.compat.proto.event_pb2 import Event

    found = []
    for path in sorted((folder / "tensorboard").iterdir()):
        for raw in RawEventFileLoader(str(path)).Load():
            event = Event.FromString(raw)
            found += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
    return found


def told(folder: Path) -> list[tuple[str, int, Any]]:
    """What the log says, in the form of events."""
    found = []
    for line in read_log(folder / "train.jsonl"):
        values = {f"dev/{name}": value for name, value in line.get("metrics", {}).items() if value is not None}
        if "losses" in line:
            values |= {f"loss/{name}": value for name, value in line["losses"].items()}
            values |= {"loss/total": line["total"], "learning_rate": line["learning_rate"], "gradient_norm": line["gradient_norm"]}
        found += [(tag, line["step"], pytest.approx(value, rel=1e-6)) for tag, value in values.items()]
    return found


def written(folder: Path, steps: int, after: int = 0, *, tensorboard: bool = True) -> None:
    with opened_logs(folder, after, tensorboard=tensorboard) as log:
        for step in range(after + 1, steps + 1):
            log.update(step, DONE, learning_rate=1e-3 / step, seconds=0.5)
            if step % 2 == 0:
                log.metrics(step, {"topiocqa/nDCG@3": step / 10, "odd": float("nan")})


def test_events_say_what_the_log_says(tmp_path: Path) -> None:
    written(tmp_path, 4)
    found = events(tmp_path)
    assert found == told(tmp_path)
    assert ("dev/topiocqa/nDCG@3", 4, pytest.approx(0.4)) in found
    assert ("loss/retrieval", 1, 2.0) in found
    assert {tag for tag, _, _ in found} == {
        *("loss/retrieval", "loss/response", "loss/total"),
        *("learning_rate", "gradient_norm", "dev/topiocqa/nDCG@3"),
    }


def test_events_are_there_when_a_checkpoint_is(tmp_path: Path) -> None:
    with opened_logs(tmp_path, 0, tensorboard=True) as log:
        log.update(1, DONE, learning_rate=1e-3, seconds=0.5)
        log.sync()
        assert events(tmp_path) == told(tmp_path)


@pytest.mark.parametrize("earlier", [True, False], ids=["from the beginning", "switched on later"])
def test_no_step_is_there_twice_where_a_training_goes_on(tmp_path: Path, earlier: bool) -> None:
    written(tmp_path, 7, tensorboard=earlier)
    written(tmp_path, 9, after=4)
    assert events(tmp_path) == told(tmp_path)
    assert {step for _, step, _ in events(tmp_path)} == set(range(1, 10))


def test_a_finished_training_is_left_as_it_is(tmp_path: Path) -> None:
    written(tmp_path, 3)
    before = {path: path.read_bytes() for path in (tmp_path / "tensorboard").iterdir()}
    written(tmp_path, 3, after=3)
    assert {path: path.read_bytes() for path in (tmp_path / "tensorboard").iterdir()} == before


def test_nothing_is_written_where_it_is_not_asked_for(tmp_path: Path) -> None:
    written(tmp_path, 3, tensorboard=False)
    assert [path.name for path in tmp_path.iterdir()] == ["train.jsonl"]


def test_it_may_be_switched_on_when_a_training_goes_on() -> None:
    settings = TrainSettings(steps=3)
    assert not settings.tensorboard
    assert settings.model_copy(update={"tensorboard": True}).identity() == settings.identity()


def test_a_missing_package_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)  # as an import finds it that is not installed
    with pytest.raises(UsageError, match="the package tensorboard is not installed: pip install tensorboard"):
        written(tmp_path, 1)


class Interrupted(TinyStep):
    def backward(self, units: Any, backward: Any) -> Values:
        if len(self.seen) == 5:
            raise KeyboardInterrupt
        return super().backward(units, backward)


@pytest.mark.slow  # it trains
def test_a_training_that_is_gone_on_with_has_every_step_once(tmp_path: Path) -> None:
    changes = {"tensorboard": True, "evaluate_every": 2, "save_every": 3}
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Interrupted(), **changes)
    assert max(step for _, step, _ in events(tmp_path)) == 5  # of which it goes on from the third
    run(tmp_path, **changes)
    assert events(tmp_path) == told(tmp_path)
    times = Counter((tag, step) for tag, step, _ in events(tmp_path))
    assert set(times.values()) == {1}
    assert times.keys() >= {(f"loss/{name}", step) for name in ("retrieval", "response", "total") for step in range(1, 9)}
    assert times.keys() >= {("dev/likelihood", step) for step in (2, 4, 6, 8)}
