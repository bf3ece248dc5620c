"""Where passages are encoded and searched: the options of ``--engine``, and putting the engine in place."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import click

from convbench.errors import ConvbenchError, UsageError


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
    hung_after: float | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("address", "workers", "gpus_per_worker", "hung_after") if getattr(self, name) is not None]
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
        from convbench.retrieval.engines.cluster.head import LostHeadError
        from convbench.retrieval.engines.cluster.settings import ClusterSettings, Patience

        settings = ClusterSettings(
            address=self.address,
            workers=self.workers,
            gpus_per_worker=self.gpus_per_worker,
            patience=Patience().with_hung_after(self.hung_after),
        )
        try:
            with redirect_stdout(sys.stderr), ray_engine(settings, cache) as engine, using(engine):  # Ray tells of lost nodes on stdout
                yield
        except LostHeadError as error:
            end_at_once(error)


def end_at_once(error: ConvbenchError) -> NoReturn:
    """Ends the process as ``convbench.cli.main`` would, but for what Ray has left to do: that may take for ever, or end it otherwise."""
    click.echo(f"error: {error}", err=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(error.exit_code)


def engine_options(function: Callable[..., None]) -> Callable[..., None]:
    """Where passages are encoded and searched; the command gets one ``engine``."""

    @functools.wraps(function)
    def with_engine(
        *arguments: Any,
        engine: str,
        address: str | None,
        workers: int | None,
        gpus_per_worker: float | None,
        hung_after: float | None,
        **given: Any,
    ) -> None:
        function(*arguments, engine=EngineChoice(engine, address, workers, gpus_per_worker, hung_after), **given)

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
        click.option(
            "--hung-after",
            metavar="SECONDS",
            type=click.FloatRange(min=1),
            help="When a worker is ended that is not done with a shard or range. Default: 10 times the median, 1800 at least; "
            "7200 while none is done.",
        ),
    ]
    for decorator in reversed(decorators):
        command = decorator(command)
    return command
