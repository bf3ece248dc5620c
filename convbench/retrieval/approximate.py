"""Approximate indexes of faiss, built from the shards and kept beside them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field
from typing_extensions import Self

from convbench.backends.base import Vectors
from convbench.config import Config
from convbench.errors import StorageError, UsageError
from convbench.io.atomic import atomic_path
from convbench.io.digests import value_sha256
from convbench.meter import Meter
from convbench.progress import progress_bar
from convbench.retrieval.exact import Neighbours
from convbench.retrieval.index_folder import Part
from convbench.retrieval.shards import Shards, Storage

VERSION = 1
_SEED = 0
_SAMPLED_PER_CENTROID = 64
"""Vectors to train on for every centroid; faiss wants 39 at least."""


class _Approximate(Config):
    """What the kinds share: which settings matter only in search, and how many vectors training needs."""

    search_settings: ClassVar[frozenset[str]] = frozenset()

    @property
    def centroids(self) -> int:
        """Vectors that training needs at least."""
        return 256

    def fitted(self, size: int, dim: int) -> Self:
        """The settings for so many vectors of this length; ``UsageError`` where the index cannot be built for them."""
        return self

    def describe(self) -> dict[str, Any]:
        """The settings and the library's version."""
        import faiss

        return {**self.model_dump(), "version": VERSION, "faiss": faiss.__version__}


class HNSWConfig(_Approximate):
    """A graph of neighbours (Malkov and Yashunin, 2018); needs the vectors in memory, as they are stored.

    Attributes:
        m: Neighbours of a vector.
        ef_construction: Candidates while the graph is built.
        ef_search: Candidates while it is searched.
    """

    type: Literal["hnsw"] = "hnsw"
    m: int = Field(default=32, ge=2)
    ef_construction: int = Field(default=200, ge=1)
    ef_search: int = Field(default=128, ge=1)

    search_settings: ClassVar[frozenset[str]] = frozenset({"ef_search"})

    def factory(self, storage: Storage) -> str:
        """The index in faiss's words."""
        return f"HNSW{self.m},{'SQfp16' if storage == 'float16' else 'Flat'}"

    def tune(self, index: Any) -> None:
        """Sets what the factory does not."""
        index.hnsw.efConstruction, index.hnsw.efSearch = self.ef_construction, self.ef_search


class IVFPQConfig(_Approximate):
    """Product quantisation within the lists of a coarse clustering (Jégou et al., 2011): the smallest and the least exact.

    Attributes:
        lists: Clusters; None: four times the root of the collection's size, at most 1024.
        subvectors: Codes of a vector, which must divide its length; None: at most 64.
        bits: Size of a code; None: 8, fewer where the collection is too small for so many codes.
        probes: Clusters that are searched.
    """

    type: Literal["ivf-pq"] = "ivf-pq"
    lists: int | None = Field(default=None, ge=1)
    subvectors: int | None = Field(default=None, ge=1)
    bits: int | None = Field(default=None, ge=1, le=12)
    probes: int = Field(default=32, ge=1)

    search_settings: ClassVar[frozenset[str]] = frozenset({"probes"})

    def fitted(self, size: int, dim: int) -> Self:
        """What was left open, decided for a collection.

        Raises:
            UsageError: More clusters than vectors, or codes that do not divide a vector.
        """
        lists = self.lists or min(1024, size, max(int(4 * size**0.5), 1))
        bits = self.bits or max(min(8, size.bit_length() - 1), 1)
        if (least := max(lists, 1 << bits)) > size:
            asked = f"lists: {lists} and bits: {bits} need at least {least} passages, the collection has {size}"
            most = f"lists to at most {size} and bits to at most {size.bit_length() - 1}"
            raise UsageError(f"index ivf-pq: {asked}; set {most}, or `index: {{type: exact}}`")
        near = max(number for number in range(1, min(self.subvectors or 64, dim) + 1) if dim % number == 0)
        if self.subvectors not in (None, near):
            raise UsageError(
                f"index ivf-pq: subvectors: {self.subvectors} does not divide the vectors' length {dim}; set it to {near}, say"
            )
        return self.model_copy(update={"lists": lists, "bits": bits, "subvectors": near})

    @property
    def centroids(self) -> int:
        """The larger of both clusterings."""
        return max(self.lists or 1, 1 << (self.bits or 1))

    def factory(self, storage: Storage) -> str:
        """The index in faiss's words; ``np`` leaves out an ordering of codes that nothing here uses."""
        return f"IVF{self.lists},PQ{self.subvectors}x{self.bits}np"

    def tune(self, index: Any) -> None:
        """Sets what the factory does not; few vectors to train on are no warning, since recall is measured."""
        index.nprobe = self.probes
        index.cp.min_points_per_centroid = index.pq.cp.min_points_per_centroid = 1


