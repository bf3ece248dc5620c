"""Which conversations are trained on, and which are held out: by a rule that can be stated, repeated and recorded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from hashlib import sha256
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from convbench.config import Config
from convbench.datasets.loading import Dataset, DatasetRequest, open_dataset
from convbench.errors import UsageError
from convbench.types import Conversation

Part = Literal["kept", "held-out"]


class HoldOut(Config):
    """How many conversations are held out, and what decides which.

    The conversations are put in the order of the sha256 of ``<salt>:<conversation id>``; the first so many are held out. The order of the
    file plays no part, so training and evaluation, which both read the whole file, never meet.

    Attributes:
        count: So many.
        share: Or this share of them, rounded down (``0.25``, ``1/3``).
        salt: Any text; another one holds out others.
    """

    count: int | None = Field(default=None, ge=1)
    share: str | None = None
    salt: str

    @field_validator("share", mode="before")
    @classmethod
    def _a_share(cls, value: Any) -> str | None:
        if value is None:
            return None
        try:
            share = Fraction(str(value))
        except (ValueError, ZeroDivisionError):
            raise ValueError("expected a share as 0.25 or 1/3") from None
        if not 0 < share < 1:
            raise ValueError("expected a share above 0 and below 1")
        return str(value)

    @model_validator(mode="after")
    def _one_size(self) -> HoldOut:
        if (self.count is None) == (self.share is None):
            raise ValueError("expected either count or share")
        return self

    def size(self, total: int) -> int:
        """How many of ``total`` conversations are held out."""
        return min(self.count, total) if self.count is not None else int(Fraction(self.share or 0) * total)

    def describe(self) -> str:
        """The rule in words."""
        size = f"{self.count} conversations" if self.count is not None else f"{self.share} of the conversations"
        return f"{size} held out: the first by sha256 of {self.salt + ':<conversation id>'!r}"


class Selection(Config):
    """The part of a source's conversations that is used.

    Attributes:
        hold_out: The rule.
        part: The conversations that are ``kept`` for training, or the ones that are ``held-out``.
    """

    hold_out: HoldOut
    part: Part = "kept"

    def describe(self) -> str:
        """The selection in words."""
        return f"{self.part} part; {self.hold_out.describe()}"


def hash_order(ids: Iterable[str], salt: str) -> list[str]:
    """The ids in the order of the sha256 of ``<salt>:<id>``: as good as shuffled, and the same on every machine and version."""
    return sorted(ids, key=lambda id_: sha256(f"{salt}:{id_}".encode()).digest())


def select(conversations: Sequence[Conversation], selection: Selection) -> tuple[Conversation, ...]:
    """The selected conversations, in their order."""
    ids = [conversation.id for conversation in conversations]
    held = set(hash_order(ids, selection.hold_out.salt)[: selection.hold_out.size(len(ids))])
    wanted = selection.part == "held-out"
    return tuple(conversation for conversation in conversations if (conversation.id in held) == wanted)


def open_selected(request: DatasetRequest, selection: Selection) -> Dataset:
    """Opens a dataset with the selected conversations alone, to be evaluated on; a note says so.

    The limit is taken from what was selected, not before it: the rule needs all conversations, or it would hold out others.

    Raises:
        UsageError: Nothing is left, or as ``open_dataset``.
    """
    dataset = open_dataset(replace(request, limit=None))
    total = len(dataset.conversations)
    chosen = select(dataset.conversations, selection)[: request.limit]
    if not chosen:
        raise UsageError(f"{dataset.name} {dataset.split}: nothing is left of {total} conversations: {selection.describe()}")
    note = f"{len(chosen)} of {total} conversations ({selection.describe()}): not a result on {dataset.name}"
    return replace(dataset, conversations=chosen, notes=(*dataset.notes, note))
