"""The logs that a training writes side by side: ``train.jsonl``, which it goes on from, and what others read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from convbench.training.gradients import Gradients
from convbench.training.log import TrainLog
from convbench.training.tensorboard_log import TensorBoardLog

LOG, TENSORBOARD = "train.jsonl", "tensorboard"


class Log(Protocol):
    """What is told of a training while it goes on."""

    def update(self, step: int, done: Gradients, *, learning_rate: float, seconds: float) -> None:
        """An update was made."""

    def metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """The model was measured."""

    def sync(self) -> None:
        """A checkpoint will rely on what was told."""


class Logs:
    """Several logs as one.

    Args:
        logs: What is told is told to each, in this order.
    """

    def __init__(self, logs: Sequence[Log]) -> None:
        self._logs = tuple(logs)

    def update(self, step: int, done: Gradients, *, learning_rate: float, seconds: float) -> None:
        """As ``Log.update``."""
        for log in self._logs:
            log.update(step, done, learning_rate=learning_rate, seconds=seconds)

    def metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """As ``Log.metrics``."""
        for log in self._logs:
            log.metrics(step, metrics)

    def sync(self) -> None:
        """As ``Log.sync``."""
        for log in self._logs:
            log.sync()


@contextmanager
def opened_logs(folder: Path, after: int, *, tensorboard: bool) -> Iterator[Log]:
    """The logs of a training.

    Args:
        folder: The training's.
        after: The step that it goes on from.
        tensorboard: Whether event files are written too.

    Raises:
        UsageError: The package tensorboard is missing.
        DataError: ``train.jsonl`` is no log of a training.
        StorageError: A log cannot be written.
    """
    with ExitStack() as stack:
        logs: list[Log] = [stack.enter_context(TrainLog(folder / LOG, after))]
        if tensorboard:
            logs.append(stack.enter_context(TensorBoardLog(folder / TENSORBOARD, folder / LOG, after)))
        yield Logs(logs)
