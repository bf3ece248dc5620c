"""Where datasets are read from: the options, and the places they stand for."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from convbench.cli.option_values import parse_options

if TYPE_CHECKING:
    from convbench.datasets.loading import Dataset
    from convbench.datasets.selection import Selection
    from convbench.harness.spec import DatasetSpec

DATASET_HELP = "topiocqa, qrecc, orquac, inscit, faithdial, cast, generic"


@dataclass(frozen=True, slots=True)
class Source:
    """Where datasets are read from, as the options of ``data_options`` say."""

    data: Path | None
    split: str | None
    corpus: Path | None
    rewrites: Path | None
    options: dict[str, str]
    limit: int | None
    conversations: Selection | None

    def spec(self, name: str) -> DatasetSpec:
        """The specification of one dataset read from here, with absolute paths: a run folder may be used from another place."""
        from convbench.harness.spec import DatasetSpec

        paths = {key: str(path.absolute()) for key in ("data", "corpus", "rewrites") if (path := getattr(self, key)) is not None}
        return DatasetSpec(name=name, split=self.split, options=self.options, limit=self.limit, conversations=self.conversations, **paths)

    def open(self, name: str) -> Dataset:
        """Reads one dataset from here."""
        from convbench.datasets.loading import open_dataset

        return open_dataset(self.spec(name).request())


def data_options(function: Callable[..., None]) -> Callable[..., None]:
    """Where a dataset is read from; the command gets one ``source``."""

    @functools.wraps(function)
    def with_source(*arguments: Any, options: tuple[str, ...], conversations: str | None, **given: Any) -> None:
        own = {key: given.pop(key) for key in ("data", "split", "corpus", "rewrites", "limit")}
        source = Source(options=parse_options(options), conversations=_parse_conversations(conversations), **own)
        function(*arguments, source=source, **given)

    command = with_source
    decorators = [
        click.option(
            "--data", type=click.Path(path_type=Path), help="Folder with official files, found by name at any depth. Default: mini set."
        ),
        click.option("--split", help="Split. Default: the one the field evaluates on; 'mini' without --data."),
        click.option("--corpus", type=click.Path(path_type=Path), help="Corpus file or folder, where it lies outside --data."),
        click.option("--rewrites", type=click.Path(path_type=Path), help="JSONL of {turn_id, rewrite}, for rewrites that come apart."),
        click.option(
            "--option", "options", multiple=True, metavar="NAME=VALUE", help="Reading option of the dataset (first-question=rewrite ...)."
        ),
        click.option(
            "--conversations",
            metavar="PART:SIZE:SALT",
            help="Use only the part that a rule kept or held out (held-out:40:dev, kept:1/3:dev).",
        ),
        click.option("--limit", type=click.IntRange(min=1), metavar="CONVERSATIONS", help="Use only the first so many conversations."),
    ]
    for decorator in reversed(decorators):
        command = decorator(command)
    return command


def place_options(function: Callable[..., None]) -> Callable[..., None]:
    """Where the datasets of a recipe are read from; the command gets ``places``: ``data``, ``corpus``, ``rewrites`` -> dataset -> place."""
    kinds = {
        "data": ("DIR", "Folder with a dataset's official files"),
        "corpus": ("FILE", "Its corpus"),
        "rewrites": ("FILE", "Its rewrites"),
    }

    @functools.wraps(function)
    def with_places(*arguments: Any, **given: Any) -> None:
        places = {kind: parse_options(given.pop(kind), f"--{kind}", f"DATASET={form}") for kind, (form, _) in kinds.items()}
        function(*arguments, places=places, **given)

    command: Callable[..., None] = with_places
    for kind, (form, text) in reversed(kinds.items()):
        command = click.option(f"--{kind}", multiple=True, metavar=f"DATASET={form}", help=f"{text}, in place of the recipe's.")(command)
    return command


def _parse_conversations(text: str | None) -> Selection | None:
    if text is None:
        return None
    from convbench.datasets.selection import Selection

    return Selection.parse(text)
