"""Which protocols and metric families a run is scored with: the dataset's own, or those that were asked for by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from convbench.datasets.loading import Dataset
from convbench.metrics.protocol import Protocol, ScoringPart, build_metric, load_protocol, read_protocol, scoring_parts
from convbench.metrics.turn_rules import JUDGED

GENERAL = ("convgqr-line", "response-overlap", "response-diagnostics")
"""Protocols that fit every dataset."""
BY_REFERENCE: Mapping[str, Mapping[str, Any]] = {"retrieval": {"engine": "ir_measures"}}
"""Family -> the settings with which it is computed by the library that its values are held to, instead of by our faster way."""


@dataclass(frozen=True)
class Selection:
    """What to score.

    Attributes:
        protocols: Names of protocols, or their YAML files; None for those that the dataset's card names.
        families: Metric families to keep of them; None for all. Without ``protocols`` a family is taken from the general protocols, else
            from the dataset's. One that none of them has is computed with its defaults.
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
        own = [load_protocol(name) for name in dataset.card.protocols]  # by name only: a dataset's file names no other file
        chosen = [named_or_read(name) for name in dict.fromkeys(self.protocols or ())] or own
        if self.families is None:
            return self._of(chosen, dataset)
        general = [] if self.protocols else [self._of([load_protocol(name) for name in GENERAL], dataset)]
        sources = [*general, self._of(chosen, dataset)]
        return [part for family in dict.fromkeys(self.families) for part in self._family(family, sources)]

    def _family(self, family: str, sources: Sequence[Sequence[ScoringPart]]) -> list[ScoringPart]:
        """The family as the first of the sources has it that has it at all."""
        for source in sources:
            if found := [part for part in source if part.metric.name == family]:
                return found
        return [self._plain(family)]

    def _of(self, protocols: Sequence[Protocol], dataset: Dataset) -> list[ScoringPart]:
        return [part for protocol in protocols for part in scoring_parts(protocol, dataset, self.settings)]

    def _plain(self, family: str) -> ScoringPart:
        metric = build_metric(family, self.settings.get(family, {}))
        return ScoringPart("", 1, JUDGED if metric.needs == "ranking" else "has a reference", "zero", metric)


def named_or_read(protocol: str) -> Protocol:
    """A protocol by its name, or one of the user's own by its YAML file."""
    return read_protocol(Path(protocol)) if protocol.endswith((".yaml", ".yml")) else load_protocol(protocol)
