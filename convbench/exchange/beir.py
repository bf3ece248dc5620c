"""BEIR folders: ``corpus.jsonl``, ``queries.jsonl`` and ``qrels/<split>.tsv``.

Responses, rewrites, topics and labels go into the queries' ``metadata``, which BEIR's tools pass over.
"""

from __future__ import annotations

from pathlib import Path

from convbench.datasets.corpora import check_id
from convbench.exchange.dataset_format import DatasetFormat, Outgoing
from convbench.exchange.dataset_parts import note_history, rest_of_turn
from convbench.exchange.judgements import write_table
from convbench.exchange.notes import Notes
from convbench.exchange.queries import METADATA
from convbench.io.atomic import atomic_text
from convbench.io.jsonl import dump_line

_NAME = "beir"


def _write(folder: Path, outgoing: Outgoing, notes: Notes) -> int:
    _write_queries(folder / "queries.jsonl", outgoing, notes)
    with atomic_text(folder / "qrels" / f"{outgoing.split}.tsv") as handle:
        write_table(handle, outgoing.judgements)
    count = 0
    with atomic_text(folder / "corpus.jsonl") as handle:
        for passage in outgoing.collection.passages():
            check_id(passage.id, folder)
            handle.write(dump_line({"_id": passage.id, "title": passage.title, "text": passage.text}))
            count += 1
    return count


def _write_queries(path: Path, outgoing: Outgoing, notes: Notes) -> None:
    with atomic_text(path) as handle:
        for conversation in outgoing.dataset.conversations:
            for place, turn in enumerate(conversation.turns):
                note_history(turn, conversation.turns[:place], notes, _NAME)
                rest = rest_of_turn(turn, notes, _NAME)
                metadata = {METADATA: rest} if rest else {}
                handle.write(dump_line({"_id": outgoing.names[turn.id], "text": turn.query, "metadata": metadata}))


FORMAT = DatasetFormat(_NAME, "BEIR folder: corpus.jsonl, queries.jsonl, qrels/<split>.tsv", _write)
"""The format."""
