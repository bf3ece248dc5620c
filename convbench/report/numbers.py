"""Numbers as every report shows them: per cent and points with one decimal, p with four."""

from __future__ import annotations

Ends = tuple[float, float]


def per_cent(value: float) -> str:
    """A fraction in per cent."""
    return f"{round(100 * value, 1) + 0.0:.1f}"  # + 0.0 makes -0.0 a plain 0


def points(value: float) -> str:
    """A difference of fractions in points, with its sign."""
    shown = per_cent(value)
    return shown if shown.startswith("-") or shown == "0.0" else f"+{shown}"


def between(ends: Ends | None) -> str:
    """An interval in brackets, in per cent; empty where there is none."""
    return f"[{per_cent(ends[0])}, {per_cent(ends[1])}]" if ends else ""


def probability(p: float) -> str:
    """A p-value."""
    return f"{p:.4f}"


def level_in_words(level: float) -> str:
    """A coverage or a level of significance: ``95 %``."""
    return f"{100 * level:g} %"
