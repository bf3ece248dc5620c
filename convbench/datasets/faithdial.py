"""FaithDial: Wizard responses edited to be faithful to a knowledge sentence, as dialogues or as the hub's flat rows."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from convbench.datasets.base import Collection, DatasetSource
from convbench.datasets.candidates import find_opening
from convbench.datasets.grouping import group_turns
from convbench.errors import UsageError
from convbench.io.records import Record, read_lines_or_list
from convbench.types import Conversation, Exchange, Passage, Qrels, Reference, Turn, qrels_of

_OPENING = re.compile(r'\s*\[?\s*\{\s*"(?:utterances|dialog_idx|history|speaker|knowledge|response|original_response|BEGIN|VRM)"')
_OTHER_SPEAKERS = ("Apprentice", "Seeker")
_PARTS = ("valid_random_split", "valid_topic_split", "test_random_split", "test_topic_split")


class FaithDial:
    """The adapter of FaithDial (Dziri et al. 2022).

    Every Wizard utterance is a turn ``<dialogue>_<n>``. Its knowledge sentence is its one gold passage; the sentences of the whole split
    are the collection. A sentence that repeats is one passage, named after the row where it first stands (``doc:<row>``, Wizard turns
    counted from 0), so that no copy counts as wrong.
    """

    name: ClassVar[str] = "faithdial"
    splits: ClassVar[Mapping[str, str]] = {
        "train": "train",
        "validation": "validation",
        "valid": "validation",
        "dev": "validation",
        "test": "test",
        **{part: part for part in _PARTS},
        "mini": "mini",
    }
    default_split: ClassVar[str] = "test"
    option_values: ClassVar[Mapping[str, Sequence[str]]] = {}

    def __init__(self, source: DatasetSource) -> None:
        self.source = source

    def files(self) -> tuple[Path, ...]:
        """The split's one file."""
        names = ("valid", "validation") if self.source.split == "validation" else (self.source.split,)
        patterns = [f"{name}{suffix}" for suffix in (".json", ".jsonl") for name in names]
        return (find_opening(self.source.root, patterns, _OPENING, f"FaithDial {self.source.split} dialogues"),)

    def conversations(self) -> Iterator[Conversation]:
        """The split's dialogues in file order."""
        return group_turns(self.name, self.source.split, _turns(*self.files()))

    def qrels(self) -> Qrels:
        """The knowledge sentence of every turn, grade 1."""
        return qrels_of([turn for conversation in self.conversations() for turn in conversation.turns])

    def collection(self) -> Collection:
        """The different knowledge sentences of the split."""
        if self.source.corpus is not None:
            raise UsageError("faithdial has no corpus file, its passages are the knowledge sentences of the dialogues: leave --corpus out")
        return Collection("corpus", self.files(), lambda: _passages(*self.files()))

    def retrieval_turn(self, turn: Turn) -> bool:
        """Turns whose response gives information (VRM label Edification), as in MTEB and instruct-qa."""
        return bool(turn.gold) and "Edification" in turn.labels.get("vrm", "").split("|")


def _wizard_rows(path: Path) -> Iterator[tuple[str, Record]]:
    """Every Wizard utterance with its dialogue's id."""
    for index, record in enumerate(read_lines_or_list(path)):
        if "utterances" in record.values:
            for utterance in record.records("utterances"):
                speaker = utterance.get("speaker", str)
                if speaker == "Wizard":
                    yield str(index), utterance
                elif speaker not in _OTHER_SPEAKERS:
                    raise utterance.error(f"field 'speaker': expected Wizard, {' or '.join(_OTHER_SPEAKERS)}, found {speaker!r:.60}")
        elif "dialog_idx" in record.values:
            yield str(record.get("dialog_idx", int)), record
        else:
            raise record.error("expected a dialogue with the field 'utterances' or a flat row with the field 'dialog_idx'")


def _knowledge(record: Record) -> str:
    return record.optional("knowledge", str, "")


def _turns(path: Path) -> Iterator[tuple[Record, Turn]]:
    earlier: defaultdict[str, list[Exchange]] = defaultdict(list)
    documents: dict[str, str] = {}
    for row, (dialogue, record) in enumerate(_wizard_rows(path)):
        done = earlier[dialogue]
        response, knowledge = record.get("response", str), _knowledge(record)
        said = record.strings("history")
        history = _history(said[:-1], f"{dialogue}_0", done)
        turn = Turn(
            id=f"{dialogue}_{len(done) + 1}",
            query=said[-1] if said else "",
            history=history,
            references=(Reference(response), *([Reference(knowledge, "knowledge")] if knowledge else [])),
            gold={documents.setdefault(knowledge, f"doc:{row}"): 1} if knowledge else {},
            labels=_labels(record, response) | _agreement(history, done),
        )
        done.append(Exchange(turn.id, turn.query, response))
        yield record, turn


def _history(said: list[str], unnumbered: str, earlier: list[Exchange]) -> tuple[Exchange, ...]:
    """The written history in pairs, each response with the id of the turn that it is the response of.

    A response that is no earlier turn's has the id ``unnumbered``: the opening of a dialogue that the Wizard opened may be one (only
    edited utterances are turns; its history has even length).
    """
    if len(said) % 2:
        said = ["", *said]
    exchanges, expected = [], list(earlier)
    for query, response in zip(said[::2], said[1::2], strict=True):
        known = bool(expected) and (expected[0].response or "").split() == response.split()
        exchanges.append(Exchange(expected.pop(0).turn_id if known else unnumbered, query, response))
    return tuple(exchanges)


def _agreement(history: tuple[Exchange, ...], earlier: list[Exchange]) -> dict[str, str]:
    """Label of a turn whose history is not made of the dialogue's earlier responses: it is taken as written, and can be looked at."""
    shown = {exchange.turn_id for exchange in history}
    return {} if all(exchange.turn_id in shown for exchange in earlier) else {"history_differs": "yes"}


def _labels(record: Record, response: str) -> dict[str, str]:
    """BEGIN and VRM describe the original response; the three fields may be absent in one's own data."""
    labels = {}
    for field, label in (("BEGIN", "begin"), ("VRM", "vrm")):
        if record.values.get(field) is not None:
            labels[label] = "|".join(record.strings(field))
    if "original_response" in record.values:  # empty or null: the original was faithful and kept
        original = record.optional("original_response", str, "")
        labels["response_changed"] = "yes" if original.strip() and original != response else "no"
    return labels


def _passages(path: Path) -> Iterator[Passage]:
    seen: set[str] = set()
    for row, (_, record) in enumerate(_wizard_rows(path)):
        text = _knowledge(record)
        if text and text not in seen:
            seen.add(text)
            yield Passage(f"doc:{row}", text)
