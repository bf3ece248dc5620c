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
        batch_rows: Most responses written together.
    """

    max_new_tokens: int = Field(default=NEW_TOKENS, ge=1)
    temperature: float = Field(default=0.0, ge=0)
    top_k: int = Field(default=0, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
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
        self._random = {turn_id: np.random.default_rng(_seed(seed, turn_id)) for turn_id in turn_ids}

    def choose(self, turn_ids: Sequence[str], logits: Any) -> list[int]:
        """The next token of each row.

        Args:
            turn_ids: The rows that are still being written.
            logits: Shape (rows, vocabulary).
        """
        if self._config.temperature == 0:
            greedy: list[int] = logits.argmax(dim=-1).tolist()
            return greedy
        scores = logits.double().cpu().numpy() / self._config.temperature
        return [self._sample(row, self._random[turn_id].random()) for turn_id, row in zip(turn_ids, scores, strict=True)]

    def _sample(self, scores: npt.NDArray[np.float64], point: float) -> int:
        """Inverse transform sampling over the likeliest tokens, likeliest first."""
        order = np.argsort(-scores, kind="stable")[: self._config.top_k or None]
        weights = np.exp(scores[order] - scores[order[0]])
        cumulative = np.cumsum(weights) / weights.sum()
        kept = int(np.searchsorted(cumulative, self._config.top_p)) + 1
        within = cumulative[:kept] / cumulative[min(kept, len(cumulative)) - 1]
        return int(order[min(int(np.searchsorted(within, point, side="right")), len(within) - 1)])


def _seed(seed: int, turn_id: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}\n{turn_id}".encode()).digest()[:8], "big")
