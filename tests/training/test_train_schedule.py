from __future__ import annotations

import random
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from backends.small import decoder
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from training.tiny_training import pools

from convbench.errors import UsageError
from convbench.training.data.sampling import Pool, batches
from convbench.training.processes import forget_accelerator, open_accelerator, share
from convbench.training.randomness import random_state, set_random_state
from convbench.training.schedule import learner, total_steps
from convbench.training.train_settings import TrainSettings


def told(**values: Any) -> TrainSettings:
    return TrainSettings.model_validate({"steps": 10, "device": "cpu"} | values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "either steps or epochs"),
        ({"steps": 1, "epochs": 1}, "either steps or epochs"),
        ({"steps": 1, "metric": "nDCG@3"}, "needs evaluate_every"),
        ({"steps": 1, "evaluate_every": 1, "patience": 2}, "patience needs a metric"),
        ({"steps": 1, "learning_rate": float("inf")}, "finite"),
        ({"steps": 1, "momentum": 1}, "momentum"),
    ],
)
def test_settings_that_contradict_each_other(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TrainSettings.model_validate(values)


@settings(max_examples=25)
@given(st.integers(1, 6), st.sampled_from([0.5, 1, 2, 2.5]), st.integers(1, 3), st.lists(st.integers(1, 4), min_size=1, max_size=9))
def test_epochs_end_when_enough_was_drawn(size: int, epochs: float, accumulated: int, lengths: list[int]) -> None:
    (pool, _) = pools(sum(lengths))
    singles = iter(pool.units)
    units = tuple(tuple(unit[0] for unit in islice(singles, min(length, size))) for length in lengths)
    drawn_from = [Pool("a", 1.0, units)]
    steps = total_steps(told(steps=None, epochs=epochs, batch_size=size, gradient_accumulation=accumulated), drawn_from)
    counts = [sum(map(len, batch)) for batch in islice(batches(drawn_from, 0, size), steps * accumulated)]
    wanted = epochs * sum(map(len, units))
    assert sum(counts) >= wanted > sum(counts[: (steps - 1) * accumulated])


def test_matrices_decay_and_vectors_do_not() -> None:
    model = decoder("bert").model
    groups = learner(model, told(weight_decay=0.1), 10).optimizer.param_groups
    decay = {id(parameter): group["weight_decay"] for group in groups for parameter in group["params"]}
    for name, parameter in model.named_parameters():
        assert decay.pop(id(parameter)) == (0.0 if name.endswith("bias") or "LayerNorm" in name else 0.1), name
    assert not decay


def test_only_what_is_to_be_learnt_moves() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 1))
    model[0].requires_grad_(False)
    made = learner(model, told(weight_decay=0.5), 10)
    before = model[0].weight.clone()
    model(torch.ones(1, 2)).sum().backward()
    made.update()
    assert torch.equal(model[0].weight, before)
    assert model[1].weight.grad is None
    assert len(made.trainable()) == 2


@pytest.mark.parametrize(
    ("schedule", "last"), [("cosine", [0.5, 0.25, 0.067]), ("linear", [0.5, 1 / 3, 1 / 6]), ("constant", [1.0, 1.0, 1.0])]
)
def test_the_learning_rate(schedule: str, last: list[float]) -> None:
    made = learner(torch.nn.Linear(1, 1), told(learning_rate=1.0, schedule=schedule, warmup_steps=4), 10)
    rates = []
    for _ in range(10):
        rates.append(made.learning_rate)
        made.update()
    assert rates[:5] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert rates[7:] == pytest.approx(last, abs=1e-3)
    assert made.learning_rate == (1.0 if schedule == "constant" else pytest.approx(0.0, abs=1e-9))


def drawn() -> tuple[float, float, list[float]]:
    return random.random(), float(np.random.rand()), torch.rand(3).tolist()  # noqa: NPY002


def test_random_numbers_go_on_after_a_way_over_the_disk(tmp_path: Any) -> None:
    random.gauss(0, 1)  # leaves a number for later
    torch.save(random_state(), tmp_path / "state.pt")
    first = drawn(), random.gauss(0, 1)
    drawn()
    set_random_state(torch.load(tmp_path / "state.pt", weights_only=True))
    assert (drawn(), random.gauss(0, 1)) == first


class Rank:
    def __init__(self, rank: int, processes: int) -> None:
        self.process_index, self.num_processes = rank, processes


