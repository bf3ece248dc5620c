"""Chance: a random ranking and a random sentence, the floor of every measure."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from convbench.generation.sentences import split_sentences
from convbench.systems.base import Row, Settings, Stage, SystemConfig, Unit, Upstream, Workplace
from convbench.systems.stages import join_rows
from convbench.types import Turn, TurnRecord


class RandomStage:
    """Draws k passages a turn without replacement, and a sentence of the first; seeded by seed and turn id."""

    name = "search"
    version = 1
    batch_size = 512
    unit: Unit = "turn"

    def __init__(self, k: int, seed: int) -> None:
        self._k, self._seed = k, seed

    def describe(self) -> dict[str, Any]:
        """Depth and seed."""
        return {"type": "random", "k": self._k, "seed": self._seed}

    def check(self, turns: Sequence[Turn]) -> None:
        """Every turn will do."""

    def open(self, workplace: Workplace) -> None:
        """Keeps the store to draw from."""
        self._store = workplace.store

    def run(self, turns: Sequence[Turn], upstream: Upstream) -> list[Row]:
        """Rows: ``passages`` and the drawn ``text``."""
        return [self._draw(turn) for turn in turns]

    def _draw(self, turn: Turn) -> Row:
        chance = random.Random(f"{self._seed}:{turn.id}")  # noqa: S311 - not for secrets
        rows = chance.sample(range(len(self._store)), min(self._k, len(self._store)))
        ids = self._store.ids(rows)
        passages = [[passage_id, float(len(ids) - rank)] for rank, passage_id in enumerate(ids)]
        sentences = split_sentences(self._store.get(ids[:1])[0].text)
        return {"turn_id": turn.id, "passages": passages, "text": chance.choice(sentences) if sentences else "", "evidence": ids[:1]}


class RandomConfig(SystemConfig):
    """``kind: random``."""

    kind: Literal["random"]
    k: int = Field(default=100, ge=1)

    def build(self, settings: Settings) -> RandomSystem:
        """The random system under the run's seed."""
        return RandomSystem(self, settings.seed)


class RandomSystem:
    """Chance."""

    needs_passages = True
    retrieves = True

    def __init__(self, config: RandomConfig, seed: int) -> None:
        self.name = config.name
        self._stage = RandomStage(config.k, seed)
        self._k = config.k

    def stages(self) -> Sequence[Stage]:
        """One stage draws everything."""
        return [self._stage]

    def conditions(self) -> dict[str, Any]:
        """Nothing of the session is looked at."""
        return {"history": None, "rewriter": None, "evidence": "random", "k": self._k}

    def record(self, turn_id: str, rows: Mapping[str, Row]) -> TurnRecord:
        """The drawn row serves as ranking and as response."""
        return join_rows(turn_id, {"search": rows["search"], "generate": rows["search"]})
