"""A scoring part on a dataset: the turns that it averages over, its full signatures, and from the scores of turns to results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from convbench.datasets.loading import Dataset
from convbench.harness.aggregates import Aggregated, aggregate
from convbench.harness.results import MetricResult
from convbench.harness.truth import Truth
from convbench.metrics.base import MISSING, CorpusMetric, Measure, PassageMetric, Side
from convbench.metrics.protocol import ScoringPart
from convbench.metrics.turn_rules import turn_set
from convbench.types import Score, Turn, TurnRecord, TurnSet

SKIPPED = "missing from the run and left out, as the protocol has it"


@dataclass(frozen=True, slots=True)
class PlacedPart:
    """One part on one dataset.

    Attributes:
        part: The part.
        chosen: The turns that its rule chooses.
        turns: Those turns.
        data: Dataset, split and options, as signatures name them.
        truth: Digest of what the metric compares a run with.
    """

    part: ScoringPart
    chosen: TurnSet
    turns: tuple[Turn, ...]
    data: str
    truth: str

    @classmethod
    def of(cls, part: ScoringPart, dataset: Dataset, truth: Truth) -> PlacedPart:
        """The part on a dataset, whose digests ``truth`` remembers."""
        chosen = turn_set(part.turns, dataset)
        wanted = set(chosen.ids)
        turns = tuple(turn for turn in dataset.turns if turn.id in wanted)
        return cls(part, chosen, turns, truth.data, truth.sha256(part.metric, turns))

    def signature(self, measure: Measure, collection_sha256: str | None) -> str:
        """The measure's signature with everything around it: protocol, missing policy, data, turn set, truth, and the collection.

        Args:
            measure: One of the metric's measures.
            collection_sha256: Digest of the collection that was searched; None where it is not at hand.
        """
        part = self.part
        name, _, rest = measure.signature.partition("|")
        parts = [name, f"protocol:{part.protocol or 'none'}", *([rest] if rest else []), f"missing:{part.missing}"]
        parts += [f"data:{self.data}", f"turns:{self.chosen.sha256[:12]}", f"truth:{self.truth[:12]}"]
        if part.metric.needs == "ranking" or reads_passages(part):
            parts.append(f"collection:{(collection_sha256 or 'unchecked')[:12]}")
        return "|".join(parts)

    def counted(self, scores: Sequence[Score]) -> list[Score]:
        """The metric's scores under the protocol's policy: where it leaves turns out that a run lacks, they have no value."""
        return list(scores) if self.part.missing == "zero" else [_skipped(score) for score in scores]

    def results(self, scores: Sequence[Score], records: Mapping[str, TurnRecord], collection_sha256: str | None) -> list[MetricResult]:
        """The aggregates of the part's measures, in order.

        Args:
            scores: One a turn and measure, as ``counted`` gives them.
            records: The run.
            collection_sha256: As for ``signature``.

        Raises:
            InvariantError: A number cannot be right.
        """
        by_measure: dict[str, list[Score]] = {}
        for score in scores:
            by_measure.setdefault(score.measure, []).append(score)
        metric, skipped = self.part.metric, {score.turn_id for score in scores if score.reason == SKIPPED}
        counted = [turn for turn in self.turns if turn.id not in skipped]
        corpus = metric.corpus_values(counted, records) if isinstance(metric, CorpusMetric) else {}
        missing = sum(is_missing(records.get(turn.id), metric.needs) for turn in self.turns)
        measures = metric.measures()
        aggregated = aggregate(measures, by_measure, self.turns, corpus)
        return [self._result(measure, values, missing, collection_sha256) for measure, values in zip(measures, aggregated, strict=True)]

    def _result(self, measure: Measure, values: Aggregated, missing: int, collection_sha256: str | None) -> MetricResult:
        return MetricResult(
            name=measure.name,
            protocol=self.part.protocol,
            side=self.part.metric.needs,
            signature=self.signature(measure, collection_sha256),
            value=values.value,
            ci=values.interval,
            aggregate=values.kind,
            n_turns=values.n_turns,
            n_conversations=values.n_conversations,
            n_missing=missing,
            turn_set=self.chosen.rule,
            higher_is_better=measure.higher_is_better,
            ranks=measure.ranks,
            scale=measure.scale,
            reason=values.reason,
        )


def reads_passages(part: ScoringPart) -> bool:
    """Whether a part's values depend on the texts of passages."""
    return isinstance(part.metric, PassageMetric) and part.metric.reads_passages


def has_side(record: TurnRecord, side: Side) -> bool:
    """Whether a record has what is scored."""
    if side == "response":
        return record.response is not None
    return bool(record.passages if side == "ranking" else record.evidence)


def is_missing(record: TurnRecord | None, side: Side) -> bool:
    """Whether a run lacks a turn: no record at all, or no response where one is scored. An empty ranking is an answer."""
    return record is None or (side == "response" and record.response is None)


def _skipped(score: Score) -> Score:
    return replace(score, value=None, reason=SKIPPED) if score.reason == MISSING else score
