"""Errors of workers that are the user's to act on: shown as they would be here, and never tried again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from convbench.errors import ConvbenchError, storage_error

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as a value: not every error can be sent from one process to another.

    Attributes:
        kind: Its class.
        message: Its line.
    """

    kind: type[ConvbenchError]
    message: str

    def error(self) -> ConvbenchError:
        """The error; its class may be made of other arguments than its line."""
        return self.kind.__new__(self.kind, self.message)


def answer(work: Callable[[], T], *, where: str = "") -> T | Failure:
    """What the work gives, or the error that ended it; a fault of the program is raised.

    Args:
        work: The work.
        where: The node, where the error is about it and not about the work.
    """
    before = f"node {where}: " if where else ""
    try:
        return work()
    except ConvbenchError as error:
        return Failure(type(error), before + str(error))
    except OSError as error:
        if (known := storage_error(error)) is None:
            raise
        return Failure(type(known), before + str(known))
