from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed
from torch import multiprocessing as spawning

from convbench.training.batch import Anchors, Batch, Candidates
from convbench.training.choosing import choosing_loss
from convbench.training.counting import average_counts
from convbench.training.objectives.gathering import everywhere, repeated
from convbench.training.objectives.response import per_token
from convbench.training.objectives.weighted import Weights

PROCESSES = 2
SHARES = (((1, 10), (2, 11), (3, 12)), ((4, 13),))
"""(session, its passage) of each process: three and one. As contexts they have responses of the same numbers."""
HARD = ((20, 13), (20, 21, 11))
"""Hard negatives of each process: 20 is in both, and each has a gold passage of the other."""
BOTH = Weights(retrieval=1.0, response=0.0, identification=0.5)
KINDS = ("sessions", "passages", "contexts", "responses")


def vector(number: int) -> Tensor:
    return torch.nn.functional.normalize(torch.randn(6, generator=torch.Generator().manual_seed(number)), dim=0)


def batch(pairs: Sequence[tuple[int, int]], hard: Sequence[int]) -> Batch:
    sessions, passages, contexts, responses = Anchors(), Candidates(), Anchors(), Candidates()
    for anchors, candidates in ((sessions, passages), (contexts, responses)):
        for _, right in pairs:
            anchors.positives.append(candidates.add((right,), str(right)))
            anchors.right.append(frozenset([str(right)]))
        for wrong in hard:
            candidates.add((wrong,), str(wrong))
    return Batch((), (), (), sessions, passages, contexts, responses)


def learnt(pairs: Sequence[tuple[int, int]], hard: Sequence[int]) -> dict[str, Tensor]:
    """The loss, and the gradient of each input."""
    own = batch(pairs, hard)
    anchors, candidates = [number for number, _ in pairs], [tokens[0] for tokens in own.passages.numbers]
    leaves = {
        kind: [vector(100 * place + number).requires_grad_() for number in (candidates if place % 2 else anchors)]
        for place, kind in enumerate(KINDS)
    }
    loss = choosing_loss(own, BOTH, 0.1, {kind: torch.stack(each) for kind, each in leaves.items()}, average_counts(own))
    loss.total.backward()
    numbered = ((kind, zip(candidates if place % 2 else anchors, leaves[kind], strict=True)) for place, kind in enumerate(KINDS))
    gradients = {f"{kind} {number}": leaf.grad for kind, each in numbered for number, leaf in each if leaf.grad is not None}
    return {"loss": loss.total.detach(), **gradients}


def work(rank: int, folder: str) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=PROCESSES)
    torch.save(learnt(SHARES[rank], HARD[rank]), f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def test_uneven_shares_that_hold_the_same_inputs_give_the_loss_and_the_gradients_of_the_whole_batch(tmp_path: Path) -> None:
    spawning.spawn(work, args=(str(tmp_path),), nprocs=PROCESSES)
    found = [torch.load(tmp_path / f"{rank}.pt") for rank in range(PROCESSES)]
    whole = learnt([pair for share in SHARES for pair in share], [passage for share in HARD for passage in share])
    assert whole.keys() == found[0].keys() | found[1].keys()
    for name, expected in whole.items():
        mean = sum(each[name] for each in found if name in each) / PROCESSES
        assert torch.allclose(mean, expected, rtol=0, atol=1e-6), name
    apart = sum(learnt(pairs, hard)["loss"] for pairs, hard in zip(SHARES, HARD, strict=True)) / PROCESSES
    assert abs(float(apart - whole["loss"])) > 1e-2, "it would be another loss without the other process"


def test_a_process_alone_has_all_of_a_batch() -> None:
    own = batch(SHARES[0], HARD[0])
    assert average_counts(own) == {"retrieval": 3.0, "identification": 3.0}
    assert everywhere("a") == ["a"]


def test_what_was_there_before_is_marked() -> None:
    assert repeated(["a", "b", "a", "c", "b", "a"]) == [False, False, True, False, True, True]
    assert repeated([]) == []


@pytest.mark.parametrize(("over", "each"), [(None, 1 / 3), (8, 1 / 8), (0.5, 2.0), (0, 0.0)])
def test_tokens_count_by_what_the_mean_is_over(over: float | None, each: float) -> None:
    assert torch.equal(per_token([1, 2], over), torch.full((3,), each))
