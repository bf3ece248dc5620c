"""A recipe's datasets, read from where the user has them."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from convbench.errors import UsageError

OF_DATASET = ("data", "corpus", "rewrites")
"""The keys of a dataset that name a folder or a file."""
OF_SOURCE = (*OF_DATASET, "file")
"""Those of a source, which may be a file of its own."""

_NAMED = {("mixture", "sources"): "dataset", ("evaluation", "dev"): "name", ("evaluation", "test"): "name"}
"""Where a recipe lists what is read of datasets, and the key there that names one."""


def with_places(values: Mapping[str, Any], places: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """The recipe with its datasets read from elsewhere.

    Args:
        values: The recipe's, checked or not.
        places: ``data``, ``corpus`` or ``rewrites`` -> dataset -> folder or file.

    Raises:
        UsageError: The recipe has no such dataset.
    """
    changed = deepcopy(dict(values))
    named = _named(changed)
    for key, by_dataset in places.items():
        for dataset, place in by_dataset.items():
            using = [each for name, each in named if name == dataset]
            if not using:
                known = ", ".join(datasets_of(values)) or "none"
                raise UsageError(f"--{key} {dataset}={place}: the recipe uses no dataset {dataset!r}; it uses {known}")
            for each in using:
                each[key] = str(Path(place).absolute())
    return changed


def datasets_of(values: Mapping[str, Any]) -> list[str]:
    """The names of the datasets that a recipe is trained or evaluated on."""
    return sorted({str(name) for name, _ in _named(values) if name})


def _named(values: Mapping[str, Any]) -> list[tuple[Any, dict[str, Any]]]:
    """Entries with the datasets that they name; what is no list or no mapping is left to be refused."""
    found = []
    for (part, key), name in _NAMED.items():
        inner = values.get(part)
        entries = inner.get(key) if isinstance(inner, Mapping) else None
        for each in entries if isinstance(entries, list) else ():
            if isinstance(each, dict):
                found.append((each.get(name), each))
    return found
