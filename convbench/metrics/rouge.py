"""ROUGE of responses, computed by rouge_score."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from importlib import metadata
from typing import Any

from convbench.errors import UsageError
from convbench.generation.sentences import split_sentences
from convbench.metrics.base import Measure, Side, signature
from convbench.metrics.longest_common import longest_common
from convbench.metrics.responses import Compared, against, score_responses
from convbench.types import Score, Turn, TurnRecord

NAMES = ("rouge1", "rouge2", "rougeL", "rougeLsum")
_NAME = re.compile(r"(rouge[12]|rougeL|rougeLsum)(?:-(p|r))?")
_STATISTICS = {"p": "precision", "r": "recall", None: "fmeasure"}
_REMEMBERED = 1 << 15
"""Texts whose tokens are remembered: with fewer than a set has references, the next run would find none of them."""
_LOST = "no ASCII letters or digits are left in the {}"


class RougeMetric:
    """ROUGE-1, ROUGE-2, ROUGE-L and ROUGE-Lsum, each the best over the references (as ``RougeScorer.score_multi``).

    ``rougeLsum`` compares sentence by sentence. rouge_score knows sentences by line ends only, so texts are cut into sentences first, by
    a rule that needs no download (``generation.sentences``).

    Args:
        stemmer: Compare Porter stems instead of words.
        measures: Names: F-measures, or precision or recall where they end with ``-p`` or ``-r`` (``rouge1-r``), all with ``(knowledge)``
            where the knowledge text is the reference.
    """

    name = "rouge"
    version = 2
    needs: Side = "response"
    batch_size = 512

    def __init__(self, stemmer: bool = True, measures: Sequence[str] = NAMES) -> None:
        self.stemmer = stemmer
        self._names = list(measures)
        self._against, bases = against(self.name, self._names)
        self._columns = [_column(base) for base in bases]

    def measures(self) -> list[Measure]:
        """The measures asked for."""
        parts = {"stem": "yes" if self.stemmer else "no", "refs": "max", "against": self._against}
        version = metadata.version("rouge-score")
        return [
            Measure(name, signature(name, **parts, **({"split": "sentences"} if kind == "rougeLsum" else {}), rouge_score=version))
            for name, (kind, _) in zip(self._names, self._columns, strict=True)
        ]

    def check_resources(self) -> None:
        """Nothing is needed beyond the installed packages (rouge_score's sentence splitter, which downloads, is not used)."""

    def score(self, turns: Sequence[Turn], records: Mapping[str, TurnRecord]) -> list[Score]:
        """Scores ``turns``; text in which the tokenizer finds nothing (it keeps ASCII letters and digits only) scores 0 with a reason."""
        return score_responses(turns, records, self._names, self._compare, self._against)

    def _compare(self, response: str, references: list[str]) -> Compared:
        if not self._tokenizer.tokenize(response):
            return [0.0] * len(self._names), _LOST.format("response")
        if not any(self._tokenizer.tokenize(reference) for reference in references):
            return [0.0] * len(self._names), _LOST.format("reference" if len(references) == 1 else "references")
        scores = self._scores(response, references)
        return [max(float(getattr(one[kind], statistic)) for one in scores) for kind, statistic in self._columns], None

    def _scores(self, response: str, references: list[str]) -> list[dict[str, Any]]:
        """For each reference, kind of ROUGE -> rouge_score's triple."""
        kinds = list(dict.fromkeys(kind for kind, _ in self._columns))
        whole = [kind for kind in kinds if kind not in ("rougeL", "rougeLsum")]
        scores = [dict(self._scorer(*whole).score(reference, response)) if whole else {} for reference in references]
        if "rougeL" in kinds:
            for one, reference in zip(scores, references, strict=True):
                one["rougeL"] = _in_order(self._tokenizer.tokenize(reference), self._tokenizer.tokenize(response))
        if "rougeLsum" in kinds:
            for one, reference in zip(scores, references, strict=True):
                one |= self._scorer("rougeLsum").score(_lines(reference), _lines(response))
        return scores

    @cached_property
    def _tokenizer(self) -> _Tokenizer:
        return _Tokenizer(self.stemmer)

    @cached_property
    def _scorer(self) -> Any:
        from rouge_score.rouge_scorer import RougeScorer

        return lru_cache(lambda *kinds: RougeScorer(kinds, tokenizer=self._tokenizer))


def _in_order(reference: Sequence[str], response: Sequence[str]) -> Any:
    """ROUGE-L as rouge_score has it; its table of all pairs of tokens takes most of ROUGE's time, so the length is found without."""
    from rouge_score.scoring import Score, fmeasure

    if not reference or not response:
        return Score(0.0, 0.0, 0.0)
    common = longest_common(reference, response)
    precision, recall = common / len(response), common / len(reference)
    return Score(precision, recall, fmeasure(precision, recall))


def _column(name: str) -> tuple[str, str]:
    match = _NAME.fullmatch(name)
    if match is None:
        raise UsageError(f"rouge: no measure {name!r}; expected rouge1, rouge2, rougeL or rougeLsum, with -p or -r where meant")
    return match[1], _STATISTICS[match[2]]


@lru_cache(maxsize=4096)
def _lines(text: str) -> str:
    """The text with a line for each sentence; lines that are there stay."""
    return "\n".join(sentence for line in text.splitlines() for sentence in split_sentences(line))


class _Tokenizer:
    """rouge_score's default tokenizer, with recent texts and stems remembered (stemming is most of its time)."""

    def __init__(self, stemmer: bool) -> None:
        from nltk.stem.porter import PorterStemmer
        from rouge_score.tokenize import tokenize

        porter = _Stemmer(PorterStemmer()) if stemmer else None
        self.tokenize = lru_cache(maxsize=_REMEMBERED)(lambda text: tokenize(text, porter))


class _Stemmer:
    def __init__(self, stemmer: Any) -> None:
        self.stem = lru_cache(maxsize=1 << 17)(stemmer.stem)
