from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from backends.small import decoder
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from convbench.training.chunked_gradients import Encoded, backward_in_chunks
from convbench.training.objectives.retrieval import retrieval_loss

TEXTS = 12


class Case:
    """A model with dropout, a batch in chunks, a contrastive loss over all of it and a loss of each chunk's own."""

    def __init__(self, sizes: list[int], *, dropout: float = 0.3, own: bool = True) -> None:
        torch.manual_seed(5)
        self.model = torch.nn.Sequential(torch.nn.Linear(6, 16), torch.nn.Dropout(dropout), torch.nn.Tanh(), torch.nn.Linear(16, 4))
        texts = torch.randn(2, sum(sizes), 6)
        self.chunks = list(zip(texts[0].split(sizes), texts[1].split(sizes), strict=True))
        self.own = own
        self.encoded = 0

    def encode(self, chunk: tuple[Tensor, Tensor]) -> Encoded:
        self.encoded += 1
        sessions, passages = (torch.nn.functional.normalize(self.model(texts), dim=-1) for texts in chunk)
        return Encoded({"sessions": sessions, "passages": passages}, (lambda: (sessions**3).sum() / 10) if self.own else None)

    def loss(self, whole: Mapping[str, Tensor]) -> Tensor:
        return retrieval_loss(whole["sessions"], whole["passages"], torch.arange(len(whole["sessions"])), temperature=0.2)

    def at_once(self) -> Tensor:
        """The same in one graph over all chunks."""
        encoded = [self.encode(chunk) for chunk in self.chunks]
        total = self.loss({kind: torch.cat([each.vectors[kind] for each in encoded]) for kind in ("sessions", "passages")})
        total = total + sum(each.own() for each in encoded if each.own)
        total.backward()
        return total.detach()

    def gradients(self) -> list[Tensor]:
        return [weight.grad for weight in self.model.parameters() if weight.grad is not None]


def outcome(case: Case, way: str, **changes: Any) -> tuple[Tensor, list[Tensor], Tensor]:
    torch.manual_seed(11)
    total = case.at_once() if way == "at once" else backward_in_chunks(case.chunks, case.encode, case.loss, **changes)
    return total, case.gradients(), torch.rand(1)


@settings(max_examples=30)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=6), st.sampled_from([0.0, 0.3]), st.booleans())
def test_gradients_are_those_of_one_graph_over_all_chunks(sizes: list[int], dropout: float, own: bool) -> None:
    expected = outcome(Case(sizes, dropout=dropout, own=own), "at once")
    found = outcome(Case(sizes, dropout=dropout, own=own), "chunked")
    assert torch.allclose(found[0], expected[0], rtol=0, atol=1e-6)
    assert len(found[1]) == len(expected[1]) == 4
    for gradient, wanted in zip(found[1], expected[1], strict=True):
        assert torch.allclose(gradient, wanted, rtol=0, atol=1e-6)
    assert torch.equal(found[2], expected[2])  # what is drawn afterwards


def test_without_dropout_the_size_of_chunks_makes_no_difference() -> None:
    whole = outcome(Case([TEXTS], dropout=0, own=False), "at once")
    for sizes in ([1] * TEXTS, [5, 7], [4, 4, 4], [TEXTS]):
        total, gradients, _ = outcome(Case(sizes, dropout=0, own=False), "chunked")
        assert torch.allclose(total, whole[0], rtol=0, atol=1e-6)
        for gradient, wanted in zip(gradients, whole[1], strict=True):
            assert torch.allclose(gradient, wanted, rtol=0, atol=1e-6)


def test_dropout_that_is_drawn_anew_would_give_other_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = outcome(Case([4, 4]), "at once")
    monkeypatch.setattr("convbench.training.chunked_gradients._set_random_state", lambda state: None)
    found = outcome(Case([4, 4]), "chunked")
    assert max(float((gradient - wanted).abs().max()) for gradient, wanted in zip(found[1], expected[1], strict=True)) > 1e-3


@pytest.mark.filterwarnings("ignore:`gradient_checkpointing_enable` is deprecated")
@pytest.mark.parametrize("recomputed", [False, True])
def test_a_real_decoder_with_its_own_dropout_gets_the_same_gradients(recomputed: bool) -> None:
    def gradients(way: str) -> dict[str, Tensor]:
        loaded = decoder("bert")
        body = loaded.body.train()
        if recomputed:
            loaded.model.gradient_checkpointing_enable()
        torch.manual_seed(3)
        chunks = torch.randint(10, 590, (4, 2, 3, 9))

        def encode(chunk: Tensor) -> Encoded:
            states = [torch.nn.functional.normalize(body(input_ids=ids, use_cache=False).last_hidden_state[:, -1], dim=-1) for ids in chunk]
            return Encoded(dict(zip(("sessions", "passages"), states, strict=True)))

        case = Case([1])
        case.chunks, case.encode, case.own = list(chunks), encode, False  # type: ignore[assignment, method-assign]
        outcome(case, way)
        return {name: weight.grad for name, weight in body.named_parameters() if weight.grad is not None}

    found, expected = gradients("chunked"), gradients("at once")
    assert found.keys() == expected.keys() != set()
    largest = max(float(gradient.abs().max()) for gradient in expected.values())
    for name, gradient in expected.items():
        assert torch.allclose(found[name], gradient, rtol=0, atol=1e-6 * max(largest, 1)), name


