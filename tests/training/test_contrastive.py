from __future__ import annotations

import math
import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from convbench.training.objectives.contrastive import contrastive_loss
from convbench.training.objectives.identification import identification_loss, same_responses
from convbench.training.objectives.retrieval import false_negatives, retrieval_loss


def by_hand(anchors: torch.Tensor, candidates: torch.Tensor, positives: list[int], allowed: list[list[bool]], temperature: float) -> float:
    losses = []
    for row, right in enumerate(positives):
        scores = [sum(a * c for a, c in zip(anchors[row].tolist(), each, strict=True)) / temperature for each in candidates.tolist()]
        counted = [score for column, score in enumerate(scores) if column == right or allowed[row][column]]
        top = max(counted)
        losses.append(top + math.log(sum(math.exp(score - top) for score in counted)) - scores[right])
    return sum(losses) / len(losses)


def unit(*shape: int, seed: int) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


@given(st.integers(1, 6), st.integers(0, 8), st.sampled_from([0.01, 0.05, 1.0]), st.integers(0, 10_000))
def test_the_loss_is_what_a_loop_makes_of_the_formula(n: int, more: int, temperature: float, seed: int) -> None:
    draw = random.Random(seed)
    anchors, candidates = unit(n, 5, seed=seed), unit(n + more, 5, seed=seed + 1)
    positives = [draw.randrange(n + more) for _ in range(n)]
    allowed = [[draw.random() < 0.6 for _ in range(n + more)] for _ in range(n)]
    expected = by_hand(anchors, candidates, positives, allowed, temperature)
    for loss in (retrieval_loss, identification_loss):
        found = loss(anchors, candidates, torch.tensor(positives), allowed=torch.tensor(allowed), temperature=temperature)
        assert float(found) == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_without_a_mask_every_other_candidate_is_wrong() -> None:
    anchors, candidates = unit(3, 4, seed=1), unit(7, 4, seed=2)
    expected = by_hand(anchors, candidates, [0, 1, 2], [[True] * 7] * 3, 0.1)
    for loss in (retrieval_loss, identification_loss):
        assert float(loss(anchors, candidates, torch.arange(3), temperature=0.1)) == pytest.approx(expected, rel=1e-5)


def test_what_is_left_out_of_the_denominator_gets_no_gradient_and_the_right_one_always_counts() -> None:
    anchors, candidates = unit(1, 4, seed=1), unit(4, 4, seed=2).requires_grad_()
    allowed = torch.tensor([[False, True, False, True]])
    retrieval_loss(anchors, candidates, torch.tensor([0]), allowed=allowed, temperature=0.1).backward()
    assert candidates.grad is not None
    assert candidates.grad.abs().sum(dim=1).bool().tolist() == [True, True, False, True]


def test_with_nothing_to_tell_it_from_the_loss_is_zero() -> None:
    anchors, candidates = unit(2, 4, seed=1).requires_grad_(), unit(2, 4, seed=2)
    loss = retrieval_loss(anchors, candidates, torch.arange(2), allowed=torch.zeros(2, 2, dtype=torch.bool), temperature=0.01)
    loss.backward()
    assert float(loss.detach()) == 0
    assert anchors.grad is not None
    assert torch.equal(anchors.grad, torch.zeros(2, 4))


def test_without_anchors_there_is_a_zero_with_a_graph() -> None:
    candidates = unit(3, 4, seed=1).requires_grad_()
    loss = contrastive_loss(torch.empty(0, 4), candidates, torch.empty(0, dtype=torch.long), allowed=None, temperature=0.01)
    loss.backward()
    assert float(loss.detach()) == 0
    assert candidates.grad is not None
    assert not candidates.grad.any()


def test_autocast_does_not_coarsen_the_scores() -> None:
    anchors, candidates = unit(8, 64, seed=1), unit(20, 64, seed=2)
    right = torch.arange(8)
    plain = contrastive_loss(anchors, candidates, right, allowed=None, temperature=0.01)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (anchors @ candidates.T).dtype == torch.bfloat16
        cast = contrastive_loss(anchors, candidates, right, allowed=None, temperature=0.01)
    assert torch.equal(cast, plain)
    half = contrastive_loss(anchors.bfloat16(), candidates.bfloat16(), right, allowed=None, temperature=0.01)
    assert half.dtype == torch.float32


def test_gold_and_its_copies_are_no_negatives() -> None:
    copies = {"b": "b", "b2": "b", "b3": "b", "x": "x", "x2": "x"}
    found = false_negatives([{"a"}, {"b2", "c"}, set()], copies, ["a", "b", "c", "b2", "b3", "x", "x2", "a"])
    assert found.tolist() == [
        [True, False, False, False, False, False, False, True],
        [False, True, True, True, True, False, False, False],
        [False] * 8,
    ]


NAMES = st.sampled_from("abcdefgh")


@given(st.lists(st.frozensets(NAMES, max_size=3), max_size=5), st.none() | st.dictionaries(NAMES, NAMES), st.lists(NAMES, max_size=10))
def test_false_negatives_are_those_of_a_loop(gold: list[frozenset[str]], copies: dict[str, str] | None, ids: list[str]) -> None:
    found = false_negatives(gold, copies, ids)
    assert found.shape == (len(gold), len(ids))
    for row, own in enumerate(gold):
        for column, id_ in enumerate(ids):
            stands_for = (copies or {}).get(id_, id_)
            assert bool(found[row, column]) == any((copies or {}).get(right, right) == stands_for for right in own)


def test_the_same_words_are_the_same_response() -> None:
    found = same_responses([{"Yes,  it is.", "It is."}, {"No."}], ["yes, it is.", "No.", "It\nis.", "Yes it is.", "no. "])
    assert found.tolist() == [[True, False, True, False, False], [False, True, False, False, True]]


def test_masked_false_negatives_change_the_loss_and_nothing_else_does() -> None:
    sessions, passages = unit(2, 4, seed=3), unit(4, 4, seed=4)
    ids = ["p", "q", "p", "r"]  # the third is the first again: no negative of the first session
    allowed = ~false_negatives([{"p"}, {"q"}], None, ids)
    masked = retrieval_loss(sessions, passages, torch.arange(2), allowed=allowed, temperature=0.1)
    kept = [[True, True, False, True], [True, True, True, True]]
    assert float(masked) == pytest.approx(by_hand(sessions, passages, [0, 1], kept, 0.1), rel=1e-5)
    assert float(masked) < float(retrieval_loss(sessions, passages, torch.arange(2), temperature=0.1))
