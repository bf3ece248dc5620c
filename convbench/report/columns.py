"""The columns of a table: one a signature, never two signatures of a measure in one column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from convbench.harness.results import MetricResult, Results

RETRIEVAL, RESPONSE = "Retrieval", "Response"


@dataclass(frozen=True, slots=True)
class Column:
    """One measure under one signature.

    Attributes:
        name: The measure.
        protocol: The protocol that it is computed under.
        signature: Its full signature; empty for a measure that no run could compute.
        label: The name, numbered where the measure has several columns.
        group: ``RETRIEVAL`` or ``RESPONSE``, with the protocol.
        higher_is_better: The direction.
        ranks: Whether a best value may be marked.
    """

    name: str
    protocol: str
    signature: str
    label: str
    group: str
    higher_is_better: bool
    ranks: bool = True

    def result_of(self, run: Results) -> MetricResult | None:
        """The run's result for this column; one that was not computed stands for every measure of its family (``bertscore``)."""
        for result in run.metrics:
            if (result.protocol, result.name, result.signature) == (self.protocol, self.name, self.signature):
                return result
        return next((result for result in run.metrics if result.stands_for(self.protocol, self.name)), None)


@dataclass(frozen=True, slots=True)
class Split:
    """Why measures have several columns: the parts of the signatures that differ, a variant each."""

    measures: tuple[str, ...]
    variants: tuple[str, ...]


def columns_of(runs: Sequence[Results]) -> list[Column]:
    """The columns of runs on one dataset: protocol by protocol, retrieval first, variants of a measure side by side."""
    results = {(result.protocol, result.name, result.signature): result for run in runs for result in run.metrics}
    scored = {(protocol, name) for protocol, name, signature in results if signature}
    variants: dict[tuple[str, str], list[MetricResult]] = {}
    for result in results.values():
        if result.signature or not any(result.stands_for(*known) for known in scored):
            variants.setdefault((result.protocol, result.name), []).append(result)
    columns = [
        Column(
            name=name,
            protocol=protocol,
            signature=result.signature,
            label=name if len(several) == 1 else f"{name} #{number}",
            group=_group(result),
            higher_is_better=result.higher_is_better,
            ranks=result.ranks,
        )
        for (protocol, name), several in variants.items()
        for number, result in enumerate(several, start=1)
    ]
    order = list(dict.fromkeys(column.group for column in columns))
    return sorted(columns, key=lambda column: (not column.group.startswith(RETRIEVAL), order.index(column.group)))


def _group(result: MetricResult) -> str:
    side = RETRIEVAL if result.side == "ranking" else RESPONSE
    return f"{side} ({result.protocol})" if result.protocol else side


def splits_of(columns: Sequence[Column]) -> list[Split]:
    """What made several columns of a measure; measures that were split by the same parts share an entry."""
    measures: dict[tuple[str, ...], list[str]] = {}
    for (_, name), several in groupby(columns, key=lambda column: (column.protocol, column.name)):
        signatures = [column.signature.split("|") for column in several]
        if len(signatures) > 1:
            common = set.intersection(*map(set, signatures))
            differing = tuple("|".join(part for part in parts if part not in common) for parts in signatures)
            measures.setdefault(differing, []).append(name)
    return [Split(tuple(names), variants) for variants, names in measures.items()]