def test_autocast_around_it_all_loses_no_gradient() -> None:
    found, expected = Case([3, 3], dropout=0), Case([3, 3], dropout=0)
    for case, way in ((found, "chunked"), (expected, "at once")):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            outcome(case, way)
    assert len(found.gradients()) == len(expected.gradients()) == 4
    for gradient, wanted in zip(found.gradients(), expected.gradients(), strict=True):
        assert torch.allclose(gradient, wanted, rtol=0.05, atol=0.02)


def test_gradients_are_added_to_those_that_are_there() -> None:
    once, twice = Case([3, 3], dropout=0), Case([3, 3], dropout=0)
    outcome(once, "chunked")
    outcome(twice, "chunked")
    outcome(twice, "chunked")
    for gradient, single in zip(twice.gradients(), once.gradients(), strict=True):
        assert torch.allclose(gradient, 2 * single, atol=1e-6)


def test_the_backward_pass_may_be_scaled() -> None:
    plain, halved = Case([3, 3], dropout=0), Case([3, 3], dropout=0)
    total, _, _ = outcome(plain, "chunked")
    scaled, _, _ = outcome(halved, "chunked", backward=lambda loss: (loss / 2).backward())
    assert torch.equal(total, scaled)
    for gradient, whole in zip(halved.gradients(), plain.gradients(), strict=True):
        assert torch.allclose(2 * gradient, whole, atol=1e-6)


def test_processes_exchange_gradients_in_the_last_chunk_only() -> None:
    seen: list[str] = []
    case = Case([2, 2, 2])

    @contextmanager
    def apart() -> Iterator[None]:
        seen.append("apart")
        yield
        seen.append("together")

    outcome(case, "chunked", apart=apart, backward=lambda loss: (seen.append("backward"), loss.backward()))
    assert seen == ["apart", "backward", "together"] * 2 + ["backward"]


@pytest.mark.parametrize(("sizes", "passes"), [([6], 1), ([3, 3], 4), ([1] * 6, 12)])
def test_every_chunk_is_encoded_twice_but_an_only_one_once(sizes: list[int], passes: int) -> None:
    case = Case(sizes)
    outcome(case, "chunked")
    assert case.encoded == passes


def test_a_chunk_need_not_have_every_kind_of_vector() -> None:
    torch.manual_seed(1)
    weight = torch.randn(6, 4, requires_grad=True)
    chunks = {"sessions": torch.randn(3, 6), "passages": torch.randn(5, 6), "more": torch.randn(2, 6)}

    def encode(name: str) -> Encoded:
        vectors = chunks[name] @ weight
        if name == "more":
            return Encoded({"passages": vectors, "unused": vectors})
        return Encoded({name: vectors})

    def loss(whole: Mapping[str, Tensor]) -> Tensor:
        return retrieval_loss(whole["sessions"], whole["passages"], torch.arange(3), temperature=1.0)

    backward_in_chunks(list(chunks), encode, loss)
    found, weight.grad = weight.grad, None
    loss({"sessions": chunks["sessions"] @ weight, "passages": torch.cat([chunks["passages"], chunks["more"]]) @ weight}).backward()
    assert found is not None
    assert weight.grad is not None
    assert torch.allclose(found, weight.grad, atol=1e-6)


def most_kept(sizes: list[int]) -> int:
    """Elements that graphs keep at once, at most."""
    case, now, most = Case(sizes, own=False), 0, 0

    class Kept:
        def __init__(self, tensor: Tensor) -> None:
            nonlocal now, most
            self.tensor = tensor
            now += tensor.numel()
            most = max(most, now)

        def __del__(self) -> None:
            nonlocal now
            now -= self.tensor.numel()

    with torch.autograd.graph.saved_tensors_hooks(Kept, lambda kept: kept.tensor):
        backward_in_chunks(case.chunks, case.encode, lambda whole: torch.stack([each.sum() for each in whole.values()]).sum())
    return most


def test_memory_goes_with_the_chunk_and_not_with_the_batch() -> None:
    assert most_kept([4] * 8) == most_kept([4] * 2)
    assert most_kept([4] * 8) < most_kept([32]) / 4
