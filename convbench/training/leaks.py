"""What a recipe's sources share with every set that it is evaluated on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from convbench.datasets.comparable import store_at_hand
from convbench.datasets.loading import open_dataset
from convbench.training.data.contamination import Contamination, contamination
from convbench.training.data.sources import Source
from convbench.training.evaluating import set_names
from convbench.training.recipe import Evaluation


def leaks(sources: Sequence[Source], evaluation: Evaluation, cache: Path) -> dict[str, list[Contamination]]:
    """Compares the sources with the sets.

    Args:
        sources: The opened sources.
        evaluation: Names the sets.
        cache: Folder for passage stores.

    Returns:
        ``NAME (SPLIT, dev)`` or ``NAME (SPLIT, test)`` -> what is shared, errors first; nothing shared is an empty list.
    """
    found = {}
    for part, sets in (("dev", evaluation.dev), ("test", evaluation.test)):
        for name, spec in zip(set_names(sets), sets, strict=True):
            dataset = open_dataset(spec.request())
            found[f"{name} ({dataset.split}, {part})"] = contamination(sources, dataset, store_at_hand(dataset, cache))
    return found
