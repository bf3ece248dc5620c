"""What is sent to a checkpoint for one turn of a bundled conversation, token by token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from convbench.backends.inputs import passage_ids, passage_text, tokens_of
from convbench.backends.loaded import Loaded, can_respond
from convbench.backends.turn_inputs import NEW_TOKENS, TurnInputs
from convbench.datasets.loading import DatasetRequest, open_dataset
from convbench.types import Passage, Turn
from convbench.views.passages import passage_text as written_passage

_DATASET, _TURN = "topiocqa", 3


@dataclass(frozen=True, slots=True)
class Shown:
    """An input as text and tokens.

    Attributes:
        text: What was written, before opening and closing tokens.
        ids: The token ids that are sent.
        tokens: The tokens behind them.
    """

    text: str
    ids: tuple[int, ...]
    tokens: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {"text": self.text, "ids": list(self.ids), "tokens": list(self.tokens)}


def example() -> tuple[Turn, Passage]:
    """The third turn of the first bundled conversation that has one, and its gold passage."""
    dataset = open_dataset(DatasetRequest(_DATASET))
    turn = next(turn for turn in dataset.turns if turn.number == _TURN)
    passage = next(passage for passage in dataset.collection().passages() if passage.id in turn.gold)
    return turn, passage


def shown(loaded: Loaded, turn: Turn, passage: Passage) -> dict[str, Shown]:
    """The session and the passage as they are encoded and, where the checkpoint responds, what follows the session in the prompt."""
    responds = can_respond(loaded.checkpoint, loaded.profile)
    inputs = TurnInputs(loaded, NEW_TOKENS if responds else None)
    session = inputs.session(turn, "full")
    written = passage_text(loaded, written_passage(passage))
    result = {
        "session": _shown(loaded, session.fitted.text, session.ids),
        "passage": _shown(loaded, written, passage_ids(loaded, written)),
    }
    if responds:
        tail = inputs.prompt(session, [passage])[1].tokens
        result["prompt"] = _shown(loaded, loaded.tokenizer.decode(tail), tail)
    return result


def _shown(loaded: Loaded, text: str, ids: Sequence[int]) -> Shown:
    return Shown(text, tuple(ids), tuple(tokens_of(loaded, ids)))
