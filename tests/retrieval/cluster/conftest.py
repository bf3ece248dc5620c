from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from retrieval.cluster.cluster_work import PASSAGES
from retrieval.cluster.local_cluster import LocalCluster

if TYPE_CHECKING:
    from conftest import StoreOf

    from convbench.datasets.store import ArrowPassageStore


@pytest.fixture(scope="module")
def running() -> Iterator[LocalCluster]:
    cluster = LocalCluster()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def cluster(running: LocalCluster) -> LocalCluster:
    """With both its nodes."""
    running.heal()
    return running


@pytest.fixture
def store(store_of: StoreOf) -> ArrowPassageStore:
    return store_of(PASSAGES)
