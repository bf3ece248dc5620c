"""Which protocols and metric families a run is scored with: the dataset's own, or those that were asked for by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from convbench.datasets.loading import Dataset
from convbench.metrics.protocol import ScoringPart, build_metric, load_protocol, scoring_parts
from convbench.metrics.turn_rules import JUDGED

GENERAL = ("convgqr-line", "response-overlap", "response-diagnostics")
"""Protocols that fit every dataset; a family that is asked for alone is computed as the first of them has it."""


@dataclass(frozen=True)
class Selection:
    """What to score.

    Attributes:
        protocols: Names of protocols; None for those that the dataset's card names.
        families: Metric families to keep of them; None for all. A family that none of the protocols has is computed with its defaults.
            Families without protocols are taken from the general ones.
        settings: Settings of families that the user chose (BERTScore's model ...).
    """

    protocols: Sequence[str] | None = None
    families: Sequence[str] | None = None
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def parts(self, dataset: Dataset) -> list[ScoringPart]:
        """The metrics for a dataset, in report order.

        Raises:
            UsageError: A protocol or a family is unknown, or a protocol is not made for the dataset.
        """
        names = self.protocols or (GENERAL if self.families is not None else dataset.card.protocols)
        protocols = [load_protocol(name) for name in dict.fromkeys(names)]
        parts = [part for protocol in protocols for part in scoring_parts(protocol, dataset, self.settings)]
        if self.families is None:
            return parts
        kept = [part for part in parts if part.metric.name in self.families]
        found = {part.metric.name for part in kept}
        return [*kept, *(self._plain(name) for name in dict.fromkeys(self.families) if name not in found)]

    def _plain(self, family: str) -> ScoringPart:
        metric = build_metric(family, self.settings.get(family, {}))
        return ScoringPart("", 1, JUDGED if metric.needs == "ranking" else "has a reference", "zero", metric)
