"""The checkpoints that a run was made with, for its card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from convbench.backends.locate import locate_model
from convbench.errors import ConvbenchError
from convbench.leaderboard.card import CheckpointCard
from convbench.systems.named_checkpoints import named_checkpoints

_SHORT = 12
"""Digits of a digest that a label holds."""


def checkpoints(stages: Any, system: Any) -> tuple[CheckpointCard, ...]:
    """The checkpoints that the stages of a run describe, each once, in order; models behind a server have a name alone.

    A label holds the first digits of its weights' digest. The whole digest is looked up where the weights are still at hand; where they are
    not, the digits stay with the name, so that it still says which weights they were.

    Args:
        stages: ``stages`` of a joint run's header.
        system: ``system`` of it, which says where local checkpoints are: labels name folders by their last part.
    """
    folders = {Path(each.name).name: each.name for each in named_checkpoints(system)}
    found: dict[CheckpointCard, None] = {}
    for described in _described(stages):
        if "files" not in described:
            found[CheckpointCard(name=described["model"])] = None
            continue
        first, *bases = described["model"].split("+")  # an adapter's label names its base, too
        found[_checkpoint(first, described.get("revision"), folders)] = None
        found |= {_checkpoint(base, None, folders): None for base in bases}
    return tuple(found)


def _described(values: Any) -> Iterator[Mapping[str, Any]]:
    """Every mapping at any depth that names a model."""
    if isinstance(values, Mapping):
        if isinstance(values.get("model"), str):
            yield values
        values = list(values.values())
    if isinstance(values, list):
        for value in values:
            yield from _described(value)


def _checkpoint(label: str, revision: str | None, folders: Mapping[str, str]) -> CheckpointCard:
    name, _, digits = label.rpartition("@")
    try:
        digest = locate_model(folders.get(name, name), offline=True, revision=revision).sha256
    except ConvbenchError:
        digest = ""
    if len(digits) == _SHORT and digest.startswith(digits):
        return CheckpointCard(name=name, revision=revision, sha256=digest)
    return CheckpointCard(name=label, revision=revision)
