"""Executing a plan: what is missing is computed, what is there is kept."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from convbench.datasets.collection import prepare_store
from convbench.datasets.store import ArrowPassageStore
from convbench.errors import UsageError
from convbench.harness.costs import CostLog
from convbench.harness.plan import Plan, PlannedStage
from convbench.harness.provenance import machine, package_versions
from convbench.harness.sharing import donor_of
from convbench.harness.stage_output import StageOutput
from convbench.harness.stage_rows import StageRows
from convbench.io.run_files import write_run_files
from convbench.meter import Meter
from convbench.progress import progress_bar
from convbench.systems.base import Row, Upstream, Workplace
from convbench.types import Turn, TurnRecord

log = logging.getLogger(__name__)


class Execution:
    """One execution of a plan.

    Attributes:
        seconds: Stage name -> seconds spent in this execution; absent where nothing was computed.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.seconds: dict[str, float] = {}
        self._meter = Meter()

    @cached_property
    def store(self) -> ArrowPassageStore | None:
        """The passages, prepared on first use; None where they are not at hand."""
        return prepare_store(self.plan.dataset, self.plan.collection, self.plan.cache) if self.plan.collection else None

    def collection(self) -> dict[str, Any]:
        """Origin, digest and size of the collection, as results name it; of a pool also what it was taken from."""
        if self.plan.collection is None or self.store is None:
            return {"origin": "unchecked", "sha256": None, "passages": None}
        found = {"origin": self.plan.collection.origin, "sha256": self.store.sha256, "passages": len(self.store)}
        pool = self.plan.dataset.pool
        return found if pool is None else {**found, "pool": pool.manifest.facts()}

    def inference(self) -> dict[str, TurnRecord]:
        """Runs every stage and writes the joint run and the TREC run; returns the records."""
        upstream: dict[str, StageRows] = {}
        for planned in self.plan.stages:
            upstream[planned.stage.name] = self._rows(planned, upstream)
        records = {turn.id: record for turn in self.plan.dataset.turns if (record := self._record(turn, upstream)) is not None}
        folder = self.plan.folder
        write_run_files(folder.turns, folder.trec, self._header(), records.values(), tag=self.plan.system.name)
        return records

    def _record(self, turn: Turn, upstream: Upstream) -> TurnRecord | None:
        return self.plan.system.record(turn.id, {name: rows[turn.id] for name, rows in upstream.items()})

    def _rows(self, planned: PlannedStage, upstream: Upstream) -> StageRows:
        stage, meter = planned.stage, self._meter
        costs = CostLog(self.plan.folder.stages, stage.name, planned.key)

        def open_stage() -> None:
            costs.resume()
            workplace = Workplace(self.store, self.plan.cache, meter)
            with meter.phase("open"):
                stage.open(workplace)
            costs.opened(meter.take(), machine(stage.describe()))

        def compute(number: int, turns: Sequence[Turn]) -> list[Row]:
            with meter.phase(stage.name, turns=len(turns)):
                rows = stage.run(turns, upstream)
                if number == len(planned.batches) - 1:
                    meter.settle()  # before the rows are written: rows that are there have costs
            costs.append(number, meter.take())
            return rows

        return self.compute(planned.output, planned.batches, open_stage, compute)

    def compute(
        self,
        output: StageOutput,
        batches: Sequence[Sequence[Turn]],
        prepare: Callable[[], None],
        run: Callable[[int, Sequence[Turn]], list[Row]],
    ) -> StageRows:
        """Brings one stage to its end and returns its rows.

        Args:
            output: Where rows are, and go.
            batches: The turns of every batch.
            prepare: Called before the first batch; not at all when no rows are missing.
            run: The rows of a batch, given its number and its turns.

        Raises:
            UsageError: Rows are not those of the batch's turns, in order.
        """
        if output.is_finished():
            return output.rows()
        done = output.resume()
        finished = sum(len(batch) for batch in batches[:done])
        if finished:
            log.info("%s: going on after %d of %d turns", output.name, finished, output.total)
        started = time.perf_counter()
        prepare()
        with progress_bar(output.name, output.total, done=finished) as advance:
            for number, batch in enumerate(batches[done:], start=done):
                rows = run(number, batch)
                _refuse_other_turns(output.name, rows, batch)
                output.append(rows)
                advance(len(batch))
        output.finish()
        self.seconds[output.name] = round(time.perf_counter() - started, 3)
        return output.rows()

    def _header(self) -> dict[str, object]:
        """The run file's header: only what is the same for every execution of the same plan."""
        plan, turns = self.plan, self.plan.dataset.all_turns()
        return {
            "run_name": plan.system.name,
            "system": plan.spec.system,
            "dataset": plan.dataset.name,
            "split": plan.dataset.split,
            "options": dict(plan.dataset.options),
            "collection": self.collection(),
            "turnset_sha256": turns.sha256,
            "turns": len(turns.ids),
            "conditions": plan.system.conditions(),
            "seed": plan.spec.seed,
            "stages": {planned.stage.name: planned.stage.describe() for planned in plan.stages},
            "provenance": {"packages": package_versions()},
        }


def _refuse_other_turns(name: str, rows: Sequence[Row], batch: Sequence[Turn]) -> None:
    """Rows are found by their place from now on; the stage may be of a plug-in."""
    found, expected = [row.get("turn_id") for row in rows], [turn.id for turn in batch]
    if found != expected:
        place = next((number for number, pair in enumerate(zip(found, expected, strict=False)) if pair[0] != pair[1]), len(rows))
        raise UsageError(
            f"{name}: {len(found)} rows for {len(expected)} turns, and row {place + 1} of the batch is of turn "
            f"{found[place] if place < len(found) else None!r}, expected {expected[place] if place < len(expected) else None!r}: "
            "a stage gives one row a turn, in order"
        )


def all_finished(plan: Plan) -> bool:
    """Whether nothing is left to infer."""
    return all(planned.output.is_finished() for planned in plan.stages)


def pending(plan: Plan, donors: Sequence[Path] = ()) -> Iterator[tuple[str, int, int]]:
    """(stage, turns done, turns in all) of each stage, in order; what can be taken over from the run folders ``donors`` is done."""
    for planned in plan.stages:
        done = len(planned.batches) if donor_of(planned, donors) else planned.output.batches_done()
        yield planned.stage.name, sum(len(batch) for batch in planned.batches[:done]), planned.output.total
