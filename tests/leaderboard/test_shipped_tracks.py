"""The tracks that ship: they can be read, their measures and slicings exist, and their digests are those of the baselines' promises."""

from __future__ import annotations

import shutil

import pytest
from command_line import succeed

from convbench.analysis.slices import slicing_names
from convbench.datasets.adapters import adapter_class
from convbench.datasets.loading import DatasetRequest, open_dataset
from convbench.datasets.origins import known_name
from convbench.exchange.published import published_datasets
from convbench.harness.expected import named_sets, read_expected
from convbench.leaderboard.measures import parts_of, sides_of
from convbench.leaderboard.track import read_track, track_names
from convbench.systems.catalog import shipped

ROOT = shipped("leaderboards")
NAMES = track_names(ROOT)
FULL = {"topiocqa", "qrecc", "orquac", "inscit", "faithdial"}


def test_there_is_one_for_every_dataset_and_for_every_set():
    assert set(NAMES) == FULL | set(named_sets())
    assert set(published_datasets()) <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_measures_slicings_and_sources_exist(name):
    track = read_track(ROOT, name)
    dataset = open_dataset(DatasetRequest(track.dataset))  # the bundled set has the protocols of the whole
    computed = [measure.name for part in parts_of(track, dataset) for measure in part.metric.measures()]
    assert sorted(computed) == sorted(sides_of(track))
    assert set(track.slices) <= set(slicing_names())
    assert all(known_name(source) == source for source in track.contains)
    assert track.conditions.evidence == ("retrieved", "none")


@pytest.mark.parametrize("name", sorted(named_sets()))
def test_a_set_has_the_digests_that_its_baselines_were_measured_on(name):
    track, promised = read_track(ROOT, name), read_expected("bm25-query").scores[name]
    assert (track.set, track.dataset, track.split) == (name, named_sets()[name].name, promised.split)
    assert (track.turnset_sha256, track.collection_sha256) == (promised.turnset_sha256, promised.collection_sha256)
    assert track.tier == name.rpartition("-")[2]
    assert set(sides_of(track)) <= set(promised.metrics)  # so that baselines can be said to be reproduced
    for count in (promised.turns, promised.conversations, promised.passages):
        assert f"{count:,} " in track.description


@pytest.mark.parametrize("name", sorted(FULL))
def test_a_whole_dataset_is_evaluated_where_the_field_does(name):
    track = read_track(ROOT, name)
    assert (track.tier, track.set, track.turnset_sha256) == ("full", None, None)
    assert track.split == adapter_class(name).default_split


MINI = [name for name, entry in sorted(named_sets().items()) if entry.bundled]


@pytest.mark.parametrize("name", MINI)
def test_what_was_verified_is_what_verifying_gives_without_anything_remembered(name, tmp_path):
    shutil.copytree(ROOT / name, tmp_path / "boards" / name)
    if not (submissions := list((ROOT / name).glob("submissions/*"))):
        pytest.skip("a wheel has no submissions")
    checked = succeed("leaderboard", "verify", "--check", "--root", tmp_path / "boards", "--cache", tmp_path / "cache")
    assert checked.out.startswith(f"{name}: {len(submissions)} reproduced; {len(submissions)} scored now")  # a run of every baseline
