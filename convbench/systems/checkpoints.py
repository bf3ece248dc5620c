"""A bare checkpoint as a system: one that writes responses does both jobs, one that does not is a retriever."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from convbench.backends.checkpoint import open_checkpoint
from convbench.backends.known import profile_of
from convbench.backends.loaded import can_respond
from convbench.backends.locate import split_revision
from convbench.systems.base import name_from

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+(@[\w.-]+)?")
_MARKS = ("config.json", "adapter_config.json", "*.safetensors", "*.bin", "*.pt", "*.pth", "*.ckpt")


def is_checkpoint(system: str) -> bool:
    """Whether SYSTEM looks like a checkpoint: a folder that holds one, or ``owner/name`` with or without ``@revision``."""
    path = Path(system)
    if path.is_dir():
        return any(found for mark in _MARKS for found in path.glob(mark))
    return not path.exists() and _HUB_ID.fullmatch(system) is not None


def checkpoint_values(system: str, *, profile: str | dict[str, Any] | None, offline: bool) -> dict[str, Any]:
    """The content of the ``system.yaml`` that a checkpoint stands for.

    Args:
        system: Folder, or hub id with or without ``@revision``.
        profile: Name of a built-in profile, or values that change the checkpoint's own.
        offline: Refuse the network.

    Raises:
        ResourceError: The checkpoint cannot be had or is broken.
        UsageError: Nothing says how it wants to be used.
    """
    model, revision = split_revision(system)
    folder = Path(model).resolve()
    model, name = (str(folder), folder.name) if folder.is_dir() else (model, model.rpartition("/")[2])
    checkpoint = open_checkpoint(model, offline=offline, revision=revision)
    values = {
        "kind": "unified",
        "name": name_from(name),
        "description": f"the checkpoint {name}",
        "model": {"model": model, "revision": revision, "profile": profile},
    }
    return values if can_respond(checkpoint, profile_of(checkpoint, profile)[0]) else {**values, "decoding": None}
