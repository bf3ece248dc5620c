"""Costs by phase: seconds that add up, counts that go to the innermost phase, and a meter that is empty once it was read."""

from __future__ import annotations

from contextlib import suppress

import pytest

from convbench import meter as module
from convbench.meter import Meter


class Clock:
    """Time that passes when a test says so."""

    now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def seconds(taken) -> dict[str, float]:
    return {name: counts["seconds"] for name, counts in taken["phases"].items()}


def test_an_inner_phase_takes_its_own_time(clock):
    meter = Meter()
    with meter.phase("converse", turns=4):
        clock.now += 1
        with meter.phase("encode", turns=4):
            clock.now += 2
            with meter.phase("search"):
                clock.now += 4
        clock.now += 8
        with meter.phase("encode"):
            clock.now += 16
    assert seconds(meter.take()) == {"converse": 9, "encode": 18, "search": 4}


def test_time_between_phases_is_nobodys(clock):
    meter = Meter()
    with meter.phase("search"):
        clock.now += 1
    clock.now += 100
    with meter.phase("search"):
        clock.now += 2
    assert seconds(meter.take()) == {"search": 3}


def test_a_phase_that_fails_is_closed(clock):
    meter = Meter()
    with meter.phase("converse"):
        with suppress(RuntimeError), meter.phase("generate"):
            clock.now += 2
            raise RuntimeError
        clock.now += 1
    assert seconds(meter.take()) == {"converse": 1, "generate": 2}


def test_counts_go_to_the_innermost_phase():
    meter = Meter()
    meter.count(tokens_in=1000)  # nobody's
    with meter.phase("converse", turns=2):
        meter.count(tokens_in=5)
        with meter.phase("encode", turns=1):
            meter.count(tokens_in=7, forward_passes=1)
            meter.count(forward_passes=1)
        meter.count(tokens_out=3)
    phases = meter.take()["phases"]
    for counts in phases.values():
        counts.pop("seconds")
    assert phases == {
        "converse": {"turns": 2, "tokens_in": 5, "tokens_out": 3},
        "encode": {"turns": 1, "tokens_in": 7, "forward_passes": 2},
    }


def test_turns_of_a_phase_within_its_own_name_count_once():
    meter = Meter()
    for _ in range(2):
        with meter.phase("search", turns=3), meter.phase("encode", turns=3), meter.phase("search", turns=3):
            pass
    assert {name: counts["turns"] for name, counts in meter.take()["phases"].items()} == {"search": 6, "encode": 6}


def test_phases_come_in_the_order_of_their_first_use():
    meter = Meter()
    for name in ("view", "search", "encode", "view"):
        with meter.phase(name):
            pass
    assert list(meter.take()["phases"]) == ["view", "search", "encode"]


def test_what_was_loaded_counts_once_by_its_name():
    meter = Meter()
    meter.model("mini", 22)
    meter.model("mini", 22)
    meter.model("large", 300)
    meter.index("flat", 10)
    taken = meter.take()
    assert taken["models"] == {"mini": 22, "large": 300}
    assert taken["indexes"] == {"flat": 10}


def test_taking_empties_the_meter(clock):
    meter = Meter()
    with meter.phase("open"):
        clock.now += 1
        meter.model("mini", 22)
    meter.take()
    assert meter.take() == {"phases": {}, "models": {}, "indexes": {}}
    with meter.phase("search"):
        clock.now += 2
    assert seconds(meter.take()) == {"search": 2}


def test_what_was_taken_does_not_change_any_more():
    meter = Meter()
    meter.model("mini", 22)
    taken = meter.take()
    meter.model("large", 300)
    assert taken["models"] == {"mini": 22}


def test_what_waits_is_done_once_at_the_end(clock):
    meter, done = Meter(), []

    def work(given: Meter) -> None:
        with given.phase("agreement"):
            clock.now += 2
        done.append(given)

    meter.at_the_end(work)
    meter.at_the_end(work)
    assert meter.take()["phases"] == {}
    assert done == []
    with meter.phase("search"):
        clock.now += 1
        meter.settle()
    assert done == [meter]
    assert seconds(meter.take()) == {"search": 1.0, "agreement": 2.0}
    meter.settle()
    assert done == [meter]
