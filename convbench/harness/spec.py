"""The specification of a run: what decides its rows. Kept in ``run.json``; a folder never mixes two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from convbench.config import Config
from convbench.datasets.loading import DatasetRequest
from convbench.datasets.selection import Selection
from convbench.io.digests import value_sha256


class DatasetSpec(Config):
    """A ``DatasetRequest`` as it stands in ``run.json``."""

    name: str
    split: str | None = None
    data: str | None = None
    corpus: str | None = None
    rewrites: str | None = None
    options: dict[str, str] = {}  # noqa: RUF012 - pydantic copies defaults
    limit: int | None = None
    conversations: Selection | None = None

    def request(self) -> DatasetRequest:
        """The request to open it with."""
        return DatasetRequest(
            name=self.name,
            split=self.split,
            data=_path(self.data),
            corpus=_path(self.corpus),
            rewrites=_path(self.rewrites),
            options=self.options,
            limit=self.limit,
            conversations=self.conversations,
        )


class RunSpec(Config):
    """System, dataset and seed. How many cores, which cache or whether to use the network are not part of it."""

    system: dict[str, Any]
    dataset: DatasetSpec
    seed: int = 0

    @property
    def digest(self) -> str:
        """Identifies what is asked for; what is read for it (split, options, files) is compared by content, see ``Plan.inputs``."""
        system = {key: value for key, value in self.system.items() if key != "description"}
        dataset = self.dataset.model_dump(include={"name", "limit"})
        if self.dataset.conversations is not None:  # else not even named: runs of versions that knew no selection keep their digest
            dataset["conversations"] = self.dataset.conversations.model_dump()
        return value_sha256({"system": system, "dataset": dataset, "seed": self.seed})


def _path(text: str | None) -> Path | None:
    return Path(text) if text is not None else None
