"""Looking for garbage less often, while a run makes millions of small objects that all stay."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache

_NEW_OBJECTS = 50_000


@contextmanager
def rare_collections() -> Iterator[None]:
    """Lets Python look for reference cycles every 50,000 new objects only, instead of every few hundred.

    Turns, rankings and rows hold no cycles, but Python goes through all of them again and again: a fifth of the time of a BM25 run. Memory
    that no cycle holds is freed at once as always. At the end the setting is put back, and what cycles have kept of the run is freed, so
    that the next one, or the report, does not begin with the memory of this one. What was there before the run (modules, most of all) is
    not looked through meanwhile, nor at the end.
    """
    before = gc.get_threshold()
    gc.set_threshold(max(before[0], _NEW_OBJECTS) if before[0] else 0, *before[1:])
    with _older_objects_apart():
        try:
            yield
        finally:
            gc.set_threshold(*before)
            gc.collect()
    _give_back()


@contextmanager
def _older_objects_apart() -> Iterator[None]:
    """Keeps the objects that are there out of collections, unless somebody else keeps some out: theirs would come back with ours."""
    if gc.get_freeze_count():
        yield
        return
    gc.collect(1)  # what is young and of no use any more would be kept too
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _give_back() -> None:
    """Lets the C library return freed memory to the system, where it is one that can (glibc): it keeps what a run needed at its peak."""
    with suppress(OSError, AttributeError):
        _libc().malloc_trim(0)


@lru_cache(maxsize=1)
def _libc() -> ctypes.CDLL:
    """What the process is linked with; a look at it makes cycles, which would be left behind run by run."""
    return ctypes.CDLL(None)
