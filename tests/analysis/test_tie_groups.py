from __future__ import annotations

import itertools
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from convbench.analysis.tie_groups import tie_groups

PAIRS = st.integers(1, 9).flatmap(
    lambda systems: st.tuples(
        st.permutations(range(systems)), st.sets(st.sampled_from([*itertools.permutations(range(systems), 2)] or [(0, 0)]), max_size=30)
    )
)


def letters(text: str) -> set[str]:
    return set(re.findall(r"\(..\)|.", text))


@given(PAIRS)
@settings(max_examples=300, deadline=None)
def test_two_systems_share_a_letter_just_when_they_are_not_told_apart(drawn: tuple[list[int], set[tuple[int, int]]]) -> None:
    order, separated = drawn
    separated = {pair for pair in separated if pair[0] != pair[1]}
    found = tie_groups(order, separated)
    assert sorted(found) == sorted(order)
    assert all(found.values())
    for one, other in itertools.combinations(order, 2):
        apart = (one, other) in separated or (other, one) in separated
        assert bool(letters(found[one]) & letters(found[other])) is not apart


@given(PAIRS)
@settings(max_examples=100, deadline=None)
def test_no_letter_says_what_another_says(drawn: tuple[list[int], set[tuple[int, int]]]) -> None:
    order, separated = drawn
    found = tie_groups(order, {pair for pair in separated if pair[0] != pair[1]})
    groups = [{system for system in order if letter in letters(found[system])} for letter in set().union(*map(letters, found.values()))]
    assert not any(one <= other for one, other in itertools.permutations(groups, 2))


def test_the_best_has_the_first_letter() -> None:
    assert tie_groups([2, 0, 1], [(0, 1), (2, 1)]) == {2: "a", 0: "a", 1: "b"}
    assert tie_groups([2, 0, 1], [(1, 2)]) == {2: "a", 0: "ab", 1: "b"}
    assert tie_groups([0, 1], []) == {0: "a", 1: "a"}
    assert tie_groups([3], []) == {3: "a"}
    assert tie_groups([], []) == {}


def test_ties_that_do_not_chain() -> None:
    """1 is told apart from both neighbours, which tie across it: a bare rank would hide that."""
    assert tie_groups([0, 1, 2], [(0, 1), (1, 2)]) == {0: "a", 1: "b", 2: "a"}


def test_more_groups_than_letters() -> None:
    found = tie_groups(range(28), list(itertools.combinations(range(28), 2)))
    assert [found[system] for system in (0, 25, 26, 27)] == ["a", "z", "(aa)", "(ab)"]


def by_pairs(order: list[int], separated: set[tuple[int, int]]) -> set[frozenset[int]]:
    """Groups as Piepho inserts and absorbs: every pair in its turn splits the groups that hold both."""
    groups = [frozenset(order)]
    for one, other in sorted(separated):
        split = [part for group in groups for part in ([group - {one}, group - {other}] if {one, other} <= group else [group])]
        groups = [group for group in dict.fromkeys(split) if not any(group < another for another in split)]
    return set(groups)


@given(PAIRS)
@settings(max_examples=300, deadline=None)
def test_groups_are_those_that_inserting_pairs_gives(drawn: tuple[list[int], set[tuple[int, int]]]) -> None:
    order, separated = drawn
    separated = {pair for pair in separated if pair[0] != pair[1]}
    found = tie_groups(order, separated)
    groups = {
        frozenset(system for system in order if letter in letters(found[system])) for letter in set().union(*map(letters, found.values()))
    }
    assert groups == by_pairs(order, separated)


@given(PAIRS, st.integers(1, 6))
@settings(max_examples=200, deadline=None)
def test_more_groups_than_wanted_give_no_letters(drawn: tuple[list[int], set[tuple[int, int]]], most: int) -> None:
    order, separated = drawn
    separated = {pair for pair in separated if pair[0] != pair[1]}
    found = tie_groups(order, separated)
    assert tie_groups(order, separated, most) == (found if len(set().union(*map(letters, found.values()))) <= most else {})


def test_two_to_the_fortieth_groups_are_given_up_at_once() -> None:
    assert tie_groups(range(80), {(2 * family, 2 * family + 1) for family in range(40)}, most=26) == {}
