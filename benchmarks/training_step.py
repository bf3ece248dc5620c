"""A joint training step: retrieval and response learnt from one pass over each session, beside a pass for each loss.

    python benchmarks/training_step.py [--out benchmarks/results/training_step.json] [--small]

Both ways are convbench's step, forward and backward, on the same eight turns of conversations of their own. Packed, a session is read once:
the embedding and the response branch off it. Otherwise it is read once for the retrieval loss and once for the response's, and one backward
pass goes over both. Losses and gradients are the same to 1e-5. Memory is how far the resident set rises in a step, weights and gradients
not counted, in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from side_by_side import Result, environment, extra_megabytes, growth, one_thread, side_by_side, write_results

one_thread()

import torch  # noqa: E402
import transformers  # noqa: E402
from training_examples import Speaker, make_decoder  # noqa: E402

from convbench.training.data.examples import Example  # noqa: E402
from convbench.training.objectives.weighted import Weights  # noqa: E402
from convbench.training.step import JointStep, StepSettings  # noqa: E402
from convbench.training.trainable import Trainable, open_trainable  # noqa: E402

BATCH, LONGEST, SMALL = 8, 12, 2
RESPONSE = (60, 100)
"""Words of a response: those of language models are longer than TopiOCQA's."""

WAYS = {"one pass": True, "two passes": False}
"""Way -> whether conversations are packed."""

WEIGHTS = Weights(retrieval=1.0, response=0.3, identification=0.0)


@dataclass(frozen=True)
class Stepped:
    """What a step gave: losses, and the gradient of each weight."""

    losses: dict[str, float]
    gradients: list[torch.Tensor]


class Step:
    """Forward and backward passes of a batch.

    Args:
        model: What is tuned.
        packed: Whether a session is read once for both losses.
    """

    def __init__(self, model: Trainable, *, packed: bool) -> None:
        settings: dict[str, Any] = {"temperature": 0.05, "label_smoothing": 0.0, "negatives": 0, "new_tokens": RESPONSE[1] + 1}
        self._step = JointStep(model, StepSettings(weights=WEIGHTS, packed=packed, **settings))
        self._weights = [weight for weight in model.parameters() if weight.requires_grad]
        for weight in self._weights:
            weight.grad = torch.zeros_like(weight)

    def take(self, examples: Sequence[Example]) -> dict[str, float]:
        """Losses; the gradients stand in the weights' ``grad``."""
        for weight in self._weights:
            assert weight.grad is not None
            weight.grad.zero_()
        return self._step.backward(examples, {}, torch.Tensor.backward).losses

    def taken(self, examples: Sequence[Example]) -> Stepped:
        """Losses and copies of the gradients."""
        losses = self.take(examples)
        return Stepped(losses, [weight.grad.clone() for weight in self._weights if weight.grad is not None])


def same(one: Stepped, two: Stepped) -> None:
    """The same losses and gradients, to 1e-5 of the largest."""
    same_losses(one.losses, two.losses)
    for first, second in zip(one.gradients, two.gradients, strict=True):
        difference, size = float((first - second).abs().max()), max(1.0, float(first.abs().max()))
        assert difference <= 1e-5 * size, f"gradients differ by {difference}, the largest is {size}"


def same_losses(one: dict[str, float], two: dict[str, float]) -> None:
    """The same losses, to 1e-5 of their size."""
    assert one.keys() == two.keys()
    for name, loss in one.items():
        assert abs(loss - two[name]) <= 1e-5 * max(1.0, abs(loss)), f"{name} losses differ: {loss} and {two[name]}"


def measure(model: Trainable, batch: int, longest: int) -> Result:
    """One pass beside two."""
    speaker = Speaker(model, RESPONSE)
    examples = speaker.turns(batch, longest)
    more = speaker.turns(8, 3)
    one_pass, two_passes = Step(model, packed=True), Step(model, packed=False)
    same(one_pass.taken(examples), two_passes.taken(examples))
    pairs = side_by_side(partial(one_pass.take, examples), partial(two_passes.take, examples), same_losses)
    memory = {f"{way}, MB": in_child(way, batch, longest) for way in WAYS}
    memory["ratio"] = round(memory["one pass, MB"] / memory["two passes, MB"], 3)
    return Result(
        path=f"joint training step, both losses from one conversation pass, {batch} turns",
        peer="a pass for each loss",
        pairs=pairs,
        equality="losses and gradients to 1e-5",
        target=1.3,
        growth=growth(lambda times: partial(one_pass.take, more[:times]), repeats=2),
        memory=memory,
        settings={"parameters": sum(weight.numel() for weight in model.parameters()), "turns": batch},
        notes="Memory: at most 0.7 of two passes is aimed at. Growth: turns, with one to three turns of history.",
    )


def in_child(way: str, batch: int, longest: int) -> float:
    """Megabytes of a step, measured in a new process: in this one the allocator keeps what earlier steps have freed."""
    command = [sys.executable, __file__, "--memory", way, str(batch), str(longest)]
    settings = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}  # every larger tensor goes back to the system when it is freed
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=settings)
    return float(json.loads(done.stdout.splitlines()[-1]))


def step_megabytes(way: str, batch: int, longest: int) -> float:
    """How far memory rises in a step, after a small one."""
    with TemporaryDirectory() as folder:
        model = open_trainable(make_decoder(Path(folder), "cpu"), offline=True)
    speaker = Speaker(model, RESPONSE)
    step, examples = Step(model, packed=WAYS[way]), speaker.turns(batch, longest)
    step.take(speaker.turns(2, 1))
    return extra_megabytes(partial(step.take, examples))


def main() -> None:
    """Measures and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="where the figures go, as JSON")
    parser.add_argument("--small", action="store_true", help="two turns, for a test")
    parser.add_argument("--memory", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    load_before = os.getloadavg()[0]
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    if options.memory:
        way, batch, longest = options.memory
        print(json.dumps(step_megabytes(way, int(batch), int(longest))))
        return
    with TemporaryDirectory() as folder:
        model = open_trainable(make_decoder(Path(folder), "cpu"), offline=True)
        result = measure(model, *((SMALL, SMALL) if options.small else (BATCH, LONGEST)))
    write_results(options.out, [result], environment(["torch", "transformers"], load_before))
    print("memory:", dict(result.memory))


if __name__ == "__main__":
    main()
