"""What a check found: cases are collected one by one, and come out as one problem a check."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from convbench.validation.checks import CHECKS, Severity

SHOWN = 5
"""Examples that a problem keeps."""
_LONGEST = 120


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong (error), that may mislead (warning), or that is worth knowing (info).

    Attributes:
        check: The check's name, one of ``CHECKS``, or of the dataset audit's or the leaderboards'.
        severity: How bad it is.
        count: How many cases there are.
        message: One sentence that says what they are.
        examples: The first cases, at most five.
        lines: Their line numbers, where they stand in lines.
    """

    check: str
    severity: Severity
    count: int
    message: str
    examples: tuple[str, ...] = ()
    lines: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The problem as ``--json`` prints it."""
        keys = ("check", "severity", "count", "message", "examples", "lines")
        return {key: list(value) if isinstance(value := getattr(self, key), tuple) else value for key in keys}

    def to_line(self) -> str:
        """The problem as people read it."""
        shown = self.examples
        if len(self.lines) == len(shown):
            shown = tuple(f"line {line}{': ' if example else ''}{example}" for line, example in zip(self.lines, shown, strict=True))
        first = ", ".join(example for example in shown if example)
        return f"{self.severity:<8} {self.check}: {self.message}{f' (first: {first})' if first else ''}"


@dataclass(slots=True)
class _Cases:
    count: int = 0
    first: list[tuple[str, int | None]] = field(default_factory=list)
    facts: dict[str, object] = field(default_factory=dict)


class Findings:
    """Collects cases by check; of each check only a count and the first cases are kept, however long the file is."""

    def __init__(self) -> None:
        self._cases: dict[str, _Cases] = {}
        self._reported: list[Problem] = []

    def add(self, check: str, example: str = "", line: int | None = None, **facts: object) -> None:
        """Counts one case.

        Args:
            check: A name in ``CHECKS``.
            example: What it is, shortened and made printable where it is shown.
            line: Its line, in line formats.
            facts: What the check's text has to be filled with; the first case's count.
        """
        cases = self._cases.get(check)
        if cases is None:
            cases = self._cases[check] = _Cases(facts=facts)
        cases.count += 1
        if len(cases.first) < SHOWN:
            cases.first.append((_shown(example), line))

    def report(self, problem: Problem) -> None:
        """Adds a problem that is complete."""
        self._reported.append(replace(problem, message=_printable(problem.message)))

    def fail(self, reason: object) -> None:
        """Adds the error that something could not be read at all, or no further."""
        self.report(Problem("unreadable", CHECKS["unreadable"].severity, 1, str(reason)))

    def problems(self) -> list[Problem]:
        """Everything that was found, errors first."""
        found = [*self._reported, *(_problem(check, cases) for check, cases in self._cases.items())]
        order: list[Severity] = ["error", "warning", "info"]
        return sorted(found, key=lambda problem: order.index(problem.severity))


def _problem(check: str, cases: _Cases) -> Problem:
    lines = tuple(line for _, line in cases.first if line is not None)
    examples = tuple(example for example, _ in cases.first)
    return Problem(check, CHECKS[check].severity, cases.count, CHECKS[check].message(cases.count, cases.facts), examples, lines)


def _shown(example: str) -> str:
    return _printable(example if len(example) <= _LONGEST else f"{example[:_LONGEST]}...")


def _printable(text: str) -> str:
    """Files come from anywhere: no control character of theirs may reach a terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
