"""A whole training of a tiny decoder: in this process, or as a program in processes of its own, which can be killed."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from backends.small import folder_of
from torch import Tensor

from convbench.backends.loaded import load
from convbench.backends.placement import ModelConfig
from convbench.training.data.examples import Example
from convbench.training.data.sampling import Pool, Unit
from convbench.training.loop import Trained, train
from convbench.training.objectives.contrastive import contrastive_loss
from convbench.training.objectives.gathering import gathered
from convbench.training.processes import open_accelerator
from convbench.training.train_settings import TrainSettings
from convbench.types import Turn

WEIGHTS = {"retrieval": 1.0, "response": 0.3}
SETTINGS: dict[str, Any] = {"steps": 8, "batch_size": 4, "learning_rate": 1e-3, "save_every": 3, "device": "cpu"}


@dataclass(frozen=True)
class Values:
    losses: dict[str, float]
    tokens: int
    ids: tuple[str, ...]


def pools(examples: int = 7) -> list[Pool]:
    made = []
    for name, weight in (("a", 1.0), ("b", 0.5)):
        turns = [Turn(f"{index}_1", f"what is {name} number {index}") for index in range(examples)]
        units = [(Example(f"{name}/{turn.id}", name, turn, "full", (), f"it is {turn.id}", (), frozenset({"response"})),) for turn in turns]
        made.append(Pool(name, weight, tuple(units)))
    return made


class TinyStep:
    """Retrieval of the response by the query, then its likelihood, each with a backward pass of its own."""

    def __init__(
        self, *, checkpoint: str | None = None, dropout: bool = True, poison: str | None = None, kill_at: int | None = None
    ) -> None:
        profile = {"pooling": "last", "attention": "causal", "closing": ("[SEP]",)}
        model = checkpoint or str(folder_of("bert"))  # the same files for all processes: two tokenizers trained alike may differ
        loaded = load(ModelConfig(model=model, profile=profile, device="cpu"), "decoder", offline=True)
        self.model, self.tokenizer = loaded.model, loaded.tokenizer
        self.poison, self.kill_at = poison, kill_at
        self.seen: list[tuple[str, ...]] = []
        if not dropout:
            for module in self.model.modules():
                if isinstance(module, torch.nn.Dropout):
                    module.p = 0.0

    def read(self, texts: Sequence[str]) -> tuple[Any, Tensor, Tensor]:
        rows = self.tokenizer(list(texts), return_tensors="pt", padding=True)
        ids, mask = rows["input_ids"], rows["attention_mask"]
        return self.model(input_ids=ids, attention_mask=mask, output_hidden_states=True), ids, mask

    def encode(self, texts: Sequence[str]) -> tuple[Tensor, int]:
        found, _, mask = self.read(texts)
        pooled = (found.hidden_states[-1] * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)
        return torch.nn.functional.normalize(pooled, dim=-1), int(mask.sum())

    def likelihood(self, texts: Sequence[str]) -> Tensor:
        found, ids, mask = self.read(texts)
        wanted = ids[:, 1:].masked_fill(mask[:, 1:] == 0, -100)
        each = torch.nn.functional.cross_entropy(found.logits[:, :-1].float().transpose(1, 2), wanted, reduction="none")
        return (each.sum(1) / mask[:, 1:].sum(1)).mean()

    def backward(self, units: Sequence[Unit], backward: Callable[[Tensor], None]) -> Values:
        examples = list(chain.from_iterable(units))
        ids = tuple(example.id for example in examples)
        self.seen.append(ids)
        if len(self.seen) == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        texts = [example.response or "" for example in examples]
        sessions, read = self.encode([example.turn.query for example in examples])
        responses, more = self.encode(texts)
        retrieval = contrastive_loss(sessions, gathered(responses), torch.arange(len(sessions)), allowed=None, temperature=0.1)
        backward(WEIGHTS["retrieval"] * retrieval)
        response = self.likelihood(texts)
        if self.poison in ids:
            response = response * torch.nan
        backward(WEIGHTS["response"] * response)
        losses = {"retrieval": retrieval.item(), "response": response.item()}
        return Values(losses | {"total": sum(WEIGHTS[name] * loss for name, loss in losses.items())}, read + more, ids)

    def evaluate(self, _: int, __: object) -> dict[str, float]:
        with torch.no_grad():
            return {"likelihood": self.likelihood(["it is 0_1", "it is 5_1"]).item()}


def run(folder: Path, step: TinyStep | None = None, **changes: Any) -> Trained:
    settings = TrainSettings.model_validate(SETTINGS | changes)
    step = step or TinyStep()
    evaluate = step.evaluate if settings.evaluate_every else None
    return train(step.model, step, pools(), folder, settings, open_accelerator(settings), evaluate=evaluate)


def kill_when_opened(name: str, time: int) -> None:
    """The process ends, as by kill -9, when it opens a file of that name for the given time."""
    opened = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal opened
        if event == "open" and str(arguments[0]).endswith(name):
            opened += 1
            if opened == time:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


if __name__ == "__main__":
    told = json.loads(sys.argv[2])
    if told.get("kill_when_opened"):
        kill_when_opened(*told["kill_when_opened"])
    torch.set_num_threads(1)
    run(Path(sys.argv[1]), TinyStep(**told.get("step", {})), **told.get("settings", {}))
