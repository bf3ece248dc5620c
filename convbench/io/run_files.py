"""The joint run and the TREC run of the same records, written in one go: writing a score as text takes longer than anything else of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from json.encoder import encode_basestring
from pathlib import Path

from convbench.io.atomic import atomic_text
from convbench.io.jsonl import dump_line
from convbench.io.runfile import header_line, record_to_json
from convbench.io.trec_run import escape_id
from convbench.types import TurnRecord

_NONE = '"passages":[]'
"""A record without passages; within a string of JSON the quotes would have backslashes."""


def write_run_files(run: Path, trec: Path, header: Mapping[str, object], records: Iterable[TurnRecord], tag: str) -> None:
    """Writes what ``write_run`` and ``write_trec_run`` write, byte for byte; both files appear at the end, the joint run last.

    Args:
        run: The joint run.
        trec: The TREC run.
        header: The joint run's header.
        records: The turns, with canonical rankings.
        tag: The TREC run's tag.

    Raises:
        ValueError: A score is not finite.
        StorageError: The disk is full or the folder cannot be written to.
    """
    ranks: list[str] = []
    with atomic_text(run) as joint, atomic_text(trec) as lines:
        joint.write(header_line(header))
        for record in records:
            if not record.passages:
                joint.write(dump_line(record_to_json(record)))
                continue
            ids, scores = zip(*record.passages, strict=True)
            texts = dump_line(scores)[1:-2].split(",")  # [1.5,0.25] and the line's end
            pairs = ",".join([f"[{id_},{text}]" for id_, text in zip(map(encode_basestring, ids), texts, strict=True)])
            bare = dump_line(record_to_json(replace(record, passages=())))
            joint.write(bare.replace(_NONE, f'"passages":[{pairs}]', 1))
            if " " in pairs:
                ids = tuple(map(escape_id, ids))
            ranks += [f" {rank} " for rank in range(len(ranks) + 1, len(ids) + 1)]
            start, end = f"{record.turn_id} Q0 ", f" {tag}\n"
            lines.write("".join([f"{start}{id_}{rank}{text}{end}" for id_, rank, text in zip(ids, ranks, texts, strict=False)]))
