"""Small trainable checkpoints, and examples of a mini set to train them with."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from backends.small import CLOSING, folder_of
from torch import Tensor

from convbench.backends.placement import ModelConfig
from convbench.io.cache import cache_root
from convbench.training.data.examples import Example
from convbench.training.data.mixture import Mixture
from convbench.training.data.sources import open_mixture
from convbench.training.objectives.weighted import Weights
from convbench.training.step import JointStep, StepSettings, StepValues
from convbench.training.trainable import Trainable, TrainableSettings, open_trainable, whole_module

ALL = Weights(retrieval=1.0, response=0.3, identification=0.5, grounded=0.2)
LENGTHS = {"session": 200, "passage": 48, "evidence": 48, "prompt": 320}
"""So short that sessions lose their oldest exchanges within a conversation."""


def configured(architecture: str, folder: Path | None = None, **profile: Any) -> ModelConfig:
    """A small checkpoint that reads sessions at their last token, but for what ``profile`` changes."""
    values = {"pooling": "last", "attention": "causal", "closing": CLOSING.get(architecture, ("</s>",)), "lengths": LENGTHS, **profile}
    return ModelConfig(model=str(folder or folder_of(architecture)), profile=values)


def trainable(architecture: str, settings: TrainableSettings | None = None, **profile: Any) -> Trainable:
    """A small checkpoint without dropout, but for what ``settings`` says."""
    return open_trainable(configured(architecture, **profile), settings or TrainableSettings(dropout=0.0), offline=True)


def precise(model: Trainable) -> Trainable:
    """The checkpoint in float64, where differences that remain are no rounding of its batches; the loss itself stays in float32."""
    loaded = replace(model.loaded, dtype="float64", model=deepcopy(model.loaded.model).double())
    return replace(model, loaded=loaded, module=whole_module(loaded).train())


@cache
def examples() -> tuple[Example, ...]:
    """The turns of a mini set, conversation by conversation."""
    objectives = ["retrieval", "response", "identification"]
    mixture = Mixture.model_validate({"sources": [{"name": "t", "dataset": "topiocqa", "objectives": objectives}]})
    return open_mixture(mixture, Path(), cache_root())[0].examples


def settings(weights: Weights = ALL, **changes: Any) -> StepSettings:
    return StepSettings(**{"weights": weights, "temperature": 0.05, "new_tokens": 30, "negatives": 2, "earlier_responses": 2, **changes})


def stepped(model: Trainable, chosen: StepSettings, batch: tuple[Example, ...] | None = None) -> tuple[StepValues, Tensor]:
    """What a step gives, and the gradients of all weights, one after another."""
    model.module.zero_grad()
    values = JointStep(model, chosen).backward(examples()[:8] if batch is None else batch, {}, torch.Tensor.backward)
    gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in model.parameters()]
    return values, torch.cat([each.flatten() for each in gradients]).clone()


def only(objective: str) -> Weights:
    return Weights(**{"retrieval": 0.0, "response": 0.0, "identification": 0.0, objective: 1.0})
