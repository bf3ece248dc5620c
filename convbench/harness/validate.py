"""Checking a run: its file, its agreement with the dataset, and the invariants of a run folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from convbench.datasets.collection import prepare_store
from convbench.datasets.loading import Dataset, open_dataset
from convbench.errors import ConvbenchError, MissingFileError
from convbench.harness.folder import RunFolder
from convbench.io.digests import file_sha256
from convbench.io.jsonl import read_json
from convbench.io.runfile import read_run
from convbench.io.trec_run import read_trec_run
from convbench.retrieval.canonical import is_canonical
from convbench.systems.replay import read_records
from convbench.types import Ranking, TurnRecord

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong (error) or that a reader should know (warning)."""

    severity: Literal["error", "warning"]
    message: str


def validate(path: Path, dataset: Dataset | None, cache: Path) -> list[Problem]:
    """Checks a run folder, a joint run file or a TREC run.

    Args:
        path: The run.
        dataset: What to check turn and passage ids against; a run folder knows its own.
        cache: Folder with passage stores.
    """
    try:
        if path.is_dir():
            folder = RunFolder(path)
            own = dataset or open_dataset(folder.spec().dataset.request())
            problems = list(_folder_problems(folder))
            return [*problems, *_dataset_problems(read_records(path), own, cache)] if folder.turns.exists() else problems
        records = read_records(path)
    except ConvbenchError as error:
        return [Problem("error", str(error))]
    problems = list(_file_problems(path))
    return [*problems, *_dataset_problems(records, dataset, cache)] if dataset else problems


def _file_problems(path: Path) -> Iterator[Problem]:
    """Ties: legal, but every tool breaks them differently, so convbench orders them by its rule."""
    if path.name.removesuffix(".gz").endswith(".jsonl"):
        rankings = {turn_id: record.passages for turn_id, record in read_run(path).records.items()}
    else:
        rankings = {turn_id: tuple(pairs) for turn_id, pairs in read_trec_run(path).items()}
    tied = [turn_id for turn_id, passages in rankings.items() if not is_canonical(Ranking(turn_id, passages))]
    if tied:
        yield Problem(
            "warning", f"{path.name}: scores do not strictly decrease in {_turns(tied)}; ties are broken by passage id, descending"
        )


def _dataset_problems(records: Mapping[str, TurnRecord], dataset: Dataset, cache: Path) -> Iterator[Problem]:
    known = {turn.id for turn in dataset.turns}
    missing = [turn.id for turn in dataset.turns if turn.id not in records]
    unknown = [turn_id for turn_id in records if turn_id not in known]
    if missing:
        yield Problem("error", f"{_turns(missing)} of {len(known)} missing from the run; where a measure averages over them they score 0")
    if unknown:
        yield Problem("error", f"{_turns(unknown)} not in {dataset.name} {dataset.split}: another split or numbering?")
    yield from _unknown_passages(records, dataset, cache)
    silent = [turn_id for turn_id, record in records.items() if not record.passages]
    if silent:
        yield Problem("warning", f"{_turns(silent)} with an empty ranking")


def _unknown_passages(records: Mapping[str, TurnRecord], dataset: Dataset, cache: Path) -> Iterator[Problem]:
    try:
        store = prepare_store(dataset, dataset.adapter.collection(), cache)
    except MissingFileError as error:
        yield Problem("warning", f"passage ids were not checked: {error}")
        return
    retrieved = sorted({passage_id for record in records.values() for passage_id, _ in record.passages})
    rows = store.rows(retrieved)
    strangers = [passage_id for passage_id, row in zip(retrieved, rows, strict=True) if row < 0]
    if strangers:
        shown = ", ".join(repr(passage_id) for passage_id in strangers[:_SHOWN])
        yield Problem("error", f"{len(strangers)} retrieved passages are not in the collection of {len(store)} (first: {shown})")


def _folder_problems(folder: RunFolder) -> Iterator[Problem]:
    info = folder.read_info()
    if info["status"] != "finished":
        yield Problem("error", f"run.json says {info['status']!r}: run the same command again to finish it")
    for manifest in sorted(folder.stages.glob("*.manifest.json")):
        stage = read_json(manifest)
        file = manifest.with_name(manifest.name.replace(".manifest.json", ".jsonl"))
        if not isinstance(stage, dict) or not file.exists() or file_sha256(file) != stage.get("sha256"):
            yield Problem("error", f"stages/{file.name} is not the file that its manifest was written for")
    for path in (folder.turns, folder.trec, folder.results):
        if not path.exists():
            yield Problem("error", f"{path.name} is missing")
    if folder.turns.exists() and folder.trec.exists():
        yield from _run_problems(folder)


def _run_problems(folder: RunFolder) -> Iterator[Problem]:
    records, trec = read_run(folder.turns).records, read_trec_run(folder.trec)
    loose = [record.turn_id for record in records.values() if not is_canonical(Ranking(record.turn_id, record.passages))]
    if loose:
        yield Problem("error", f"turns.jsonl: {_turns(loose)} not in canonical order: changed by hand?")
    differing = [turn_id for turn_id, record in records.items() if list(record.passages) != trec.get(turn_id, [])]
    if differing:
        yield Problem("error", f"retrieval.trec and turns.jsonl disagree on {_turns(differing)}")


def _turns(ids: Sequence[str]) -> str:
    shown = ", ".join(ids[:_SHOWN])
    return f"{len(ids)} turns ({shown}{', ...' if len(ids) > _SHOWN else ''})" if len(ids) > 1 else f"turn {shown}"
