"""Two runs and the turns that flipped as one JSON object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from convbench.comparison.flips import Flip, Flips, TurnOutcome
from convbench.comparison.side_by_side import MeasurePair
from convbench.harness.finished import FinishedRun


def diff_json(
    first: FinishedRun,
    second: FinishedRun,
    pairs: Sequence[MeasurePair],
    found: Flips | None,
    slices: Sequence[str],
    turns: int | None,
    passages: int | None,
) -> dict[str, Any]:
    """The object that ``convbench diff --json`` prints; differences are second minus first.

    Args:
        first: A run.
        second: Another.
        pairs: The measures they share.
        found: The turns that flipped; None where no measure can be compared turn by turn.
        slices: The slices that counts and turns are of; empty for all turns.
        turns: How many of them; None for all.
        passages: How many passages of each ranking; None for all.
    """
    counts = found.counts if found else None
    return {
        "first": _run(first),
        "second": _run(second),
        "measures": [_measure(pair) for pair in pairs],
        "measure": found.measure.key if found else None,
        "beside": [pair.key for pair in found.beside] if found else [],
        "slices": list(slices),
        "counts": {
            "first_better": counts.first_better,
            "equal": counts.equal,
            "second_better": counts.second_better,
            "one_sided": counts.one_sided,
            "turns": counts.turns,
        }
        if counts
        else None,
        "turns": [_turn(flip, passages) for flip in found.turns[:turns]] if found else [],
    }


def _run(run: FinishedRun) -> dict[str, Any]:
    return {"name": run.name, "path": str(run.path), "conditions": run.results.conditions, "seed": run.results.seed}


def _measure(pair: MeasurePair) -> dict[str, Any]:
    paired = pair.paired
    return {
        "protocol": pair.protocol,
        "name": pair.name,
        "first": pair.first,
        "second": pair.second,
        "difference": pair.difference,
        "differing": {part.part: [part.first, part.second] for part in pair.differing},
        "paired": paired.mean if paired else None,
        "interval": list(paired.interval) if paired and paired.interval else None,
        "p": paired.p if paired else None,
        "n": paired.n_turns if paired else None,
    }


def _turn(flip: Flip, passages: int | None) -> dict[str, Any]:
    return {
        "turn_id": flip.turn_id,
        "conversation": flip.conversation,
        "query": flip.query,
        "first": _outcome(flip.first, passages),
        "second": _outcome(flip.second, passages),
        "difference": flip.difference,
        "gold": [[id_, grade] for id_, grade in flip.gold.items()] if flip.gold is not None else None,
        "references": list(flip.references) if flip.references is not None else None,
    }


def _outcome(outcome: TurnOutcome, passages: int | None) -> dict[str, Any]:
    return {
        "value": outcome.value,
        "beside": dict(outcome.beside),
        "sent": outcome.sent,
        "response": outcome.response,
        "passages": [[id_, score] for id_, score in outcome.passages[:passages]],
        "gold_rank": outcome.gold_rank,
    }