@given(st.integers(1, 5), st.integers(0, 20))
def test_every_unit_goes_to_one_process(processes: int, more: int) -> None:
    units = list(range(processes + more))
    shares = [share(units, Rank(rank, processes)) for rank in range(processes)]  # type: ignore[arg-type]
    assert [unit for each in shares for unit in each] == units
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_fewer_units_than_processes() -> None:
    with pytest.raises(UsageError, match="a batch of 1 units for 2 processes"):
        share([1], Rank(0, 2))  # type: ignore[arg-type]


def test_the_accelerator_is_one_process_on_the_cpu() -> None:
    found = open_accelerator(told())
    assert (found.num_processes, found.device.type, found.mixed_precision) == (1, "cpu", "no")


def test_another_precision_in_the_same_process_needs_the_first_to_be_forgotten() -> None:
    open_accelerator(told())
    with pytest.raises(UsageError, match=r"precision bf16 with device cpu: .* A process trains in one precision") as error:
        open_accelerator(told(precision="bf16"))
    assert "\n" not in str(error.value)
    forget_accelerator()
    assert open_accelerator(told(precision="bf16")).mixed_precision == "bf16"
    forget_accelerator()


class Pair(torch.nn.Module):
    """A matrix and a vector each in ``body`` and in ``head.inner``."""

    def __init__(self) -> None:
        super().__init__()
        self.body = torch.nn.Linear(2, 2)
        self.head = torch.nn.ModuleDict({"inner": torch.nn.Linear(2, 2)})


def rates_of(model: torch.nn.Module, made: Any) -> dict[str, float]:
    found = {id(parameter): group["lr"] for group in made.optimizer.param_groups for parameter in group["params"]}
    return {name: found.pop(id(parameter)) for name, parameter in model.named_parameters()}


def test_the_first_pattern_that_fits_a_name_sets_its_rate() -> None:
    model = Pair()
    rates = {"head.*.bias": 0.5, "head.*": 0.25, "*.bias": 0.125}
    made = learner(model, told(learning_rate=1.0, rates=rates, schedule="constant", weight_decay=0.1), 10)
    assert rates_of(model, made) == {"body.weight": 1.0, "body.bias": 0.125, "head.inner.weight": 0.25, "head.inner.bias": 0.5}
    decay = {id(parameter): group["weight_decay"] for group in made.optimizer.param_groups for parameter in group["params"]}
    assert {name: decay[id(parameter)] for name, parameter in model.named_parameters()} == {
        "body.weight": 0.1,
        "body.bias": 0.0,
        "head.inner.weight": 0.1,
        "head.inner.bias": 0.0,
    }


def test_warm_up_and_schedule_count_for_every_rate() -> None:
    model = Pair()
    made = learner(model, told(learning_rate=1.0, rates={"head.*": 8.0}, schedule="linear", warmup_steps=4), 10)
    for wanted in (0.0, 0.25, 0.5, 0.75, 1.0, 5 / 6, 4 / 6):
        found = rates_of(model, made)
        assert made.learning_rate == pytest.approx(wanted) == found["body.weight"]
        assert found["head.inner.bias"] == pytest.approx(8 * wanted)
        made.update()


def test_what_is_logged_is_the_ordinary_rate_where_a_weight_has_it() -> None:
    first = {"body.*": 0.25}  # the first weights of the model have a rate of their own
    assert learner(Pair(), told(learning_rate=1.0, rates=first, schedule="constant"), 10).learning_rate == 1.0
    assert learner(Pair(), told(learning_rate=1.0, rates={"*": 0.25}, schedule="constant"), 10).learning_rate == 0.25


def test_a_weight_moves_as_far_as_its_rate_says() -> None:
    model = Pair()
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    made = learner(model, told(learning_rate=1e-3, rates={"head.*": 1e-1}, schedule="constant", weight_decay=0), 10)
    sum(weight.sum() for weight in model.parameters()).backward()  # type: ignore[union-attr]
    made.update()  # AdamW's first step is the rate itself
    for name, weight in model.named_parameters():
        assert before[name] - weight.detach() == pytest.approx(torch.full_like(weight, 1e-1 if name.startswith("head") else 1e-3), rel=1e-3)


def test_a_pattern_that_fits_no_name_is_refused() -> None:
    model = Pair()
    with pytest.raises(UsageError, match=r"rates: no weight that is learnt has a name like 'haed\.\*'; names are as head\.inner\.bias"):
        learner(model, told(rates={"head.*": 1.0, "haed.*": 1.0}), 10)
    model.head.requires_grad_(False)
    with pytest.raises(UsageError, match=r"no weight that is learnt has a name like 'head\.\*'; names are as body\.bias"):
        learner(model, told(rates={"head.*": 1.0}), 10)
