"""The training loop: batch after batch until it is done, with a log, checkpoints to go on from, and a choice of the best one.

Training goes on where it was stopped, however it was stopped: the same call in the same folder takes the newest checkpoint, and from there
every number is what it would have been (on the CPU in float32 to the last bit).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from convbench.errors import InvariantError, UsageError
from convbench.io.atomic import write_text
from convbench.io.digests import value_sha256
from convbench.io.lock import Lock
from convbench.progress import progress_bar
from convbench.training.checkpoints import Checkpoints, Standing, snapshot
from convbench.training.data.sampling import Pool, batches
from convbench.training.gradients import Gradients, Step, gradients
from convbench.training.locking import locked
from convbench.training.logs import LOG, Log, opened_logs
from convbench.training.loss_curve import draw_curves
from convbench.training.processes import gathered_objects, on_first, place
from convbench.training.randomness import random_state, set_random_state
from convbench.training.schedule import Learner, learner, total_steps
from convbench.training.sharding import full_state
from convbench.training.train_settings import TrainSettings
from convbench.training.zero import with_zero

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import Tensor
    from torch.nn import Module

Evaluate: TypeAlias = "Callable[[int, Mapping[str, Tensor]], Mapping[str, float]]"
"""From the number of updates and the model's state (``full_state``) to metrics.

