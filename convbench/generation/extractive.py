"""An extractive responder: the sentence of the top passages that answers the question best, by BM25 over those sentences.

A real, if modest, baseline: it copies, so it is faithful by construction, and it shows what retrieval alone buys.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from convbench.config import Config
from convbench.generation.base import GenerationInput
from convbench.generation.sentences import split_sentences
from convbench.meter import Meter
from convbench.types import Response
from convbench.views.words import Analyzer, AnalyzerConfig

VERSION = 1
_KEPT = 512


class ExtractiveConfig(Config):
    """Settings of the extractive responder.

    Attributes:
        passages: How many passages it reads.
        rank_discount: A sentence's score is divided by ``1 + rank_discount * (rank - 1)`` of its passage.
        k1: BM25's term-frequency saturation, over sentences.
        b: BM25's length normalisation, over sentences.
    """

    type: Literal["extractive"] = "extractive"
    passages: int = Field(default=3, ge=1)
    rank_discount: float = Field(default=0.25, ge=0)
    k1: float = Field(default=0.9, ge=0)
    b: float = Field(default=0.4, ge=0, le=1)
    analyzer: AnalyzerConfig = AnalyzerConfig()


class ExtractiveGenerator:
    """Picks one sentence a turn."""

    batch_size = 32

    def __init__(self, config: ExtractiveConfig) -> None:
        self.config = config
        self._analyzer = Analyzer(config.analyzer)
        self._read: dict[str, list[tuple[str, list[str]]]] = {}

    def describe(self) -> dict[str, Any]:
        """The settings and the analyser's versions."""
        return {**self.config.model_dump(exclude={"analyzer"}), "version": VERSION, "analyzer": self._analyzer.describe()}

    def check(self) -> None:
        """Nothing can be missing."""

    def open(self, meter: Meter) -> None:
        """Nothing to load."""

    def generate(self, inputs: Sequence[GenerationInput], meter: Meter) -> list[Response]:
        """One response an input: the best sentence, the first passage's first sentence where no word matches, nothing without passages."""
        questions = self._analyzer.words([item.question for item in inputs])
        read = self._sentences(dict.fromkeys(passage.text for item in inputs for passage in item.passages))
        return [self._respond(item, words, read) for item, words in zip(inputs, questions, strict=True)]

    def _respond(self, item: GenerationInput, question: list[str], read: Mapping[str, Sequence[tuple[str, list[str]]]]) -> Response:
        evidence = tuple(passage.id for passage in item.passages)
        sentences = [(rank, *sentence) for rank, passage in enumerate(item.passages, 1) for sentence in read[passage.text]]
        if not sentences:
            return Response(item.turn_id, "", finish_reason="no evidence", evidence=evidence, abstained=True)
        scores = sentence_scores(question, [words for *_, words in sentences], self.config.k1, self.config.b).tolist()
        discounted = [score / (1 + self.config.rank_discount * (rank - 1)) for score, (rank, *_) in zip(scores, sentences, strict=True)]
        best = max(range(len(sentences)), key=lambda index: (discounted[index], -index))
        return Response(item.turn_id, sentences[best][1], evidence=evidence)

    def _sentences(self, texts: Iterable[str]) -> dict[str, list[tuple[str, list[str]]]]:
        """Text -> its sentences, each with its words; all are analysed at once, and a passage that several turns find only once.

        The last few hundred passages are remembered: the next turns of a conversation find many of them again.
        """
        known = {text: self._read.pop(text, None) for text in texts}
        cut = {text: split_sentences(text) for text, sentences in known.items() if sentences is None}
        words = iter(self._analyzer.words([sentence for each in cut.values() for sentence in each]))
        read = {text: [(sentence, next(words)) for sentence in cut[text]] if each is None else each for text, each in known.items()}
        self._read |= read
        for text in list(self._read)[:-_KEPT]:
            del self._read[text]
        return read


def sentence_scores(question: Sequence[str], sentences: Sequence[Sequence[str]], k1: float, b: float) -> NDArray[np.float32]:
    """BM25 of a few sentences, which are all the collection there is, as Lucene defines it (Kamphuis et al. 2020).

    The scores are those of an index that bm25s makes of the sentences, bit for bit; but an index is made to be searched more than once.

    Args:
        question: Words; one that comes twice counts once.
        sentences: The words of each sentence.
        k1: Saturation of the term frequency.
        b: Length normalisation.

    Returns:
        Shape (sentences,).
    """
    scores = np.zeros(len(sentences), dtype=np.float32)
    query = sorted(set(question) & set().union(*sentences))
    if not query:
        return scores
    counts = np.array([[words.count(word) for words in sentences] for word in query], dtype=np.float32)
    lengths = np.array([len(words) for words in sentences])
    saturation = counts + k1 * ((1 - b) + b * lengths / lengths.mean())
    for word, found in enumerate(counts > 0):
        holding = int(found.sum())
        weight = np.float32(math.log(1 + (len(sentences) - holding + 0.5) / (holding + 0.5)))
        scores[found] += (weight * (counts[word, found] / saturation[word, found])).astype(np.float32)
    return scores
