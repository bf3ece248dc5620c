"""The oracle: gold passages and gold response, the ceiling of every measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from convbench.systems.base import Row, Settings, Stage, SystemConfig, Unit, Upstream, Workplace
from convbench.systems.stages import join_rows
from convbench.types import Turn, TurnRecord


class GoldSearchStage:
    """Gold passages, highest grade first."""

    name = "search"
    version = 1
    batch_size = 4096
    unit: Unit = "turn"

    def describe(self) -> dict[str, Any]:
        """Nothing to set."""
        return {"type": "gold passages"}

    def check(self, turns: Sequence[Turn]) -> None:
        """Every turn will do."""

    def open(self, workplace: Workplace) -> None:
        """Nothing to load."""

    def run(self, turns: Sequence[Turn], upstream: Upstream) -> list[Row]:
        """Scores count down from the number of gold passages."""
        rows = []
        for turn in turns:
            ordered = sorted(turn.gold, key=lambda id_: (turn.gold[id_], id_), reverse=True)
            passages = [[passage_id, float(len(ordered) - rank)] for rank, passage_id in enumerate(ordered)]
            rows.append({"turn_id": turn.id, "passages": passages})
        return rows


class GoldResponseStage:
    """The main reference of each turn; nothing where it has none."""

    name = "generate"
    version = 1
    batch_size = 4096
    unit: Unit = "turn"

    def describe(self) -> dict[str, Any]:
        """Nothing to set."""
        return {"type": "gold response"}

    def check(self, turns: Sequence[Turn]) -> None:
        """Every turn will do."""

    def open(self, workplace: Workplace) -> None:
        """Nothing to load."""

    def run(self, turns: Sequence[Turn], upstream: Upstream) -> list[Row]:
        """The first reference of kind ``response``."""
        rows = []
        for turn in turns:
            texts = [reference.text for reference in turn.references if reference.kind == "response"]
            rows.append({"turn_id": turn.id, "text": texts[0] if texts else "", "evidence": sorted(turn.gold), "abstained": not texts})
        return rows


class OracleConfig(SystemConfig):
    """``kind: oracle``."""

    kind: Literal["oracle"]

    def build(self, settings: Settings) -> Oracle:
        """The oracle."""
        return Oracle(self.name)


class Oracle:
    """Gold passages, gold response."""

    needs_passages = False
    retrieves = False

    def __init__(self, name: str) -> None:
        self.name = name

    def stages(self) -> Sequence[Stage]:
        """Gold passages, then gold responses."""
        return [GoldSearchStage(), GoldResponseStage()]

    def conditions(self) -> dict[str, Any]:
        """Everything is gold."""
        return {"history": None, "rewriter": None, "evidence": "gold", "k": None}

    def record(self, turn_id: str, rows: Mapping[str, Row]) -> TurnRecord:
        """Joins the stages' rows."""
        return join_rows(turn_id, rows)
