"""A format that holds datasets: folders with a corpus, queries and judgements."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from convbench.errors import UsageError
from convbench.exchange.base import ExportRequest, ImportRequest, Summary, new_folder, refuse_existing
from convbench.exchange.dataset_parts import judgements_of, turn_names
from convbench.exchange.hub_import import import_hub
from convbench.exchange.judgements import Judgements, checked
from convbench.exchange.notes import Notes
from convbench.exchange.turn_ids import OWN

if TYPE_CHECKING:
    from convbench.datasets.base import Collection
    from convbench.datasets.loading import Dataset


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A dataset on its way out.

    Attributes:
        dataset: The dataset.
        split: Its split, as far as a file's name may hold it.
        names: Our turn id -> the query's id in the foreign folder.
        judgements: The judgements, under those ids.
        collection: The passages.
    """

    dataset: Dataset
    split: str
    names: dict[str, str]
    judgements: Judgements
    collection: Collection


@dataclass(frozen=True, slots=True)
class DatasetFormat:
    """A layout of folders, made of one writing function; all layouts are read by the same one.

    Attributes:
        name: Its name on the command line.
        description: What it is, in a line.
        write: Fills a new folder, counts what does not fit, and returns how many passages it wrote.
    """

    name: str
    description: str
    write: Callable[[Path, Outgoing, Notes], int]

    def import_(self, request: ImportRequest) -> Summary:
        """Writes a dataset folder of ours."""
        return import_hub(self.name, OWN, request)

    def export(self, request: ExportRequest) -> Summary:
        """Writes a dataset, passage by passage; where there is no corpus, that is said."""
        if request.dataset is None or request.source is not None:
            raise UsageError(f"{self.name} holds a dataset: name one with -d, and no run")
        refuse_existing(request.out)
        dataset, notes = request.dataset, Notes()
        names = turn_names(dataset, request.turn_ids or OWN)
        judgements = checked(judgements_of(dataset, names), dataset.files[0])
        collection = dataset.collection()
        if dataset.pool is not None:
            notes.add("the corpus", dataset.name, f"the folder holds a pool of it only ({dataset.pool.manifest.describe()})")
        if collection.origin == "gold-union":
            notes.add("the corpus", dataset.name, "there is no corpus file: the folder holds the gold passages only")
        split = re.sub(r"[^0-9A-Za-z_-]+", "_", dataset.split)
        with new_folder(request.out) as folder:
            passages = self.write(folder, Outgoing(dataset, split, names, judgements, collection), notes)
        counts = {
            "conversations": len(dataset.conversations),
            "turns": len(dataset.turns),
            "judged_turns": len(judgements),
            "passages": passages,
        }
        return Summary(self.name, request.out, counts, notes.all())
