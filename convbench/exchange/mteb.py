"""Datasets laid out for the hub as MTEB's are: Parquet tables for corpus, queries and judgements, queries as conversations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from convbench.exchange.dataset_format import DatasetFormat, Outgoing
from convbench.exchange.dataset_parts import rest_of_turn
from convbench.exchange.notes import Notes
from convbench.exchange.parquet import write_rows
from convbench.io.atomic import write_text

if TYPE_CHECKING:
    from convbench.datasets.loading import Dataset
    from convbench.types import Conversation, Turn

_NAME = "mteb"
_CONFIGS = {"default": "qrels", "corpus": "corpus", "queries": "queries"}


def _write(folder: Path, outgoing: Outgoing, notes: Notes) -> int:
    import pyarrow as pa

    text, message = pa.string(), pa.struct([("role", pa.string()), ("content", pa.string())])
    split = outgoing.split.replace("-", "_")  # the hub takes no hyphen in the name of a split
    file = f"{split}-00000-of-00001.parquet"
    grades = ((name, passage, grade) for name, judged in outgoing.judgements.items() for passage, grade in judged.items())
    write_rows(folder / "queries" / file, {"_id": text, "text": pa.list_(message)}, _queries(outgoing, notes))
    write_rows(folder / "qrels" / file, {"query-id": text, "corpus-id": text, "score": pa.int64()}, grades)
    write_text(folder / "README.md", _readme(outgoing.dataset, split))
    passages = ((passage.id, passage.title, passage.text) for passage in outgoing.collection.passages())
    return write_rows(folder / "corpus" / file, {"_id": text, "title": text, "text": text}, passages)


def _queries(outgoing: Outgoing, notes: Notes) -> Iterator[tuple[str, list[dict[str, str]]]]:
    for conversation in outgoing.dataset.conversations:
        for place, turn in enumerate(conversation.turns):
            _note_losses(conversation, place, notes)
            yield outgoing.names[turn.id], _said(turn)


def _note_losses(conversation: Conversation, place: int, notes: Notes) -> None:
    turn = conversation.turns[place]
    later = conversation.turns[place + 1].history if place + 1 < len(conversation.turns) else ()
    for part, value in rest_of_turn(turn, notes, _NAME).items():
        if part != "response":
            notes.add(part.replace("_", " "), turn.id, f"{_NAME} has no place for it")
        elif not any(exchange.turn_id == turn.id and exchange.response == value for exchange in later):
            notes.add("responses that no later turn's history holds", turn.id, f"{_NAME} has them in histories only")


def _said(turn: Turn) -> list[dict[str, str]]:
    """The conversation up to a turn, the user's words last."""
    said: list[dict[str, str]] = []
    for exchange in turn.history:
        if exchange.query or said:
            said.append({"role": "user", "content": exchange.query})
        if exchange.response is not None:
            said.append({"role": "assistant", "content": exchange.response})
    return [*said, {"role": "user", "content": turn.query}]


def _readme(dataset: Dataset, split: str) -> str:
    """The card by which the hub finds the tables."""
    lines = ["---", "configs:"]
    for config, folder in _CONFIGS.items():
        lines += [f"- config_name: {config}", "  data_files:", f"  - split: {split}", f"    path: {folder}/{split}-*"]
    lines += ["---", "", f"# {dataset.card.title} ({dataset.split})", "", f"Exported by convbench. Terms of the data: {dataset.licence}"]
    return "\n".join(lines) + "\n"


FORMAT = DatasetFormat(_NAME, "hub layout of MTEB: corpus/, queries/ and qrels/ (or default/) with .parquet, .jsonl or .tsv files", _write)
"""The format."""