Called in the first process only, while the others wait. Where the model is sharded, it cannot compute there: a model of its own must, with
this state. Where it is not, the state is the model's own tensors, and the model itself, in evaluation mode, does as well.
"""

NAN_BATCH, CHECKPOINTS = "nan-batch.json", "checkpoints"


class DivergedError(InvariantError):
    """A loss or a gradient is NaN or infinite: training cannot go on. Exit code 7."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What became of a training.

    Attributes:
        steps: Updates that were made.
        stopped_early: Whether patience ran out before the last one.
        chosen_step: After which update the metric was best; without a metric the last one.
        checkpoint: The checkpoint of that update, for ``load_weights``.
        best: The metric there; None without one.
    """

    steps: int
    stopped_early: bool
    chosen_step: int
    checkpoint: Path
    best: float | None


SHARES = 2
"""Raised when several processes come to another loss from the same batch."""


def train(
    model: Module,
    step: Step,
    pools: Sequence[Pool],
    folder: Path,
    settings: TrainSettings,
    accelerator: Accelerator,
    *,
    evaluate: Evaluate | None = None,
    identity: Mapping[str, Any] | None = None,
) -> Trained:
    """Trains a model, or goes on with it.

    The folder gets ``train.jsonl``, ``checkpoints/``, ``loss.svg`` and ``loss.png``, and ``tensorboard/`` where the settings ask for it.
    The model ends with the last update's weights.

    Args:
        model: Moved to the accelerator's device, or sharded; its parameters that require gradients are learnt. To be sharded, it must be
            what everything computed goes through (``Trainable.module``).
        step: Computes losses with the model.
        pools: The sources' units, in the order of ``training.data.sampling``.
        folder: Of this training alone.
        settings: How to train.
        accelerator: From ``open_accelerator(settings)``.
        evaluate: Measures the model; needed where the settings say how often.
        identity: What else makes this training this one (model, objectives, data), JSON-like: where it differs, training does not go on.

    Raises:
        DivergedError: A loss or gradient is not finite; the examples' ids are in ``nan-batch.json``, and the weights were not moved.
        UsageError: Another process is at work in the folder, it holds another training, or the settings ask for what is not there.
        DataError: The newest checkpoint or the log is damaged.
        StorageError: The disk is full; the checkpoints before stay.
    """
    from accelerate.utils import set_seed

    if (settings.evaluate_every is None) != (evaluate is None):
        raise UsageError("evaluate_every and something to evaluate with: expected both or neither")
    steps = total_steps(settings, pools)
    processes = accelerator.num_processes
    told = {"settings": settings.identity(), "data": _digest(pools), "processes": processes, **(identity or {})}
    if processes > 1:
        told["shares"] = SHARES  # a training of one process goes on from what any version began
    checkpoints = Checkpoints(folder / CHECKPOINTS, settings.keep, told)
    with _alone(folder, accelerator):
        place(model, accelerator)
        made = with_zero(learner(model, settings, steps))
        set_seed(settings.seed, device_specific=True)
        standing = on_first(lambda: _opened(checkpoints, folder), accelerator)
        if standing.step:
            set_random_state(checkpoints.load(made, standing.step, accelerator.process_index))
        run = _Run(made, step, pools, folder, settings, accelerator, evaluate, checkpoints, steps)
        standing = run.until_done(standing)
        on_first(lambda: draw_curves(folder / LOG, folder), accelerator)
    chosen = standing.best_step if standing.best_step is not None else standing.step
    return Trained(standing.step, standing.step < steps, chosen, checkpoints.path(chosen), standing.best)


@dataclass(frozen=True, slots=True)
class _Run:
    """A training at work: what does not change while it goes on."""

    learner: Learner
    step: Step
    pools: Sequence[Pool]
    folder: Path
    settings: TrainSettings
    accelerator: Accelerator
    evaluate: Evaluate | None
    checkpoints: Checkpoints
    steps: int

    def until_done(self, standing: Standing) -> Standing:
        """Makes the updates that are missing."""
        accumulated = self.settings.gradient_accumulation
        stream = batches(self.pools, self.settings.seed, self.settings.batch_size, start=standing.step * accumulated)
        first = self.accelerator.is_main_process
        bar = progress_bar("train", self.steps, done=standing.step, unit="step") if first else nullcontext(None)
        logs = opened_logs(self.folder, standing.step, tensorboard=self.settings.tensorboard) if first else nullcontext(None)
        with logs as log, bar as advance:
            while standing.step < self.steps and not self._out_of_patience(standing):
                found = self._update(standing.step + 1, list(islice(stream, accumulated)), log)
                standing = replace(standing, step=standing.step + 1)
                if self._is_due(standing.step, self.settings.evaluate_every):
                    standing = self._evaluated(standing, log)
                last = self._is_due(standing.step, self.settings.save_every) or self._out_of_patience(standing)
                if last or standing.best_step == standing.step:
                    self._save(standing, log)
                if advance:
                    advance(1, tokens=found.tokens)
        return standing

    def _update(self, number: int, drawn: Sequence[Any], log: Log | None) -> Gradients:
        started = time.perf_counter()
        self.learner.model.train()
        found = gradients(self.step, drawn, self.learner, max_norm=self.settings.max_gradient_norm, accelerator=self.accelerator)
        if found.wrong:
            self._stop(number, found)
        rate = self.learner.learning_rate
        self.learner.update()
        if log:
            log.update(number, found, learning_rate=rate, seconds=time.perf_counter() - started)
        return found

    def _stop(self, number: int, found: Gradients) -> None:
        """Saves what the batch was, and gives up."""
        kept = self.checkpoints.steps()
        numbers = {"step": number, "wrong": found.wrong, "losses": {name: str(loss) for name, loss in found.losses.items()}}
        content = {**numbers, "gradient_norm": str(found.norm), "ids": found.ids}
        path = self.folder / NAN_BATCH
        on_first(lambda: write_text(path, json.dumps(content, indent=1) + "\n"), self.accelerator)
        since = f"the last checkpoint is of step {kept[-1]}" if kept else "there is no checkpoint yet"
        raise DivergedError(
            f"{path}: {found.wrong} in step {number}, of the examples named there; {since}; lower the learning rate or look at them"
        )

    def _evaluated(self, standing: Standing, log: Log | None) -> Standing:
        """Measures the model, and says whether it is the best so far."""
        self.learner.model.eval()
        state = full_state(self.learner.model, self.accelerator)
        metrics = on_first(lambda: dict(self.evaluate(standing.step, state)) if self.evaluate else {}, self.accelerator)
        if log:
            log.metrics(standing.step, metrics)
        name = self.settings.metric
        if name is None:
            return standing
        if name not in metrics:
            raise UsageError(f"the metric {name!r} to choose by is not among those measured: {', '.join(metrics) or 'none'}")
        if self.settings.is_better(metrics[name], standing.best):
            return replace(standing, best_step=standing.step, best=metrics[name], waiting=0)
        return replace(standing, waiting=standing.waiting + 1)

    def _save(self, standing: Standing, log: Log | None) -> None:
        if log:
            log.sync()
        random = gathered_objects([random_state()], self.accelerator)
        content = snapshot(self.learner, self.accelerator)
        on_first(lambda: self.checkpoints.save(content, standing, random), self.accelerator)

    def _is_due(self, step: int, every: int | None) -> bool:
        return every is not None and (step % every == 0 or step == self.steps)

    def _out_of_patience(self, standing: Standing) -> bool:
        return self.settings.patience is not None and standing.waiting >= self.settings.patience


def _opened(checkpoints: Checkpoints, folder: Path) -> Standing:
    """Where training goes on; what a killed process left is removed."""
    checkpoints.remove_leftovers()
    standing = checkpoints.standing()
    (folder / NAN_BATCH).unlink(missing_ok=True)
    return standing


def _digest(pools: Sequence[Pool]) -> str:
    """Tells other examples, another order or other weights of sources."""
    return value_sha256([[pool.name, pool.weight, [[example.id for example in unit] for unit in pool.units]] for pool in pools])


@contextmanager
def _alone(folder: Path, accelerator: Accelerator) -> Iterator[None]:
    """Keeps a second training out of the folder."""
    held: list[Lock] = []

    def busy(who: str) -> UsageError:
        return UsageError(f"{folder}: {who} is training in this folder; wait for it or choose another")

    on_first(lambda: held.append(locked(folder / ".lock", busy, "training")), accelerator)
    try:
        yield
    finally:
        for lock in held:
            lock.close()
