"""Checkpoints of a training: everything the next update depends on, complete or not there at all.

A checkpoint is a folder ``step-00000120`` with ``weights.safetensors`` (what is learnt, and the model's own buffers), ``training.pt``
(optimizer, schedule, random numbers to come: tensors and plain values, read without running code) and ``state.json``. The order of examples
needs no state: it follows from the seed and the number of the step.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convbench.errors import DataError, UsageError
from convbench.io.atomic import atomic_folder
from convbench.io.jsonl import read_json
from convbench.training.randomness import State
from convbench.training.replacing import storage_errors
from convbench.training.schedule import Learner
from convbench.training.sharding import part_of, reshard, whole

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import Tensor
    from torch.nn import Module
    from torch.optim import Optimizer

SCHEMA = "convbench.training/1"
WEIGHTS, TRAINING, STATE = "weights.safetensors", "training.pt", "state.json"

_NAME = re.compile(r"step-(\d{8,})")


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a training has come.

    Attributes:
        step: Updates that were made.
        best_step: After which of them the metric was best; None where nothing was measured.
        best: Its value then.
        waiting: Evaluations since then.
    """

    step: int = 0
    best_step: int | None = None
    best: float | None = None
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a training has learnt, whole and on the CPU; empty but in the first process.

    Attributes:
        weights: Name -> weight that is learnt, or buffer.
        optimizer: The optimizer's state, as torch gives it.
        schedule: The schedule's state.
    """

    weights: Mapping[str, Tensor]
    optimizer: Mapping[str, Any]
    schedule: Mapping[str, Any]


def snapshot(learner: Learner, accelerator: Accelerator) -> Snapshot:
    """What is to be saved. Where the model is sharded, all processes must take part."""
    reshard(learner.model)
    state = learner.optimizer.state_dict()
    moments = {(number, name): tensor for number, values in state["state"].items() for name, tensor in values.items()}
    numbers: dict[int, dict[str, Tensor]] = {}
    for (number, name), tensor in whole(moments, accelerator).items():
        numbers.setdefault(number, {})[name] = tensor
    return Snapshot(whole(_own(learner.model), accelerator), {**state, "state": numbers}, learner.schedule.state_dict())


class Checkpoints:
    """The checkpoints in a folder.

    Args:
        folder: Made with the first one.
        keep: Newest ones that stay; the best one stays besides.
        identity: What the training is, JSON-like: another one does not go on from these.
    """

    def __init__(self, folder: Path, keep: int, identity: Mapping[str, Any]) -> None:
        self.folder, self._keep, self._identity = folder, keep, json.loads(json.dumps(identity))

    def path(self, step: int) -> Path:
        """Where the checkpoint after so many updates is."""
        return self.folder / f"step-{step:08d}"

    def steps(self) -> list[int]:
        """Those that are there, oldest first."""
        names = (path.name for path in self.folder.glob("step-*")) if self.folder.is_dir() else ()
        return sorted(int(found[1]) for name in names if (found := _NAME.fullmatch(name)))

    def save(self, snapshot: Snapshot, standing: Standing, random: Sequence[State]) -> Path:
        """Writes a checkpoint, then removes those that no longer count. One process alone does.

        Args:
            snapshot: Model, optimizer and schedule.
            standing: How far the training has come.
            random: ``random_state()`` of every process, by rank.

        Raises:
            StorageError: The disk is full or the folder cannot be written to; the checkpoints before stay as they are.
        """
        import torch
        from safetensors.torch import save_file

        path = self.path(standing.step)
        content = {"optimizer": snapshot.optimizer, "schedule": snapshot.schedule, "random": list(random)}
        state = {"schema": SCHEMA, "standing": asdict(standing), "identity": self._identity}
        with atomic_folder(path) as temporary, storage_errors(path):
            save_file({name: tensor.contiguous() for name, tensor in snapshot.weights.items()}, temporary / WEIGHTS)
            with (temporary / TRAINING).open("wb") as handle:  # torch hides a full disk when it opens the file itself
                torch.save(content, handle)
            (temporary / STATE).write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")
        self._prune(standing)
        return path

    def standing(self) -> Standing:
        """That of the newest checkpoint; of a training that has not begun where there is none.

        Raises:
            UsageError: It is of another training.
            DataError: It is damaged.
        """
        if not (steps := self.steps()):
            return Standing()
        path = self.path(steps[-1]) / STATE
        state = read_json(path)
        if not isinstance(state, dict) or state.get("schema") != SCHEMA:
            raise DataError(path, f"expected the state of a training of schema {SCHEMA!r}")
        if difference := _difference(state.get("identity"), self._identity):
            raise UsageError(
                f"{self.folder.parent}: holds another training: {difference}; choose another folder, or go on with the same settings"
            )
        try:
            return Standing(**state["standing"])
        except (KeyError, TypeError):
            raise DataError(path, f"no standing of a training; {_advice(path)}") from None

    def load(self, learner: Learner, step: int, rank: int) -> State:
        """Puts a checkpoint into a model, its optimizer and its schedule.

        Args:
            learner: Changed in place.
            step: Which.
            rank: The process.

        Returns:
            The process's random numbers to come; set them last.

        Raises:
            DataError: It is damaged, or of another model.
        """
        import torch

        load_weights(learner.model, self.path(step))
        path = self.path(step) / TRAINING
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
            learner.optimizer.load_state_dict(_parts(content["optimizer"], learner.optimizer))
            learner.schedule.load_state_dict(content["schedule"])
            state: State = content["random"][rank]
        except Exception as error:  # torch raises nearly anything for a file that is cut or made up
            raise DataError(path, f"cannot be read ({type(error).__name__}); {_advice(path)}") from None
        return state

    def remove_leftovers(self) -> None:
        """Removes what a killed process left half-written or half-removed."""
        for path in self.folder.glob(".step-*.tmp"):
            shutil.rmtree(path, ignore_errors=True)

    def _prune(self, standing: Standing) -> None:
        for step in self.steps()[: -self._keep]:
            if step != standing.best_step:
                gone = self.folder / f".{self.path(step).name}.{os.getpid()}.tmp"  # at once: half of one must not look like one
                self.path(step).replace(gone)
                shutil.rmtree(gone, ignore_errors=True)


def load_weights(model: Module, checkpoint: Path) -> None:
    """Puts the weights of a checkpoint, such as the best one, into its model, sharded or not; weights that were not learnt stay.

    Raises:
        DataError: It is damaged, or of another model.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = checkpoint / WEIGHTS
    try:
        stored = load_file(path)
    except (OSError, SafetensorError) as error:
        raise DataError(path, f"cannot be read ({error}); {_advice(path)}") from None
    reshard(model)
    own = _own(model)
    if odd := sorted(stored.keys() ^ own.keys()) or [name for name, tensor in own.items() if tensor.shape != stored[name].shape]:
        raise DataError(path, f"is of another model: {odd[0]!r} does not fit", where=odd[0])
    for name, tensor in own.items():
        tensor.data.copy_(part_of(stored[name], tensor.data))


