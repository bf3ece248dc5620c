"""Scores of a study that nobody ran."""

from __future__ import annotations

from typing import Any

import numpy as np

from convbench.analysis.clusters import Clusters
from convbench.training.study.measures import StudyMeasure
from convbench.training.study.plan import Study
from convbench.training.study.scores import SetScores, Shown

TURNS = [f"{conversation}_{turn}" for conversation in range(12) for turn in range(1, 5)]
UP = StudyMeasure("nDCG@3", "p/nDCG@3", "ranking", True, "nDCG@3|gain:exp")
DOWN = StudyMeasure("inconsistent", "inconsistent", "both", False, "1 where the two sides disagree")


def study(**changes: Any) -> Study:
    values: dict[str, Any] = {
        "name": "made-up",
        "recipe": "tiny",
        "seeds": [0, 1, 2],
        "arms": {"full": {}, "worse": {"set": {"training.steps": 1}}, "same": {"set": {"training.steps": 2}}},
        "measures": ["nDCG@3", "inconsistent"],
    }
    return Study.model_validate(values | changes)


def column(seed: int, shift: float = 0.0, noise: float = 0.1) -> np.ndarray:
    """Values of turns; the same seed gives the same noise."""
    return shift + noise * np.random.default_rng(seed).normal(size=len(TURNS))


def scores(values: dict[tuple[str, Shown], dict[int, np.ndarray]], name: str = "topiocqa") -> SetScores:
    return SetScores(name, Clusters.of(TURNS), {UP.name: UP, DOWN.name: DOWN}, values)
