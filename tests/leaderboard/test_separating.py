from __future__ import annotations

import numpy as np

from convbench.analysis.clusters import Clusters
from convbench.analysis.corrections import holm
from convbench.analysis.paired import differences_of, paired_differences, pairs_of
from convbench.leaderboard.separate import resampling, separated

TURNS = [f"{conversation}_{turn}" for conversation in range(30) for turn in range(1, 6)]


def systems(*shifts: float, seed: int = 0) -> dict[str, list[float | None]]:
    chance = np.random.default_rng(seed)
    common = chance.normal(size=len(TURNS))
    return {f"s{place:02}": (common + shift + 0.5 * chance.normal(size=len(TURNS))).tolist() for place, shift in enumerate(shifts)}


def test_pairs_are_those_of_a_comparison_after_holm_over_both_measures() -> None:
    by_measure = {"nDCG@3": systems(0, 0.02, 0.2, 0.4), "F1-max": systems(0, 0.1, 0.15, seed=1)}
    by_measure["F1-max"]["s00"][:7] = [None] * 7
    clusters, tests, p_values = Clusters.of(TURNS), [], []
    for measure, values in by_measure.items():
        pairs = pairs_of(range(len(values)))
        matrix = np.array(list(values.values()), dtype=float).T
        tests += [(measure, f"s{first:02}", f"s{second:02}") for first, second in pairs]
        p_values += [found.p for found in paired_differences(differences_of(matrix, pairs), clusters, resampling(9))]
    expected = {test for test, adjusted in zip(tests, holm([p or 1 for p in p_values]), strict=True) if adjusted <= 0.05}
    found = separated(by_measure, TURNS)
    told = {(measure, one, other) for measure, names in found.items() for one, others in names.items() for other in others}
    assert told == expected | {(measure, other, one) for measure, one, other in expected}
    assert 0 < len(expected) < len(tests)


def test_clear_differences_are_told_apart_among_many() -> None:
    found = separated({"nDCG@3": systems(*[0.0] * 29, 3.0)}, TURNS)["nDCG@3"]
    assert set(found["s29"]) == {f"s{place:02}" for place in range(29)}
    assert found["s00"] == ("s29",)


def test_one_or_no_submission_is_told_apart_from_nothing() -> None:
    assert separated({"nDCG@3": {}, "F1-max": systems(0)}, TURNS) == {"nDCG@3": {}, "F1-max": {"s00": ()}}
