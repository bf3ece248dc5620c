"""Trainings of tiny decoders with the joint step, in this process, or as a program in each of several."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import torch
from accelerate import Accelerator
from torch import Tensor
from training.facts import facts
from training.joint import configured, examples, settings

from convbench.training.adapting import LoraSettings
from convbench.training.data.examples import Objective
from convbench.training.data.sampling import Pool, Unit
from convbench.training.loop import Trained, train
from convbench.training.objectives.weighted import Weights
from convbench.training.output import write_checkpoint
from convbench.training.processes import on_first, open_accelerator
from convbench.training.sharding import full_state, is_sharded
from convbench.training.step import JointStep, StepSettings, StepValues
from convbench.training.train_settings import TrainSettings
from convbench.training.trainable import Trainable, TrainableSettings, open_trainable

SETTINGS: dict[str, Any] = {"steps": 4, "batch_size": 4, "learning_rate": 1e-3, "save_every": 2, "device": "cpu", "keep": 9}
CHOOSING = settings(Weights(response=0.0, identification=0.5), earlier_responses=0, negatives=0, chunk_tokens=150)
JOINT = settings(negatives=0, chunk_tokens=150)

States = dict[int, Mapping[str, Tensor]]


def pools() -> list[Pool]:
    """First turns, which share neither passages nor responses; every third one feeds responses."""
    first = [example for example in examples() if example.id.endswith("_1")]
    choices: frozenset[Objective] = frozenset({"retrieval", "identification"})
    units = [(example if number % 3 == 0 else replace(example, objectives=choices),) for number, example in enumerate(first)]
    return [Pool("t", 1.0, tuple(units))]


class LoopStep:
    """The joint step as the loop wants it."""

    accelerator: ClassVar[Accelerator]

    def __init__(self, model: Trainable, chosen: StepSettings, stop_at: int | None = None) -> None:
        self.step, self.stop_at, self.chunks = JointStep(model, chosen), stop_at, 0

    def backward(self, units: Sequence[Unit], backward: Callable[[Tensor], None]) -> StepValues:
        if self.stop_at == 0:
            raise KeyboardInterrupt
        self.stop_at = None if self.stop_at is None else self.stop_at - 1
        batch = tuple(chain.from_iterable(units))
        self.chunks += len(self.step._read(batch, {})[1])
        return self.step.backward(batch, {}, backward)


def opened(checkpoint: str, architecture: str, **changes: Any) -> Trainable:
    torch.manual_seed(5)  # low-rank matrices are drawn
    return open_trainable(configured(architecture, Path(checkpoint)), TrainableSettings(dropout=0.0, **changes), offline=True)


def written(folder: Path, model: Trainable, state: Mapping[str, Tensor]) -> None:
    """A checkpoint of a state that the loop hands out: the model is a part of what is trained."""
    own = {name.removeprefix("model."): tensor for name, tensor in state.items()}
    write_checkpoint(model.loaded.model, model.loaded.tokenizer, model.loaded.profile, facts(), folder, weights=own)


def run(folder: Path, step: LoopStep, model: Trainable, evaluated: States | None = None, **changes: Any) -> Trained:
    every = {} if evaluated is None else {"evaluate_every": 2, "metric": "norm"}
    chosen = TrainSettings.model_validate(SETTINGS | every | changes)

    def evaluate(number: int, state: Mapping[str, Tensor]) -> dict[str, float]:
        assert evaluated is not None
        evaluated[number] = {name: tensor.clone() for name, tensor in state.items()}
        written(folder / f"written-{number}", model, state)
        return {"norm": float(sum(tensor.double().norm() for tensor in state.values()))}

    told = {"evaluate": evaluate} if evaluated is not None else {}
    LoopStep.accelerator = open_accelerator(chosen)
    return train(model.module, step, pools(), folder, chosen, step.accelerator, **told)  # type: ignore[arg-type]


def choosing(folder: Path, checkpoints: Mapping[str, str], **changes: Any) -> None:
    """A whole decoder with tied embeddings; its states are kept."""
    model, states = opened(checkpoints["qwen3"], "qwen3"), States()
    run(folder / "choosing", LoopStep(model, CHOOSING), model, states, **changes)
    if states:
        torch.save(states, folder / "states.pt")


def half(folder: Path, checkpoints: Mapping[str, str]) -> None:
    """The same in bfloat16."""
    choosing(folder, checkpoints, precision="bf16")


def adapter(folder: Path, checkpoints: Mapping[str, str]) -> None:
    """Low-rank matrices alone, with layers that are computed again in the backward pass."""
    model = opened(checkpoints["llama"], "llama", lora=LoraSettings(r=4, dropout=0.0), gradient_checkpointing=True)
    run(folder / "adapter", LoopStep(model, CHOOSING), model)


def headless(folder: Path, checkpoints: Mapping[str, str]) -> None:
    """A whole decoder with a head of its own, which no objective reaches."""
    model = opened(checkpoints["llama"], "llama")
    run(folder / "headless", LoopStep(model, CHOOSING), model, steps=2, weight_decay=0.5)


def joint(folder: Path, checkpoints: Mapping[str, str], name: str = "joint", stop_at: int | None = None) -> LoopStep:
    """All objectives, of which processes feed different ones, in different numbers of chunks."""
    model = opened(checkpoints["llama"], "llama")
    step = LoopStep(model, JOINT, stop_at)
    run(folder / name, step, model, gradient_accumulation=2, weight_decay=0.1)
    rank = step.accelerator.process_index
    own = [getattr(weight, "_local_tensor", weight).numel() for weight in model.module.parameters()]
    found = {
        "sharded": is_sharded(model.module),
        "chunks": step.chunks,
        "weights": sum(own),
        "losses": step.step.evaluate(tuple(examples()[7 * rank : 7 * rank + 2 + rank]), {}),
        "state": len(full_state(model.module, step.accelerator)),
    }
    (folder / f"{name}-{rank}.json").write_text(json.dumps(found))
    return step


def interrupted(folder: Path, checkpoints: Mapping[str, str]) -> None:
    """The same, stopped in the fourth update, and gone on with from the checkpoint of the second."""
    with suppress(KeyboardInterrupt):
        joint(folder, checkpoints, "interrupted", stop_at=6)
    on_first(lambda: shutil.copytree(folder / "interrupted", folder / "copied"), LoopStep.accelerator)
    joint(folder, checkpoints, "interrupted")


def copied(folder: Path, checkpoints: Mapping[str, str]) -> None:
    """What was interrupted elsewhere, gone on with here."""
    joint(folder, checkpoints, "copied")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in sys.argv[3].split(","):
        globals()[name](Path(sys.argv[1]), json.loads(sys.argv[2]))
