"""What runs on the nodes: a process that encodes shards, and one that passes over blocks."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from convbench.backends.base import TextEncoder, Vectors
from convbench.datasets.store import ArrowPassageStore
from convbench.errors import ResourceError, storage_error
from convbench.io.digests import file_sha256
from convbench.meter import Meter
from convbench.retrieval.engines.cluster.agreement import without_comparison
from convbench.retrieval.engines.cluster.connect import load_ray
from convbench.retrieval.engines.cluster.failure import Failure, answer
from convbench.retrieval.engines.cluster.surroundings import Surroundings
from convbench.retrieval.index_folder import Part
from convbench.retrieval.scan import BlockScan, Top
from convbench.retrieval.shard_build import encode_shard
from convbench.retrieval.shards import Shards


class Hello(NamedTuple):
    """A worker that can begin.

    Attributes:
        node: Ray's id of its node.
        address: The node's network address.
        pid: Its process there.
    """

    node: str
    address: str
    pid: int


class Made(NamedTuple):
    """A shard that was written beside its place.

    Attributes:
        file: Its name in the folder of the index.
        sha256: Digest of its bytes.
        tokens: Tokens of the passages.
        counts: What was counted: forward passes, tokens.
    """

    file: str
    sha256: str
    tokens: int
    counts: dict[str, int]


class Passed(NamedTuple):
    """A pass over a range of blocks.

    Attributes:
        top: The best of each query.
        square: Square of the longest vector's length.
    """

    top: Top
    square: float


@dataclass(frozen=True, slots=True)
class EncodingJob:
    """What a worker that encodes needs to know.

    Attributes:
        encoder: From ``surroundings.bare``.
        described: What the driver's encoder says of itself.
        store: Folder of the passages.
        store_sha256: Their digest.
        shards: What is to be there in the end.
        surroundings: The driver's.
    """

    encoder: TextEncoder
    described: dict[str, Any]
    store: Path
    store_sha256: str
    shards: Shards
    surroundings: Surroundings


class EncodingWorker:
    """Encodes shards; loads the encoder once."""

    _job: EncodingJob

    def hello(self, job: EncodingJob) -> Hello | Failure:
        """Loads the encoder, and makes sure that it is the driver's."""
        self._job = job
        return answer(self._prepare, where=_hello().address)

    def encode(self, start: int, part: Part) -> Made | Failure:
        """Makes the shard that begins with a row."""
        return answer(partial(self._encode, start, part))

    def _prepare(self) -> Hello:
        job = self._job
        job.surroundings.enter()
        self._store = ArrowPassageStore(job.store)
        if self._store.sha256 != job.store_sha256:
            raise ResourceError(f"{job.store} holds other passages here than where the command runs")
        described = job.encoder.describe()
        for name, expected in job.described.items():
            if (found := described.get(name)) != expected:
                raise ResourceError(
                    f"the encoder's {name} is {found!r:.80} here, {expected!r:.80} where the command runs: its vectors would be others; "
                    "give every node the same software, checkpoints and kind of device"
                )
        job.encoder.load()
        without_comparison(job.encoder)
        job.surroundings.set_threads()
        return _hello()

    def _encode(self, start: int, part: Part) -> Made:
        job, meter, total = self._job, Meter(), 0

        def advance(count: int, tokens: int = 0) -> None:
            nonlocal total
            total += tokens

        with meter.phase("index"):
            vectors = encode_shard(self._store, job.encoder, start, part, job.shards.storage, meter, advance)
        counts = {name: count for name, count in meter.take()["phases"]["index"].items() if name not in ("seconds", "turns")}
        path = _write_beside(job.shards.path(part), vectors)
        return Made(path.name, file_sha256(path), total, counts)


class Scanner:
    """Passes over ranges of blocks of any index; keeps the memory that it reads into."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._scans: dict[range, BlockScan] = {}
        self._block_bytes = 0

    def hello(self, surroundings: Surroundings, block_bytes: int) -> Hello | Failure:
        """Takes the driver's surroundings over, and the size of its blocks."""
        self._surroundings, self._block_bytes = surroundings, block_bytes
        return answer(self._prepare, where=_hello().address)

    def scan(self, shards: Shards, rows: range, vectors: Vectors, k: int) -> Passed | Failure:
        """The k best of each query among a range of rows that begins with a block."""
        return answer(partial(self._scan, shards, rows, vectors, k))

    def _prepare(self) -> Hello:
        self._surroundings.enter()
        return _hello()

    def _scan(self, shards: Shards, rows: range, vectors: Vectors, k: int) -> Passed:
        if self._folder != shards.folder.path:
            self._folder, self._scans, self._memory = shards.folder.path, {}, shards.memory(self._block_bytes)
        scan = self._scans.setdefault(rows, BlockScan(shards, self._block_bytes, rows=rows, memory=self._memory))
        return Passed(scan.top(vectors, k), scan.square)


def _hello() -> Hello:
    ray = load_ray()
    return Hello(ray.get_runtime_context().get_node_id(), ray.util.get_node_ip_address(), os.getpid())


def _write_beside(path: Path, vectors: npt.NDArray[np.floating]) -> Path:
    """Writes a shard under a name that no other process has; the driver puts it in its place, and removes what a lost worker left."""
    node = _hello().node[:12]
    temporary = path.with_name(f".{path.name}.{node}-{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as handle:
            np.save(handle, vectors)
            handle.flush()
            os.fsync(handle.fileno())
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise storage_error(error, path) or error from error
    return temporary
