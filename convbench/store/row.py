"""A run in one row: what it is, how it ended, what it scored, how much room it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal, get_args

from convbench.errors import DataError
from convbench.harness.folder import RunFolder
from convbench.harness.results import MetricResult, Results, read_results
from convbench.harness.spec import RunSpec
from convbench.store.locks import is_held
from convbench.store.places import StoredRun

Status = Literal["finished", "failed", "running", "stale"]
STATUSES: tuple[Status, ...] = get_args(Status)
"""``running``: a process is at work; ``stale``: ``run.json`` says so, but none is."""


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run. What only a scored run has is None, or empty, in others.

    Args:
        run: The folder.
        status: How it stands.
        system: The system's name.
        dataset, split, tier: What it ran on; the split that was asked for where the dataset was not opened yet.
        seed: Its seed.
        turns: How many.
        date: End of the latest execution (its start, where it has not ended), UTC.
        measures: What it scored: all that have a value.
        error: What the latest execution failed with.
        written: File -> digests that it may have beside the results of a finished run; none where they do not say.
    """

    run: StoredRun
    status: Status
    system: str
    dataset: str
    split: str | None
    tier: str | None
    seed: int
    turns: int | None
    date: datetime | None
    measures: tuple[MetricResult, ...]
    error: str | None
    written: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def scored(self) -> bool:
        """Whether there are results, whatever became of a later execution."""
        return self.turns is not None

    def measure(self, name: str) -> MetricResult | None:
        """The measure of a name (``nDCG@3``) or key (``convgqr-line/nDCG@3``); of several of one name the first."""
        return next((measure for measure in self.measures if name in (measure.key, measure.name)), None)

    def as_json(self) -> dict[str, Any]:
        """The row as JSON; measures by their keys, in full precision."""
        return {
            "name": self.run.name,
            "place": self.run.place,
            "status": self.status,
            "system": self.system,
            "dataset": self.dataset,
            "split": self.split,
            "tier": self.tier,
            "seed": self.seed,
            "turns": self.turns,
            "date": self.date.isoformat() if self.date else None,
            "bytes": self.run.bytes,
            "measures": {measure.key: measure.value for measure in self.measures},
            "error": self.error,
        }


def read_row(run: StoredRun) -> RunRow:
    """Reads a run's row.

    Raises:
        ConvbenchError: ``run.json`` or ``results.json`` is missing or broken, or the two disagree.
    """
    with run.local() as path:
        folder = RunFolder(path)
        info, spec = folder.read_info(), folder.spec()
        results = read_results(folder.results) if folder.results.exists() else None
        status = _status(info["status"], path if run.system is None else None, folder.info)
        if status == "finished" and results is None:
            raise DataError(folder.info, "says finished, but results.json is missing; run the same `convbench run` command again")
        if results is not None:
            _refuse_disagreement(spec, results, folder.info)
        latest = info["executions"][-1] if info["executions"] else {}
        if not isinstance(latest, dict):
            raise DataError(folder.info, "expected 'executions' to hold objects; was it changed by hand?")
        return RunRow(
            run=run,
            status=status,
            system=str(spec.system.get("name", "unnamed")),
            dataset=spec.dataset.name,
            split=results.dataset.split if results else _split_of(info["inputs"], folder.info) or spec.dataset.split,
            tier=results.dataset.tier if results else None,
            seed=spec.seed,
            turns=results.dataset.n_turns if results else None,
            date=_date(folder.info, latest),
            measures=_measured(results) if results else (),
            error=str(latest["error"]) if latest.get("error") else None,
            written=_written(results) if results and status == "finished" else {},
        )


def _refuse_disagreement(spec: RunSpec, results: Results, info: Path) -> None:
    """``run.json`` has no digest, as its paths may be changed by hand; what else it says of a run stands in the results too."""
    pairs = (("system", spec.system.get("name"), results.system.get("name")), ("dataset", spec.dataset.name, results.dataset.name))
    for what, said, found in (*pairs, ("seed", spec.seed, results.seed)):
        if said != found:
            raise DataError(info, f"says {what} {said!r:.60}, and results.json {found!r:.60}; one of the two was changed: put it back")


def _written(results: Results) -> dict[str, tuple[str, ...]]:
    return {"turns.jsonl": (results.run_sha256,), "scores.jsonl": results.scores_sha256}


def _split_of(inputs: dict[str, Any], info: Path) -> str | None:
    """The split that was read; None where the dataset was not opened yet."""
    held = inputs.get("dataset")
    split = held.get("split") if isinstance(held, dict) else None
    if split is not None and not isinstance(split, str):
        raise DataError(info, f"expected the split of 'inputs' to be text, found {split!r:.40}; was it changed by hand?")
    return split


def _status(said: str, path: Path | None, info: Path) -> Status:
    """What ``run.json`` says, checked against the lock; a lock cannot be seen through a URL."""
    if said not in ("finished", "failed", "running"):
        raise DataError(info, f"expected 'status' to be finished, failed or running, found {said!r:.40}")
    if said == "running" and path is not None and not is_held(path):
        return "stale"
    return said  # type: ignore[return-value]  # one of three


def _measured(results: Results) -> tuple[MetricResult, ...]:
    return tuple(measure for measure in results.metrics if measure.value is not None)


def _date(info: Path, execution: dict[str, Any]) -> datetime | None:
    text = execution.get("ended") or execution.get("started")
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(str(text))
        return found.astimezone(timezone.utc) if found.tzinfo else found.replace(tzinfo=timezone.utc)
    except (ValueError, OverflowError):
        raise DataError(info, f"expected the dates of 'executions' in ISO 8601, found {text!r:.40}") from None
