"""The log of a training for TensorBoard: what ``train.jsonl`` says of losses, learning rate and dev scores, as event files."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from convbench.errors import UsageError, storage_errors
from convbench.training.gradients import TOTAL, Gradients
from convbench.training.log import metrics_line, read_log, update_line

_EVENTS = "events.out.tfevents.*"


def check_tensorboard() -> None:
    """Raises ``UsageError`` where the package is missing that writes event files."""
    if importlib.util.find_spec("tensorboard") is None:
        raise UsageError("training.tensorboard: the package tensorboard is not installed: pip install tensorboard, or set it to false")


class TensorBoardLog:
    """Writes event files beside a log, whose lines it takes over when it is opened.

    TensorBoard has no way to take events back. Where a training goes on, its folder is therefore written anew from the log, which is cut
    at the step that is gone on from: no step stands there twice, and what an earlier process had not yet written is there as well. The same
    holds where TensorBoard is asked for only later. Nothing is touched before the first line, so that a finished training stays as it is.

    Args:
        folder: Of the event files; made with the first line.
        log: The ``train.jsonl`` beside it.
        after: The step that training goes on from.

    Raises:
        UsageError: The package tensorboard is missing.
    """

    def __init__(self, folder: Path, log: Path, after: int) -> None:
        check_tensorboard()
        self._folder, self._log, self._after = folder, log, after
        self._writer: Any = None

    def __enter__(self) -> TensorBoardLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._writer is not None:
            with storage_errors(self._folder):
                self._writer.close()

    def update(self, step: int, done: Gradients, *, learning_rate: float, seconds: float) -> None:
        """The losses of an update, its learning rate and the length of its gradients."""
        self._write(update_line(step, done, learning_rate=learning_rate, seconds=seconds))

    def metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """The scores of an evaluation; what is no finite number is left out."""
        self._write(metrics_line(step, metrics))

    def sync(self) -> None:
        """Waits until all events are in their file."""
        if self._writer is not None:
            with storage_errors(self._folder):
                self._writer.flush()

    def _write(self, line: Mapping[str, Any]) -> None:
        with storage_errors(self._folder):
            if self._writer is None:
                self._writer = self._opened()
            self._add(line)

    def _opened(self) -> Any:
        """A writer of a new file, with what the log said up to where training goes on."""
        from torch.utils.tensorboard import SummaryWriter

        for path in self._folder.glob(_EVENTS):
            path.unlink()
        self._writer = SummaryWriter(log_dir=str(self._folder))
        for line in read_log(self._log):
            if line["step"] <= self._after:
                self._add(line)
        return self._writer

    def _add(self, line: Mapping[str, Any]) -> None:
        for name, value in _scalars(line):
            self._writer.add_scalar(name, value, line["step"])


def _scalars(line: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """What TensorBoard shows of a line of the log, by tag."""
    for name, value in line.get("metrics", {}).items():
        if value is not None:
            yield f"dev/{name}", value
    if "losses" in line:
        yield from ((f"loss/{name}", loss) for name, loss in {**line["losses"], TOTAL: line[TOTAL]}.items())
        yield from ((name, line[name]) for name in ("learning_rate", "gradient_norm"))
