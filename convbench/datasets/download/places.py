"""Where the files of a dataset lie in the cache, and where the state of their download is kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_READY = "prepared.json"


@dataclass(frozen=True, slots=True)
class Places:
    """The folder of one dataset: ``<cache>/data/<dataset>``.

    What downloads need for themselves lies in hidden folders in it, which the search for official files passes over.
    """

    root: Path

    @classmethod
    def of(cls, dataset: str, cache: Path) -> Places:
        """The places of a dataset in a cache."""
        return cls((cache / "data" / dataset).absolute())

    def file(self, name: str) -> Path:
        """Where a file goes; a copy that the user puts there is taken."""
        return self.root / name

    def part(self, name: str) -> Path:
        """Where the bytes of an unfinished download are."""
        return self.root / ".parts" / _flat(name)

    def record(self, name: str) -> Path:
        """Where it is written down what a finished file is."""
        return self.root / ".state" / f"{_flat(name)}.json"

    @property
    def licences(self) -> Path:
        """Where the acceptance of the licences is written down."""
        return self.root / ".state" / "licences.json"

    @property
    def ready(self) -> Path:
        """What is there once everything that was asked for is there."""
        return self.root / ".state" / _READY

    @property
    def lock(self) -> Path:
        """Held by the process that fetches."""
        return self.root / ".state" / "lock"


def prepared_root(dataset: str, cache: Path) -> Path | None:
    """The folder of a dataset whose official files were prepared, or None."""
    places = Places.of(dataset, cache)
    return places.root if places.ready.is_file() else None


def _flat(name: str) -> str:
    return name.replace("%", "%25").replace("/", "%2F")
