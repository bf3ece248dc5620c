"""ROUGE in Python: rouge_score's numbers, with its tokens remembered and its slow parts done another way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import cached_property, lru_cache
from typing import TypeAlias

from convbench.metrics.longest_common import longest_common, places_in_common

Triple: TypeAlias = tuple[float, float, float]
"""Precision, recall and F-measure."""

_REMEMBERED = 1 << 15
"""Texts whose tokens are remembered: with fewer than a set has references, the next run would find none of them."""
_REMEMBERED_STEMS = 1 << 17
_NOTHING: Triple = (0.0, 0.0, 0.0)


class PythonRouge:
    """rouge_score's numbers to the last bit; its tokenizer and Porter stemmer are used as they are.

    Stemming takes half of rouge_score's time, so stems and the tokens of recent texts are remembered. Most of the rest goes into its tables
    of all pairs of tokens: ``longest_common`` needs none.

    Args:
        kinds: Of ROUGE: ``rouge1``, ``rouge2``, ``rougeL``, ``rougeLsum``.
        stemmer: Compare Porter stems instead of words.
    """

    engine = "python"

    def __init__(self, kinds: Sequence[str], stemmer: bool) -> None:
        self._kinds = kinds
        self._stemmer = stemmer
        self._sentences = lru_cache(maxsize=_REMEMBERED)(self._cut)

    def score_batch(self, references: Sequence[str], responses: Sequence[str]) -> list[dict[str, Triple]]:
        """The triples of each kind, for each pair of a reference and a response.

        Args:
            references: The references; for ``rougeLsum`` with each sentence on a line of its own.
            responses: A response for each, likewise.
        """
        return [self._pair(self._sentences(one), self._sentences(other)) for one, other in zip(references, responses, strict=True)]

    def _pair(self, reference: Sequence[Sequence[str]], response: Sequence[Sequence[str]]) -> dict[str, Triple]:
        wanted, given = _joined(reference), _joined(response)
        found = {}
        for kind in self._kinds:
            if kind == "rougeLsum":
                found[kind] = triple(_in_sentences(reference, response), len(wanted), len(given))
            elif kind == "rougeL":
                found[kind] = triple(longest_common(wanted, given), len(wanted), len(given))
            else:
                size = int(kind.removeprefix("rouge"))
                shared = _shared(_grams(wanted, size), _grams(given, size))
                found[kind] = triple(shared, len(wanted) - size + 1, len(given) - size + 1)
        return found

    def _cut(self, text: str) -> list[list[str]]:
        """The tokens of each line; where lines do not matter, of the whole text at once."""
        lines = text.split("\n") if "rougeLsum" in self._kinds else [text]
        return [tokens for line in lines if (tokens := self._tokenize(line))]

    @cached_property
    def _tokenize(self) -> Callable[[str], list[str]]:
        from nltk.stem.porter import PorterStemmer
        from rouge_score.tokenize import tokenize

        porter = _Stemmer(PorterStemmer().stem) if self._stemmer else None
        return lambda text: tokenize(text, porter)


class _Stemmer:
    def __init__(self, stem: Callable[[str], str]) -> None:
        self.stem = lru_cache(maxsize=_REMEMBERED_STEMS)(stem)


def _joined(sentences: Sequence[Sequence[str]]) -> Sequence[str]:
    return sentences[0] if len(sentences) == 1 else [token for sentence in sentences for token in sentence]


def _grams(tokens: Sequence[str], size: int) -> Iterable[Hashable]:
    return tokens if size == 1 else zip(*(tokens[start:] for start in range(size)), strict=False)


def _shared(reference: Iterable[Hashable], response: Iterable[Hashable]) -> int:
    """How many n-grams two texts share, each as often as it stands in both."""
    counts, given = Counter(reference), Counter(response)
    return sum(min(count, given[gram]) for gram, count in counts.items() if gram in given)


def _in_sentences(reference: Sequence[Sequence[str]], response: Sequence[Sequence[str]]) -> int:
    """Hits of ROUGE-Lsum: tokens of the reference in the union of what each of its sentences has in common with those of the response.

    No token counts more often than it stands in both texts (ROUGE 1.5.5).
    """
    left = Counter(token for sentence in reference for token in sentence)
    left &= Counter(token for sentence in response for token in sentence)
    hits = 0
    for sentence in reference:
        places = 0
        for other in response:
            places |= places_in_common(sentence, other)
        for place, token in enumerate(sentence):
            if places >> place & 1 and left[token] > 0:
                hits += 1
                left[token] -= 1
    return hits


def triple(shared: int, wanted: int, given: int) -> Triple:
    """From counts to precision, recall and F-measure, with rouge_score's operations in its order, so that no bit differs.

    Args:
        shared: What both texts have.
        wanted: How many there are in the reference.
        given: How many there are in the response.
    """
    if not shared:
        return _NOTHING
    precision, recall = shared / given, shared / wanted
    return precision, recall, 2 * precision * recall / (precision + recall)
