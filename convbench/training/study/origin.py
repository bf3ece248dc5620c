"""What a cell is made from, and whether a finished one was made from the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convbench.backends.checkpoint import open_checkpoint
from convbench.errors import ConvbenchError, UsageError
from convbench.io.cache import remembered_sha256
from convbench.io.jsonl import read_json
from convbench.training.card import FACTS, base_of
from convbench.training.places import OF_SOURCE
from convbench.training.recipe import Recipe
from convbench.training.study.cell_file import CellFile, Contents
from convbench.training.train_settings import MAY_CHANGE

_NO_MATTER = ("description", "limitations", "memory_of")


@dataclass(frozen=True, slots=True)
class Origin:
    """What a cell ought to be made from.

    Attributes:
        made_from: The recipe, places apart; of an arm that is not trained its parts.
        places: Which data ought to be the user's own; None does not look.
        contents: Digests of the files that are at hand.
    """

    made_from: Mapping[str, Any]
    places: Mapping[str, bool] | None
    contents: Contents


def origin_of(recipe: Recipe, cache: Path) -> Origin:
    """What a trained cell is made from.

    Args:
        recipe: Its recipe.
        cache: Where digests of files are remembered.
    """
    return Origin(_made_from(recipe), _places_of(recipe), _contents_of(recipe, cache))


def contents_told(checkpoint: Path) -> Contents:
    """What the card of a trained checkpoint says of the files that it was made from."""
    facts = read_json(checkpoint / FACTS)
    return {"base": facts["base"]["files"], "negatives": facts["settings"]["negatives"]}


def _made_from(recipe: Recipe) -> dict[str, Any]:
    """What makes a training this one: the recipe without the places of its files, and without what changes nothing.

    Defaults are left out, so that a later version with more settings knows its cells again.
    """
    values = recipe.model_dump(mode="json", exclude={*_NO_MATTER, "negatives"}, exclude_defaults=True)
    for each in _with_places(values):
        for key in OF_SOURCE:
            each.pop(key, None)
    values["training"] = {key: value for key, value in values["training"].items() if key not in MAY_CHANGE}
    values["model"] = {**values["model"], "model": Path(str(values["model"]["model"])).name}
    return {**values, "negatives": sorted(recipe.negatives)}


def _places_of(recipe: Recipe) -> dict[str, bool]:
    """Dataset or source -> whether its files are the user's, and not the bundled ones."""
    values = recipe.model_dump(mode="json")
    return {str(each["name"]): any(each.get(key) is not None for key in OF_SOURCE) for each in _with_places(values)}


def _contents_of(recipe: Recipe, cache: Path) -> Contents:
    found: dict[str, Mapping[str, str]] = {
        "negatives": {name: remembered_sha256(path, cache) for name, path in recipe.negatives.items() if path.is_file()}
    }
    with suppress(ConvbenchError):  # a report needs no base, so it may be elsewhere
        checkpoint = open_checkpoint(recipe.model.model, revision=recipe.model.revision, offline=True)
        found["base"] = base_of(checkpoint, "", cache).files
    return found


def difference(cell: CellFile, expected: Origin) -> str | None:
    """The first thing in which a finished cell was made from something else, in words; None where there is none."""
    held, asked = cell.made_from, expected.made_from
    base = _both(cell.contents, expected.contents, "base")
    if any(name.endswith(".safetensors") for name in base[0]):  # the weights themselves are compared below, whatever they are called
        held, asked = _without_name(held), _without_name(asked)
    pairs = [("", held, asked), ("base.", *base), ("negatives.", *_both(cell.contents, expected.contents, "negatives"))]
    if expected.places is not None:
        pairs.append(("data.", cell.places, expected.places))
    for prefix, left, right in pairs:
        there, here = _flat(left), _flat(json.loads(json.dumps(right)))
        for key in {**here, **there}:
            if there.get(key) != here.get(key):
                return f"{prefix}{key} was {there.get(key)!r:.60}, is {here.get(key)!r:.60}"
    return None


def refuse_other(folder: Path, cell: CellFile, expected: Origin) -> None:
    """Raises ``UsageError`` where a finished cell was made from something else.

    Args:
        folder: The cell's.
        cell: What it says.
        expected: What it ought to be made from.
    """
    if found := difference(cell, expected):
        raise UsageError(f"{folder}: was made from something else: {found}; choose another --out, or remove the folder")


def _both(there: Contents, here: Contents, part: str) -> tuple[dict[str, str], dict[str, str]]:
    """The digests of the files that both sides know.

    Cells that were finished before digests were kept have none. They are matched by the base's name and by which sources have negatives,
    as they were when they were made: what took hours to train is not refused for a digest that nobody wrote down.
    """
    left, right = there.get(part, {}), here.get(part, {})
    common = [name for name in left if name in right]
    return {name: left[name] for name in common}, {name: right[name] for name in common}


def _without_name(made_from: Mapping[str, Any]) -> dict[str, Any]:
    model = {key: value for key, value in made_from["model"].items() if key not in ("model", "revision")}
    return {**made_from, "model": model}


def _with_places(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    evaluation = values["evaluation"]
    return [*values["mixture"]["sources"], *evaluation.get("dev", ()), *evaluation["test"]]


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Values by dotted key; those in lists by their place."""
    inner = dict(enumerate(value)) if isinstance(value, list) else value
    if not isinstance(inner, Mapping) or not inner:
        return {prefix: value}
    return {key: each for name, child in inner.items() for key, each in _flat(child, f"{prefix}.{name}".lstrip(".")).items()}
