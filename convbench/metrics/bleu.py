"""Corpus BLEU, computed by sacreBLEU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from convbench.errors import UsageError
from convbench.metrics.base import CorpusValue, Measure, Side, signature
from convbench.metrics.responses import Compared, against, references_of, response_of, score_responses
from convbench.types import Score, Turn, TurnRecord

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAMES = ("BLEU", "sentence-BLEU")


class BleuMetric:
    """``BLEU`` over all turns at once, and the mean of ``sentence-BLEU``, which turns can be compared by.

    sacreBLEU's defaults: 13a tokens, exponential smoothing; a turn with fewer references than others is no problem. Values are shares,
    not per cent. A missing response counts as an empty one in ``BLEU`` and scores 0 in ``sentence-BLEU``.

    Args:
        measures: ``BLEU``, ``sentence-BLEU``, or both, with ``(knowledge)`` where the knowledge text is the reference.
        normaliser: ``none``, or ``lower`` for texts in lower case with single blanks, as INSCIT's ``eval.py`` has them.
    """

    name = "bleu"
    version = 1
    needs: Side = "response"
    batch_size = 2048

    def __init__(self, measures: Sequence[str] = NAMES, normaliser: str = "none") -> None:
        self._names = list(measures)
        self._against, self._bases = against(self.name, self._names)
        if unknown := [base for base in self._bases if base not in NAMES]:
            raise UsageError(f"bleu: no measure {unknown[0]!r}; expected {' or '.join(NAMES)}")
        if normaliser not in ("none", "lower"):
            raise UsageError(f"bleu: no normaliser {normaliser!r}; expected none or lower")
        self._normaliser = normaliser

    def measures(self) -> list[Measure]:
        """The measures asked for; sacreBLEU's own signature is part of theirs."""
        scorers = {"BLEU": self._corpus, "sentence-BLEU": self._sentence}
        return [
            Measure(name, f"{signature(name, norm=self._normaliser, against=self._against)}|{_settings(scorers[base])}")
            for name, base in zip(self._names, self._bases, strict=True)
        ]

    def check_resources(self) -> None:
        """Nothing is needed beyond the installed packages."""

    def score(self, turns: Sequence[Turn], records: Mapping[str, TurnRecord]) -> list[Score]:
        """Each turn's sentence BLEU, under both names: ``BLEU`` has its own value over all turns."""
        return score_responses(turns, records, self._names, self._compare, self._against)

    def corpus_values(self, turns: Sequence[Turn], records: Mapping[str, TurnRecord]) -> dict[str, CorpusValue]:
        """Corpus BLEU over the turns that have a reference, with the counts that it is made of."""
        compared = [turn for turn in turns if references_of(turn, self._against)]
        if "BLEU" not in self._bases or not compared:
            return {}
        statistics = np.array([self._statistics(turn, response_of(records, turn) or "") for turn in compared], dtype=np.float64)
        name = self._names[self._bases.index("BLEU")]
        return {name: CorpusValue(self._combine(statistics.sum(axis=0)), statistics, self._combine)}

    def _compare(self, response: str, references: list[str]) -> Compared:
        score = self._sentence.sentence_score(self._normal(response), [self._normal(text) for text in references]).score
        return [_share(score)] * len(self._names), None

    def _statistics(self, turn: Turn, response: str) -> list[int]:
        """SacreBLEU's counts of one turn: lengths, then common and all n-grams."""
        references = [[self._normal(text)] for text in references_of(turn, self._against)]
        return list(self._corpus._extract_corpus_statistics([self._normal(response)], references)[0])

    def _combine(self, totals: NDArray[np.float64]) -> float:
        return _share(self._corpus._compute_score_from_stats([round(total) for total in totals.tolist()]).score)

    def _normal(self, text: str) -> str:
        return " ".join(text.lower().split()) if self._normaliser == "lower" else text

    @cached_property
    def _corpus(self) -> Any:
        from sacrebleu import BLEU

        return BLEU()

    @cached_property
    def _sentence(self) -> Any:
        from sacrebleu import BLEU

        return BLEU(effective_order=True)


def _share(score: float) -> float:
    """Per cent as a share; a perfect score comes out of sacreBLEU a little above 100."""
    return min(float(score) / 100, 1.0)


def _settings(scorer: Any) -> str:
    """SacreBLEU's signature, which it makes once it has counted references; how many there are differs among turns here."""
    parts = {"nrefs": "var", "case": "mixed", "eff": "yes" if scorer.effective_order else "no", "tok": scorer.tokenizer.signature()}
    version = metadata.version("sacrebleu")
    return "|".join([*(f"{key}:{value}" for key, value in parts.items()), f"smooth:{scorer.smooth_method}", f"sacrebleu:{version}"])
