"""A dataset's turns in the parts that a foreign layout can hold, and what it cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convbench.errors import DataError
from convbench.exchange.turn_ids import TurnIds

if TYPE_CHECKING:
    from convbench.datasets.loading import Dataset
    from convbench.exchange.judgements import Judgements
    from convbench.exchange.notes import Notes
    from convbench.types import Turn


def turn_names(dataset: Dataset, pattern: str) -> dict[str, str]:
    """Our turn id -> the name in the foreign layout, of every turn and every judged turn."""
    ids = TurnIds((pattern,))
    try:
        return {turn_id: ids.write(turn_id) for turn_id in (*(turn.id for turn in dataset.turns), *dataset.adapter.qrels())}
    except ValueError as error:
        raise DataError(dataset.files[0], str(error)) from None


def judgements_of(dataset: Dataset, names: dict[str, str]) -> Judgements:
    """The judgements of the turns that are exported, under their names there."""
    turns = {turn.id for turn in dataset.turns}
    return {names[turn_id]: dict(grades) for turn_id, grades in dataset.adapter.qrels().items() if turn_id in turns}


def rest_of_turn(turn: Turn, notes: Notes, name: str) -> dict[str, Any]:
    """What a turn holds besides its query, history and judgements, as in ``conversations.jsonl``.

    Args:
        turn: The turn.
        notes: References that do not fit are counted here.
        name: The format's name, for the notes.
    """
    responses = [reference.text for reference in turn.references if reference.kind == "response"]
    additional = [*responses[1:], *(reference.text for reference in turn.references if reference.kind == "additional")]
    knowledge = [reference.text for reference in turn.references if reference.kind == "knowledge"]
    rest: dict[str, Any] = {}
    if responses:
        rest["response"] = responses[0]
    if additional:
        rest["additional_responses"] = additional
    if knowledge:
        rest["knowledge"] = knowledge[0]
    if len(knowledge) > 1:
        notes.add("further knowledge texts", turn.id, f"{name} has one a turn", count=len(knowledge) - 1)
    if any(reference.evidence for reference in turn.references):
        notes.add("evidence of single references", turn.id, f"{name} has no place for it")
    rest |= {key: value for key, value in (("rewrite", turn.rewrite), ("topic", turn.topic)) if value is not None}
    return rest | ({"labels": dict(turn.labels)} if turn.labels else {})


def _first_response(turn: Turn) -> str | None:
    return next((reference.text for reference in turn.references if reference.kind == "response"), None) or None


def note_history(turn: Turn, earlier: tuple[Turn, ...], notes: Notes, name: str) -> None:
    """Counts a turn whose history is not made of the earlier turns' queries and first responses, which is how it will be read back."""
    own = [(exchange.query, exchange.response) for exchange in turn.history]
    if own != [(before.query, _first_response(before)) for before in earlier]:
        notes.add("histories that differ from the earlier turns", turn.id, f"{name} has no place for them")
