"""The nodes of a cluster: what they have, and whether they see what they must."""

from __future__ import annotations

import logging
import os
import platform
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convbench.errors import ResourceError, storage_error

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Node:
    """A node that is alive and has processors.

    Attributes:
        id: Ray's id of it.
        address: Its network address.
        cpus: Processors that it offers.
        gpus: GPUs that it offers.
    """

    id: str
    address: str
    cpus: float
    gpus: float


def alive(ray: Any) -> list[Node]:
    """The nodes that can work, by address."""
    found = [
        Node(node["NodeID"], node["NodeManagerAddress"], resources["CPU"], resources.get("GPU", 0.0))
        for node in ray.nodes()
        if node["Alive"] and (resources := node["Resources"]).get("CPU", 0) > 0
    ]
    return sorted(found, key=lambda node: (node.address, node.id))


def check_shared(ray: Any, nodes: Sequence[Node], cache: Path, seconds: float) -> None:
    """Makes sure that every node sees the cache folder: each reads a file of this process's, and writes one that this process reads.

    Warns of processors of several kinds, whose vectors may differ in the last bits.

    Args:
        ray: The package.
        nodes: Who is asked.
        cache: The folder.
        seconds: Until all must have answered.

    Raises:
        ResourceError: A node does not see it, cannot write to it or does not answer.
        StorageError: This process cannot write to it.
    """
    mark = f".probe-{secrets.token_hex(8)}"
    asked = cache / mark
    try:
        cache.mkdir(parents=True, exist_ok=True)
        asked.write_text(mark, encoding="utf-8")
    except OSError as error:
        raise storage_error(error, cache) or error from error
    try:
        _compare(_answers(ray, nodes, asked, seconds), nodes, asked)
    finally:
        for path in cache.glob(f"{mark}*"):
            path.unlink(missing_ok=True)


def _answers(ray: Any, nodes: Sequence[Node], asked: Path, seconds: float) -> dict[str, tuple[str, str] | None]:
    """What each node said: what it met with, empty where nothing, and its processor; None of one that was lost."""
    on_node = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    probe = ray.remote(num_cpus=0, max_retries=0)(look)
    pending = {probe.options(scheduling_strategy=on_node(node.id, soft=False)).remote(str(asked), node.id): node.id for node in nodes}
    ready, _ = ray.wait(list(pending), num_returns=len(pending), timeout=seconds)
    answers: dict[str, tuple[str, str] | None] = {}
    for reference in ready:
        try:
            answers[pending[reference]] = ray.get(reference)
        except ray.exceptions.RayTaskError:
            raise
        except ray.exceptions.RayError:
            answers[pending[reference]] = None
    return answers


def _compare(answers: Mapping[str, tuple[str, str] | None], nodes: Sequence[Node], asked: Path) -> None:
    for node in nodes:
        said = answers.get(node.id, ("it did not answer", ""))
        if said is None:
            log.warning("node %s is lost: left out", node.address)
            continue
        fault = said[0]
        mine = asked.with_name(f"{asked.name}-{node.id}")
        if not fault and not (mine.exists() and mine.read_text(encoding="utf-8") == node.id):
            fault = "what it writes there does not arrive here"
        if fault:
            raise ResourceError(
                f"node {node.address} does not share the cache folder {asked.parent} with this process: {fault}; "
                "give --cache a folder on a file system that is mounted at the same place on every node"
            )
    if len(kinds := sorted({said[1] for said in answers.values() if said})) > 1:
        log.warning("nodes have processors of several kinds (%s): the last bits of vectors and scores may depend on the node", kinds)


def look(asked: str, node: str) -> tuple[str, str]:
    """A node's part of ``check_shared``."""
    path = Path(asked)
    try:
        found = path.read_text(encoding="utf-8")
        path.with_name(f"{path.name}-{node}").write_text(node, encoding="utf-8")
    except OSError as error:
        return (os.strerror(error.errno or 0).lower(), processor())
    return ("" if found == path.name else "it holds another file", processor())


def processor() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    named = re.search(r"^model name\s*:\s*(.+)$", info.read_text(encoding="utf-8"), re.MULTILINE) if info.exists() else None
    return named[1] if named else platform.processor() or platform.machine()
