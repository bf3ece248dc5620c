"""QReCC judgements as cs-shortcut and InfoCQR publish them: one JSON object ``{turn: {passage: 1}}``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from convbench.errors import DataError
from convbench.io.jsonl import read_json, read_lines
from convbench.io.records import Record

if TYPE_CHECKING:
    from pathlib import Path

_MACHINE_IDS = (
    "passages are named by integers: such files (qrecc_qrel.tsv of ConvGQR, LeCoRE, RetPO) number the passages in the order in which one "
    "machine listed the collection's folders, so they fit no other copy; use the SCAI turns file or the JSON judgements of cs-shortcut"
)


def read_passage_judgements(path: Path) -> dict[str, dict[str, int]]:
    """Turn id -> passage id -> grade; ``{"": 1}`` stands for a turn without gold passage and gives ``{}``.

    Raises:
        DataError: Not such a file, a turn id that is not ``<conversation>_<n>``, or passages named by machine-dependent integers.
    """
    first = next((line for _, line in read_lines(path) if line.strip()), "")
    if re.fullmatch(r"\S+\s+\S+\s+[0-9]+\s+[0-9]+", first):
        raise DataError(path, _MACHINE_IDS, line=1)
    document = Record(path, read_json(path))
    return {turn_id: _grades(document, turn_id) for turn_id in document.values}


def _grades(document: Record, turn_id: str) -> dict[str, int]:
    if not re.fullmatch(r"[0-9]+_[0-9]+", turn_id):
        raise document.error(f"key {turn_id!r} is not a turn id like '442_2'")
    judged = document.record(turn_id)
    for id_ in judged.values:
        document.check_text(turn_id, id_)
    if any(id_.isdecimal() for id_ in judged.values):
        raise judged.error(_MACHINE_IDS)
    return {id_: judged.get(id_, int) for id_ in judged.values if id_}
