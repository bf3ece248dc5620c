from __future__ import annotations

from typing import Any

import pytest
import torch

from convbench.errors import UsageError
from convbench.training.objectives.weighted import Weights, weighted_loss


def test_the_total_is_the_weighted_sum_and_the_values_are_not_weighted() -> None:
    weight = torch.tensor(3.0, requires_grad=True)
    loss = weighted_loss(
        Weights(response=0.3, identification=0.5),
        {"retrieval": lambda: weight * 2, "response": lambda: weight * 10, "identification": lambda: weight**2},
    )
    assert loss.values == {"retrieval": 6.0, "response": 30.0, "identification": 9.0}
    assert all(type(value) is float for value in loss.values.values())
    assert float(loss.total.detach()) == pytest.approx(6 + 9 + 4.5)
    loss.total.backward()
    assert float(weight.grad or 0) == pytest.approx(2 + 3 + 0.5 * 6)


def test_what_does_not_count_is_not_computed() -> None:
    asked = []

    def objective(name: str) -> Any:
        return lambda: asked.append(name) or torch.tensor(1.0)

    names = ("retrieval", "response", "identification", "grounded")
    loss = weighted_loss(Weights(retrieval=0, response=2, identification=0), {name: objective(name) for name in names})
    assert asked == ["response"]
    assert loss.values == {"response": 1.0}
    assert float(loss.total) == 2


def test_a_batch_need_not_feed_every_objective_but_one_that_counts() -> None:
    weights = Weights(response=0.3, identification=0)
    assert weighted_loss(weights, {"response": lambda: torch.tensor(2.0)}).values == {"response": 2.0}
    with pytest.raises(UsageError, match="feeds identification, and none of it has a weight above 0"):
        weighted_loss(weights, {"identification": lambda: torch.tensor(2.0)})
    with pytest.raises(UsageError, match="feeds no objective"):
        weighted_loss(weights, {})


def test_a_name_that_is_no_objective_is_an_error() -> None:
    with pytest.raises(UsageError, match="Did you mean 'retrieval'"):
        weighted_loss(Weights(response=1, identification=1), {"retreival": lambda: torch.tensor(1.0)})


@pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf")])
def test_weights_are_numbers_of_at_least_zero(weight: float) -> None:
    with pytest.raises(UsageError, match=r"'response': found .* expected a number of at least 0"):
        Weights(response=weight, identification=0)


def test_something_must_count() -> None:
    with pytest.raises(UsageError, match="nothing to train"):
        Weights(retrieval=0, response=0, identification=0)
