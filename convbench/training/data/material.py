"""What a source holds before it is said what to learn from it: conversations, and the passages that answer their turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from convbench.datasets.comparable import store_at_hand
from convbench.datasets.loading import Dataset
from convbench.datasets.store import PassageStore
from convbench.errors import MissingFileError
from convbench.types import Conversation, Passage, Turn
from convbench.views.evidence import gold_ids


@dataclass(frozen=True, slots=True)
class Material:
    """What was read.

    Attributes:
        conversations: The conversations.
        gold: Turn id -> its gold passages, best grade first; turns without any are left out.
        negatives: Turn id -> passages that were written beside it as wrong ones.
        identity: What makes two readings the same: names, options and digests, never places.
        licence: The terms of the data.
        notes: What the user should know.
    """

    conversations: tuple[Conversation, ...]
    gold: Mapping[str, tuple[Passage, ...]]
    identity: Mapping[str, Any]
    licence: str
    notes: tuple[str, ...] = ()
    negatives: Mapping[str, tuple[Passage, ...]] = field(default_factory=dict)

    @property
    def turns(self) -> list[Turn]:
        """All turns in order."""
        return [turn for conversation in self.conversations for turn in conversation.turns]


def dataset_material(dataset: Dataset, cache: Path, *, passages_required: bool) -> Material:
    """The conversations of a dataset that was opened, with its gold passages from its store, which is built where it is not finished.

    Args:
        dataset: The dataset.
        cache: Folder for derived files.
        passages_required: A dataset without a collection is an error; else its turns have no passages.

    Raises:
        MissingFileError: It has no collection, and one is required.
    """
    turns = dataset.turns
    if passages_required and not any(turn.gold for turn in turns):
        raise MissingFileError(f"{dataset.name} {dataset.split}: none of its {len(turns)} turns has a gold passage (no judgements file?)")
    store = store_at_hand(dataset, cache, required=passages_required)
    gold = _gold_passages(turns, store) if store is not None else {}
    notes = list(dataset.notes)
    if store is not None and (absent := sum(bool(turn.gold) and turn.id not in gold for turn in turns)):
        notes.append(f"the gold passages of {absent} turns are not in the collection")
    if passages_required and not gold:
        raise MissingFileError(f"{dataset.name} {dataset.split}: its collection holds none of the gold passages; is it of another release?")
    identity = {**dataset.identity(cache), "collection": store.sha256 if store is not None else None}
    return Material(dataset.conversations, gold, identity, dataset.licence, tuple(notes))


def _gold_passages(turns: Sequence[Turn], store: PassageStore) -> dict[str, tuple[Passage, ...]]:
    """Gold passages that the collection has and that are not blank. Turns share them: many turns rest on one passage."""
    ids = sorted({id_ for turn in turns for id_ in turn.gold})
    present = [id_ for id_, row in zip(ids, store.rows(ids).tolist(), strict=True) if row >= 0]
    known = {passage.id: passage for passage in store.get(present) if passage.text.strip()}
    found = {turn.id: tuple(known[id_] for id_ in gold_ids(turn) if id_ in known) for turn in turns}
    return {turn_id: passages for turn_id, passages in found.items() if passages}
