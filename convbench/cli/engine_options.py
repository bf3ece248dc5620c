"""Where passages are encoded and searched: the options of ``--engine``, and putting the engine in place."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from convbench.errors import UsageError


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """Where indexes are made and searched, as the options of ``engine_options`` say.

    Raises:
        UsageError: An option of the cluster's without ``--engine ray``.
    """

    engine: str
    address: str | None
    workers: int | None
    gpus_per_worker: float | None

    def __post_init__(self) -> None:
        given = [name for name in ("address", "workers", "gpus_per_worker") if getattr(self, name) is not None]
        if given and self.engine != "ray":
            raise UsageError(f"--{given[0].replace('_', '-')} is for --engine ray, found --engine {self.engine}")

    def place(self, cache: Path) -> Path:
        """The cache folder, by a name that means the same to processes in other folders."""
        return cache if self.engine == "local" else cache.absolute()

    @contextmanager
    def in_place(self, cache: Path) -> Iterator[None]:
        """Puts the engine in place for the block; ``cache`` is what every node of a cluster must see."""
        if self.engine == "local":
            yield
            return
        from convbench.retrieval.engines.base import using
        from convbench.retrieval.engines.cluster.engine import ray_engine
        from convbench.retrieval.engines.cluster.settings import ClusterSettings

        settings = ClusterSettings(address=self.address, workers=self.workers, gpus_per_worker=self.gpus_per_worker)
        with redirect_stdout(sys.stderr), ray_engine(settings, cache) as engine, using(engine):  # Ray tells of lost nodes on stdout
            yield


def engine_options(function: Callable[..., None]) -> Callable[..., None]:
    """Where passages are encoded and searched; the command gets one ``engine``."""

    @functools.wraps(function)
    def with_engine(
        *arguments: Any, engine: str, address: str | None, workers: int | None, gpus_per_worker: float | None, **given: Any
    ) -> None:
        function(*arguments, engine=EngineChoice(engine, address, workers, gpus_per_worker), **given)

    command: Callable[..., None] = with_engine
    decorators = [
        click.option(
            "--engine",
            type=click.Choice(["local", "ray"]),
            default="local",
            show_default=True,
            help="Where passages are encoded and dense indexes searched: this process, or a Ray cluster.",
        ),
        click.option("--address", metavar="HOST:PORT|auto", help="The Ray cluster. Default: $RAY_ADDRESS."),
        click.option("--workers", type=click.IntRange(min=1), help="Workers on the cluster. Default: as many as it has room for."),
        click.option(
            "--gpus-per-worker",
            type=click.FloatRange(min=0),
            help="GPUs of a worker that encodes. Default: 1 where the encoder computes on a GPU, else 0.",
        ),
    ]
    for decorator in reversed(decorators):
        command = decorator(command)
    return command
