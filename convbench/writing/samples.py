"""Several texts of one request: what tells them apart, and what they have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from convbench.writing.base import Request


def sample_key(key: str, sample: int) -> str:
    """What the random numbers of a request's sample hang on; ``sample`` counts from 0."""
    return f"{key}\n{sample}" if sample else key


def check_keys(requests: Sequence[Request]) -> None:
    """Makes sure that no two requests would share their random numbers.

    Raises:
        ValueError: Two have the same key: a fault of the component that asks.
    """
    twice = [key for key, count in Counter(request.key for request in requests).items() if count > 1]
    if twice:
        raise ValueError(f"{len(twice)} keys name several requests (first: {twice[0]!r})")


def written_texts(request: Request, *, greedy: bool) -> int:
    """How many texts are written for a request: without chance all would be the same, so that one is written and repeated."""
    return 1 if greedy else request.samples
