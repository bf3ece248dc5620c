"""What datasets are known to be made of, from ``origins.yaml``: the conversations and questions that one holds of another."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

from convbench.config import Config, load_config
from convbench.datasets import DATASETS

Holds = Literal["conversations", "seed questions", "passages"]


class Origin(Config):
    """What a dataset took from another.

    Attributes:
        origin: The other's name.
        holds: What was taken over.
        splits: The splits that hold it; None: all.
        source: Where this is stated.
    """

    origin: str
    holds: Holds
    splits: list[str] | None = None
    source: str


class Numbering(Config):
    """Splits of a dataset that number their conversations together."""

    dataset: str
    splits: list[str]


class Origins(Config):
    """The table: names, other spellings of names, what datasets hold of others, and numberings."""

    origins: list[str]
    spellings: dict[str, str] = {}  # noqa: RUF012 - pydantic copies defaults
    datasets: dict[str, list[Origin]]
    numberings: list[Numbering]


def known_origins() -> list[str]:
    """The names that ``derived_from`` may hold."""
    return _table().origins


def known_name(text: str) -> str | None:
    """The dataset or origin that people mean by a name, however they write it (``OR-QuAC``, ``MS MARCO``); None where it is not known."""
    return _names().get(_letters(text))


def spellings() -> Mapping[str, str]:
    """Every spelling of a name that the table has, and the name."""
    table = _table()
    return {name: name for name in (*table.origins, *DATASETS.names())} | table.spellings


def origins_of(dataset: str, split: str) -> list[Origin]:
    """What a split of a dataset is known to hold."""
    return [origin for origin in _table().datasets.get(dataset, []) if origin.splits is None or split in origin.splits]


def numbering_of(dataset: str, split: str) -> str:
    """Equal for two sets whose conversation ids mean the same conversation."""
    for numbering in _table().numberings:
        if numbering.dataset == dataset and split in numbering.splits:
            return f"{dataset} {'/'.join(numbering.splits)}"
    return f"{dataset} {split}"


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.casefold())


@cache
def _names() -> dict[str, str]:
    """Letters and digits of a name -> the name."""
    return {_letters(spelling): name for spelling, name in spellings().items()}


@cache
def _table() -> Origins:
    return load_config(Origins, Path(__file__).with_suffix(".yaml"))
