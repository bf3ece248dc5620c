"""How much of a response stands in what it was given: K-precision, K-recall, K-F1 and their ++ variants.

As in instruct-qa's ``faithfulness_metrics.py`` (Adlakha et al. 2024), where K-precision agrees best with people on verbose answers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from convbench.datasets.store import PassageStore
from convbench.errors import UsageError
from convbench.metrics import squad
from convbench.metrics.base import MISSING, Measure, Side, signature
from convbench.metrics.overlap import Overlap, overlap
from convbench.metrics.relevance import known_passages
from convbench.metrics.responses import NO_KNOWLEDGE, NOTHING_GIVEN, references_of
from convbench.metrics.retrieval import NO_GOLD
from convbench.types import Score, Turn, TurnRecord

Source = Literal["given", "gold", "history", "knowledge"]
"""The passages that the responder saw, the gold passages, the conversation so far, or the dataset's knowledge texts."""

_NAME = re.compile(r"K-(precision|recall|F1)(\+\+)?\((given|gold|history|knowledge)\)")


class KnowledgeMetric:
    """Overlap of the response's tokens with those of a source, all texts of the source joined.

    ``++`` leaves out tokens of the response that the conversation has said before: repeating the question is no faithfulness. A response of
    which nothing is left scores 1 under ``++``, as in the original.

    Args:
        measures: Names, each with its source: ``K-precision(given)``, ``K-F1++(gold)``. All must have one source.
    """

    name = "knowledge"
    version = 1
    needs: Side = "response"
    batch_size = 512

    def __init__(self, measures: Sequence[str] = ("K-precision(given)", "K-F1(given)")) -> None:
        self._columns = [(name, *_parsed(name)) for name in measures]
        sources = {source for _, _, _, source in self._columns}
        if len(sources) != 1:
            raise UsageError(f"knowledge: {', '.join(measures)} have several sources; expected one of {', '.join(get_args(Source))}")
        self._source: Source = sources.pop()
        self.reads_passages = self._source in ("given", "gold")
        self._passages: PassageStore | None = None

    def measures(self) -> list[Measure]:
        """The measures asked for."""
        return [
            Measure(name, signature(name, norm="squad", source=self._source, without="history" if fresh else "nothing"))
            for name, _, fresh, _ in self._columns
        ]

    def check_resources(self) -> None:
        """Nothing is needed beyond the installed packages."""

    def open_passages(self, passages: PassageStore) -> None:
        """The collection that the passages' texts are read from."""
        self._passages = passages

    def score(self, turns: Sequence[Turn], records: Mapping[str, TurnRecord]) -> list[Score]:
        """Scores ``turns``: 0 without a response or where it was given nothing, no value without gold passages or knowledge."""
        texts = self._texts(turns, records)
        scores = []
        for turn in turns:
            values, reason = self._row(turn, records.get(turn.id), texts)
            scores += [Score(turn.id, name, value, reason) for (name, *_), value in zip(self._columns, values, strict=True)]
        return scores

    def _row(self, turn: Turn, record: TurnRecord | None, texts: Mapping[str, str]) -> tuple[Sequence[float | None], str | None]:
        if self._source == "gold" and not turn.gold:
            return [None] * len(self._columns), NO_GOLD
        if self._source == "knowledge" and not references_of(turn, "knowledge"):
            return [None] * len(self._columns), NO_KNOWLEDGE
        if record is None or record.response is None:
            return [0.0] * len(self._columns), MISSING
        if self._source == "given" and not record.evidence:
            return [0.0] * len(self._columns), NOTHING_GIVEN
        expected = squad.tokens(" ".join(self._sources(turn, record, texts)))
        given = squad.tokens(record.response)
        whole = overlap(expected, given)
        new = self._new(turn, expected, given) if any(is_fresh for _, _, is_fresh, _ in self._columns) else whole
        values = [float(getattr(new if is_fresh else whole, field)) for _, field, is_fresh, _ in self._columns]
        return values, _unknown(self._passage_ids(turn, record), texts)

    def _new(self, turn: Turn, expected: Sequence[str], given: Sequence[str]) -> Overlap:
        """The overlap of what the conversation has not said before."""
        said = frozenset(squad.tokens(" ".join(conversation(turn))))
        fresh = [token for token in given if token not in said]
        return overlap(expected, fresh) if fresh else Overlap(1.0, 1.0, 1.0, 0.0)

    def _sources(self, turn: Turn, record: TurnRecord, texts: Mapping[str, str]) -> list[str]:
        if self._source == "history":
            return conversation(turn)
        if self._source == "knowledge":
            return references_of(turn, "knowledge")
        return [texts[id_] for id_ in self._passage_ids(turn, record) if id_ in texts]

    def _passage_ids(self, turn: Turn, record: TurnRecord) -> list[str]:
        return list({"given": record.evidence, "gold": turn.gold}.get(self._source, ()))

    def _texts(self, turns: Sequence[Turn], records: Mapping[str, TurnRecord]) -> dict[str, str]:
        """Passage id -> text, of the passages that the source names and the collection holds."""
        if self._source not in ("given", "gold"):
            return {}
        named = (turn.gold if self._source == "gold" else records[turn.id].evidence for turn in turns if turn.id in records)
        passages = known_passages(self._passages, {id_ for ids in named for id_ in ids})
        return {id_: passage.text for id_, passage in passages.items() if passage}


def _unknown(ids: Sequence[str], texts: Mapping[str, str]) -> str | None:
    """A passage that the collection lacks supports nothing: naming it must not take the turn out of the average."""
    unknown = [id_ for id_ in ids if id_ not in texts]
    return f"passage {unknown[0]!r:.80} is not in the collection and counts as empty" if unknown else None


def conversation(turn: Turn) -> list[str]:
    """Everything that was said before the response, in order: earlier queries and responses, and the current query."""
    earlier = (text for exchange in turn.history for text in (exchange.query, exchange.response) if text)
    return [*earlier, turn.query]


def _parsed(name: str) -> tuple[str, bool, Source]:
    match = _NAME.fullmatch(name)
    if match is None:
        raise UsageError(f"knowledge: no measure {name!r}; expected K-precision, K-recall or K-F1, maybe ++, and a source: K-F1++(given)")
    source: Source = next(known for known in get_args(Source) if known == match[3])
    return match[1].lower(), match[2] is not None, source
