from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed
from torch import multiprocessing as spawning

from convbench.training.chunked_gradients import Encoded, backward_in_chunks
from convbench.training.objectives.gathering import gathered, gathered_names
from convbench.training.objectives.retrieval import false_negatives, retrieval_loss

PROCESSES = 2
SESSIONS = 4
HARD = (4, 6)  # of each process: the numbers of rows differ
TAU = 0.05
COPIES = {"1-hard-0": "0-gold-1"}  # a hard negative of one process is a copy of a gold passage of the other


def names(rank: int) -> list[str]:
    return [*(f"{rank}-gold-{number}" for number in range(SESSIONS)), *(f"{rank}-hard-{number}" for number in range(HARD[rank]))]


def inputs(rank: int) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(rank)
    return torch.randn(SESSIONS, 6, generator=draw), torch.randn(SESSIONS + HARD[rank], 6, generator=draw)


def model() -> torch.nn.Module:
    torch.manual_seed(7)
    return torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Tanh(), torch.nn.Linear(5, 4))


def vectors(encoder: torch.nn.Module, texts: Tensor) -> Tensor:
    made: Tensor = torch.nn.functional.normalize(encoder(texts), dim=-1)
    return made


def loss_of(rank: int, sessions: Tensor, passages: Tensor) -> Tensor:
    gold = [{name} for name in names(rank)[:SESSIONS]]
    allowed = ~false_negatives(gold, COPIES, gathered_names(names(rank)))
    return retrieval_loss(sessions, gathered(passages), torch.arange(SESSIONS), allowed=allowed, temperature=TAU)


def averaged(encoder: torch.nn.Module, loss: Tensor) -> list[Tensor]:
    """The loss and the gradients, averaged over processes as data-parallel training does."""
    found = [loss.detach().clone(), *(weight.grad for weight in encoder.parameters() if weight.grad is not None)]
    for tensor in found:
        distributed.all_reduce(tensor)
    return [tensor / PROCESSES for tensor in found]


def work(rank: int, folder: str) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=PROCESSES)
    texts = inputs(rank)
    encoder = model()
    loss = loss_of(rank, vectors(encoder, texts[0]), vectors(encoder, texts[1]))
    loss.backward()
    found = {"plain": averaged(encoder, loss), "order": gathered(texts[1]), "names": gathered_names(names(rank))}

    encoder = model()
    chunks = list(zip(texts[0].chunk(2), texts[1].chunk(2), strict=True))
    total = backward_in_chunks(
        chunks,
        lambda chunk: Encoded({"sessions": vectors(encoder, chunk[0]), "passages": vectors(encoder, chunk[1])}),
        lambda whole: loss_of(rank, whole["sessions"], whole["passages"]),
    )
    found["chunked"] = averaged(encoder, total)

    encoder = model()
    shared = torch.nn.parallel.DistributedDataParallel(encoder)
    total = backward_in_chunks(
        chunks,
        lambda chunk: Encoded({"sessions": vectors(shared, chunk[0]), "passages": vectors(shared, chunk[1])}),
        lambda whole: loss_of(rank, whole["sessions"], whole["passages"]),
        apart=shared.no_sync,
    )
    distributed.all_reduce(total)
    found["data-parallel"] = [total / PROCESSES, *(weight.grad for weight in encoder.parameters())]
    torch.save(found, Path(folder) / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def of_two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    folder = tmp_path_factory.mktemp("two")
    spawning.spawn(work, args=(str(folder),), nprocs=PROCESSES)
    return [torch.load(folder / f"{rank}.pt") for rank in range(PROCESSES)]


@pytest.fixture(scope="module")
def of_one() -> list[Tensor]:
    encoder = model()
    both = [inputs(rank) for rank in range(PROCESSES)]
    ids = [*names(0), *names(1)]
    positives = [ids.index(f"{rank}-gold-{number}") for rank in range(PROCESSES) for number in range(SESSIONS)]
    loss = retrieval_loss(
        vectors(encoder, torch.cat([sessions for sessions, _ in both])),
        vectors(encoder, torch.cat([passages for _, passages in both])),
        torch.tensor(positives),
        allowed=~false_negatives([{ids[row]} for row in positives], COPIES, ids),
        temperature=TAU,
    )
    loss.backward()
    return [loss.detach(), *(weight.grad for weight in encoder.parameters() if weight.grad is not None)]


@pytest.mark.parametrize("way", ["plain", "chunked", "data-parallel"])
def test_two_processes_have_the_loss_and_the_gradients_of_one_with_the_whole_batch(
    way: str, of_two: list[dict[str, list[Tensor]]], of_one: list[Tensor]
) -> None:
    assert len(of_one) == 5
    for found in of_two:
        for tensor, expected in zip(found[way], of_one, strict=True):
            assert torch.allclose(tensor, expected, rtol=0, atol=1e-6 * float(expected.abs().max()))


def test_own_rows_come_first_and_names_in_the_order_of_the_rows(of_two: list[dict[str, object]]) -> None:
    for rank, found in enumerate(of_two):
        assert found["names"] == [*names(rank), *names(1 - rank)]
        order = found["order"]
        assert isinstance(order, Tensor)
        assert torch.equal(order, torch.cat([inputs(rank)[1], inputs(1 - rank)[1]]))


def test_without_gradients_of_the_other_process_it_would_be_another_gradient(of_one: list[Tensor]) -> None:
    encoder = model()
    for rank in range(PROCESSES):
        sessions, passages = (vectors(encoder, texts) for texts in inputs(rank))
        foreign = vectors(encoder, inputs(1 - rank)[1]).detach()
        gold = [{name} for name in names(rank)[:SESSIONS]]
        allowed = ~false_negatives(gold, COPIES, [*names(rank), *names(1 - rank)])
        loss = retrieval_loss(sessions, torch.cat([passages, foreign]), torch.arange(SESSIONS), allowed=allowed, temperature=TAU)
        (loss / PROCESSES).backward()
    gradients = [weight.grad for weight in encoder.parameters() if weight.grad is not None]
    assert max(float((own - whole).abs().max()) for own, whole in zip(gradients, of_one[1:], strict=True)) > 1e-3


def test_a_process_of_its_own_keeps_what_it_has() -> None:
    rows = torch.randn(3, 2, requires_grad=True)
    assert gathered(rows) is rows
    assert gathered_names(["a", "b"]) == ["a", "b"]
