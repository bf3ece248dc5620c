"""The adapters by name: class, card and bundled files; and the splits and options that an adapter knows."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from pathlib import Path

from convbench.config import load_config
from convbench.datasets import DATASETS
from convbench.datasets.base import DatasetAdapter, DatasetCard
from convbench.datasets.declaration import Facts
from convbench.errors import UsageError
from convbench.registry import did_you_mean

_HERE = Path(__file__).parent
MINI = "mini"
"""The split of every bundled set."""


def adapter_class(name: str) -> type[DatasetAdapter]:
    """The adapter registered under a name."""
    adapter: type[DatasetAdapter] = DATASETS.get(name)
    return adapter


def load_card(name: str) -> DatasetCard:
    """The dataset's card: ``cards/<name>.yaml`` beside the module of its adapter, in convbench or in the package that registers it."""
    module = inspect.getfile(adapter_class(name))
    return load_config(DatasetCard, Path(module).parent / "cards" / f"{name}.yaml")


def bundled_root(name: str) -> Path:
    """The folder of the mini set that convbench brings along.

    Raises:
        UsageError: There is none of this dataset.
    """
    root = _HERE / "mini" / name
    if not root.is_dir():
        raise UsageError(f"{name} has no bundled mini set: give its official files with --data DIR (see `convbench data info {name}`)")
    return root


def resolve_split(facts: Facts, split: str | None, *, bundled: bool) -> str:
    """The canonical name of a split, or of the default one.

    Raises:
        UsageError: There is no such split, or only the official files have it and it is the bundled set that is read.
    """
    wanted = split or (MINI if bundled else facts.default_split)
    known = ", ".join(sorted(facts.splits))
    if wanted is None:
        raise UsageError(f"{facts.name} has several splits and declares none as default_split: name one with --split. Known: {known}")
    if bundled and wanted != MINI:
        raise UsageError(
            f"{facts.name}: split {wanted!r} needs the official files: give them with --data DIR, or fetch them with "
            f"`convbench data prepare {facts.name} --tier full` (bundled: {MINI!r})"
        )
    if wanted not in facts.splits:
        raise UsageError(f"{facts.name} has no split {wanted!r}.{did_you_mean(wanted, facts.splits)} Known: {known}")
    return facts.splits[wanted]


def refuse_file_of_another_split(adapter: type[DatasetAdapter], root: Path, split: str) -> None:
    """A folder is searched for the split's file; a file is taken as it is, so its name must not say that it is another split's.

    Raises:
        UsageError: It does.
    """
    words = re.findall(r"[a-z0-9]+", root.name.lower()) if root.is_file() else []
    named = [adapter.splits[word] for word in words if word in adapter.splits]
    if named and split not in named:
        raise UsageError(f"{root}: by its name this is the split {named[0]!r}, and {split!r} is asked for; add --split {named[0]}")


def resolve_options(adapter: type[DatasetAdapter], given: Mapping[str, str]) -> dict[str, str]:
    """All reading options of an adapter: the given ones, defaults for the others.

    Raises:
        UsageError: An unknown option, or a value that it cannot have.
    """
    for name, value in given.items():
        allowed = adapter.option_values.get(name)
        if allowed is None:
            known = ", ".join(sorted(adapter.option_values)) or "none"
            raise UsageError(f"{adapter.name} has no option {name!r}.{did_you_mean(name, adapter.option_values)} Known: {known}")
        if value not in allowed:
            raise UsageError(f"{adapter.name}: option {name!r} cannot be {value!r}; expected one of {', '.join(allowed)}")
    return {name: given.get(name, values[0]) for name, values in adapter.option_values.items()}
