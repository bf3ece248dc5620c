"""ROUGE of responses, computed by rouge_score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from importlib import metadata
from typing import Any

from convbench.metrics.base import Measure, Side, signature
from convbench.metrics.responses import Compared, score_responses
from convbench.types import Score, Turn, TurnRecord

NAMES = ("rouge1", "rouge2", "rougeL")
_LOST = "no ASCII letters or digits are left in the {}"


class RougeMetric:
    """ROUGE-1, ROUGE-2 and ROUGE-L F-measures, each the best over the references (as ``RougeScorer.score_multi``).

    Args:
        stemmer: Compare Porter stems instead of words.
    """

    name = "rouge"
    version = 1
    needs: Side = "response"
    batch_size = 512

    def __init__(self, stemmer: bool = True) -> None:
        self.stemmer = stemmer

    def measures(self) -> list[Measure]:
        """rouge1, rouge2 and rougeL."""
        stem = "yes" if self.stemmer else "no"
        return [Measure(name, signature(name, stem=stem, refs="max", rouge_score=metadata.version("rouge-score"))) for name in NAMES]

    def check_resources(self) -> None:
        """Nothing is needed beyond the installed packages (rouge_score's sentence splitter, which downloads, is not used)."""

    def score(self, turns: Sequence[Turn], records: Mapping[str, TurnRecord]) -> list[Score]:
        """Scores ``turns``; text in which the tokenizer finds nothing (it keeps ASCII letters and digits only) scores 0 with a reason."""
        return score_responses(turns, records, NAMES, self._compare)

    def _compare(self, response: str, references: list[str]) -> Compared:
        if not self._tokenizer.tokenize(response):
            return [0.0] * len(NAMES), _LOST.format("response")
        if not any(self._tokenizer.tokenize(reference) for reference in references):
            return [0.0] * len(NAMES), _LOST.format("reference" if len(references) == 1 else "references")
        scores = self._scorer.score_multi(references, response)
        return [float(scores[name].fmeasure) for name in NAMES], None

    @cached_property
    def _tokenizer(self) -> _Tokenizer:
        return _Tokenizer(self.stemmer)

    @cached_property
    def _scorer(self) -> Any:
        from rouge_score.rouge_scorer import RougeScorer

        return RougeScorer(NAMES, tokenizer=self._tokenizer)


class _Tokenizer:
    """rouge_score's default tokenizer, with recent texts and stems remembered (stemming is most of its time)."""

    def __init__(self, stemmer: bool) -> None:
        from nltk.stem.porter import PorterStemmer
        from rouge_score.tokenize import tokenize

        porter = _Stemmer(PorterStemmer()) if stemmer else None
        self.tokenize = lru_cache(maxsize=4096)(lambda text: tokenize(text, porter))


class _Stemmer:
    def __init__(self, stemmer: Any) -> None:
        self.stem = lru_cache(maxsize=1 << 17)(stemmer.stem)
