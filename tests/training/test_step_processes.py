from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from backends.checkpoints import make_causal
from torch import Tensor, distributed
from torch import multiprocessing as spawning
from training.joint import configured, examples, settings, stepped

from convbench.errors import UsageError
from convbench.training.data.examples import Example, Objective
from convbench.training.objectives.weighted import Weights
from convbench.training.step import JointStep
from convbench.training.trainable import Trainable, TrainableSettings, open_trainable

pytestmark = pytest.mark.slow  # they train, some of them in several processes

PROCESSES = 2
CHOICES = settings(Weights(response=0.0, identification=0.5), earlier_responses=0, packed=True)


def opened(checkpoint: str) -> Trainable:
    return open_trainable(configured("llama", Path(checkpoint)), TrainableSettings(dropout=0.0), offline=True)


def halves() -> tuple[tuple[Example, ...], ...]:
    """Two turns of each of two conversations: no passage and no response of one is in the other."""
    return examples()[:2], examples()[6:8]


def work(rank: int, folder: str, checkpoint: str) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=PROCESSES)
    model, own = opened(checkpoint), halves()[rank]
    found: dict[str, object] = {}
    for name, tokens in {"whole": None, "chunked": 150}.items():
        values, gradients = stepped(model, replace(CHOICES, chunk_tokens=tokens), own)
        distributed.all_reduce(gradients)
        found |= {name: gradients / PROCESSES, f"{name} loss": values.losses["retrieval"]}
    other = own if rank else tuple(examples()[2:3])
    found["unequal"] = JointStep(model, CHOICES).evaluate(other, {})["retrieval"]
    fed: frozenset[Objective] = frozenset({"retrieval"} if rank else {"identification"})
    try:
        JointStep(model, CHOICES).evaluate([replace(example, objectives=fed) for example in own], {})
    except UsageError as error:
        found["error"] = str(error)
    torch.save(found, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_causal(tmp_path_factory.mktemp("checkpoint"), "llama")


@pytest.fixture(scope="module")
def of_two(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Tensor]]:
    folder = tmp_path_factory.mktemp("two")
    examples()  # so that the store is built once
    spawning.spawn(work, args=(str(folder), str(checkpoint)), nprocs=PROCESSES)
    return [torch.load(folder / f"{rank}.pt") for rank in range(PROCESSES)]


@pytest.mark.parametrize("how", ["whole", "chunked"])
def test_two_processes_have_the_gradients_of_one_with_the_whole_batch(of_two: list[dict[str, Tensor]], checkpoint: Path, how: str) -> None:
    first, second = halves()
    values, wanted = stepped(opened(str(checkpoint)), CHOICES, (*first, *second))
    for each in of_two:
        assert (each[how] - wanted).norm() <= 1e-5 * wanted.norm()
    assert sum(float(each[f"{how} loss"]) for each in of_two) / PROCESSES == pytest.approx(values.losses["retrieval"], rel=1e-5)


def test_processes_may_have_batches_of_other_sizes_but_not_of_other_objectives(of_two: list[dict[str, object]]) -> None:
    assert all(float(str(each["unequal"])) > 0 for each in of_two)
    assert all("processes were given batches that feed different contrastive objectives" in str(each["error"]) for each in of_two)
