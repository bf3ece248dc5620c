from __future__ import annotations

from collections import Counter
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convbench.errors import UsageError
from convbench.training.data.examples import Example
from convbench.training.data.material import Material
from convbench.training.data.mixture import SourceSpec
from convbench.training.data.sampling import Pool, Unit, batches, conversation_pools, draws, turn_pools
from convbench.training.data.sources import Source
from convbench.types import Turn


def examples(source: str, *lengths: int) -> tuple[Example, ...]:
    turns = [Turn(f"{index}_{n}", "q") for index, length in enumerate(lengths) for n in range(1, length + 1)]
    return tuple(Example(f"{source}/{turn.id}", source, turn, "full", (), "r", (), frozenset({"response"})) for turn in turns)


def source(name: str, weight: float, *lengths: int) -> Source:
    spec = SourceSpec.model_validate({"name": name, "dataset": "topiocqa", "objectives": ["response"], "weight": weight})
    return Source(spec, Material((), {}, {}, ""), examples(name, *lengths), None, len(lengths))


SOURCES = st.lists(
    st.tuples(st.sampled_from([0.1, 0.25, 1, 1.5, 3, 1e-3]), st.lists(st.integers(1, 6), min_size=1, max_size=8)), min_size=1, max_size=4
).map(lambda each: [source(f"s{index}", weight, *lengths) for index, (weight, lengths) in enumerate(each)])
SEEDS = st.integers(0, 1000)


def names(units: object) -> list[str]:
    return [example.id for unit in units for example in unit]  # type: ignore[attr-defined]


@given(SOURCES, SEEDS, st.integers(0, 60), st.booleans())
def test_a_resumed_stream_goes_on_as_if_it_had_never_stopped(sources: list[Source], seed: int, start: int, whole: bool) -> None:
    pools = conversation_pools(sources, 4) if whole else turn_pools(sources)
    assert list(islice(draws(pools, seed, start), 20)) == list(islice(draws(pools, seed), start, start + 20))
    assert list(islice(batches(pools, seed, 5, start), 5)) == list(islice(batches(pools, seed, 5), start, start + 5))


@given(SOURCES, SEEDS, st.integers(1, 300))
def test_weights_are_respected_all_along_the_stream(sources: list[Source], seed: int, length: int) -> None:
    counts = Counter(unit[0].source for unit in islice(draws(turn_pools(sources), seed), length))
    total = sum(each.spec.weight for each in sources)
    for each in sources:
        assert abs(counts[each.spec.name] - length * each.spec.weight / total) <= len(sources)


@given(SOURCES, SEEDS)
def test_weights_count_examples_not_conversations(sources: list[Source], seed: int) -> None:
    units = list(islice(draws(conversation_pools(sources, 6), seed), 400))
    counts = Counter(example.source for unit in units for example in unit)
    total, drawn = sum(each.spec.weight for each in sources), sum(counts.values())
    for each in sources:
        assert abs(counts[each.spec.name] - drawn * each.spec.weight / total) <= 6 * len(sources)


@given(SOURCES, SEEDS)
def test_an_epoch_covers_every_example_once_and_the_next_in_another_order(sources: list[Source], seed: int) -> None:
    only = sources[0]
    count = len(only.examples)
    stream = names(islice(draws(turn_pools([only]), seed), 2 * count))
    assert sorted(stream[:count]) == sorted(stream[count:]) == sorted(example.id for example in only.examples)
    if count > 12:  # the chance of one order twice is below one in 10^9
        assert stream[:count] != stream[count:]


def test_epochs_hold_within_a_mixture_and_seeds_give_other_orders() -> None:
    pools = turn_pools([source("a", 1, 5, 5), source("b", 3, 4, 4)])
    drawn = [unit[0] for unit in islice(draws(pools, 1), 160)]
    for name, size in (("a", 10), ("b", 8)):
        own = [example.id for example in drawn if example.source == name]
        for start in range(0, len(own) - size + 1, size):
            assert len(set(own[start : start + size])) == size
    assert names(islice(draws(pools, 1), 40)) != names(islice(draws(pools, 2), 40))
    assert Counter(example.source for example in drawn[:40]) == {"a": 10, "b": 30}


def test_the_order_of_examples_in_the_source_plays_no_part() -> None:
    pool = turn_pools([source("a", 1, 5, 5)])[0]
    turned = Pool(pool.name, pool.weight, pool.units[::-1])
    assert list(islice(draws([pool], 3), 25)) == list(islice(draws([turned], 3), 25))


@given(SOURCES, SEEDS, st.integers(1, 9))
def test_conversations_stay_whole_and_in_order_within_batches(sources: list[Source], seed: int, size: int) -> None:
    pools = conversation_pools(sources, size)
    made = list(islice(batches(pools, seed, size), 30))
    units: list[Unit] = [unit for batch in made for unit in batch]
    assert units == list(islice(draws(pools, seed), len(units)))  # nothing is skipped or put in another place
    for batch, following in pairwise(made):
        filled = sum(map(len, batch))
        assert filled <= size < filled + len(following[0])
    for unit in units:
        assert len({example.conversation for example in unit}) == 1
        numbers = [example.turn.number for example in unit]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_batches_of_turns_are_full_and_hold_the_sources_in_proportion() -> None:
    pools = turn_pools([source("a", 1, 9), source("b", 2, 30), source("c", 1, 3)])
    for batch in islice(batches(pools, 0, 8), 50):
        assert Counter(unit[0].source for unit in batch) == {"a": 2, "b": 4, "c": 2}


def test_a_long_conversation_is_cut_into_pieces() -> None:
    (pool,) = conversation_pools([source("a", 1, 7)], 3)
    assert [len(unit) for unit in pool.units] == [3, 3, 1]


def test_what_cannot_be_drawn() -> None:
    pools = conversation_pools([source("a", 1, 7)], 7)
    with pytest.raises(UsageError, match="a batch of 4 examples cannot hold a unit of 7"):
        next(batches(pools, 0, 4))
    with pytest.raises(UsageError, match="a batch of 0 examples"):
        conversation_pools([source("a", 1, 7)], 0)
    for empty in ([], turn_pools([source("a", 1)]), turn_pools([source("a", 0, 2)])):
        with pytest.raises(UsageError, match="nothing to draw from"):
            next(draws(empty, 0))
