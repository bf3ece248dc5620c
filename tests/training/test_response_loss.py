from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from convbench.training.objectives.response import per_response, per_token, response_loss

LENGTHS = [3, 1, 0, 7, 2]
TOKENS, DIM, VOCABULARY = sum(LENGTHS), 6, 400


def case() -> tuple[Tensor, Tensor, torch.nn.Linear]:
    torch.manual_seed(3)
    return torch.randn(TOKENS, DIM, requires_grad=True), torch.randint(VOCABULARY, (TOKENS,)), torch.nn.Linear(DIM, VOCABULARY)


def by_hand(hidden: Tensor, targets: Tensor, head: torch.nn.Linear, weights: list[float], smoothing: float) -> float:
    total = 0.0
    for state, target, weight in zip(hidden.tolist(), targets.tolist(), weights, strict=True):
        logits = [
            sum(h * w for h, w in zip(state, row, strict=True)) + bias
            for row, bias in zip(head.weight.tolist(), head.bias.tolist(), strict=True)
        ]
        norm = math.log(sum(map(math.exp, logits)))
        spread = sum(norm - logit for logit in logits) / len(logits)
        total += weight * ((1 - smoothing) * (norm - logits[target]) + smoothing * spread)
    return total


MEANS: dict[str, tuple[Callable[[], Tensor], list[float]]] = {
    "token": (lambda: per_token(LENGTHS), [1 / TOKENS] * TOKENS),
    "response": (lambda: per_response(LENGTHS), [1 / (len(LENGTHS) * length) for length in LENGTHS for _ in range(length)]),
    "part of a larger batch": (lambda: per_token(LENGTHS, 50), [1 / 50] * TOKENS),
    "of more responses": (lambda: per_response(LENGTHS, 8), [1 / (8 * length) for length in LENGTHS for _ in range(length)]),
}


@pytest.mark.parametrize("mean", MEANS)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("chunk", [1, 4, 13, 1000])
def test_the_loss_is_that_of_a_loop_over_tokens(mean: str, smoothing: float, chunk: int) -> None:
    hidden, targets, head = case()
    made, weights = MEANS[mean]
    found = response_loss(hidden, targets, head, weights=made(), label_smoothing=smoothing, chunk=chunk)
    assert float(found.detach()) == pytest.approx(by_hand(hidden.detach(), targets, head, weights, smoothing), rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("chunk", [1, 4, 13, 1000])
def test_gradients_are_those_of_all_logits_at_once(smoothing: float, chunk: int) -> None:
    hidden, targets, head = case()
    torch.nn.functional.cross_entropy(head(hidden), targets, label_smoothing=smoothing).backward()
    expected = [part.grad for part in (hidden, head.weight, head.bias)]
    hidden, targets, head = case()
    response_loss(hidden, targets, head, label_smoothing=smoothing, chunk=chunk).backward()
    for part, wanted in zip((hidden, head.weight, head.bias), expected, strict=True):
        assert part.grad is not None
        assert wanted is not None
        assert torch.allclose(part.grad, wanted, rtol=0, atol=1e-6)


def test_parts_of_a_batch_add_up_to_the_batch() -> None:
    hidden, targets, head = case()
    whole = response_loss(hidden, targets, head)
    parts = [
        response_loss(hidden[some], targets[some], head, weights=per_token([len(targets[some])], TOKENS))
        for some in (slice(5), slice(5, None))
    ]
    assert whole.item() == pytest.approx(sum(part.item() for part in parts), abs=1e-6)


def test_the_head_may_be_a_weight_that_is_trained() -> None:
    hidden, targets, head = case()
    weight = head.weight.detach().clone().requires_grad_()
    response_loss(hidden, targets, partial(torch.nn.functional.linear, weight=weight), chunk=2).backward()
    assert weight.grad is not None
    assert weight.grad.any()


@pytest.mark.parametrize("chunk", [1, 1000])
def test_without_tokens_there_is_a_zero_with_a_graph(chunk: int) -> None:
    hidden, targets, head = case()
    loss = response_loss(hidden[:0], targets[:0], head, weights=per_response([0, 0]), chunk=chunk)
    loss.backward()
    assert float(loss.detach()) == 0
    assert head.weight.grad is not None
    assert not head.weight.grad.any()


@pytest.mark.parametrize("chunk", [4, 1000])
def test_under_autocast_the_loss_is_still_summed_in_float32(chunk: int) -> None:
    hidden, targets, head = case()
    plain = response_loss(hidden, targets, head, chunk=chunk)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = response_loss(hidden, targets, head, chunk=chunk)
    cast.backward()
    assert cast.dtype == torch.float32
    assert cast.item() == pytest.approx(plain.item(), rel=1e-2)
    assert head.weight.grad is not None
    assert head.weight.grad.any()


class Largest(TorchDispatchMode):
    """Elements of the largest tensor that is made while it is on."""

    elements = 0
    calls = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        self.calls += 1
        for each in made if isinstance(made, (tuple, list)) else (made,):
            if isinstance(each, Tensor):
                self.elements = max(self.elements, each.numel())
        return made


def test_no_more_than_a_chunk_of_logits_is_ever_made_and_none_is_kept() -> None:
    chunk, tokens = 8, 200
    hidden = torch.randn(tokens, DIM, requires_grad=True)
    targets = torch.randint(VOCABULARY, (tokens,))
    head = torch.nn.Linear(DIM, VOCABULARY)
    kept: list[int] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel())
        return tensor

    with Largest() as forward, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = response_loss(hidden, targets, head, label_smoothing=0.1, chunk=chunk)
    with Largest() as backward:
        loss.backward()
    assert backward.calls > tokens // chunk
    most = max(chunk * VOCABULARY, head.weight.numel())
    assert forward.elements <= most
    assert backward.elements <= most
    assert sum(kept) < chunk * VOCABULARY
    with Largest() as plain:
        torch.nn.functional.cross_entropy(head(hidden), targets).backward()
    assert plain.elements == tokens * VOCABULARY
