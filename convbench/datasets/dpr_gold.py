"""TopiOCQA's DPR-format files: question, answers and gold passage of a turn, keyed by ``conv_id`` and ``turn_id``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from convbench.io.records import Record, read_list
from convbench.types import Passage

if TYPE_CHECKING:
    from pathlib import Path

_SEPARATOR = " [SEP] "


@dataclass(frozen=True, slots=True)
class DprTurn:
    """What a DPR record says of a turn."""

    question: str
    answers: tuple[str, ...]
    gold: Passage


class DprGold:
    """The gold passages of a DPR-format file, for turns read from another file.

    Args:
        path: ``retriever/<variant>/<split>.json``.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turns = {(record.get("conv_id", int), record.get("turn_id", int)): dpr_turn(record) for record in read_list(path)}

    def gold(self, record: Record, conversation: int, number: int, question: str) -> Passage:
        """The turn's gold passage.

        Raises:
            DataError: The file does not have the turn, or another question under its number. TopiOCQA's conversations were
                renumbered after the first release, so a join by number alone would pair turns with foreign passages.
        """
        turn = self._turns.get((conversation, number))
        if turn is not None and _plain(turn.question) == _plain(question):
            return turn.gold
        found = "no such turn" if turn is None else f"{turn.question!r:.80}"
        raise record.error(
            f"turn {conversation}_{number} asks {question!r:.80} but {self._path} has {found} under that number: conversations were "
            "renumbered after TopiOCQA's first release (or the file holds rewrites); take both files from one release"
        )


def is_dpr(record: Record) -> bool:
    """Whether a record is in DPR format."""
    return "positive_ctxs" in record.values


def dpr_turn(record: Record) -> DprTurn:
    """Reads a DPR record. The gold passage is ``positive_ctxs[0]``, as in the official retrieval scorer."""
    positives = record.records("positive_ctxs")
    answers = record.strings("answers")
    if not positives or not answers:
        raise record.error(f"field {'answers' if positives else 'positive_ctxs'!r} is empty; every TopiOCQA turn has one")
    question = record.get("question", str).rpartition(_SEPARATOR)[2]
    return DprTurn(question, tuple(answers), passage(positives[0], "passage_id"))


def passage(record: Record, id_field: str) -> Passage:
    """The passage in a ``{id, title, text}`` object; releases differ in whether the id is a number or a string."""
    number = record.values.get(id_field)
    id_ = str(number) if type(number) is int else record.get(id_field, str)
    return Passage(id_, record.get("text", str), record.get("title", str))


def _plain(question: str) -> str:
    """The question as the official preprocessing leaves it: lower-cased, no ``?``, straight apostrophes."""
    return " ".join(question.lower().replace("?", "").replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").split())