def _own(model: Module) -> dict[str, Tensor]:
    """What training changes in a model: parameters that are learnt, a tied one once, and buffers that belong to the weights."""
    learnt = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    stored = model.state_dict().keys()
    return {**learnt, **{name: buffer for name, buffer in model.named_buffers() if name in stored}}


def _parts(state: Mapping[str, Any], optimizer: Optimizer) -> dict[str, Any]:
    """An optimizer's state with what this process keeps of it; numbers are in the order of its weights."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    own = {
        number: {name: part_of(tensor, weights[number]) if tensor.ndim else tensor for name, tensor in values.items()}
        for number, values in state["state"].items()
    }
    return {**state, "state": own}


def _difference(there: Any, here: Mapping[str, Any]) -> str | None:
    """The first thing in which two trainings differ, in words."""
    if not isinstance(there, dict):
        return "nothing says which"
    for name in dict.fromkeys([*here, *there]):
        if there.get(name) != here.get(name):
            if isinstance(there.get(name), dict) and isinstance(here.get(name), dict):
                return f"{name}: {_difference(there[name], here[name])}"
            return f"{name} was {there.get(name)!r:.60}, is {here.get(name)!r:.60}"
    return None


def _advice(path: Path) -> str:
    return f"remove the folder {path.parent.name} to go on from the checkpoint before"
