"""Turn order: stages that run one turn of a conversation after the other, so that later turns see the system's own earlier responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from operator import attrgetter
from typing import Any

from convbench.systems.base import Row, Stage, Unit, Upstream, Workplace
from convbench.types import Exchange, Turn

_NAME = "converse"


class InTurnOrder:
    """Runs stages over whole conversations: all first turns of a batch, then all second turns ...

    A row holds the rows of the inner stages by their names; ``unpacked`` gives them back.

    Args:
        stages: What is run on every turn, in order; the rows of the last have the response as ``text``.
    """

    name = _NAME
    version = 1
    unit: Unit = "conversation"

    def __init__(self, stages: Sequence[Stage]) -> None:
        self._stages = stages
        self.batch_size = min(stage.batch_size for stage in stages)  # a step has one turn of each conversation

    def describe(self) -> dict[str, Any]:
        """The inner stages: name, version, description."""
        return {"stages": [[stage.name, stage.version, stage.describe()] for stage in self._stages]}

    def check(self, turns: Sequence[Turn]) -> None:
        """Passes the check on to the inner stages."""
        for stage in self._stages:
            stage.check(turns)

    def open(self, workplace: Workplace) -> None:
        """Opens the inner stages."""
        self._meter = workplace.meter
        for stage in self._stages:
            stage.open(workplace)

    def run(self, turns: Sequence[Turn], upstream: Upstream) -> list[Row]:
        """Rows: the inner stages' rows, by stage."""
        rows: dict[str, Row] = {}
        own: dict[str, str] = {}
        for _, step in groupby(sorted(turns, key=attrgetter("number")), key=attrgetter("number")):
            for row in self._step([with_own_responses(turn, own) for turn in step], upstream):
                rows[row["turn_id"]] = row
                own[row["turn_id"]] = row[self._stages[-1].name]["text"]
        return [rows[turn.id] for turn in turns]

    def _step(self, turns: Sequence[Turn], upstream: Upstream) -> list[Row]:
        seen = dict(upstream)
        for stage in self._stages:
            with self._meter.phase(stage.name, turns=len(turns)):
                seen[stage.name] = {row["turn_id"]: row for row in stage.run(turns, seen)}
        return [{"turn_id": turn.id, **{stage.name: seen[stage.name][turn.id] for stage in self._stages}} for turn in turns]


def with_own_responses(turn: Turn, own: Mapping[str, str]) -> Turn:
    """The turn with the system's own responses in its history.

    The dataset's response stays where the system has none of its own: the dataset's system opened the conversation, or the earlier turn is
    not among those that are run.

    Args:
        turn: The turn.
        own: Responses by turn id.
    """

    def replaced(exchange: Exchange) -> Exchange:
        answered = exchange.query and exchange.turn_id in own
        return replace(exchange, response=own[exchange.turn_id] or None) if answered else exchange

    return replace(turn, history=tuple(map(replaced, turn.history)))


def unpacked(rows: Mapping[str, Row]) -> Mapping[str, Row]:
    """The rows of a turn by stage, whether its stages ran on their own or in turn order."""
    return {**rows, **rows.get(_NAME, {})}
