"""What verifying a submission gave (``verified.json`` beside its manifest): the scores that count, and what was found."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from convbench.config import Config

FILE = "verified.json"
SCHEMA_VERSION = 1

Level = Literal["re-scored", "reproduced"]
Severity = Literal["refused", "flag", "note"]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

LARGEST_VALUE = 1e6
"""What a measure that is not on the scale from 0 to 1 may be at most: lengths and their ratios are far below it."""
_TOLERANCE = 1e-9  # sums of floats may lie that far beyond 1

Number = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-LARGEST_VALUE, le=LARGEST_VALUE)]
"""A value that was measured: a number, and neither text nor a truth value that could stand for one."""
Turns = Annotated[int, Field(strict=True, ge=0)]


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
        n_conversations: Their conversations; None where they were not counted.
        higher_is_better: Whether it is.
        scale: ``unit`` where every value lies in [0, 1]; ``any`` otherwise.
        reason: Why there is no value.
        slices: Slicing -> label -> (value, turns), for the ranking measures.
        by_depth: Turn depth -> (value, turns), for the ranking measures.
    """

    measure: str
    side: Literal["retrieval", "response"]
    signature: str
    value: Number | None
    interval: tuple[Number, Number] | None = None
    n_turns: Turns = 0
    n_conversations: Turns | None = None
    higher_is_better: bool = True
    scale: Literal["unit", "any"] = "unit"
    reason: str | None = None
    slices: dict[str, dict[str, tuple[Number, Turns]]] = {}  # noqa: RUF012 - pydantic copies defaults
    by_depth: dict[str, tuple[Number, Turns]] = {}  # noqa: RUF012

    @model_validator(mode="after")
    def _is_on_its_scale(self) -> MeasuredScore:
        means = [mean for by in (*self.slices.values(), self.by_depth) for mean, _ in by.values()]
        for value in (*([] if self.value is None else [self.value]), *(self.interval or ()), *means):
            if self.scale == "unit" and not -_TOLERANCE <= value <= 1 + _TOLERANCE:
                raise ValueError(f"{self.measure}: found {value!r}, expected a value from 0 to 1")
        return self


class Verified(Config):
    """The file.

    Attributes:
        key: Digest of everything the scores depend on: run file, manifest, track, truth, metric versions. Unchanged: not scored again.
        manifest_sha256: Digest of the manifest that was verified; None where it could not be read.
        run_sha256: Digest of the run that was verified; None likewise. Where either file has another digest now, what was found is of
            something else, and does not count.
        level: How far it is to be trusted; None where it is refused.
        findings: What was found.
        scores: What was measured.
        separated: Measure -> ids of submissions of the track that a paired test tells apart from this one at 5 % (Holm over the track).
        contaminated: Whether it was trained on conversations of the test set: ``no``, ``yes``, ``unknown``.
    """

    schema_version: Literal[1] = 1
    key: str
    manifest_sha256: Digest | None = None
    run_sha256: Digest | None = None
    level: Level | None
    findings: tuple[Finding, ...] = ()
    scores: tuple[MeasuredScore, ...] = ()
    separated: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    contaminated: Literal["no", "yes", "unknown"] = "unknown"
