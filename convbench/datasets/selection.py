"""Which conversations are used, and which are held out: by a rule that training and evaluation state in the same words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fractions import Fraction
from hashlib import sha256
from typing import Any, Literal, get_args

from pydantic import Field, field_validator, model_validator

from convbench.config import Config, build_config
from convbench.errors import UsageError
from convbench.types import Conversation

Part = Literal["kept", "held-out"]

_SHARE = re.compile(r"[0-9./]{1,40}(e-[0-9]{1,2})?")
"""What a share may look like; longer numbers take ``Fraction`` very long."""


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
            share = Fraction(str(value)) if _SHARE.fullmatch(str(value)) else None
        except (ValueError, ZeroDivisionError):
            share = None
        if share is None:
            raise ValueError("expected a share as 0.25 or 1/3")
        if not 0 < share < 1:
            raise ValueError("expected a share above 0 and below 1")
        return str(value)

    @field_validator("salt")
    @classmethod
    def _text(cls, value: str) -> str:
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("expected text without halves of surrogate pairs") from None
        return value

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
    """The part of a dataset's conversations that is used.

    Attributes:
        hold_out: The rule.
        part: The conversations that are ``kept`` for training, or the ones that are ``held-out``.
    """

    hold_out: HoldOut
    part: Part = "kept"

    @classmethod
    def parse(cls, text: str) -> Selection:
        """``PART:SIZE:SALT`` as a selection: ``held-out:40:dev``, ``kept:1/3:dev``.

        A whole number is a count, anything else a share. The salt is what stands behind the second colon, further colons with it.

        Raises:
            UsageError: It is not of that form.
        """
        part, _, rest = text.partition(":")
        size, colon, salt = rest.partition(":")
        given = f"--conversations {text!r:.80}"
        if part not in get_args(Part) or not colon:
            parts = " or ".join(get_args(Part))
            raise UsageError(f"{given}: expected PART:SIZE:SALT, PART being {parts}, as in held-out:40:dev or kept:1/3:dev")
        key = "count" if re.fullmatch("[0-9]+", size) else "share"
        return build_config(cls, {"hold_out": {key: size, "salt": salt}, "part": part}, given)

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
