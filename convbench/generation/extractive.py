"""An extractive responder: the sentence of the top passages that answers the question best, by BM25 over those sentences.

A real, if modest, baseline: it copies, so it is faithful by construction, and it shows what retrieval alone buys.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from convbench.config import Config
from convbench.generation.base import GenerationInput
from convbench.generation.sentences import split_sentences
from convbench.meter import Meter
from convbench.types import Response
from convbench.views.words import Analyzer, AnalyzerConfig

VERSION = 1


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

    def describe(self) -> dict[str, Any]:
        """The settings and the analyser's versions."""
        return {**self.config.model_dump(exclude={"analyzer"}), "version": VERSION, "analyzer": self._analyzer.describe()}

    def check(self) -> None:
        """Nothing can be missing."""

    def open(self, meter: Meter) -> None:
        """Nothing to load."""

    def generate(self, inputs: Sequence[GenerationInput], meter: Meter) -> list[Response]:
        """One response an input: the best sentence, the first passage's first sentence where no word matches, nothing without passages."""
        return [self._respond(item) for item in inputs]

    def _respond(self, item: GenerationInput) -> Response:
        evidence = tuple(passage.id for passage in item.passages)
        sentences = [(rank, text) for rank, passage in enumerate(item.passages, 1) for text in split_sentences(passage.text)]
        if not sentences:
            return Response(item.turn_id, "", finish_reason="no evidence", evidence=evidence, abstained=True)
        scores = self._scores(item.question, [text for _, text in sentences])
        discounted = [score / (1 + self.config.rank_discount * (rank - 1)) for score, (rank, _) in zip(scores, sentences, strict=True)]
        best = max(range(len(sentences)), key=lambda index: (discounted[index], -index))
        return Response(item.turn_id, sentences[best][1], evidence=evidence)

    def _scores(self, question: str, sentences: list[str]) -> list[float]:
        import bm25s

        documents = self._analyzer.words(sentences)
        query = sorted(set(self._analyzer.words([question])[0]) & {word for words in documents for word in words})
        if not query:
            return [0.0] * len(sentences)
        index = bm25s.BM25(k1=self.config.k1, b=self.config.b, method="lucene", backend="numpy")
        index.index(documents, show_progress=False)
        return [float(score) for score in index.get_scores(query)]
