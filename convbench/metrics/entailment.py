"""Whether a response follows from what it rests on, by a classifier of text pairs."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from typing import Any, Literal

from pydantic import Field

from convbench.backends.classifier import OVERLAP, Judged, PairClassifier
from convbench.backends.locate import split_revision
from convbench.backends.placement import Device, ModelConfig
from convbench.config import Config, build_config
from convbench.datasets.store import PassageStore
from convbench.errors import UsageError
from convbench.generation.sentences import split_sentences
from convbench.metrics.base import MISSING, Measure, Side, signature
from convbench.metrics.passage_texts import texts_of
from convbench.metrics.responses import NO_KNOWLEDGE, NOTHING_GIVEN, references_of
from convbench.metrics.retrieval import NO_GOLD
from convbench.types import Score, Turn, TurnRecord
from convbench.views.evidence import gold_ids

Premise = Literal["given", "gold", "knowledge"]
"""The passages that the responder saw, the gold passages, or the dataset's knowledge texts."""


@dataclass(frozen=True, slots=True)
class _Case:
    """A turn on its way to the classifier: either its texts, or the values it has without."""

    premise: str = ""
    hypotheses: tuple[str, ...] = ()
    value: float | None = None
    reason: str | None = None


class EntailmentConfig(Config):
    """What is judged, and by which classifier.

    Attributes:
        model: A folder or hub id (``owner/name@revision``) of a sequence-classification checkpoint.
        positive: Name or number of the positive label; None: the one whose name says so (``classifier.POSITIVE``).
        premise: What the response should follow from.
        hypothesis: ``response``: all of it at once; ``sentences``: each of its sentences, of which the mean and the least count.
        windows: A premise that is too long is read in at most so many windows, and the best counts.
        device: Where to compute; in float32 everywhere.
        batch_tokens: Most tokens in a batch, padding included.
    """

    model: str = Field(min_length=1)
    positive: str | int | None = None
    premise: Premise = "given"
    hypothesis: Literal["response", "sentences"] = "response"
    windows: int = Field(default=8, ge=1, le=1000)
    device: Device = "auto"
    batch_tokens: int = Field(default=8192, ge=1)


class EntailmentMetric:
    """The probability of a classifier's positive label (entailment, faithful, supported), given a premise and the response.

    Args:
        model: As in ``EntailmentConfig``.
        offline: Refuse the network.
        settings: The rest of ``EntailmentConfig``.
    """

    name = "entailment"
    version = 1
    needs: Side = "response"
    batch_size = 64

    def __init__(self, model: str = "", offline: bool = False, **settings: Any) -> None:
        if not model:
            raise UsageError("entailment: no classifier is named; give the setting 'model', a folder or hub id")
        self._config = config = build_config(EntailmentConfig, {"model": model, **settings}, "entailment")
        name, revision = split_revision(model)
        self._classifier = PairClassifier(
            ModelConfig(model=name, revision=revision, device=config.device, dtype="float32", batch_tokens=config.batch_tokens),
            offline=offline,
        )
        self.reads_passages = config.premise != "knowledge"
        self._passages: PassageStore | None = None

    @property
    def _names(self) -> list[str]:
        kinds = ["entailment"] if self._config.hypothesis == "response" else ["entailment-mean", "entailment-min"]
        return [f"{kind}({self._config.premise})" for kind in kinds]

    def measures(self) -> list[Measure]:
        """``entailment(PREMISE)``, or ``entailment-mean(PREMISE)`` and ``entailment-min(PREMISE)`` over sentences.

        Raises:
            ResourceError: The checkpoint cannot be had or used; its digest, labels and limit are part of the signature.
            UsageError: It has no such label.
        """
        classifier = self._classifier
        parts = {
            "label": f"{self._label}={re.sub(r'[^a-zA-Z0-9_-]', '-', classifier.labels[self._label])}",
            "premise": self._config.premise,
            "hypothesis": self._config.hypothesis,
            "max": classifier.max_tokens,
            "windows": self._config.windows,
            "overlap": f"1/{OVERLAP}",
            "transformers": ".".join(metadata.version("transformers").split(".")[:2]),
        }
        return [Measure(name, signature(f"{name}|model:{classifier.label}", **parts)) for name in self._names]

    def check_resources(self) -> None:
        """Finds the checkpoint and its label, without loading its weights.

        Raises:
            ResourceError: The checkpoint cannot be had or used.
            UsageError: It has no such label.
        """
        self.measures()

    def open_passages(self, passages: PassageStore) -> None:
        """Hands over the passages, which ``premise`` may name."""
        self._passages = passages

    def score(self, turns: Sequence[Turn], records: Mapping[str, TurnRecord]) -> list[Score]:
        """Scores ``turns``.

        Raises:
            ResourceError: The checkpoint cannot be loaded.
            UsageError: The premise is made of passages, and ``open_passages`` was not called.
        """
        cases = [self._case(turn, records.get(turn.id)) for turn in turns]
        pairs = [(case.premise, hypothesis) for case in cases for hypothesis in case.hypotheses]
        judged = iter(self._classifier.judge(pairs, self._label, self._config.windows) if pairs else [])
        scores = []
        for turn, case in zip(turns, cases, strict=True):
            parts = [next(judged) for _ in case.hypotheses] or [Judged(case.value, case.reason)]
            values, reason = self._combined(parts)
            scores += [Score(turn.id, name, value, reason) for name, value in zip(self._names, values, strict=True)]
        return scores

    def _combined(self, parts: Sequence[Judged]) -> tuple[list[float | None], str | None]:
        """Values of the measures, and what did not fit; a part without a value leaves none."""
        values = [part.value for part in parts if part.value is not None]
        if len(values) < len(parts):
            return [None] * len(self._names), next(part.reason for part in parts if part.value is None)
        reason = next((part.reason for part in parts if part.reason), None)
        return ([values[0]] if self._config.hypothesis == "response" else [statistics.fmean(values), min(values)]), reason

    @cached_property
    def _label(self) -> int:
        return self._classifier.find_label(self._config.positive)

    def _case(self, turn: Turn, record: TurnRecord | None) -> _Case:
        texts, problem = self._premise_texts(turn, record)
        if not texts and self._config.premise != "given":  # so it is for every system: no value, whatever the run holds
            return _Case(reason=problem)
        if record is None or record.response is None:
            return _Case(value=0.0, reason=MISSING)
        if not record.response.strip():
            return _Case(value=0.0, reason="the response is empty")
        if not texts:
            return _Case(value=None if record.evidence else 0.0, reason=problem)
        hypotheses = [record.response] if self._config.hypothesis == "response" else split_sentences(record.response)
        return _Case("\n\n".join(texts), tuple(hypotheses))

    def _premise_texts(self, turn: Turn, record: TurnRecord | None) -> tuple[list[str], str]:
        """What the response should follow from; where there is nothing, why."""
        if self._config.premise == "knowledge":
            return references_of(turn, "knowledge"), NO_KNOWLEDGE
        ids = gold_ids(turn) if self._config.premise == "gold" else record.evidence if record else ()
        if not ids:
            return [], NO_GOLD if self._config.premise == "gold" else NOTHING_GIVEN
        texts, absent = texts_of(self._passages, ids)
        return texts, absent or ""
