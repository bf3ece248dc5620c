"""Who computes ROUGE: one of two scorers that give the same numbers."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from convbench.errors import ResourceError
from convbench.metrics.rouge_python import PythonRouge
from convbench.metrics.rouge_rust import COMPARED, RustRouge, usable

Engine = Literal["auto", "rust", "python"]
"""Which of them: ``auto`` takes ``rust`` where it can be used."""

log = logging.getLogger(__name__)


class RougeScorer(Protocol):
    """rouge_score's numbers for many pairs of texts.

    Attributes:
        engine: Its name.
    """

    engine: str

    def score_batch(self, references: Sequence[str], responses: Sequence[str]) -> Sequence[Mapping[str, Sequence[float]]]:
        """For each pair, kind of ROUGE -> precision, recall and F-measure; ``rougeLsum`` takes lines for sentences."""


def open_scorer(kinds: Sequence[str], *, stemmer: bool, engine: Engine = "auto") -> RougeScorer:
    """The scorer to use here.

    Args:
        kinds: Of ROUGE: ``rouge1``, ``rouge2``, ``rougeL``, ``rougeLsum``.
        stemmer: Compare Porter stems instead of words.
        engine: Which one.

    Raises:
        ResourceError: ``rust`` is asked for and cannot be used.
    """
    if engine == "rust" and not usable():
        package = f"rouge-score-rs=={COMPARED['rouge-score-rs']}"
        raise ResourceError(
            f"rouge: the engine rust needs {package} beside rouge-score=={COMPARED['rouge-score']}; install them, or take auto"
        )
    scorer: RougeScorer = RustRouge(kinds, stemmer) if engine != "python" and usable() else PythonRouge(kinds, stemmer)
    log.debug("rouge: computed by the engine %s", scorer.engine)
    return scorer
