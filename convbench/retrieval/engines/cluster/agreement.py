"""An approximate encoder is compared with the exact one once, by the driver, on the texts that the local engine compares it on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from convbench.backends.base import TextEncoder
from convbench.backends.encoder import HFEncoder
from convbench.datasets.store import PassageStore
from convbench.meter import Meter
from convbench.retrieval.index_folder import Part
from convbench.retrieval.shard_build import ENCODED_TOGETHER
from convbench.views.passages import passage_text


def compare_first(encoder: TextEncoder, store: PassageStore, missing: Mapping[int, Part], meter: Meter) -> None:
    """Encodes the first passages here too, where the encoder is approximate, until its agreement was measured on them.

    Args:
        encoder: The driver's.
        store: The passages.
        missing: The shards to encode, by first row.
        meter: Where the agreement goes; the encoding itself is not counted, as a worker's is.
    """
    if not isinstance(encoder, HFEncoder) or encoder.passages.approximation is None:
        return
    alone, left = _AgreementAlone(meter), ENCODED_TOGETHER
    for start, part in missing.items():
        if alone.is_noted or left <= 0:
            return
        first = store.texts(start, start + min(part.rows, ENCODED_TOGETHER))
        encoder.encode_passages([passage_text(passage) for passage in first], alone)
        left -= len(first)


def without_comparison(encoder: TextEncoder) -> None:
    """Lets a worker's encoder, which was loaded, do without the exact one."""
    if isinstance(encoder, HFEncoder):
        encoder.passages = replace(encoder.passages, approximation=None)


class _AgreementAlone(Meter):
    """Passes on the agreement and what measuring it costs, and nothing else."""

    def __init__(self, meter: Meter) -> None:
        super().__init__()
        self._meter = meter
        self.is_noted = False

    @contextmanager
    def phase(self, name: str, *, turns: int = 0) -> Iterator[None]:
        with self._meter.phase(name, turns=turns):
            self._open.append(name)
            try:
                yield
            finally:
                self._open.pop()

    def count(self, **counts: int) -> None:
        if self._open:
            self._meter.count(**counts)

    def agreement(self, name: str, measured: Mapping[str, Any]) -> None:
        self.is_noted = True
        self._meter.agreement(name, measured)

    def at_the_end(self, work: Callable[[Meter], None]) -> None:
        self._meter.at_the_end(work)
