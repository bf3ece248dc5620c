"""Progress bars on stderr: one way to ask for one, silent where nobody watches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[int], None]
"""Reports that so many more items are done."""


@contextmanager
def progress_bar(label: str, total: int | None, *, done: int = 0, unit: str = "turn") -> Iterator[Advance]:
    """A progress bar on stderr; yields the function that moves it. Silent where stderr is not a terminal.

    Args:
        label: What is being done.
        total: How many items there are, or None.
        done: How many were finished before (resumed work).
        unit: Name of an item.
    """
    from tqdm import tqdm

    with tqdm(total=total, initial=done, desc=label, unit=f" {unit}", file=sys.stderr, disable=None, leave=False) as bar:
        yield lambda count: (bar.update(count), None)[1]
