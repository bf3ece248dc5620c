"""ROUGE of responses: rouge_score's numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache
from importlib import metadata

from convbench.errors import UsageError
from convbench.generation.sentences import split_sentences
from convbench.metrics.base import Measure, Side, signature
from convbench.metrics.responses import Compared, against, compared_texts, score_responses
from convbench.metrics.rouge_scorer import Engine, RougeScorer, open_scorer
from convbench.types import Score, Turn, TurnRecord

NAMES = ("rouge1", "rouge2", "rougeL", "rougeLsum")
_NAME = re.compile(r"(rouge[12]|rougeL|rougeLsum)(?:-(p|r))?")
_STATISTICS = {"p": 0, "r": 1, None: 2}
"""Where they stand in a triple; None for the F-measure."""
_REMEMBERED = 4096
_TOKEN = re.compile(r"[a-z0-9]")
_LOST = "no ASCII letters or digits are left in the {}"


class RougeMetric:
    """ROUGE-1, ROUGE-2, ROUGE-L and ROUGE-Lsum, each the best over the references (as ``RougeScorer.score_multi``).

    ``rougeLsum`` compares sentence by sentence. rouge_score knows sentences by line ends only, so texts are cut into sentences first, by
    a rule that needs no download (``generation.sentences``).

    All pairs of a batch are computed at once, each different pair once: by rouge-score-rs where that is there, else in Python. Both give
    the same values to the last bit, so the signature does not say which it was.

    Args:
        stemmer: Compare Porter stems instead of words.
        measures: Names: F-measures, or precision or recall where they end with ``-p`` or ``-r`` (``rouge1-r``), all with ``(knowledge)``
            where the knowledge text is the reference.
        engine: ``rust`` or ``python``; ``auto`` takes the first that can be used.
    """

    name = "rouge"
    version = 2
    needs: Side = "response"
    batch_size = 512

    def __init__(self, stemmer: bool = True, measures: Sequence[str] = NAMES, engine: Engine = "auto") -> None:
        self.stemmer = stemmer
        self._names = list(measures)
        self._against, bases = against(self.name, self._names)
        self._columns = [_column(base) for base in bases]
        self._kinds = list(dict.fromkeys(kind for kind, _ in self._columns))
        self._engine = engine

    def measures(self) -> list[Measure]:
        """The measures asked for."""
        parts = {"stem": "yes" if self.stemmer else "no", "refs": "max", "against": self._against}
        version = metadata.version("rouge-score")
        return [
            Measure(name, signature(name, **parts, **({"split": "sentences"} if kind == "rougeLsum" else {}), rouge_score=version))
            for name, (kind, _) in zip(self._names, self._columns, strict=True)
        ]

    def check_resources(self) -> None:
        """Nothing is needed beyond the installed packages (rouge_score's sentence splitter, which downloads, is not used).

        Raises:
            ResourceError: ``engine`` is ``rust``, and rouge-score-rs cannot be used.
        """
        _ = self._scorer

    def score(self, turns: Sequence[Turn], records: Mapping[str, TurnRecord]) -> list[Score]:
        """Scores ``turns``; text in which the tokenizer finds nothing (it keeps ASCII letters and digits only) scores 0 with a reason."""
        triples = self._triples(turns, records)

        def compare(response: str, references: list[str]) -> Compared:
            found = [triples[response, reference] for reference in references]
            values = [max([float(one[kind][statistic]) for one in found]) for kind, statistic in self._columns]
            return values, None if any(values) else _lost(response, references)

        return score_responses(turns, records, self._names, compare, self._against)

    def _triples(self, turns: Sequence[Turn], records: Mapping[str, TurnRecord]) -> dict[tuple[str, str], Mapping[str, Sequence[float]]]:
        """(Response, reference) -> kind of ROUGE -> precision, recall and F-measure, for all pairs of some turns."""
        texts = compared_texts(turns, records, self._against)
        pairs = list(dict.fromkeys((response, reference) for response, references in texts for reference in references))
        responses, references = ([pair[side] for pair in pairs] for side in (0, 1))
        if "rougeLsum" in self._kinds:  # line ends are no tokens: the other kinds do not see them
            responses, references = ([self._lines(text) for text in side] for side in (responses, references))
        return dict(zip(pairs, self._scorer.score_batch(references, responses), strict=True))

    @cached_property
    def _lines(self) -> Callable[[str], str]:
        """``_with_lines`` that remembers texts as long as the metric is there: references come again with every system."""
        return lru_cache(maxsize=_REMEMBERED)(_with_lines)

    @cached_property
    def _scorer(self) -> RougeScorer:
        return open_scorer(self._kinds, stemmer=self.stemmer, engine=self._engine)


def _column(name: str) -> tuple[str, int]:
    match = _NAME.fullmatch(name)
    if match is None:
        raise UsageError(f"rouge: no measure {name!r}; expected rouge1, rouge2, rougeL or rougeLsum, with -p or -r where meant")
    return match[1], _STATISTICS[match[2]]


def _with_lines(text: str) -> str:
    """The text with a line for each sentence; lines that are there stay."""
    return "\n".join(sentence for line in text.splitlines() for sentence in split_sentences(line))


def _lost(response: str, references: Sequence[str]) -> str | None:
    """Which side rouge_score's tokenizer leaves nothing of, if any: it keeps ASCII letters and digits of the lower-cased text."""
    if not _TOKEN.search(response.lower()):
        return _LOST.format("response")
    if not any(_TOKEN.search(reference.lower()) for reference in references):
        return _LOST.format("reference" if len(references) == 1 else "references")
    return None
