"""Exact search on a GPU: 10 million vectors of 1,024 half-precision numbers, and the share of the card's memory bandwidth.

    python benchmarks/gpu_search.py --out benchmarks/results/gpu_search.json          # or --device cpu --small, to see that it works

convbench searches on the processor (``retrieval.exact``). This is what a card allows where all vectors fit into its memory: blocks of rows
are multiplied with the queries, sums in float32, and the best are kept block by block. The best k of a block lie in the k groups of 64
rows with the largest maxima, so that only these are sorted. With few queries the matrix is read at the pace of the memory.
"""

# ruff: noqa: E402
from __future__ import annotations

from side_by_side import one_thread

one_thread()

import torch
from gpu_figures import Work, measured_card, options, reached, write_shares

DIM, DEPTH, GROUP = 1024, 100, 64
TARGET = 0.7


def products(block: torch.Tensor, queries: torch.Tensor) -> torch.Tensor:
    """Inner products in float32, shape (queries, rows)."""
    if block.device.type == "cuda":
        return torch.mm(queries, block.T, out_dtype=torch.float32)
    return queries.float() @ block.float().T


def best_of(scores: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The k largest of each row and where they stand; rows are a whole number of groups long."""
    grouped = scores.view(len(scores), -1, GROUP)
    groups = grouped.amax(dim=2).topk(min(k, grouped.shape[1]), dim=1).indices
    candidates = grouped.gather(1, groups.unsqueeze(2).expand(-1, -1, GROUP)).flatten(1)
    found, places = candidates.topk(k, dim=1)
    return found, groups.gather(1, places // GROUP) * GROUP + places % GROUP


def search(matrix: torch.Tensor, queries: torch.Tensor, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores and rows of the best, block by block."""
    parts = []
    for start in range(0, len(matrix), rows):
        scores, places = best_of(products(matrix[start : start + rows], queries), DEPTH)
        parts.append((scores, places + start))
    scores, places = (torch.cat(each, dim=1) for each in zip(*parts, strict=True))
    best, order = scores.topk(DEPTH, dim=1)
    return best, places.gather(1, order)


def check(matrix: torch.Tensor, queries: torch.Tensor, rows: int) -> None:
    """The scores of the best are those of sorting everything."""
    some = matrix[: 4 * rows]
    scores, places = search(some, queries, rows)
    expected = (queries.float() @ some.float().T).sort(dim=1, descending=True).values[:, :DEPTH]
    torch.testing.assert_close(scores, expected, rtol=1e-3, atol=1e-2)
    torch.testing.assert_close((queries.float() @ some.float().T).gather(1, places), expected, rtol=1e-3, atol=1e-2)


def main() -> None:
    settings, load_before = options(__doc__ or "")
    size, block = (32_768, 8192) if settings.small else (10_000_000 // GROUP * GROUP, 1_048_576)
    card = measured_card(settings.device, small=settings.small)
    torch.manual_seed(0)
    matrix = torch.empty(size, DIM, dtype=torch.float16, device=settings.device)
    for start in range(0, size, block):
        matrix[start : start + block].normal_()
    shares = []
    for count in (1, 16, 64):
        queries = torch.randn(count, DIM, device=settings.device, dtype=torch.float16)
        check(matrix[: min(4 * block, 262_144)], queries, min(block, 65_536))
        work = Work(f"exact search, {count} queries over {size:,} x {DIM}", 2.0 * count * size * DIM, 2.0 * size * DIM)
        target = TARGET if count == 16 and not settings.small else None
        notes = f"The best {DEPTH}; bytes are those of the matrix, read once; scores come on top ({4 * count * size:.3g} bytes)."
        shares.append(reached(work, card, lambda queries=queries: search(matrix, queries, block), target=target, notes=notes))
    write_shares(settings.out, card, shares, load_before)


if __name__ == "__main__":
    main()
