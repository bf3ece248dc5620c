"""Every registered slicing applied to conversations, with what a plug-in may get wrong told in one line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from convbench.analysis.slices import SLICES, slicing_names
from convbench.analysis.slices.base import SEPARATOR, Slicing
from convbench.errors import UsageError
from convbench.types import Conversation, TurnRecord

_PROTOCOL = "name, title, description, labels(conversation, runs) and order(labels)"


@dataclass(frozen=True, slots=True)
class Labelled:
    """A slicing applied.

    Attributes:
        name: Its registered name.
        title: For people.
        description: How turns get their labels.
        labels: Turn id -> its labels, each once; without turns that have none.
        values: All labels, in the slicing's order.
    """

    name: str
    title: str
    description: str
    labels: Mapping[str, tuple[str, ...]]
    values: tuple[str, ...]


def labelled_turns(
    conversations: Sequence[Conversation], runs: Sequence[Mapping[str, TurnRecord]], names: Iterable[str] | None = None
) -> list[Labelled]:
    """The labels that slicings give the turns of conversations.

    Args:
        conversations: The conversations.
        runs: The compared runs' records, by turn id.
        names: Registered names; None for every slicing.

    Raises:
        UsageError: A slicing is unknown, is no slicing, fails, or labels a turn that is not in the conversation.
    """
    return [_labelled(name, conversations, runs) for name in (slicing_names() if names is None else names)]


def _labelled(name: str, conversations: Sequence[Conversation], runs: Sequence[Mapping[str, TurnRecord]]) -> Labelled:
    slicing = _opened(name)
    labels = {turn_id: split for conversation in conversations for turn_id, split in _of_conversation(name, slicing, conversation, runs)}
    values = {value for split in labels.values() for value in split}
    return Labelled(name, str(slicing.title), str(slicing.description), labels, _ordered(name, slicing, values))


def _opened(name: str) -> Slicing:
    made = SLICES.get(name)
    try:
        slicing = made()
    except Exception as error:
        raise UsageError(f"the slicing {name!r} cannot be made: {_reason(error)}; expected a class without arguments") from error
    if not isinstance(slicing, Slicing):
        lacking = [part for part in ("name", "title", "description", "labels", "order") if not hasattr(slicing, part)]
        raise UsageError(f"the slicing {name!r} lacks {', '.join(lacking)}; expected {_PROTOCOL}")
    return slicing


def _of_conversation(
    name: str, slicing: Slicing, conversation: Conversation, runs: Sequence[Mapping[str, TurnRecord]]
) -> list[tuple[str, tuple[str, ...]]]:
    try:
        found: object = slicing.labels(conversation, runs)
    except Exception as error:
        raise UsageError(f"the slicing {name!r} fails on conversation {conversation.id!r}: {_reason(error)}") from error
    where = f"conversation {conversation.id!r}"
    if not isinstance(found, Mapping):
        raise UsageError(f"the slicing {name!r} returns {type(found).__name__} for {where}; expected a mapping of turn id to label")
    known = {turn.id for turn in conversation.turns}
    for turn_id, label in found.items():
        if turn_id not in known:
            raise UsageError(f"the slicing {name!r} labels turn {turn_id!r:.80}, which is not in {where}; expected ids of its turns")
        if not isinstance(label, str) or not all(part.strip() for part in label.split(SEPARATOR)):
            expected = f"a text, or several joined by {SEPARATOR!r}; turns without a label are left out"
            raise UsageError(f"the slicing {name!r} gives turn {turn_id!r} the label {label!r:.80}; expected {expected}")
    return [
        (turn.id, tuple(dict.fromkeys(part.strip() for part in found[turn.id].split(SEPARATOR))))
        for turn in conversation.turns
        if turn.id in found
    ]


def _ordered(name: str, slicing: Slicing, values: set[str]) -> tuple[str, ...]:
    try:
        ordered = tuple(slicing.order(sorted(values)))
    except Exception as error:
        raise UsageError(f"the slicing {name!r} fails in order(): {_reason(error)}") from error
    if len(ordered) != len(values) or not all(value in ordered for value in values):
        raise UsageError(f"the slicing {name!r}: order() returns {list(ordered)!r:.120}; expected {sorted(values)!r:.120} in some order")
    return ordered


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
