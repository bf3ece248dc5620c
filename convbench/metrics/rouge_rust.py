"""ROUGE by the optional package rouge-score-rs, which gives rouge_score's numbers many times as fast.

The package is young. So only the version that was compared with rouge_score is used, and only beside the version of rouge_score that it was
compared with; and before it first counts, it must give the known numbers of a few texts.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import metadata
from typing import Any

from convbench.metrics.rouge_python import triple

log = logging.getLogger(__name__)

COMPARED = {"rouge-score-rs": "0.2.1", "rouge-score": "0.1.2"}
"""The versions that were found equal to the last bit, on tens of thousands of fuzzed pairs."""

KINDS = ("rouge1", "rouge2", "rougeL", "rougeLsum")
PAIRS = (
    (
        "The keepers were burning\nlamps generously.\nNobody re-lit them, in 1887!",
        "Nobody burned a lamp.\nThe keeper re-lit them 1887 times",
    ),
    ("naïve Straße İzmir \u212aelvin 東京", "Izmir naive kelvin stra e 2"),
    ("the the the cat\nsat on the mat the", "on the mat the cat\nthe the sat"),
    (
        "generalizations oscillators hopefulness formalities electricity adjustment troubled hissing fizzed happy skies dying",
        "general oscillation hoping formality electrical adjusting trouble hisses fizzing happily sky dies",
    ),
    ("", "words without a reference"),
)
"""(Reference, response)."""
HITS = {
    True: ((12, 11, 9, 3, 6, 9), (7, 6, 3, 1, 2, 2), (9, 8, 8, 5, 5, 7), (12, 12, 11, 9, 11, 11), (0, 4, 0, 0, 0, 0)),
    False: ((12, 11, 6, 2, 5, 6), (7, 6, 3, 1, 2, 2), (9, 8, 8, 5, 5, 7), (12, 12, 0, 0, 0, 0), (0, 4, 0, 0, 0, 0)),
}
"""With stems and without: of each pair the tokens of both texts, and what they share by each kind, as rouge_score counts it."""


class RustRouge:
    """rouge_score's numbers from rouge-score-rs; to be made only where ``usable`` says so.

    Args:
        kinds: Of ROUGE: ``rouge1``, ``rouge2``, ``rougeL``, ``rougeLsum``.
        stemmer: Compare Porter stems instead of words.
    """

    engine = "rust"

    def __init__(self, kinds: Sequence[str], stemmer: bool) -> None:
        from rouge_score_rs import RougeScorer

        scorer: Any = RougeScorer
        self._scorer = scorer(list(kinds), use_stemmer=stemmer)

    def score_batch(self, references: Sequence[str], responses: Sequence[str]) -> Sequence[Mapping[str, Sequence[float]]]:
        """The triples (precision, recall, F-measure) of each kind, for each pair of a reference and a response.

        Args:
            references: The references; for ``rougeLsum`` with each sentence on a line of its own.
            responses: A response for each, likewise.
        """
        scores: list[Mapping[str, Sequence[float]]] = self._scorer.score_batch(references, responses)
        return scores


@lru_cache(maxsize=1)
def usable() -> bool:
    """Whether the package is there, in a version that was compared, and right about the known texts; a warning says why not, once."""
    try:
        versions = {name: metadata.version(name) for name in COMPARED}
    except metadata.PackageNotFoundError:
        return False
    problem = _problem(versions)
    if problem:
        log.warning("rouge: computed in Python, which takes longer: %s", problem)
    return problem is None


def _problem(versions: Mapping[str, str]) -> str | None:
    found, compared = (" beside ".join(f"{name} {version}" for name, version in these.items()) for these in (versions, COMPARED))
    if versions != COMPARED:
        return f"found {found}, but only {compared} was compared with it; install that"
    try:
        right = _is_right()
    except Exception as error:  # whatever a broken build raises, Python can do without it
        return f"{found} fails ({type(error).__name__}: {error})"
    return None if right else f"{found} gives wrong numbers for known texts on this machine"


def _is_right() -> bool:
    references, responses = zip(*PAIRS, strict=True)
    for stemmer, hits in HITS.items():
        scores = RustRouge(KINDS, stemmer).score_batch(references, responses)
        if [{kind: tuple(score[kind]) for kind in KINDS} for score in scores] != [_known(*counts) for counts in hits]:
            return False
    return True


def _known(wanted: int, given: int, *hits: int) -> dict[str, tuple[float, ...]]:
    lost = {"rouge2": 1}  # a text has one bigram fewer than tokens
    return {kind: triple(hit, wanted - lost.get(kind, 0), given - lost.get(kind, 0)) for kind, hit in zip(KINDS, hits, strict=True)}
