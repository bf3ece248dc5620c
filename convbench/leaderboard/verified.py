"""What verifying a submission gave (``verified.json`` beside its manifest): the scores that count, and what was found."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from convbench.config import Config

FILE = "verified.json"
SCHEMA_VERSION = 1

Level = Literal["re-scored", "reproduced"]
Severity = Literal["refused", "flag", "note"]


class Finding(Config):
    """Something that was found.

    Attributes:
        check: A short stable name (``turns-missing``, ``scores-differ``, ``responses-copied``, ``trained-on-test`` ...).
        severity: ``refused`` keeps a submission out of the standings; ``flag`` marks it; ``note`` is for readers.
        message: One line.
    """

    check: str
    severity: Severity
    message: str


class MeasuredScore(Config):
    """One measure, measured again.

    Attributes:
        measure: Its name.
        side: ``retrieval`` or ``response``.
        signature: Everything its value depends on.
        value: The value, full precision; None with the reason.
        interval: 95 % interval, conversations resampled.
        n_turns: Turns of the mean.
        reason: Why there is no value.
        slices: Slicing -> label -> (value, turns), for the ranking measures.
        by_depth: Turn depth -> (value, turns), for the ranking measures.
    """

    measure: str
    side: Literal["retrieval", "response"]
    signature: str
    value: float | None
    interval: tuple[float, float] | None = None
    n_turns: int = 0
    higher_is_better: bool = True
    reason: str | None = None
    slices: dict[str, dict[str, tuple[float, int]]] = {}  # noqa: RUF012 - pydantic copies defaults
    by_depth: dict[str, tuple[float, int]] = {}  # noqa: RUF012


class Verified(Config):
    """The file.

    Attributes:
        key: Digest of everything the scores depend on: run file, manifest, track, truth, metric versions. Unchanged: not scored again.
        level: How far it is to be trusted; None where it is refused.
        findings: What was found.
        scores: What was measured.
        separated: Measure -> ids of submissions of the track that a paired test tells apart from this one at 5 % (Holm over the track).
        contaminated: Whether it was trained on conversations of the test set: ``no``, ``yes``, ``unknown``.
    """

    schema_version: Literal[1] = 1
    key: str
    level: Level | None
    findings: tuple[Finding, ...] = ()
    scores: tuple[MeasuredScore, ...] = ()
    separated: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    contaminated: Literal["no", "yes", "unknown"] = "unknown"
