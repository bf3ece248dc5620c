"""The numbers of a study, against a direct computation with the functions of ``analysis``, and against numpy by hand."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from training.study.made_up import TURNS, column, scores, study

from convbench.analysis.bootstrap import clustered_interval
from convbench.analysis.clusters import Clusters
from convbench.analysis.corrections import holm
from convbench.analysis.paired import paired_differences
from convbench.analysis.resampling import Resampling
from convbench.training.study.results import results_of
from convbench.training.study.scores import Shown
from convbench.types import conversation_of

PLAN = Resampling(resamples=500)
CONVERSATIONS = [conversation_of(turn) for turn in TURNS]


def three_arms():
    values = {}
    for measure in ("nDCG@3", "inconsistent"):
        values[measure, Shown("full")] = {seed: column(seed, 0.5) for seed in (0, 1, 2)}
        values[measure, Shown("worse")] = {seed: column(10 + seed, 0.3) for seed in (0, 1, 2)}
        values[measure, Shown("same")] = {seed: column(20 + seed, 0.5) for seed in (0, 1)}
    values["nDCG@3", Shown("full")][1][:4] = np.nan  # a conversation that one seed has no values for
    return values


def test_an_arms_value_is_the_mean_over_turns_of_means_over_seeds():
    values = three_arms()
    found = {(value.measure, value.shown.arm): value for value in results_of(scores(values), study(), PLAN).values}
    seeds = values["nDCG@3", Shown("full")]
    turns = (seeds[0] + seeds[1] + seeds[2])[4:] / 3
    value = found["nDCG@3", "full"]
    assert value.estimate.value == pytest.approx(turns.mean())
    assert value.estimate.n_turns == len(TURNS) - 4
    assert value.estimate.n_conversations == 11
    assert value.by_seed == {seed: pytest.approx(np.nanmean(each)) for seed, each in seeds.items()}
    assert value.spread == (min(value.by_seed.values()), max(value.by_seed.values()))
    plain = found["inconsistent", "worse"]
    mean = np.mean(list(values["inconsistent", Shown("worse")].values()), axis=0)
    assert plain.estimate.interval == pytest.approx(clustered_interval(mean.tolist(), CONVERSATIONS, resamples=500))


def test_differences_are_taken_turn_by_turn_over_the_seeds_of_both():
    values = three_arms()
    found = {(row.measure, row.first.arm): row for row in results_of(scores(values), study(), PLAN).differences}
    assert list(found) == [(measure, arm) for measure in ("nDCG@3", "inconsistent") for arm in ("worse", "same")]
    row = found["inconsistent", "same"]
    ours, theirs = values["inconsistent", Shown("same")], values["inconsistent", Shown("full")]
    each = {seed: ours[seed] - theirs[seed] for seed in (0, 1)}  # the third seed of "same" is not finished
    (direct,) = paired_differences(((each[0] + each[1]) / 2)[:, None], Clusters.of(TURNS), PLAN)
    for name, value in asdict(direct).items():  # the mean over seeds is added up in another order
        assert getattr(row.result, name) == pytest.approx(value), name
    assert row.by_seed == {seed: pytest.approx(float(difference.mean())) for seed, difference in each.items()}
    assert row.second == Shown("full")


def test_tests_of_the_table_are_corrected_together():
    found = results_of(scores(three_arms()), study(), PLAN).differences
    adjusted = holm([row.result.p for row in found])
    assert [row.adjusted for row in found] == pytest.approx(adjusted.tolist())
    assert found[0].adjusted > found[0].result.p


def test_evidence_and_claims():
    values = three_arms()
    values["inconsistent", Shown("full", "other-turn")] = {seed: column(seed, 0.9) for seed in (0, 1, 2)}
    asked = study(
        evidence=["other-turn"],
        claims=[
            {"text": "full retrieves better", "arm": "full", "against": "worse", "measure": "nDCG@3"},
            {"text": "worse is the better one", "arm": "worse", "against": "full", "measure": "nDCG@3"},
            {"text": "same is better", "arm": "same", "against": "full", "measure": "nDCG@3"},
            {"text": "less inconsistent", "arm": "worse", "against": "full", "measure": "inconsistent"},
            {"text": "it reads", "arm": "full", "against": "full", "measure": "inconsistent", "evidence": "other-turn"},
            {"text": "it reads too", "arm": "same", "against": "same", "measure": "inconsistent", "evidence": "other-turn"},
            {"text": "elsewhere", "arm": "full", "against": "worse", "measure": "nDCG@3", "on": "inscit"},
        ],
    )
    found = results_of(scores(values), asked, PLAN)
    assert [claim.verdict for claim in found.claims] == ["holds", "contradicted", "undecided", "holds", "holds", "not measured"]
    assert found.claims[4].difference.result.mean == pytest.approx(-0.4)
    assert found.claims[4].difference.by_seed == {seed: pytest.approx(-0.4) for seed in (0, 1, 2)}
    assert found.claims[5].words == "not measured: no finished seed of same with the evidence other-turn has a value"
    assert [(row.measure, row.first, row.second) for row in found.evidence] == [
        ("inconsistent", Shown("full"), Shown("full", "other-turn"))  # rankings come before the evidence
    ]


def test_an_arm_without_values_has_no_numbers():
    values = {key: each for key, each in three_arms().items() if key[1].arm == "full"}
    values["nDCG@3", Shown("worse")] = {0: np.full(len(TURNS), np.nan)}
    found = results_of(scores(values), study(), PLAN)
    assert {value.shown.arm for value in found.values} == {"full"}
    assert found.differences == ()
