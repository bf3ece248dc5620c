"""What an audit reports: one kind of trouble or fact, how often, and the first cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "info"]

MOST_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing the audit found.

    Attributes:
        check: The check's name.
        severity: ``error`` (results would be wrong), ``warning`` (they may mislead), ``info`` (a fact to know).
        count: How many cases there are.
        message: One sentence that says what they are.
        examples: The first cases, at most five.
    """

    check: str
    severity: Severity
    count: int
    message: str
    examples: tuple[str, ...]


def finding(check: str, severity: Severity, message: str, cases: Sequence[str]) -> Finding:
    """A finding of all ``cases``, the first of them shown."""
    return Finding(check, severity, len(cases), message, tuple(cases[:MOST_EXAMPLES]))
