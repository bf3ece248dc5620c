"""A finished run folder, read back: its results, the scores of its turns, its records, and the dataset and passages it was made from."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from convbench.datasets.base import Collection
from convbench.datasets.collection import prepare_store
from convbench.datasets.loading import Dataset, open_dataset
from convbench.datasets.store import ArrowPassageStore
from convbench.errors import DataError, MissingFileError, UsageError
from convbench.harness.folder import RunFolder
from convbench.harness.results import NOT_SCORED, Results, read_results, refuse_other_scores
from convbench.harness.score_file import read_scores
from convbench.io.cache import cache_root
from convbench.io.digests import file_sha256
from convbench.io.runfile import read_run
from convbench.metrics.base import measure_key
from convbench.types import TurnRecord

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray


_ROUNDING = 1e-9
"""Means of the same values may differ by this much."""


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
            DataError: It is not the file that belongs to the results, a line is malformed, or a turn has two values under one measure.
            UsageError: The scores do not give the values in ``results.json``.
        """
        path = self.folder.scores
        refuse_other_scores(path, self.results)
        found: dict[tuple[str, str], dict[str, float | None]] = {}
        for score in read_scores(path):
            values = found.setdefault((score.protocol, score.measure), {})
            if score.turn_id in values:
                raise DataError(
                    path, f"turn {score.turn_id!r} has two values under {measure_key(score.protocol, score.measure)}; score the run again"
                )
            values[score.turn_id] = score.value
        self._refuse_other_scores(found)
        return found

    def _refuse_other_scores(self, scores: Mapping[tuple[str, str], Mapping[str, float | None]]) -> None:
        """The two files are written one after the other, so a scoring that was killed can leave the new scores beside the old results."""
        for result in self.results.metrics:
            if result.aggregate == "corpus" or result.value is None:
                continue
            values = [value for value in scores.get((result.protocol, result.name), {}).values() if value is not None]
            if not values or not abs(fmean(values) - result.value) <= _ROUNDING * max(1.0, abs(result.value)):
                shown = f"{fmean(values):.6f}" if values else "no value"
                raise UsageError(
                    f"{self.path}: scores.jsonl gives {shown} for {result.key} and results.json {result.value:.6f}; "
                    "one of the two was changed: score the run again with `convbench score`"
                )

    def values(self, protocol: str, measure: str, turn_ids: Sequence[str]) -> NDArray[np.float64]:
        """The values of turns under a measure, in the order of the ids; NaN where a turn, or the run, has none. Shape (turns,)."""
        scores = self.scores.get((protocol, measure), {})
        return np.array([scores.get(turn_id) for turn_id in turn_ids], dtype=np.float64)

    @cached_property
    def records(self) -> Mapping[str, TurnRecord]:
        """Turn id -> what the system retrieved and answered.

        Raises:
            MissingFileError: The folder lacks ``turns.jsonl``.
            UsageError: The file is not the one that was scored.
        """
        if not self.folder.turns.exists():
            raise MissingFileError(f"{self.folder.turns}: no such file; run the same `convbench run` command again to write it")
        if file_sha256(self.folder.turns) != self.results.run_sha256:
            raise UsageError(f"{self.folder.turns}: {NOT_SCORED}")
        return read_run(self.folder.turns).records

    @cached_property
    def dataset(self) -> Dataset:
        """The conversations, read again from the files that the run was made from.

        Raises:
            MissingFileError: The files are no longer where they were.
            UsageError: They are no longer those that were read.
        """
        try:
            dataset = open_dataset(self.folder.spec().dataset.request())
        except MissingFileError as error:
            raise MissingFileError(f"{error}; {self.path} was made from it, so put it back where it was") from error
        held, found = self.folder.read_info()["inputs"].get("dataset"), dataset.identity(self._cache)
        if held != found:
            raise UsageError(
                f"{self.path}: the files of {dataset.name} are no longer those that the run was made from; put them back, or run again"
            )
        return dataset

    @cached_property
    def store(self) -> ArrowPassageStore | None:
        """The passages; None where they are not at hand.

        Raises:
            UsageError: They are no longer those that were searched.
        """
        collection = self._collection()
        if collection is None:
            return None
        store = prepare_store(self.dataset, collection, self._cache)
        searched = self.results.dataset.collection_sha256
        if searched not in (None, store.sha256):
            raise UsageError(f"{self.path}: the passages are no longer those that were searched; put the corpus back, or run again")
        return store

    def _collection(self) -> Collection | None:
        try:
            return self.dataset.collection()
        except MissingFileError:
            return None

    def to_pandas(self) -> pd.DataFrame:
        """The scores of turns: a row a turn, a column a measure (``protocol/measure``), the conversation beside them.

        Returns:
            Indexed by ``turn_id``; the first column is ``conversation``; NaN where a turn has no value.
        """
        import pandas as pd

        from convbench.types import conversation_of

        columns = {measure_key(protocol, measure): values for (protocol, measure), values in self.scores.items()}
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
