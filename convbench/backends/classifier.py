"""A sequence-classification checkpoint that judges pairs of texts: natural language inference, FaithCritic and their kin."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from convbench.backends.pair_model import PairModel, Row
from convbench.backends.placement import ModelConfig
from convbench.errors import ResourceError, UsageError

POSITIVE = ("entailment", "entailed", "entail", "entails", "faithful", "supported", "supports", "support", "consistent")
"""Names of the label that says that the first text supports the second, but for case and punctuation."""

OVERLAP = 4
"""Neighbouring windows share one part in so many."""

_FEWEST = 8
"""With fewer tokens of a long premise in a window there is nothing to judge by."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What the classifier makes of a pair.

    Attributes:
        value: Probability of the label, the largest over the windows; None where the hypothesis leaves no room for a premise.
        reason: What did not fit, where something did not.
    """

    value: float | None
    reason: str | None = None


class PairClassifier:
    """Probabilities of a label for (premise, hypothesis) pairs; nothing is loaded before the first pair.

    Weights are read from safetensors files, and no code of a checkpoint is run. A hypothesis is never cut. A premise that is too long is
    read in windows.

    Args:
        config: The checkpoint and how to run it.
        offline: Refuse the network.
    """

    def __init__(self, config: ModelConfig, *, offline: bool = False) -> None:
        self.config = config
        self._unchecked = PairModel(config, offline=offline)

    @cached_property
    def _pairs(self) -> PairModel:
        if self._unchecked.settings.problem_type == "regression":
            raise ResourceError(f"{self.label}: it gives a number and no label (problem_type regression); expected a classifier")
        return self._unchecked

    @property
    def label(self) -> str:
        """``name@digest``."""
        return self._unchecked.label

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels' names in the order of their ids.

        Raises:
            ResourceError: The checkpoint cannot be had, or is no classifier.
        """
        return self._pairs.labels

    def find_label(self, wanted: str | int | None) -> int:
        """The id of a label.

        Args:
            wanted: Its name (case and punctuation do not count) or id; None: the one whose name is in ``POSITIVE``.

        Raises:
            UsageError: There is no such label, or more than one; the message lists them.
        """
        listed = ", ".join(f"{number}: {name}" for number, name in enumerate(self.labels))
        if isinstance(wanted, int) or (isinstance(wanted, str) and wanted.isdecimal()):
            if 0 <= int(wanted) < len(self.labels):
                return int(wanted)
            found = []
        else:
            names = POSITIVE if wanted is None else (_bare(wanted),)
            found = [number for number, name in enumerate(self.labels) if _bare(name) in names]
        if len(found) == 1:
            return found[0]
        asked = "none of its labels says by its name that a text is supported" if wanted is None else f"no single label {wanted!r}"
        raise UsageError(f"{self.label}: {asked}; its labels are {listed}; give the name or the number of the positive one")

    @property
    def max_tokens(self) -> int:
        """The longest pair in tokens, special ones included: the least of what tokenizer and model allow."""
        return self._pairs.max_tokens

    def judge(self, pairs: Sequence[tuple[str, str]], label: int, windows: int) -> list[Judged]:
        """Judges (premise, hypothesis) pairs; equal ones are computed once.

        Args:
            pairs: The pairs.
            label: The label whose probability is wanted.
            windows: A premise is read in at most so many windows; what lies behind them is left out, and said so.
        """
        clean = self._pairs.plain
        plain = [(clean(premise), clean(hypothesis)) for premise, hypothesis in pairs]
        texts = list(dict.fromkeys(text for pair in plain for text in pair))
        lengths = dict(zip(texts, map(len, self._pairs.form.all_ids(texts)), strict=True))
        read = {pair: self._windows(*pair, lengths, windows) for pair in dict.fromkeys(plain)}
        values = iter(self._probabilities([row for rows, _ in read.values() for row in rows], label))
        judged = {pair: Judged(max((next(values) for _ in rows), default=None), reason) for pair, (rows, reason) in read.items()}
        return [judged[pair] for pair in plain]

    def _windows(self, premise: str, hypothesis: str, lengths: Mapping[str, int], most: int) -> tuple[list[Row], str | None]:
        """The inputs of a pair, none of them longer than the model takes, and what did not fit."""
        needed, fixed = lengths[premise], lengths[hypothesis]
        room = self.max_tokens - self._pairs.added - fixed
        if room < min(_FEWEST, needed):
            return [], f"too long to be judged: {fixed} tokens, and the model takes {self.max_tokens} with the premise"
        shared = room // OVERLAP
        encoded = self._pairs.tokenizer(
            premise,
            hypothesis,
            truncation="only_first",
            max_length=self.max_tokens,
            stride=shared,
            return_overflowing_tokens=True,
        )
        rows = self._pairs.rows(encoded)
        if room + (len(rows) - 1) * (room - shared) < needed:
            raise ResourceError(
                f"{self.label}: the tokenizer lost the end of a text that it cut into windows ({len(rows)} windows for {needed} tokens): "
                "the package tokenizers did so before 0.23.3; install a later one"
            )
        rows = rows[:most]
        reached = min(room + (len(rows) - 1) * (room - shared), needed)
        return rows, None if reached == needed else f"the premise was read up to token {reached} of {needed}"

    def _probabilities(self, rows: Sequence[Row], label: int) -> list[float]:
        values = [0.0] * len(rows)
        for batch, logits in self._pairs.logits(rows):
            for index, value in zip(batch, self._normalised(logits)[:, label].tolist(), strict=True):
                values[index] = value
        return values

    def _normalised(self, logits: Any) -> Any:
        """Probabilities, as the checkpoint was trained: of one label, or of labels that do not exclude one another, each for itself."""
        alone = len(self.labels) == 1 or self._pairs.settings.problem_type == "multi_label_classification"
        return logits.sigmoid() if alone else logits.softmax(-1)


def _bare(name: str) -> str:
    return re.sub(r"[\W_]", "", name).casefold()
