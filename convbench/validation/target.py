"""The dataset that a file is compared with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from convbench.datasets.loading import Dataset, DatasetRequest, open_dataset


@dataclass(frozen=True, slots=True)
class Target:
    """An opened dataset, and how it was opened: its other splits are looked for in the same place.

    Attributes:
        dataset: The dataset.
        request: What was asked for.
        cache: Folder with passage stores.
    """

    dataset: Dataset
    request: DatasetRequest
    cache: Path

    @property
    def label(self) -> str:
        """The dataset and split, for messages."""
        return f"{self.dataset.name} {self.dataset.split}"


@dataclass(frozen=True, slots=True)
class Datasets:
    """Which dataset to compare with, and where datasets are.

    Attributes:
        name: The dataset that was named, or None; run folders know their own.
        request_of: How to read a dataset, by its name.
        cache: Folder with passage stores.
    """

    name: str | None
    request_of: Callable[[str], DatasetRequest]
    cache: Path

    def named(self) -> Target | None:
        """The dataset that was named, opened."""
        return self.open(self.request_of(self.name)) if self.name is not None else None

    def open(self, request: DatasetRequest) -> Target:
        """Opens a dataset."""
        return Target(open_dataset(request), request, self.cache)
