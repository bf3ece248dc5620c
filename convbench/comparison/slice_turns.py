"""The turns of one slice, named as ``SLICING=LABEL``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from convbench.analysis.slices.labelling import labelled_turns
from convbench.datasets.loading import Dataset
from convbench.errors import UsageError
from convbench.registry import did_you_mean
from convbench.types import TurnRecord


def turns_of_slices(dataset: Dataset, runs: Sequence[Mapping[str, TurnRecord]], slices: Iterable[str]) -> list[str]:
    """The ids of the turns that lie in every one of some slices, in order.

    Args:
        dataset: The dataset.
        runs: The records of the compared runs, for slicings by what systems did.
        slices: Each ``SLICING=LABEL``; without any, every turn is kept.

    Raises:
        UsageError: A text is not of that form, or there is no such slicing or label.
    """
    kept = [turn.id for turn in dataset.turns]
    for text in slices:
        name, separator, label = text.partition("=")
        if not separator:
            raise UsageError(f"--slice {text!r}: expected SLICING=LABEL, such as depth=1")
        (slicing,) = labelled_turns(dataset.conversations, runs, [name])
        if label not in slicing.values:
            labels = ", ".join(slicing.values) or "none"
            raise UsageError(f"--slice {text!r}: no turn has that label.{did_you_mean(label, slicing.values)} Labels of {name}: {labels}")
        kept = [turn_id for turn_id in kept if label in slicing.labels.get(turn_id, ())]
    return kept
