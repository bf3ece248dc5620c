"""What becomes of retrieved gold: the outcomes (2×2) of each run, response quality by rank of the gold, and the joint score."""

from __future__ import annotations

import numpy as np

from convbench.analysis.estimates import estimated_means
from convbench.analysis.mean_functions import differences_of_means
from convbench.analysis.outcomes import OUTCOMES, clearest, hits, joint, outcome_shares, outcomes, parted
from convbench.analysis.rank_quality import by_bucket, rank_buckets
from convbench.comparison.consistency_model import Joint, Outcomes, RankQuality
from convbench.comparison.model import Settings
from convbench.comparison.sides import Sides

EXAMPLES = 5


def outcomes_of(sides: Sides, settings: Settings) -> tuple[Outcomes, ...]:
    """The 2×2 of every entrant that has rankings and responses, over its judged turns with a response value."""
    plan, clusters, chosen = settings.resampling, sides.task.clusters, sides.both
    ranks, values = sides.ranks[:, chosen], sides.responses[:, chosen]
    found = hits(ranks, settings.hit_depth)
    places = outcomes(found, values, settings.good)
    given_hit, given_miss = parted(found, values)
    columns = np.concatenate([outcome_shares(places), given_hit, given_miss], axis=1)
    estimates = estimated_means(columns, clusters, plan)
    gaps = differences_of_means(given_hit, given_miss, clusters, plan)
    shares, means = estimates[: 4 * len(chosen)], estimates[4 * len(chosen) :]
    tables = []
    for column, entrant in enumerate(chosen):
        own = places[:, column]
        counts = np.bincount(own[own >= 0], minlength=len(OUTCOMES)).tolist()
        shown = clearest(own, ranks[:, column], values[:, column], EXAMPLES)
        examples = [tuple(sides.task.turns[turn].id for turn in turns) for turns in shown]
        used, unused, lucky, honest = shares[4 * column : 4 * column + 4]
        tables.append(
            Outcomes(
                label=sides.task.entrants[entrant].label,
                used_hit=used,
                unused_hit=unused,
                lucky_miss=lucky,
                honest_miss=honest,
                counts=(counts[0], counts[1], counts[2], counts[3]),
                given_hit=means[column],
                given_miss=means[len(chosen) + column],
                gap=gaps[column],
                examples=(examples[0], examples[1], examples[2], examples[3]),
            )
        )
    return tuple(tables)


def rank_quality_of(sides: Sides, settings: Settings) -> tuple[RankQuality, ...]:
    """Response values by rank of the best gold passage; the buckets reach to the deepest ranking of the task."""
    chosen, buckets = sides.both, rank_buckets(sides.depth)
    columns = by_bucket(sides.ranks[:, chosen], sides.responses[:, chosen], buckets)
    estimates = iter(estimated_means(columns, sides.task.clusters, settings.resampling))
    return tuple(
        RankQuality(sides.task.entrants[entrant].label, tuple((bucket.label, next(estimates)) for bucket in buckets)) for entrant in chosen
    )


def joint_of(sides: Sides, settings: Settings) -> tuple[Joint, ...]:
    """The joint score of every entrant that has rankings and responses."""
    chosen = sides.both
    columns = joint(hits(sides.ranks[:, chosen], settings.hit_depth), sides.responses[:, chosen])
    values = estimated_means(columns, sides.task.clusters, settings.resampling)
    return tuple(Joint(sides.task.entrants[entrant].label, value) for entrant, value in zip(chosen, values, strict=True))
