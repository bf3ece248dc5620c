"""What the losses of a batch are means over, where processes share the batch out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from convbench.errors import UsageError
from convbench.training.batch import Batch
from convbench.training.objectives.gathering import everywhere

CONTRASTIVE = ("retrieval", "identification")


def average_counts(batch: Batch) -> dict[str, float]:
    """How much of a batch a process has, on average.

    A process whose loss is its sum divided by this, and not by its own count, adds what it should: the mean over processes, of losses and
    of gradients, is then the mean over the whole batch, however unevenly it was shared out. All processes must call this.

    Args:
        batch: The process's share of the batch.

    Returns:
        Objective -> its anchors or tokens in all processes together, divided by the number of processes; only where there are any.

    Raises:
        UsageError: Processes have different contrastive objectives to compute: they would wait for each other for ever.
    """
    every = everywhere(batch.counts)
    _check_same_everywhere(every)
    totals = {name: sum(counts[name] for counts in every) for name in batch.counts}
    return {name: total / len(every) for name, total in totals.items() if total}


def _check_same_everywhere(every: Sequence[Mapping[str, int]]) -> None:
    fed = ["+".join(name for name in CONTRASTIVE if counts[name]) for counts in every]
    if len(set(fed)) > 1:
        raise UsageError(
            f"processes were given batches that feed different contrastive objectives: {', '.join(each or 'none' for each in fed)}; "
            "use larger batches, or sources that all feed the same objectives"
        )
