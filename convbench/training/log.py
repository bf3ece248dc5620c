"""The log of a training, ``train.jsonl``: a line an update, a line an evaluation, on disk as soon as it is written."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from convbench.errors import DataError, storage_errors
from convbench.io.jsonl import dump_line, read_jsonl
from convbench.training.gradients import Gradients

TIMES = frozenset({"seconds", "tokens_per_second"})
"""Fields that differ from one execution to the next; all others of an undisturbed training and a resumed one are the same."""


class TrainLog:
    """Appends to a log whose lines are in the order of their steps.

    Args:
        path: The file; made where it is missing.
        after: The step that training goes on from: later lines are removed, and are written anew.

    Raises:
        DataError: The file is no log of a training.
        StorageError: It cannot be written.
    """

    def __init__(self, path: Path, after: int) -> None:
        self.path = path
        with storage_errors(path):
            if path.is_file():
                os.truncate(path, _length(path, after))
            self._handle = path.open("ab", buffering=0)  # nothing is left to write when a full disk is met

    def __enter__(self) -> TrainLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._handle.close()

    def update(self, step: int, done: Gradients, *, learning_rate: float, seconds: float) -> None:
        """A line about an update: what it learnt from and how long it took."""
        self._write(update_line(step, done, learning_rate=learning_rate, seconds=seconds))

    def metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """A line about an evaluation; what is no finite number is null."""
        self._write(metrics_line(step, metrics))

    def sync(self) -> None:
        """Waits until the lines would survive a power failure; asked for before a checkpoint relies on them."""
        os.fsync(self._handle.fileno())

    def _write(self, line: Mapping[str, Any]) -> None:
        with storage_errors(self.path):
            rest = memoryview(dump_line(line).encode())
            while rest:
                rest = rest[self._handle.write(rest) :]


def update_line(step: int, done: Gradients, *, learning_rate: float, seconds: float) -> dict[str, Any]:
    """What the log says of an update."""
    return {
        "step": step,
        "losses": dict(done.losses),
        "total": done.total,
        "learning_rate": learning_rate,
        "gradient_norm": done.norm,
        "tokens": done.tokens,
        "tokens_per_second": round(done.tokens / max(seconds, 1e-6), 1),
        "seconds": round(seconds, 4),
    }


def metrics_line(step: int, metrics: Mapping[str, float]) -> dict[str, Any]:
    """What the log says of an evaluation."""
    return {"step": step, "metrics": {name: value if math.isfinite(value) else None for name, value in metrics.items()}}


def read_log(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a log, as ``TrainLog`` wrote them.

    Raises:
        MissingFileError: There is none.
        DataError: A line is not one of a log.
    """
    for number, line in read_jsonl(path):
        if not isinstance(line.get("step"), int):
            raise DataError(path, "expected a line of a training's log, with its step", line=number)
        yield line


def _length(path: Path, after: int) -> int:
    """Bytes of the lines up to a step; a last line without its end was cut when its process was killed."""
    length = 0
    with path.open("rb") as handle:
        whole = sum(line.endswith(b"\n") for line in handle)
        handle.seek(0)
        for raw, number in zip(handle, range(whole), strict=False):
            if _step(path, raw, number + 1) > after:
                break
            length += len(raw)
    return length


def _step(path: Path, raw: bytes, number: int) -> int:
    import json

    try:
        return int(json.loads(raw)["step"])
    except (ValueError, KeyError, TypeError):
        raise DataError(path, "expected a line of a training's log, with its step; move the file away", line=number) from None
