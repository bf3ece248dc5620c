"""The form of responses, whatever they say: how long they are against the references, and how much they repeat themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from convbench.metrics import squad
from convbench.metrics.base import CorpusValue, Measure, Side, signature
from convbench.metrics.responses import Compared, response_of, score_responses
from convbench.types import Score, Turn, TurnRecord

NAMES = ("length-ratio", "distinct-1", "distinct-2")
_NO_REFERENCE_TOKENS = "the reference has no token"


class FormMetric:
    """Descriptions that no system should be ranked by.

    - ``length-ratio``: tokens of the response over tokens of the main reference, averaged over turns; 1 is as long as people's.
    - ``distinct-n`` (Li et al. 2016): different n-grams over all n-grams of all responses; low where a system says the same again and
      again. A turn's own value is that of its response alone. It falls as more turns are looked at, so it has no interval.

    Tokens are SQuAD's.
    """

    name = "form"
    version = 1
    needs: Side = "response"
    batch_size = 4096

    def measures(self) -> list[Measure]:
        """length-ratio, distinct-1 and distinct-2."""
        scales = {"length-ratio": "any"}
        return [Measure(name, signature(name, norm="squad"), ranks=False, scale="any" if name in scales else "unit") for name in NAMES]

    def check_resources(self) -> None:
        """Nothing is needed."""

    def score(self, turns: Sequence[Turn], records: Mapping[str, TurnRecord]) -> list[Score]:
        """Scores ``turns``; a missing response scores 0."""
        return score_responses(turns, records, NAMES, _compare)

    def corpus_values(self, turns: Sequence[Turn], records: Mapping[str, TurnRecord]) -> dict[str, CorpusValue]:
        """distinct-n over all responses."""
        responses = [squad.tokens(response) for turn in turns if (response := response_of(records, turn)) is not None]
        return {f"distinct-{n}": CorpusValue(_distinct(responses, n)) for n in (1, 2)}


def _compare(response: str, references: list[str]) -> Compared:
    given, expected = squad.tokens(response), squad.tokens(references[0])
    distinct = [_distinct([given], n) or 0.0 for n in (1, 2)]
    if not expected:
        return [None, *distinct], _NO_REFERENCE_TOKENS
    return [len(given) / len(expected), *distinct], None


def _distinct(texts: Iterable[Sequence[str]], n: int) -> float | None:
    grams = [gram for tokens in texts for gram in zip(*(tokens[start:] for start in range(n)), strict=False)]
    return len(set(grams)) / len(grams) if grams else None
