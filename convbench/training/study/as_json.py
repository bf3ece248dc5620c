"""A study as plain values: what ``study.json`` holds and ``--json`` prints. The values of turns stay in the run folders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import convbench
from convbench.training.study.report import StudyReport
from convbench.training.study.results import ClaimResult, Difference, SetResults
from convbench.training.study.scores import Shown

SCHEMA = "convbench.study/1"


def study_json(report: StudyReport) -> dict[str, Any]:
    """Every number of a study, in full precision; the same cells give the same values."""
    return {
        "schema": SCHEMA,
        "convbench_version": convbench.__version__,
        "study": {**report.study.model_dump(mode="json"), "recipe": report.recipe},
        "notes": report.notes,
        "resampling": asdict(report.plan),
        "base": report.base,
        "sources": list(report.sources),
        "packages": {name: list(versions) for name, versions in report.packages.items()},
        "machines": [machine.model_dump() for machine in report.machines],
        "cells": [
            {"arm": cell.arm, "seed": cell.seed, "training": dict(held.training), "run_seconds": round(report.seconds[cell], 1)}
            for cell, held in report.cells.items()
        ],
        "missing": [{"arm": cell.arm, "seed": cell.seed, "reason": reason} for cell, reason in report.missing.items()],
        "sets": [_set(each) for each in report.sets],
    }


def _set(results: SetResults) -> dict[str, Any]:
    scores = results.scores
    return {
        "name": scores.name,
        "dataset": scores.results[0].dataset.model_dump(mode="json") if scores.results else None,
        "hit_depth": scores.hit_depth,
        "response_measure": scores.response or None,
        "measures": [asdict(measure) for measure in scores.measures.values()],
        "arms": [
            {"measure": value.measure, "arm": value.shown.arm, **asdict(value.estimate), "by_seed": _by_seed(value.by_seed)}
            for value in results.values
        ],
        "differences": [_difference(difference) for difference in results.differences],
        "evidence": [_difference(difference) for difference in results.evidence],
        "claims": [_claim(claim) for claim in results.claims],
    }


def _difference(difference: Difference) -> dict[str, Any]:
    return {
        "measure": difference.measure,
        "first": _shown(difference.first),
        "second": _shown(difference.second),
        **asdict(difference.result),
        "p_adjusted": difference.adjusted,
        "by_seed": _by_seed(difference.by_seed),
    }


def _claim(claim: ClaimResult) -> dict[str, Any]:
    difference = _difference(claim.difference) if claim.difference else None
    return {**claim.claim.model_dump(mode="json"), "verdict": claim.verdict, "words": claim.words, "difference": difference}


def _shown(shown: Shown) -> dict[str, str | None]:
    return {"arm": shown.arm, "evidence": shown.evidence or None}


def _by_seed(values: Mapping[int, float | None]) -> dict[str, float | None]:
    return {str(seed): value for seed, value in values.items()}
