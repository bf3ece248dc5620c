"""Whether the declared tests of a task can find anything: conversations, resamples and the number of tests decide."""

from __future__ import annotations

from convbench.analysis.resampling import smallest_p
from convbench.comparison.model import Settings, TaskComparison


def told_apart(compared: TaskComparison) -> int:
    """Declared tests that are significant after correction."""
    return sum(bool(contrast.better) for measured in compared.measured if measured.measure.declared for contrast in measured.contrasts)


def tested_conversations(compared: TaskComparison) -> int:
    """The most conversations that any declared test has."""
    counts = [
        contrast.result.n_conversations for measured in compared.measured if measured.measure.declared for contrast in measured.contrasts
    ]
    return max(counts, default=0)


def least_p(compared: TaskComparison, settings: Settings) -> float:
    """The smallest p that can be expected of any declared test."""
    return smallest_p(tested_conversations(compared), settings.resampling)


def can_tell_apart(compared: TaskComparison, settings: Settings) -> bool:
    """Whether any declared test can be significant after correction."""
    tests = compared.family.tests
    return told_apart(compared) > 0 or (tests > 0 and least_p(compared, settings) * tests <= settings.alpha)


def too_few_of(compared: TaskComparison, settings: Settings) -> str:
    """What there are too few of where nothing can be told apart: ``conversations``, or ``resamples`` where more of them would do."""
    return "resamples" if least_p(compared, settings) > 2.0 ** (1 - tested_conversations(compared)) else "conversations"
