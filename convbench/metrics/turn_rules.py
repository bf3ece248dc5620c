"""Which turns a measure averages over: rules that look at the data only, never at a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from convbench.datasets.loading import Dataset
from convbench.errors import UsageError
from convbench.metrics.responses import references_of
from convbench.registry import did_you_mean
from convbench.types import Turn, TurnSet

TurnRule: TypeAlias = Callable[[Turn, Dataset], bool]

JUDGED = "judged"
"""The turns that the dataset's own literature scores rankings on; the dataset's card has its words for it."""

RULES: Mapping[str, TurnRule] = {
    JUDGED: lambda turn, dataset: dataset.adapter.retrieval_turn(turn),
    "all": lambda turn, dataset: True,
    "has a gold passage": lambda turn, dataset: bool(turn.gold),
    "has a reference": lambda turn, dataset: any(references_of(turn)),
    "has a knowledge text": lambda turn, dataset: any(references_of(turn, "knowledge")),
    "is labelled answerable or not": lambda turn, dataset: "answerable" in turn.labels,
}
"""Every rule by the words that results show for it."""


def turn_set(rule: str, dataset: Dataset) -> TurnSet:
    """The turns of a dataset that a rule chooses, in order.

    Raises:
        UsageError: There is no such rule.
    """
    if rule not in RULES:
        raise UsageError(f"no turn rule {rule!r}.{did_you_mean(rule, RULES)} Known: {', '.join(RULES)}")
    words = dataset.card.retrieval_turns if rule == JUDGED else rule
    return TurnSet.of((turn for turn in dataset.turns if RULES[rule](turn, dataset)), words)
