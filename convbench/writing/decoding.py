"""How responses are decoded: settings, and the choice of the next token."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from convbench.backends.turn_inputs import NEW_TOKENS
from convbench.config import Config


class DecodingConfig(Config):
    """How responses are decoded.

    Attributes:
        max_new_tokens: Longest response in tokens.
        temperature: 0 is greedy.
        top_k: Sample from the k likeliest tokens; 0: from all.
        top_p: Sample from the likeliest tokens that together have this probability.
        repetition_penalty: Above 1, tokens that were written before in the response get less likely (Keskar et al. 2019: logits above 0 are
            divided by it, others multiplied).
        no_repeat_ngram: No run of so many tokens is written twice in a response; 0: any is.
        batch_rows: Most responses written together.
    """

    max_new_tokens: int = Field(default=NEW_TOKENS, ge=1)
    temperature: float = Field(default=0.0, ge=0)
    top_k: int = Field(default=0, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    repetition_penalty: float = Field(default=1.0, ge=1, allow_inf_nan=False)
    no_repeat_ngram: int = Field(default=0, ge=0)
    batch_rows: int = Field(default=8, ge=1)


class Chooser:
    """Chooses next tokens. Each turn has random numbers of its own, so that its response does not depend on its batch.

    Args:
        config: Greedy or sampling.
        seed: The run's seed.
        turn_ids: The rows.
    """

    def __init__(self, config: DecodingConfig, seed: int, turn_ids: Sequence[str]) -> None:
        self._config = config
        self._processors = _processors(config)
        self._random = {turn_id: np.random.default_rng(seed_of(seed, turn_id)) for turn_id in turn_ids}

    def choose(self, turn_ids: Sequence[str], logits: Any, written: Sequence[Sequence[int]]) -> list[int]:
        """The next token of each row.

        Args:
            turn_ids: The rows that are still being written.
            logits: Shape (rows, vocabulary).
            written: The tokens of each response so far, equally many.
        """
        logits = self._without_repetition(logits, written)
        if self._config.temperature == 0:
            greedy: list[int] = logits.argmax(dim=-1).tolist()
            return greedy
        scores = logits.double().cpu().numpy() / self._config.temperature
        return [self._sample(row, self._random[turn_id].random()) for turn_id, row in zip(turn_ids, scores, strict=True)]

    def _without_repetition(self, logits: Any, written: Sequence[Sequence[int]]) -> Any:
        import torch

        if not (self._processors and written[0]):
            return logits
        before, changed = torch.tensor(written, device=logits.device), logits.float()
        for process in self._processors:
            changed = process(before, changed)
        return changed

    def _sample(self, scores: npt.NDArray[np.float64], point: float) -> int:
        """Inverse transform sampling over the likeliest tokens, likeliest first."""
        order = np.argsort(-scores, kind="stable")[: self._config.top_k or None]
        weights = np.exp(scores[order] - scores[order[0]])
        cumulative = np.cumsum(weights) / weights.sum()
        kept = int(np.searchsorted(cumulative, self._config.top_p)) + 1
        within = cumulative[:kept] / cumulative[min(kept, len(cumulative)) - 1]
        return int(order[min(int(np.searchsorted(within, point, side="right")), len(within) - 1)])


def _processors(config: DecodingConfig) -> list[Any]:
    """What transformers changes logits with."""
    from transformers import NoRepeatNGramLogitsProcessor, RepetitionPenaltyLogitsProcessor

    found: list[Any] = []
    if config.repetition_penalty != 1:
        found.append(RepetitionPenaltyLogitsProcessor(config.repetition_penalty))
    if config.no_repeat_ngram:
        found.append(NoRepeatNGramLogitsProcessor(config.no_repeat_ngram))
    return found


def seed_of(seed: int, key: str) -> int:
    """The seed of what is written under a key, from 0 to below 2^64: it depends on the run's seed and the key, and on nothing else."""
    return int.from_bytes(hashlib.sha256(f"{seed}\n{key}".encode()).digest()[:8], "big")
