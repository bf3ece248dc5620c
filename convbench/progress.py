"""Progress bars on stderr: one way to ask for one, silent where nobody watches."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Advance(Protocol):
    """Reports finished items."""

    def __call__(self, count: int, tokens: int = 0) -> None:
        """So many more items are done; where they are ``tokens`` long together, the bar shows tokens per second too."""


@contextmanager
def progress_bar(label: str, total: int | None, *, done: int = 0, unit: str = "turn") -> Iterator[Advance]:
    """A progress bar on stderr with the time left; yields the function that moves it. Silent where stderr is not a terminal.

    Args:
        label: What is being done.
        total: How many items there are, or None.
        done: How many were finished before (resumed work).
        unit: Name of an item.
    """
    from tqdm import tqdm

    started, spent = time.monotonic(), 0
    with tqdm(total=total, initial=done, desc=label, unit=f" {unit}", file=sys.stderr, disable=None, leave=False) as bar:

        def advance(count: int, tokens: int = 0) -> None:
            nonlocal spent
            spent += tokens
            if spent:
                bar.set_postfix_str(f"{spent / max(time.monotonic() - started, 1e-3):,.0f} tokens/s", refresh=False)
            bar.update(count)

        yield advance
