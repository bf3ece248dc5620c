"""Texts as token ids: what opens and closes an input, and texts that cannot smuggle in a control token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from convbench.errors import ResourceError


@dataclass(frozen=True, slots=True)
class Cut:
    """Token ids that fit a length, and how many did not."""

    ids: tuple[int, ...]
    dropped: int


class InputForm:
    """How one checkpoint's inputs are written as token ids.

    Tokenizers of transformers 5 no longer add a trailing end-of-sequence token that a text or an old setting asks for, so closing tokens
    are appended by id; what opens an input is what the tokenizer itself puts there.

    Args:
        tokenizer: The checkpoint's tokenizer.
        closing: Tokens that end every encoded text; None leaves it to the tokenizer.
        label: The checkpoint's name, for messages.
        must_close: Whether the last token is what is read: where the tokenizer closes with nothing, its end-of-sequence token does.

    Raises:
        ResourceError: A closing token is not one token of the vocabulary, or there is none where one is needed.
    """

    def __init__(self, tokenizer: Any, closing: Sequence[str] | None, label: str, *, must_close: bool = False) -> None:
        self._tokenizer = tokenizer
        self._label = label
        self.opening, own = self._frame()
        self.borrowed_closing = closing is None and not own and must_close and tokenizer.eos_token is not None
        if self.borrowed_closing:
            closing = [tokenizer.eos_token]
        self.closing = own if closing is None else tuple(self._id(token) for token in closing)
        if must_close and not self.closing:
            raise ResourceError(f"{label}: pooling: last would read the text's last word, as nothing closes an input; name closing tokens")

    def ids(self, text: str) -> list[int]:
        """The ids of a text, nothing added; control tokens that a template wrote stand for themselves."""
        ids: list[int] = self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return ids

    def all_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """``ids`` of many texts at once."""
        ids: list[list[int]] = self._tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"] if texts else []
        return ids

    def plain(self, text: str) -> str:
        """A text of a dataset or a model without control tokens: one that is spelled out in it gets a blank after its first character."""
        for token in self.control_tokens:
            if token in text:
                text = text.replace(token, f"{token[0]} {token[1:]}")
        return text

    def fit(self, ids: Sequence[int], suffix: Sequence[int], length: int) -> Cut:
        """A whole input: opening, as many ids as fit from the left, suffix, closing."""
        room = max(length - len(self.opening) - len(suffix) - len(self.closing), 0)
        return Cut((*self.opening, *ids[:room], *suffix, *self.closing), max(len(ids) - room, 0))

    @cached_property
    def control_tokens(self) -> list[str]:
        """Tokens that mean more than their letters, longest first, so that no shorter one breaks them up; single characters are words."""
        added = self._tokenizer.get_added_vocab()
        special = {*self._tokenizer.all_special_tokens, *added}
        return sorted((token for token in special if len(token) > 1 and not token.isspace()), key=lambda token: (-len(token), token))

    def _frame(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """What the tokenizer puts before and after a text by itself."""
        bare, framed = (self._tokenizer("a", add_special_tokens=special)["input_ids"] for special in (False, True))
        for start in range(len(framed) - len(bare) + 1):
            if framed[start : start + len(bare)] == bare:
                return tuple(framed[:start]), tuple(framed[start + len(bare) :])
        raise ResourceError(
            f"{self._label}: the tokenizer writes a text otherwise with special tokens than without; expected them around it"
        )

    def _id(self, token: str) -> int:
        ids = self.ids(token)
        if len(ids) != 1 or (ids[0] == self._tokenizer.unk_token_id and token != self._tokenizer.unk_token):
            raise ResourceError(
                f"{self._label}: the closing token {token!r} is not one token of the tokenizer's vocabulary; "
                "give one that is (profile key 'closing'), or the tokenizer that the checkpoint was trained with"
            )
        return ids[0]
