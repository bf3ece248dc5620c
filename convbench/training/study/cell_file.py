"""``study-cell.json``: written at the end of a cell, it says what was done there, and that nothing is left to do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from convbench.errors import DataError, UsageError
from convbench.io.atomic import write_text
from convbench.io.jsonl import read_json
from convbench.training.recipe import Recipe
from convbench.training.train_settings import MAY_CHANGE

SCHEMA = "convbench.study-cell/1"
FILE = "study-cell.json"

_PLACES = ("data", "corpus", "rewrites", "file")
_NO_MATTER = ("description", "limitations", "memory_of")

Runs = dict[str, str]
"""Name of a test set -> its run folder, relative to the cell's."""


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
    """

    made_from: Mapping[str, Any]
    places: Mapping[str, bool]
    runs: Runs = field(default_factory=dict)
    evidence: Mapping[str, Runs] = field(default_factory=dict)
    agreement: tuple[str, ...] = ()
    training: Mapping[str, Any] = field(default_factory=dict)
    asked: tuple[str, ...] = ()


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


def made_from(recipe: Recipe) -> dict[str, Any]:
    """What makes a training this one: the recipe without the places of its files, and without what changes nothing.

    Defaults are left out, so that a later version with more settings knows its cells again.
    """
    values = recipe.model_dump(mode="json", exclude={*_NO_MATTER, "negatives"}, exclude_defaults=True)
    for each in _with_places(values):
        for key in _PLACES:
            each.pop(key, None)
    values["training"] = {key: value for key, value in values["training"].items() if key not in MAY_CHANGE}
    values["model"] = {**values["model"], "model": Path(str(values["model"]["model"])).name}
    return {**values, "negatives": sorted(recipe.negatives)}


def places_of(recipe: Recipe) -> dict[str, bool]:
    """Dataset or source -> whether its files are the user's, and not the bundled ones."""
    values = recipe.model_dump(mode="json")
    return {str(each["name"]): any(each.get(key) is not None for key in _PLACES) for each in _with_places(values)}


def refuse_other(folder: Path, cell: CellFile, expected: Mapping[str, Any], places: Mapping[str, bool] | None) -> None:
    """Raises ``UsageError`` where a finished cell was made from something else.

    Args:
        folder: The cell's.
        cell: What it says.
        expected: What it ought to be made from.
        places: Which data ought to be the user's own; None does not look.
    """
    pairs = [("", cell.made_from, expected), *([("data.", cell.places, places)] if places is not None else [])]
    for prefix, held, asked in pairs:
        there, here = _flat(held), _flat(json.loads(json.dumps(asked)))
        for key in {**here, **there}:
            if there.get(key) != here.get(key):
                difference = f"{prefix}{key} was {there.get(key)!r:.60}, is {here.get(key)!r:.60}"
                raise UsageError(f"{folder}: was made from something else: {difference}; choose another --out, or remove the folder")


def _with_places(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    evaluation = values["evaluation"]
    return [*values["mixture"]["sources"], *evaluation.get("dev", ()), *evaluation["test"]]


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Values by dotted key; those in lists by their place."""
    inner = dict(enumerate(value)) if isinstance(value, list) else value
    if not isinstance(inner, Mapping) or not inner:
        return {prefix: value}
    return {key: each for name, child in inner.items() for key, each in _flat(child, f"{prefix}.{name}".lstrip(".")).items()}
