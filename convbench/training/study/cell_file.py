"""``study-cell.json``: written at the end of a cell, it says what was done there, and that nothing is left to do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from convbench.errors import DataError
from convbench.io.atomic import write_text
from convbench.io.jsonl import read_json

SCHEMA = "convbench.study-cell/1"
FILE = "study-cell.json"

Runs = dict[str, str]
"""Name of a test set -> its run folder, relative to the cell's."""

Contents = Mapping[str, Mapping[str, str]]
"""``base`` -> file of the checkpoint that training began with -> sha256; ``negatives`` -> source -> sha256 of its file."""


@dataclass(frozen=True, slots=True)
class CellFile:
    """What a finished cell says.

    Attributes:
        made_from: The recipe, places apart; of an arm that is not trained its parts.
        places: Which data were read from a place of the user's own.
        runs: Its runs under the recipe's own evidence condition.
        evidence: Evidence condition -> runs; empty where it does not respond.
        agreement: Whose self-agreement was computed; empty where it has none.
        training: Steps, chosen step and seconds; empty for an arm that is not trained.
        asked: The conditions that were asked for, whether or not the arm could do them.
        contents: Digests of what it was made from; empty where it was not trained, or was finished before they were kept.
    """

    made_from: Mapping[str, Any]
    places: Mapping[str, bool]
    runs: Runs = field(default_factory=dict)
    evidence: Mapping[str, Runs] = field(default_factory=dict)
    agreement: tuple[str, ...] = ()
    training: Mapping[str, Any] = field(default_factory=dict)
    asked: tuple[str, ...] = ()
    contents: Contents = field(default_factory=dict)


def write_cell(folder: Path, cell: CellFile) -> None:
    """Writes the file atomically."""
    write_text(folder / FILE, json.dumps({"schema": SCHEMA, **asdict(cell)}, indent=1, ensure_ascii=False) + "\n")


def read_cell(folder: Path) -> CellFile | None:
    """The file of a cell; None where the cell is not finished.

    Raises:
        DataError: It is not what a study writes.
    """
    path = folder / FILE
    if not path.exists():
        return None
    content = read_json(path)
    if not isinstance(content, dict) or content.pop("schema", None) != SCHEMA:
        raise DataError(path, f"expected the file of a study's cell, of schema {SCHEMA!r}")
    try:
        return CellFile(**{**content, "agreement": tuple(content["agreement"]), "asked": tuple(content["asked"])})
    except (KeyError, TypeError):
        raise DataError(path, "holds other keys than a study writes; remove it, and the cell is looked at again") from None
