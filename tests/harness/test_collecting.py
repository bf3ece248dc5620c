from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from convbench.harness.collecting import rare_collections


class Knot:
    def __init__(self) -> None:
        self.self = self


@pytest.fixture(autouse=True)
def thresholds() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield
    gc.set_threshold(*before)


def test_what_cycles_have_kept_of_a_run_is_freed_at_its_end() -> None:
    with rare_collections():
        knot = weakref.ref(Knot())
        assert gc.get_threshold()[0] == 50_000
        assert knot() is not None
    assert knot() is None
    assert gc.get_threshold() == (700, 10, 10)


def test_what_was_there_before_is_looked_through_again_afterwards() -> None:
    kept = Knot()
    knot = weakref.ref(kept)
    with rare_collections():
        assert gc.get_freeze_count() > 0
        del kept
    assert gc.get_freeze_count() == 0
    gc.collect()
    assert knot() is None


def test_young_rubbish_of_before_is_not_kept() -> None:
    gc.collect()
    knot = weakref.ref(Knot())
    with rare_collections():
        assert knot() is None


def test_a_run_that_fails_leaves_everything_as_it_was() -> None:
    def failing() -> None:
        with rare_collections():
            raise RuntimeError

    with pytest.raises(RuntimeError):
        failing()
    assert gc.get_threshold() == (700, 10, 10)
    assert gc.get_freeze_count() == 0


def test_objects_that_somebody_else_keeps_out_stay_out() -> None:
    gc.freeze()
    try:
        count = gc.get_freeze_count()
        with rare_collections():
            knot = weakref.ref(Knot())
        assert knot() is None
        assert gc.get_freeze_count() == pytest.approx(count, rel=0.01)
    finally:
        gc.unfreeze()


def test_collections_that_are_switched_off_stay_so() -> None:
    gc.set_threshold(0, 10, 10)
    with rare_collections():
        assert gc.get_threshold()[0] == 0
    assert gc.get_threshold() == (0, 10, 10)
