"""What a command may use of where it runs: a cache, the network, local folders in place of checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from convbench.systems.checkpoint_map import CheckpointMap

F = TypeVar("F", bound=Callable[..., Any])


def environment_options(function: F) -> F:
    """Where things are kept and whether the network may be used."""
    decorators = [
        click.option(
            "--cache",
            type=click.Path(path_type=Path),
            help="Folder for indexes and embeddings. Default: $CONVBENCH_CACHE, ~/.cache/convbench.",
        ),
        click.option("--offline", is_flag=True, envvar="CONVBENCH_OFFLINE", help="Refuse the network."),
    ]
    for decorator in reversed(decorators):
        function = decorator(function)
    return function


def map_option(function: F) -> F:
    """Local folders in place of checkpoints."""
    return click.option(
        "--checkpoint-map",
        type=click.Path(path_type=Path),
        metavar="MAP.yaml",
        help="YAML of 'owner/name: FOLDER': local folders in place of the checkpoints that systems name.",
    )(function)


def read_map(path: Path | None) -> CheckpointMap | None:
    """The checkpoint map of ``map_option``."""
    if path is None:
        return None
    from convbench.systems.checkpoint_map import read_checkpoint_map

    return read_checkpoint_map(path)
