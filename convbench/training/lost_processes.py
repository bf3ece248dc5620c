"""What a process says when another one of its training is gone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from convbench.errors import ResourceError

if TYPE_CHECKING:
    from accelerate import Accelerator

_SAID = ("gloo", "connection closed by peer", "connection reset by peer", "broken pipe", "nccl")
"""Words in what torch raises when an exchange between processes fails; gloo's errors have no type of their own."""
_LONGEST = 200


@contextmanager
def telling_of_lost_processes(accelerator: Accelerator) -> Iterator[None]:
    """A block in which processes exchange numbers, and must not end in a traceback where one of them has died.

    Raises:
        ResourceError: Another process is gone. Its own error, or whatever killed it, says why.
    """
    try:
        yield
    except RuntimeError as error:
        if accelerator.num_processes == 1 or not _of_an_exchange(error):
            raise
        raise ResourceError(
            f"another of the {accelerator.num_processes} processes of this training has ended or cannot be reached; finished work is kept: "
            f"start {accelerator.num_processes} processes with the same command to go on from the last checkpoint (torch: {_line(error)})"
        ) from None


def _line(error: RuntimeError) -> str:
    """What torch said, without its stack: what is taken for a lost process may be a cable, a firewall or a full card."""
    said = [line.strip() for line in str(error).splitlines() if line.strip()]
    return said[0][:_LONGEST] if said else type(error).__name__


def _of_an_exchange(error: RuntimeError) -> bool:
    from torch import distributed

    kind = getattr(distributed, "DistError", None)
    said = str(error).lower()
    return (kind is not None and isinstance(error, kind)) or any(words in said for words in _SAID)
