"""A command that makes a small index on a cluster and searches it, in a process of its own: what ends it must not end the tests.

Run as ``python -m retrieval.cluster.driver FOLDER ADDRESS``; it goes through the same ``main`` as every command.
"""

from __future__ import annotations

import os
from pathlib import Path

import click
from retrieval.cluster.cluster_work import shards_in, vectors_with_ties
from retrieval.cluster.held_encoder import HeldEncoder
from retrieval.small_index import shards_of

from convbench.cli.engine_options import EngineChoice
from convbench.cli.main import cli, main
from convbench.datasets.store import ArrowPassageStore
from convbench.meter import Meter
from convbench.retrieval.engines.base import engine_in_use
from convbench.retrieval.exact import ExactSearcher


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("address")
def command(folder: Path, address: str) -> None:
    """Encodes, held at one shard while a file is there; then searches over and over until a file is gone."""
    store = ArrowPassageStore(folder / "store")
    with EngineChoice("ray", address, None, None).in_place(folder):
        engine = engine_in_use()
        engine.build(shards_in(folder / "ray", store), store, HeldEncoder(folder, "1533"), Meter())
        placed = shards_of(folder / "vectors", vectors_with_ties(5000), shard_rows=700)
        searcher = ExactSearcher(placed, scan=engine.scan(placed))
        (folder / "goes-on").touch()
        while (folder / "goes-on").exists():
            searcher.nearest(vectors_with_ties(40), 90)
            (folder / f"searched-{os.getpid()}").touch()


if __name__ == "__main__":
    cli.modules = {"work": "retrieval.cluster.driver"}  # type: ignore[attr-defined]
    main()
