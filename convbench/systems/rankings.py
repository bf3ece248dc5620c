"""The rankings of a finished run in place of a retriever's: one system's retriever with another's generator."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from pydantic import SerializerFunctionWrapHandler, model_serializer

from convbench.backends.base import TextEncoder, Vectors
from convbench.config import Config, build_config
from convbench.datasets.store import PassageStore
from convbench.errors import DataError, MissingFileError, RunFileError, UsageError
from convbench.io.digests import file_sha256
from convbench.io.jsonl import read_jsonl
from convbench.meter import Meter
from convbench.retrieval.base import Found
from convbench.systems.base import Row, SystemConfig, Unit, Upstream, Workplace
from convbench.systems.replay import read_records, replay_name
from convbench.systems.stages import found_row
from convbench.types import Ranking, Turn


class RankingsConfig(Config):
    """Whose rankings take the place of a retriever's.

    Attributes:
        run: A run folder, a joint run or a TREC run.
        system: Name of the system that retrieved.
    """

    run: Path
    system: str


class AnswersFromRankings(SystemConfig):
    """A system that can answer from the rankings of a finished run.

    Attributes:
        rankings: The run; None: the system's own retriever.
    """

    rankings: RankingsConfig | None = None

    added_later: ClassVar[frozenset[str]] = frozenset({"rankings"})
    """Keys that are written only where they are set: a system without them stays the system that it was before they could be given."""

    @property
    @abstractmethod
    def responds(self) -> bool:
        """Whether it writes responses."""

    def with_rankings(self, path: Path) -> SystemConfig:
        """Answers from the rankings of a run in place of its own retriever's.

        Raises:
            UsageError: It does not respond.
            MissingFileError: There is no such run.
        """
        if not self.responds:
            raise UsageError(f"{self.name}: --rankings takes the place of its retriever, and it does not respond: nothing is left to run")
        rankings = {"run": path.resolve(), "system": rankings_name(path)}
        return build_config(type(self), {**self.model_dump(), "rankings": rankings}, self.name)

    @model_serializer(mode="wrap")
    def _without_what_is_not_set(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = handler(self)
        return {key: value for key, value in values.items() if key not in self.added_later or value is not None}


def rankings_name(path: Path) -> str:
    """The system whose retriever made a run's rankings: as the run's header has it, else the file's name without its suffix.

    Raises:
        MissingFileError: There is no such run.
    """
    file = _file(path)
    if not file.name.removesuffix(".gz").endswith(".jsonl"):
        return replay_name(path)
    _, header = next(read_jsonl(file), (0, {}))
    conditions = header.get("conditions")
    named = [conditions.get("rankings") if isinstance(conditions, dict) else None, header.get("run_name")]
    return next((name for name in named if isinstance(name, str) and name), replay_name(path))


def _file(path: Path) -> Path:
    file = path / "turns.jsonl" if path.is_dir() else path
    if not file.is_file():
        raise MissingFileError(f"{path}: no finished run here; --rankings needs a run folder, a joint run (.jsonl) or a TREC run")
    return file


class GivenRankings:
    """Hands out a run's rankings; takes the place of a ``PassageIndex``.

    Args:
        path: The run.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def _passages(self) -> dict[str, tuple[tuple[str, float], ...]]:
        return {turn_id: record.passages for turn_id, record in read_records(self._path).items()}

    @cached_property
    def _sha256(self) -> str:
        return file_sha256(_file(self._path))

    def describe(self) -> dict[str, Any]:
        """The file's digest; its name does not matter."""
        return {"type": "rankings", "sha256": self._sha256}

    def check(self, turns: Sequence[Turn]) -> None:
        """Every turn must be in the run, with or without passages.

        Raises:
            RunFileError: One is not, or the run has responses only.
        """
        if not any(self._passages.values()):
            raise RunFileError(f"{self._path}: the run has no rankings; --rankings needs those of a retriever")
        if absent := [turn.id for turn in turns if turn.id not in self._passages]:
            raise RunFileError(
                f"{self._path}: {len(absent)} of {len(turns)} turns of the dataset are not in the run (first: {', '.join(absent[:3])}); "
                "--rankings needs all of them: take a run on this dataset, split and limit, and take it "
                "as a folder or joint run, since a TREC run cannot hold a turn that nothing was found for"
            )

    def open(self, store: PassageStore, encoder: TextEncoder | None, cache: Path, meter: Meter) -> None:
        """Looks the passages up in the collection.

        Raises:
            DataError: One is not in it.
        """
        ids = sorted({passage_id for passages in self._passages.values() for passage_id, _ in passages})
        if unknown := [passage_id for passage_id, row in zip(ids, store.rows(ids), strict=True) if row < 0]:
            first = ", ".join(map(repr, unknown[:3]))
            raise DataError(
                self._path, f"{len(unknown)} of {len(ids)} ranked passages are not in this collection (first: {first}); was it another one?"
            )

    def search(self, turn_ids: Sequence[str], vectors: Vectors | None, k: int, meter: Meter) -> list[Ranking]:
        """The first k passages of each turn's ranking; nothing is searched."""
        return [Ranking(turn_id, self._passages[turn_id][:k]) for turn_id in turn_ids]


class RankingsStage:
    """The search of a two-stage system, from a run's rankings.

    Args:
        rankings: The run's.
        k: Depth.
    """

    name = "search"
    version = 1
    batch_size = 4096
    unit: Unit = "turn"

    def __init__(self, rankings: GivenRankings, k: int) -> None:
        self._rankings, self._k = rankings, k

    def describe(self) -> dict[str, Any]:
        """The run and the depth."""
        return {"k": self._k, "retriever": self._rankings.describe()}

    def check(self, turns: Sequence[Turn]) -> None:
        """Every turn must be in the run."""
        self._rankings.check(turns)

    def open(self, workplace: Workplace) -> None:
        """Looks the passages up in the collection."""
        self._meter = workplace.meter
        self._rankings.open(workplace.store, None, workplace.cache, workplace.meter)

    def run(self, turns: Sequence[Turn], upstream: Upstream) -> list[Row]:
        """Rows as those of ``SearchStage``."""
        rankings = self._rankings.search([turn.id for turn in turns], None, self._k, self._meter)
        return [found_row(Found(ranking)) for ranking in rankings]
