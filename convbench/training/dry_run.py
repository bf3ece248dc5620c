"""A training before it begins: everything is opened as for the real one, one batch is computed, nothing is learnt or written."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convbench.errors import UsageError
from convbench.training.batch_shape import BatchShape, batch_shape
from convbench.training.data.contamination import Contamination, as_json
from convbench.training.data.sampling import Pool, Unit
from convbench.training.data.sampling import batches as batches_of
from convbench.training.gradients import gradients
from convbench.training.leaks import leaks
from convbench.training.lost_processes import telling_of_lost_processes
from convbench.training.memory import LOGITS_AT_ONCE, Chunk, Memory, bare_model, described_model, estimate_memory
from convbench.training.plan import Plan
from convbench.training.prepare import Prepared, prepare
from convbench.training.processes import open_accelerator, place
from convbench.training.recipe import Recipe
from convbench.training.schedule import Learner, learner, total_steps
from convbench.training.sharing import Sharing, shareable_pools, sharing
from convbench.training.turn_rows import TurnRows
from convbench.training.zero import with_zero

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch.nn import Module

SHARDED_OVER = 8
"""Processes of the sharded estimate, where a launcher started fewer: those of the configuration that is shipped."""


@dataclass(frozen=True, slots=True)
class Computed:
    """One batch, forward and backward; the weights stay as they are.

    Attributes:
        losses: Objective -> its loss before it is weighted.
        total: The weighted sum.
        norm: Of the gradients, before they would be clipped.
        tokens: Tokens that were read, padding not counted.
        seconds: How long it took, the first call's preparations included.
        device: Where.
        wrong: What is NaN or infinite; None: nothing.
    """

    losses: dict[str, float]
    total: float
    norm: float
    tokens: int
    seconds: float
    device: str
    wrong: str | None

    def as_json(self) -> dict[str, Any]:
        """Plain values; what is no finite number is null."""
        finite = {name: loss if math.isfinite(loss) else None for name, loss in self.losses.items()}
        total = self.total if math.isfinite(self.total) else None
        return {**asdict(self), "losses": finite, "total": total, "norm": self.norm if math.isfinite(self.norm) else None}


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """What a training would be.

    Attributes:
        name: The recipe's.
        model: The checkpoint that it begins with.
        sources: Each source as a model card says it.
        negatives: Source -> hard negatives of an example, mined and written beside it: ``examples`` that feed retrieval, how many of them
            ``have`` some, and the ``mean``.
        shared: Evaluation set -> what the sources share with it.
        steps: Updates.
        epochs: How often the training goes through as many examples as the sources hold.
        examples: In the sources.
        examples_a_step: Mean over the whole training; conversations do not fill every batch.
        plan: The processes, and what each does.
        sharing: How as many processes as a launcher started, or ``SHARDED_OVER``, could share out every batch.
        batches: The first batches, whole, whatever the number of processes.
        computed: The first batch, or this process's share of it.
        memory: Estimates: for the model whole in each process, sharded, and with DeepSpeed where the launcher asks for it; and the same for
            the configuration of ``memory_of``.
    """

    name: str
    model: str
    sources: tuple[dict[str, Any], ...]
    negatives: dict[str, dict[str, float]]
    shared: dict[str, list[Contamination]]
    steps: int
    epochs: float
    examples: int
    examples_a_step: float
    plan: Plan
    sharing: Sharing
    batches: tuple[BatchShape, ...]
    computed: Computed
    memory: tuple[Memory, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "name": self.name,
            "model": self.model,
            "sources": list(self.sources),
            "negatives": self.negatives,
            "contamination": {name: as_json(found) for name, found in self.shared.items()},
            "steps": self.steps,
            "epochs": round(self.epochs, 3),
            "examples": self.examples,
            "examples_a_step": round(self.examples_a_step, 2),
            "plan": asdict(self.plan),
            "sharing": {**asdict(self.sharing), "first": list(self.sharing.first)},
            "batches": [each.as_json() for each in self.batches],
            "computed": self.computed.as_json(),
            "memory": [each.as_json() for each in self.memory],
        }


def dry_run(recipe: Recipe, *, cache: Path, offline: bool, batches: int = 2) -> DryRun:
    """Opens what a training would open, and computes one batch.

    Args:
        recipe: The recipe, with absolute paths.
        cache: Folder for stores.
        offline: Refuse the network.
        batches: How many batches are looked at.

    Raises:
        ConvbenchError: Anything that would keep the training from beginning.
    """
    if batches < 1:
        raise UsageError(f"batches: found {batches}, expected at least 1")
    settings, named = recipe.training, _named_model(recipe)
    accelerator = open_accelerator(settings)
    with telling_of_lost_processes(accelerator):
        return _dry_run(recipe, named, accelerator, cache=cache, offline=offline, batches=batches)


def _dry_run(recipe: Recipe, named: Mapping[str, Module], accelerator: Accelerator, *, cache: Path, offline: bool, batches: int) -> DryRun:
    settings, plan = recipe.training, Plan.of(recipe.training, accelerator)
    prepared = prepare(recipe, accelerator, cache=cache, offline=offline)
    shared = leaks(prepared.sources, recipe.evaluation, cache)
    steps = total_steps(settings, prepared.pools)
    module, loaded = prepared.trainable.module, prepared.trainable.loaded
    models = {loaded.checkpoint.label: bare_model(loaded.model), **named}
    writer = TurnRows(loaded, recipe.objectives.new_tokens, recipe.objectives.instruction)
    stream = batches_of(prepared.pools, settings.seed, settings.batch_size)
    first = list(islice(stream, batches))
    shapes = tuple(batch_shape(writer, recipe.objectives, list(chain.from_iterable(batch)), prepared.negatives) for batch in first)
    place(module, accelerator)
    made = with_zero(learner(module, settings, steps))
    drawn = sum(len(unit) for batch in _whole(prepared.pools, recipe, steps) for unit in batch)
    examples = sum(len(source.examples) for source in prepared.sources)
    computed = _computed(prepared, first[0], made, accelerator)
    return DryRun(
        name=recipe.name,
        model=loaded.checkpoint.label,
        sources=tuple(source.as_json() for source in prepared.sources),
        negatives=_negatives(prepared),
        shared=shared,
        steps=steps,
        epochs=drawn / examples,
        examples=examples,
        examples_a_step=drawn / steps,
        plan=plan,
        sharing=_sharing(prepared, steps, accelerator.num_processes),
        batches=shapes,
        computed=computed,
        memory=tuple(_memory(recipe, models, _largest(recipe, shapes), plan)),
    )


def _whole(pools: Sequence[Pool], recipe: Recipe, steps: int) -> Iterator[tuple[Unit, ...]]:
    """All batches of the training."""
    settings = recipe.training
    return islice(batches_of(pools, settings.seed, settings.batch_size), steps * settings.gradient_accumulation)


def _sharing(prepared: Prepared, steps: int, started: int) -> Sharing:
    """With the pools of these processes, or of those that are not there but could be."""
    recipe, processes = prepared.recipe, started if started > 1 else SHARDED_OVER
    size, packed = recipe.training.batch_size, recipe.objectives.packed
    apart = started > 1
    pools = prepared.pools if apart else shareable_pools(prepared.sources, packed=packed, batch_size=size, processes=processes)
    found = sharing(_whole(pools, recipe, steps), processes, recipe.objectives.weights)
    if apart and not found.works:
        raise UsageError(f"{found.describe()}: start fewer processes, raise batch_size, or leave out turns without gold passages")
    return found


def _negatives(prepared: Prepared) -> dict[str, dict[str, float]]:
    found = {}
    for source in prepared.sources:
        counts = [
            len(prepared.negatives.get(example.id, ())) + len(example.negatives)
            for example in source.examples
            if "retrieval" in example.objectives
        ]
        if counts:
            found[source.spec.name] = {"examples": len(counts), "have": sum(map(bool, counts)), "mean": round(sum(counts) / len(counts), 2)}
    return found


def _computed(prepared: Prepared, batch: Any, made: Learner, accelerator: Accelerator) -> Computed:
    """The gradients of a batch, as an update takes them; they are thrown away."""
    started = time.perf_counter()
    found = gradients(prepared.step, [batch], made, max_norm=None, accelerator=accelerator)
    seconds = time.perf_counter() - started  # losses and norm are numbers by now: the device is done
    made.optimizer.zero_grad(set_to_none=True)
    return Computed(dict(found.losses), found.total, found.norm, found.tokens, seconds, accelerator.device.type, found.wrong)


def _largest(recipe: Recipe, shapes: Sequence[BatchShape]) -> Chunk:
    """The largest chunk that was seen, or that the settings allow where they set a bound."""
    seen, chosen = [each.largest for each in shapes], recipe.objectives
    tokens = max(each.tokens for each in seen)
    width = max(each.width for each in seen)
    predicted = max(each.predicted for each in seen)
    if chosen.chunk_tokens is None:
        return Chunk(tokens, width, predicted)
    widest = min(chosen.row_tokens, chosen.chunk_tokens) if chosen.packed else width
    return Chunk(max(tokens, chosen.chunk_tokens), max(width, widest), LOGITS_AT_ONCE if predicted else 0)


def _memory(recipe: Recipe, models: Mapping[str, Module], chunk: Chunk, plan: Plan) -> Iterator[Memory]:
    over = plan.processes if plan.processes > 1 else SHARDED_OVER
    for name, model in models.items():
        for processes, zero in ((1, False), (over, False), *([(over, True)] if plan.zero else [])):
            yield estimate_memory(
                model, recipe.tuning, chunk, name=name, precision=recipe.training.precision, processes=processes, zero=zero
            )


def _named_model(recipe: Recipe) -> dict[str, Module]:
    """The configuration that the recipe names, in the precision that a GPU would hold it in."""
    if recipe.memory_of is None:
        return {}
    asked = recipe.model.dtype
    return {recipe.memory_of.name: described_model(recipe.memory_of, None if asked == "auto" else asked)}
