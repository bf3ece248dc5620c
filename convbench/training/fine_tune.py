"""``convbench train``: a recipe into a checkpoint that ``convbench run`` takes, with a card that says how good it is."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from convbench.harness.folder import RunFolder
from convbench.harness.provenance import machine
from convbench.harness.results import Results, read_results
from convbench.io.atomic import write_text
from convbench.io.jsonl import read_json
from convbench.training.card import FACTS, CardFacts, Form, write_card
from convbench.training.checkpoints import load_weights
from convbench.training.data.contamination import as_json
from convbench.training.data.sampling import batches
from convbench.training.evaluating import check_metric, flat_metrics, passing_indexes, run_checkpoint, set_names
from convbench.training.leaks import leaks
from convbench.training.log import read_log
from convbench.training.logs import LOG
from convbench.training.loop import Trained, train
from convbench.training.lost_processes import telling_of_lost_processes
from convbench.training.output import write_adapter, write_checkpoint, write_merged
from convbench.training.prepare import Prepared, prepare
from convbench.training.processes import on_first, open_accelerator
from convbench.training.recipe import Recipe
from convbench.training.sharding import is_sharded
from convbench.training.trainable import Trainable, open_trainable

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import Tensor

log = logging.getLogger(__name__)

CHECKPOINT, RUNS, EVALUATIONS, USED = "checkpoint", "runs", "evaluations", "recipe.yaml"
_IN_MODULE, _IN_ADAPTER = "model.", "base_model.model."
_TELLING = ("steps", "tokens", "seconds", "seeds", "objectives", "settings", "sources")
"""Facts of a card that tell which training its weights are of."""


@dataclass(frozen=True, slots=True)
class FineTuned:
    """What a training left.

    Attributes:
        checkpoint: The trained checkpoint.
        trained: How the training went.
        runs: Name of each test set -> the folder of its run.
        results: Name of each test set -> its results.
    """

    checkpoint: Path
    trained: Trained
    runs: dict[str, Path]
    results: dict[str, Results]


def fine_tune(recipe: Recipe, out: Path, *, cache: Path, offline: bool) -> FineTuned:
    """Trains, writes the checkpoint, evaluates it, and writes its card.

    The folder gets what ``loop.train`` writes, ``evaluations/`` (runs on the dev sets), ``checkpoint/``, ``runs/`` (runs on the test sets)
    and, when all is done, ``recipe.yaml`` (the recipe as it was used). The same call goes on where it was stopped; once it is done, it
    computes nothing.

    Args:
        recipe: The recipe, with absolute paths.
        out: Folder of this training alone.
        cache: Folder for stores and indexes.
        offline: Refuse the network.

    Raises:
        ConvbenchError: Anything that a user can act on; finished work stays.
    """
    accelerator = open_accelerator(recipe.training)
    with telling_of_lost_processes(accelerator):
        return _fine_tuned(recipe, out, accelerator, cache=cache, offline=offline)


def _fine_tuned(recipe: Recipe, out: Path, accelerator: Accelerator, *, cache: Path, offline: bool) -> FineTuned:
    prepared = prepare(recipe, accelerator, cache=cache, offline=offline)
    found = on_first(lambda: _contamination(prepared, cache), accelerator)
    trained = train(
        prepared.trainable.module,
        prepared.step,
        prepared.pools,
        out,
        recipe.training,
        accelerator,
        evaluate=_evaluator(prepared, out, cache) if recipe.evaluation.dev else None,
        identity=prepared.identity,
    )
    return on_first(lambda: _finish(prepared, trained, found, out, cache, offline=offline), accelerator)


def _contamination(prepared: Prepared, cache: Path) -> dict[str, list[dict[str, Any]]]:
    """What the sources share with every evaluation set; what may be a leak is warned of."""
    found = leaks(prepared.sources, prepared.recipe.evaluation, cache)
    for name, findings in found.items():
        for finding in findings:
            if finding.severity != "info":
                log.warning("%s: source %s: %s", name, finding.source, finding.message)
    return {name: as_json(findings) for name, findings in found.items()}


def _evaluator(prepared: Prepared, out: Path, cache: Path) -> Callable[[int, Mapping[str, Tensor]], dict[str, float]]:
    """Evaluates weights on the dev sets, as a checkpoint that is written, run and removed again."""
    recipe, folder = prepared.recipe, out / EVALUATIONS

    def evaluate(step: int, state: Mapping[str, Tensor]) -> dict[str, float]:
        checkpoint, runs = folder / CHECKPOINT, folder / f"step-{step:08d}"
        shutil.rmtree(runs, ignore_errors=True)  # of a try that was stopped, whose weights may have been others
        _write(prepared.trainable, recipe, _facts(prepared, step, {}, out), checkpoint, state)
        with passing_indexes(folder, cache) as passing:
            results = run_checkpoint(checkpoint, recipe, recipe.evaluation.dev, runs, cache=passing, offline=True)
        shutil.rmtree(checkpoint)
        metrics = flat_metrics(results)
        check_metric(recipe.training.metric, metrics)
        return metrics

    return evaluate


def _finish(prepared: Prepared, trained: Trained, found: Mapping[str, Any], out: Path, cache: Path, *, offline: bool) -> FineTuned:
    """Writes the chosen weights as a checkpoint, evaluates it, and writes its card again with the scores; the recipe comes last."""
    recipe, checkpoint = prepared.recipe, out / CHECKPOINT
    runs = {name: out / RUNS / name for name in set_names(recipe.evaluation.test)}
    used = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    facts = _facts(prepared, trained.chosen_step, found, out)
    written = _is_written(checkpoint, facts, _form(recipe))
    if written and _is_done(out, used, runs):
        return FineTuned(checkpoint, trained, runs, {name: read_results(RunFolder(run).results) for name, run in runs.items()})
    if not written:
        trainable = prepared.trainable
        if is_sharded(trainable.module):  # its weights are parts, which nothing whole can be loaded into
            trainable = open_trainable(recipe.model, recipe.tuning, offline=offline)
        load_weights(trainable.module, trained.checkpoint)
        _write(trainable, recipe, facts, checkpoint, None)
    results = run_checkpoint(checkpoint, recipe, recipe.evaluation.test, out / RUNS, cache=cache, offline=offline)
    write_card(replace(facts, scores=tuple(results.values())), prepared.trainable.loaded.profile, _form(recipe), checkpoint)
    write_text(out / USED, used)
    return FineTuned(checkpoint, trained, runs, results)


def _write(trainable: Trainable, recipe: Recipe, facts: CardFacts, folder: Path, state: Mapping[str, Tensor] | None) -> None:
    """Writes the checkpoint in the recipe's form.

    Args:
        trainable: What was tuned.
        recipe: Says how it is written.
        facts: For the card.
        folder: Where to.
        state: The weights, named as in ``trainable.module``; None: its own.
    """
    loaded, form = trainable.loaded, _form(recipe)
    own = None if state is None else {name.removeprefix(_IN_MODULE): each for name, each in state.items() if name.startswith(_IN_MODULE)}
    if trainable.adapter is None:
        write_checkpoint(loaded.model, loaded.tokenizer, loaded.profile, facts, folder, weights=own)
    elif form == "merged" and own is None:
        write_merged(trainable.adapter, loaded.tokenizer, loaded.profile, facts, folder)
    else:  # while training goes on, the adapter says the same in less
        weights = None if own is None else {f"{_IN_ADAPTER}{name}": each for name, each in own.items()}
        base = loaded.checkpoint.located
        name = str(base.path) if Path(base.name).is_dir() else base.name
        write_adapter(trainable.adapter, loaded.tokenizer, loaded.profile, facts, name, folder, weights=weights)


def _form(recipe: Recipe) -> Form:
    return "whole" if recipe.tuning.lora is None else recipe.output


def _is_written(checkpoint: Path, facts: CardFacts, form: Form) -> bool:
    """Whether the weights of this step were written already, in this form and by this very training.

    The time alone does not tell one training from another: two short ones may take equally long. Of two with the same settings it does.
    """
    path = checkpoint / FACTS
    told = {"form": form, **{name: getattr(facts, name) for name in _TELLING}}
    return path.exists() and json.loads(json.dumps(told)).items() <= read_json(path).items()


def _is_done(out: Path, used: str, runs: Mapping[str, Path]) -> bool:
    """Whether this very recipe came to its end here, and its runs are still there."""
    recipe = out / USED
    return recipe.exists() and recipe.read_text(encoding="utf-8") == used and all(RunFolder(run).results.exists() for run in runs.values())


def _facts(prepared: Prepared, step: int, found: Mapping[str, Any], out: Path) -> CardFacts:
    """What the card of the weights after so many steps states."""
    recipe = prepared.recipe
    objectives = {key: value for key, value in asdict(recipe.objectives).items() if key != "weights"}
    updates = [line for line in read_log(out / LOG) if "losses" in line and line["step"] <= step]
    drawn = batches(prepared.pools, recipe.training.seed, recipe.training.batch_size)
    return CardFacts(
        name=recipe.name,
        base=prepared.base,
        sources=[source.as_json() for source in prepared.sources],
        contamination=found,
        objectives=asdict(recipe.objectives.weights),
        settings={
            "training": recipe.training.model_dump(mode="json", exclude={"seed"}),
            "objectives": objectives,
            "tuning": asdict(recipe.tuning),
            "negatives": prepared.identity["negatives"],
        },
        seeds={"order, new weights and dropout": recipe.training.seed},
        steps=step,
        examples=sum(len(unit) for batch in islice(drawn, step * recipe.training.gradient_accumulation) for unit in batch),
        tokens=sum(line["tokens"] for line in updates),
        seconds=round(sum(line["seconds"] for line in updates), 1),
        machine=machine({"device": prepared.trainable.loaded.device}),
        limitations=recipe.limitations,
    )
