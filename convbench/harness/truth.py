"""What scores depend on besides the run: digests of the turns' judgements, and of their references and what was said before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from convbench.datasets.loading import Dataset
from convbench.io.digests import value_sha256
from convbench.metrics.base import Metric
from convbench.types import Turn


class Truth:
    """Digests of a dataset's turns, each computed once however many metrics ask.

    Args:
        dataset: The dataset.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._digests: dict[tuple[str, bool], str] = {}

    @property
    def data(self) -> str:
        """Dataset, split and reading options, as signatures name them: ``qrecc/test,first-question=asked``."""
        options = [f"{name}={value}" for name, value in sorted(self._dataset.options.items())]
        return ",".join([f"{self._dataset.name}/{self._dataset.split}", *options])

    def sha256(self, metric: Metric, turns: Sequence[Turn]) -> str:
        """The digest of what a metric compares a run with, over turns in order.

        Rankings are compared with gold passages alone, unless the metric says ``reads_references``; so retrieval scores on two releases of
        a dataset that differ in their responses only remain comparable.
        """
        judged_only = metric.needs == "ranking" and not getattr(metric, "reads_references", False)
        return value_sha256([self._digest(turn, judged_only) for turn in turns])

    def _digest(self, turn: Turn, judged_only: bool) -> str:
        key = (turn.id, judged_only)
        if key not in self._digests:
            self._digests[key] = value_sha256(_judgements(turn) if judged_only else [_judgements(turn), *_said(turn)])
        return self._digests[key]


def _judgements(turn: Turn) -> list[Any]:
    return [turn.id, sorted(turn.gold.items())]


def _said(turn: Turn) -> list[Any]:
    history = [[exchange.query, exchange.response] for exchange in turn.history]
    references = [[reference.kind, reference.text, list(reference.evidence)] for reference in turn.references]
    return [turn.query, history, references, dict(turn.labels)]
