"""Every parser reads its seeds, and random changes of them, or refuses them in one line. For longer: ``benchmarks/fuzz_parsers.py``."""

from __future__ import annotations

from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from fuzz.cases import SEEDS, Case, seed_paths
from fuzz.mutate import mutated
from fuzz.targets import TARGETS, outcome
from hypothesis import given, settings
from hypothesis import strategies as st

NAMES = list(TARGETS)


@pytest.mark.parametrize("name", NAMES)
def test_seeds(name: str) -> None:
    """Those that were written for the format are read; those that once broke something are at least refused."""
    target = TARGETS[name]
    outcomes = {path.name: outcome(target, path) for path in seed_paths(target.seeds)}
    assert {seed: came for seed, came in outcomes.items() if not seed.startswith("found-") and came != "read"} == {}


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=12)
@given(random=st.randoms(use_true_random=False, note_method_calls=False))
def test_changed_seeds(name: str, random: Random) -> None:
    target = TARGETS[name]
    case = mutated(Case.load(random.choice(seed_paths(target.seeds))), random)
    with TemporaryDirectory() as folder:
        outcome(target, case.write(Path(folder)))


def test_every_folder_of_seeds_is_used() -> None:
    assert {path.name for path in SEEDS.iterdir()} == {target.seeds for target in TARGETS.values()}


def test_seeds_are_small() -> None:
    assert sum(path.stat().st_size for path in SEEDS.rglob("*") if path.is_file()) < 300_000
