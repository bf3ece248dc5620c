"""What two trainings left, so that it can be compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from convbench.training.log import TIMES, read_log


def lines(folder: Path) -> list[dict[str, Any]]:
    """The log of a training, without what differs from one execution to the next."""
    return [{name: value for name, value in line.items() if name not in TIMES} for line in read_log(folder / "train.jsonl")]


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Whether weights are equal to the last bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
