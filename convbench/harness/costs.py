"""What a run cost: a line a batch beside the stage's rows, added up for ``results.json``."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from convbench.harness.folder import RunFolder
from convbench.harness.results import Cost, EncoderAgreement, IndexRecall, Machine, PhaseCost, ServerCost
from convbench.harness.stage_output import append_lines
from convbench.io.atomic import atomic_path
from convbench.io.sealed import SEAL, sealed, unsealed

_ONCE = ("open", "index", "recall", "agreement")
"""Phases that answering turns does not need: loading, building, and measuring what an approximate index finds or an approximate encoder
gives."""


class CostLog:
    """What one stage cost: a line for each time it was opened, a line for each of its batches.

    A batch's line is written before its rows. So a batch that has rows has costs, and one that was killed in between is computed again and
    has two lines, of which the last one counts.

    Args:
        folder: The run's ``stages`` folder.
        stage: The stage.
        key: The key of its rows; lines under another key are not used.
    """

    def __init__(self, folder: Path, stage: str, key: str) -> None:
        self._stage = stage
        self._file = folder / f"{stage}.cost.jsonl"
        self._key = key[:16]

    def resume(self) -> None:
        """Cuts off a line that was cut, and begins anew where the lines are of another key."""
        length = sum(len(line) for line, _ in self._lines())
        if self._file.exists():
            with self._file.open("r+b") as handle:
                handle.truncate(length)

    def opened(self, taken: Mapping[str, Any], machine: Mapping[str, Any]) -> None:
        """Adds what loading models and indexes cost, and the machine that the stage works on."""
        append_lines(self._file, [sealed({"key": self._key, "batch": None, "machine": machine, **taken})])

    def append(self, batch: int, taken: Mapping[str, Any]) -> None:
        """Adds what a batch cost."""
        append_lines(self._file, [sealed({"key": self._key, "batch": batch, **taken})])

    def take_over(self, folder: Path) -> None:
        """Copies the log of the same stage from the ``stages`` folder of another run: what the stage costs, whoever paid for it."""
        donor = folder / self._file.name
        if donor.exists():
            with atomic_path(self._file) as copy:
                shutil.copyfile(donor, copy)

    def entries(self) -> list[dict[str, Any]]:
        """Every opening, and the last line of each batch."""
        lines = [entry for _, entry in self._lines()]
        batches = {entry["batch"]: entry for entry in lines if entry["batch"] is not None}
        return [*(entry for entry in lines if entry["batch"] is None), *batches.values()]

    def lack(self, turns: int) -> str | None:
        """What is wrong with the log of a finished stage; None where it says what all turns cost."""
        if not self._file.exists():
            return f"{self._file}: no such file"
        lines = list(self._lines())
        if sum(len(line) for line, _ in lines) < self._file.stat().st_size:
            return f"{self._file}: damaged in line {len(lines) + 1}"
        entries = self.entries()
        counted = sum(entry["phases"].get(self._stage, {}).get("turns", 0) for entry in entries)
        if counted != turns or all(entry["batch"] is not None for entry in entries):
            return f"{self._file}: lines are missing, those of {counted} of {turns} turns are there"
        return None

    def _lines(self) -> Iterator[tuple[bytes, dict[str, Any]]]:
        """The whole lines under this key, as they stand and as they read, up to the first that is neither."""
        if not self._file.exists():
            return
        with self._file.open("rb") as handle:
            for line in handle:
                entry = _entry(line)
                if entry.get("key") != self._key:
                    return
                yield line, entry


def _entry(line: bytes) -> dict[str, Any]:
    """A line of a log; empty for one that was cut, or that a crash of the machine left as something else."""
    try:
        entry = json.loads(line)
        if isinstance(entry, dict) and SEAL in entry:  # lines of older versions have none
            entry = unsealed(entry)
    except ValueError:
        return {}
    return entry if line.endswith(b"\n") and isinstance(entry, dict) else {}


def run_cost(folder: RunFolder, turns: int) -> Cost:
    """What the run in a folder cost, over all its executions.

    Args:
        folder: The run folder; its ``run.json`` names the stages and their keys, so that no model is needed to look them up.
        turns: Turns of the run.
    """
    return added_up([entry for log in _logs(folder) for entry in log.entries()], turns)


def lacking_costs(folder: RunFolder, turns: int) -> list[str]:
    """What keeps ``run_cost`` from being all that a finished run cost: logs that are damaged, or stayed behind when it was handed on."""
    return [lack for log in _logs(folder) if (lack := log.lack(turns)) is not None]


def _logs(folder: RunFolder) -> list[CostLog]:
    return [CostLog(folder.stages, stage["name"], stage["key"]) for stage in folder.read_info()["stages"]]


def added_up(entries: Iterable[Mapping[str, Any]], turns: int) -> Cost:
    """The cost of a run of ``turns`` turns from the lines of its logs, stage by stage."""
    models: dict[str, int] = {}
    indexes: dict[str, int] = {}
    agreements: dict[str, EncoderAgreement] = {}
    counts: dict[str, Counter[str]] = {}
    machine: dict[str, Any] = {}
    for entry in entries:
        models |= entry["models"]
        indexes |= entry["indexes"]
        agreements |= {name: EncoderAgreement(**measured) for name, measured in entry.get("agreements", {}).items()}
        machine |= {name: value for name, value in entry.get("machine", {}).items() if value is not None}  # not every stage has a device
        for name, phase in entry["phases"].items():
            counts.setdefault(name, Counter()).update(phase)
    phases = [_phase(name, count, turns) for name, count in counts.items()]
    repeated = [phase for phase in phases if not phase.once]
    return Cost(
        parameters=sum(models.values()),
        models=models,
        index_bytes=sum(indexes.values()),
        indexes=indexes,
        turns=turns,
        tokens_in=sum(phase.tokens_in for phase in repeated),
        tokens_out=sum(phase.tokens_out for phase in repeated),
        forward_passes=sum(phase.forward_passes for phase in repeated),
        phases=phases,
        server=_server(counts.values()),
        recall=_recall(counts.values()),
        agreements=agreements,
        environment=Machine(**machine) if machine else None,
    )


def _phase(name: str, counts: Counter[str], turns: int) -> PhaseCost:
    seconds = round(counts["seconds"], 6)
    return PhaseCost(
        name=name,
        once=name in _ONCE,
        seconds=seconds,
        turns=counts["turns"],
        ms_per_turn=None if name in _ONCE else round(1000 * seconds / turns, 6),
        tokens_in=counts["tokens_in"],
        tokens_out=counts["tokens_out"],
        forward_passes=counts["forward_passes"],
    )


def _server(phases: Iterable[Counter[str]]) -> ServerCost | None:
    total = sum(phases, Counter[str]())
    asked, cached = total["requests"], total["cached_requests"]
    return ServerCost(requests=asked, cached_requests=cached, price=total["micro_cost"] / 1e6) if asked or cached else None


def _recall(phases: Iterable[Counter[str]]) -> IndexRecall | None:
    total = sum(phases, Counter[str]())
    of, found = total["recall_of"], total["recall_found"]
    return IndexRecall(found=found, of=of, value=found / of) if of else None