class SQ8Config(_Approximate):
    """Every value as one byte between the smallest and the largest of its place; compares with every vector."""

    type: Literal["sq8"] = "sq8"

    def factory(self, storage: Storage) -> str:
        """The index in faiss's words."""
        return "SQ8"

    def tune(self, index: Any) -> None:
        """Nothing to set."""


ApproximateConfig = Annotated[HNSWConfig | IVFPQConfig | SQ8Config, Field(discriminator="type")]


class ApproximateSearcher:
    """Searches an approximate index, built on first use, in memory.

    Building is reproducible: it runs on one thread (a graph depends on who comes first) and trains on a seeded sample.

    Args:
        config: Which one.
        shards: The vectors. Their digests are part of the index's name, so that it is built again where they change.
        meter: Building is its phase ``index``.
    """

    def __init__(self, config: ApproximateConfig, shards: Shards, meter: Meter) -> None:
        import faiss

        self._config = config
        self._shards = shards
        settings = {name: value for name, value in config.describe().items() if name not in config.search_settings}
        digest = value_sha256([settings, [shards.folder.sha256(part) for part in shards.parts]])
        self._part = Part(f"{config.type}-{digest[:16]}.faiss", shards.size, shards.dim)
        self._make_sure(meter)
        self._index = faiss.read_index(str(self._path))
        config.tune(self._index)

    @property
    def bytes_on_disk(self) -> int:
        """Size of the index, the shards apart."""
        return self._path.stat().st_size

    def nearest(self, vectors: Vectors, k: int) -> list[Neighbours]:
        """Up to k vectors of each query."""
        scores, rows = self._index.search(vectors, min(k, self._shards.size))
        return [Neighbours(row[row >= 0], score[row >= 0]) for score, row in zip(scores, rows, strict=True)]

    @property
    def _path(self) -> Path:
        return self._shards.folder.path / self._part.name

    def _make_sure(self, meter: Meter) -> None:
        folder = self._shards.folder
        if not folder.fault(self._part):
            return
        with folder.locked():
            if fault := folder.fault(self._part):
                folder.report(self._part, fault)
                with meter.phase("index"), _one_thread():
                    self._write(self._build())
                folder.record(self._part)

    def _build(self) -> Any:
        import faiss

        index = faiss.index_factory(self._shards.dim, self._config.factory(self._shards.storage), faiss.METRIC_INNER_PRODUCT)
        self._config.tune(index)
        if not index.is_trained:
            index.train(self._sample())
        with progress_bar(f"dense: {self._config.type} index", self._shards.size, unit="passage") as advance:
            for _, block in self._shards.blocks(self._shards.memory()):
                index.add(block)
                advance(len(block))
        return index

    def _sample(self) -> Vectors:
        """Vectors drawn by a seed, in row order."""
        count = min(_SAMPLED_PER_CENTROID * self._config.centroids, self._shards.size)
        chosen = np.sort(np.random.default_rng(_SEED).choice(self._shards.size, count, replace=False, shuffle=False))
        parts = []
        for start, block in self._shards.blocks(self._shards.memory()):
            first, last = np.searchsorted(chosen, [start, start + len(block)])
            parts.append(block[chosen[first:last] - start])
        return np.concatenate(parts)

    def _write(self, index: Any) -> None:
        import faiss

        with atomic_path(self._path) as temporary:
            try:
                faiss.write_index(index, str(temporary))
            except RuntimeError as error:
                raise StorageError(f"{self._path}: cannot write: {str(error).splitlines()[0]}") from error


@contextmanager
def _one_thread() -> Iterator[None]:
    import faiss

    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)
