"""What may be said of a claim: one of four words, chosen by the interval alone."""

from __future__ import annotations

from typing import Literal

from convbench.report.numbers import Ends, per_cent

Verdict = Literal["holds", "contradicted", "undecided", "not measured"]


def verdict_of(interval: Ends | None, *, higher_is_better: bool) -> Verdict:
    """The verdict on "the arm is better".

    Args:
        interval: Of the difference, the arm minus what it is compared with; None where there is none.
        higher_is_better: The measure's direction.

    Returns:
        ``holds`` where the whole interval lies on the better side of 0, ``contradicted`` where it lies on the worse side, ``undecided``
        where it holds 0 (an end that is 0 counts), ``not measured`` without an interval.
    """
    if interval is None:
        return "not measured"
    low, high = interval if higher_is_better else (-interval[1], -interval[0])
    return "holds" if low > 0 else "contradicted" if high < 0 else "undecided"


def verdict_in_words(interval: Ends | None, *, higher_is_better: bool) -> str:
    """The verdict with its reason."""
    verdict = verdict_of(interval, higher_is_better=higher_is_better)
    if interval is None:
        return f"{verdict}: fewer than two conversations have both values"
    if verdict == "undecided":
        return f"undecided: the interval, {per_cent(interval[1] - interval[0])} points wide, holds 0"
    side = "above" if interval[0] > 0 else "below"
    return f"{verdict}: the interval lies {side} 0{'' if higher_is_better else ', and lower is better'}"
