"""A finished run folder, read back: its results, the scores of its turns, its records, and the dataset and passages it was made from."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from convbench.datasets.base import Collection
from convbench.datasets.collection import prepare_store
from convbench.datasets.loading import Dataset, open_dataset
from convbench.datasets.store import ArrowPassageStore
from convbench.errors import MissingFileError, UsageError
from convbench.harness.folder import RunFolder
from convbench.harness.results import Results, read_results
from convbench.harness.score_file import read_scores
from convbench.io.cache import cache_root
from convbench.io.digests import file_sha256
from convbench.io.runfile import read_run
from convbench.types import TurnRecord

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd


class FinishedRun:
    """One system on one dataset, scored. Everything but ``results`` is read on first use.

    Args:
        path: The run folder.
        cache: Folder of stores; None for the user's.

    Raises:
        MissingFileError: The folder holds no finished run.
    """

    def __init__(self, path: Path, cache: Path | None = None) -> None:
        self.path, self.folder, self._cache = path, RunFolder(path), cache or cache_root()
        if not self.folder.results.exists():
            raise MissingFileError(f"{path}: no finished run here (no results.json); expected a folder that `convbench run` made")
        self.results: Results = read_results(self.folder.results)

    @property
    def name(self) -> str:
        """The system's name."""
        return str(self.results.system["name"])

    @cached_property
    def scores(self) -> Mapping[tuple[str, str], Mapping[str, float | None]]:
        """(protocol, measure) -> turn id -> value, None where a turn has none.

        Raises:
            MissingFileError: The folder lacks ``scores.jsonl``.
        """
        found: dict[tuple[str, str], dict[str, float | None]] = {}
        for score in read_scores(self.folder.scores):
            found.setdefault((score.protocol, score.measure), {})[score.turn_id] = score.value
        return found

    @cached_property
    def records(self) -> Mapping[str, TurnRecord]:
        """Turn id -> what the system retrieved and answered.

        Raises:
            UsageError: The file is not the one that was scored.
        """
        if file_sha256(self.folder.turns) != self.results.run_sha256:
            raise UsageError(f"{self.folder.turns}: is not the file that was scored; score it again with `convbench score {self.path}`")
        return read_run(self.folder.turns).records

    @cached_property
    def dataset(self) -> Dataset:
        """The conversations, read again from the files that the run was made from.

        Raises:
            MissingFileError: The files are no longer where they were.
            UsageError: They are no longer those that were read.
        """
        dataset = open_dataset(self.folder.spec().dataset.request())
        held, found = self.folder.read_info()["inputs"].get("dataset"), dataset.identity(self._cache)
        if held != found:
            raise UsageError(
                f"{self.path}: the files of {dataset.name} are no longer those that the run was made from; put them back, or run again"
            )
        return dataset

    @cached_property
    def store(self) -> ArrowPassageStore | None:
        """The passages; None where they are not at hand."""
        collection = self._collection()
        return prepare_store(self.dataset, collection, self._cache) if collection else None

    def _collection(self) -> Collection | None:
        try:
            return self.dataset.adapter.collection()
        except MissingFileError:
            return None

    def to_pandas(self) -> pd.DataFrame:
        """The scores of turns: a row a turn, a column a measure (``protocol/measure``), the conversation beside them.

        Returns:
            Indexed by ``turn_id``; the first column is ``conversation``; NaN where a turn has no value.
        """
        import pandas as pd

        from convbench.types import conversation_of

        columns = {f"{protocol}/{measure}" if protocol else measure: values for (protocol, measure), values in self.scores.items()}
        frame = pd.DataFrame(columns, dtype=float)
        order = [turn_id for turn_id in self.records if turn_id in frame.index]
        frame = frame.loc[[*order, *frame.index.difference(order, sort=False)]]
        frame.index.name = "turn_id"
        frame.insert(0, "conversation", [conversation_of(str(turn_id)) for turn_id in frame.index])
        return frame


def load_run(path: str | Path, *, cache: str | Path | None = None) -> FinishedRun:
    """Opens a finished run folder.

    Args:
        path: The folder that ``convbench run --out`` made.
        cache: Folder of passage stores, where it is not the usual one.

    Raises:
        MissingFileError: The folder holds no finished run.
    """
    return FinishedRun(Path(path), Path(cache) if cache else None)


def run_folders(path: Path) -> list[Path]:
    """A run folder itself, or the run folders below a folder, in order of their names.

    Raises:
        MissingFileError: There is none.
    """
    if RunFolder(path).results.exists():
        return [path]
    found = sorted(results.parent for results in path.rglob(RunFolder(path).results.name)) if path.is_dir() else []
    if not found:
        raise MissingFileError(f"{path}: no finished run here or below (no results.json); expected folders that `convbench run` made")
    return found
