"""Whether several processes could share out every batch of a training, told before one of them stops in the middle of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import chain

from convbench.training.counting import CONTRASTIVE
from convbench.training.data.sampling import Pool, Unit, conversation_pools, turn_pools
from convbench.training.data.sources import Source
from convbench.training.objectives.weighted import Weights


@dataclass(frozen=True, slots=True)
class Sharing:
    """How the batches of a training are shared out.

    Attributes:
        processes: Among so many.
        batches: In all.
        too_few: Batches with fewer units than processes.
        unequal: Other batches in which not every process would have the same contrastive objectives to compute, as ``L_R`` without a turn
            that has a gold passage.
        first: Ids of examples in the first batch that cannot be shared, one of each unit; none where all can.
    """

    processes: int
    batches: int
    too_few: int
    unequal: int
    first: tuple[str, ...]

    @property
    def works(self) -> bool:
        """Whether every batch can be shared."""
        return not (self.too_few or self.unequal)

    def describe(self) -> str:
        """One sentence, without its end."""
        if self.works:
            return f"{self.processes} processes can share out every batch"
        return (
            f"{self.processes} processes cannot share out {self.too_few + self.unequal:,} of {self.batches:,} batches "
            f"(the first has {self.first[0]}): in {self.too_few:,} there are fewer units than processes, in {self.unequal:,} some "
            "processes would have turns with a gold passage and others none"
        )


def shareable_pools(sources: Sequence[Source], *, packed: bool, batch_size: int, processes: int) -> list[Pool]:
    """Pools whose batches have a unit for every process.

    A batch is full when the next unit does not fit. With units of at most ``batch_size / processes`` it then holds more than
    ``batch_size - batch_size / processes`` examples, which takes as many units as there are processes.

    Args:
        sources: The opened sources.
        packed: Whether units are the turns of conversations, in pieces; else turns.
        batch_size: Examples of a batch, a multiple of ``processes``.
        processes: Among how many batches are shared out.
    """
    return conversation_pools(sources, max(batch_size // processes, 1)) if packed else turn_pools(sources)


def sharing(batches: Iterable[Sequence[Unit]], processes: int, weights: Weights) -> Sharing:
    """Shares out batches as ``processes.share`` does, without any process.

    Args:
        batches: Those of the whole training.
        processes: Among so many.
        weights: Of the objectives; those of weight 0 are not computed.
    """
    counted = frozenset(name for name in CONTRASTIVE if asdict(weights)[name])
    number = too_few = unequal = 0
    first: tuple[str, ...] = ()
    for number, units in enumerate(batches, start=1):  # noqa: B007 - used below
        if len(units) < processes:
            too_few += 1
        elif processes > 1 and len(set(_fed(units, processes, counted))) > 1:
            unequal += 1
        else:
            continue
        first = first or tuple(unit[0].id for unit in units)
    return Sharing(processes, number, too_few, unequal, first)


def _fed(units: Sequence[Unit], processes: int, counted: frozenset[str]) -> Iterable[frozenset[str]]:
    """What each process would have to compute."""
    for rank in range(processes):
        own = chain.from_iterable(units[len(units) * rank // processes : len(units) * (rank + 1) // processes])
        yield counted & set(chain.from_iterable(example.objectives for example in own))
