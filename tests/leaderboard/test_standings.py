"""Who stands where: sections, order, letters, history, and what keeps a submission out."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from boards import score, track, write_root, write_submission, write_track

from convbench.errors import DataError, MissingFileError
from convbench.leaderboard.board import read_board
from convbench.leaderboard.entries import Scored, Unscored, read_entries
from convbench.leaderboard.history import history_of
from convbench.leaderboard.slicings import slicings_of
from convbench.leaderboard.standings import section_of
from convbench.leaderboard.wording import role_of

SAMPLE = "harbour-sample"


@pytest.fixture
def root(tmp_path):
    return write_root(tmp_path / "boards")


def standings(root, name=SAMPLE):
    return next(each for each in read_board(root).tracks if each.track.name == name).standings


def placed(root, side=0):
    return [(row.entry.id, row.section, row.letters) for row in standings(root)[side].rows]


def unscored(root) -> dict[str, Unscored]:
    return {entry.id: entry for entry in read_entries(root, SAMPLE) if isinstance(entry, Unscored)}


def test_rows_stand_by_section_and_share_letters_unless_told_apart(root):
    assert placed(root) == [
        ("anchor", "competing", "a"),
        ("buoy", "competing", "ab"),
        ("capstan", "competing", "b"),
        ("dredge", "competing", "c"),
        ("eddy", "contaminated", ""),
        ("oracle", "reference", ""),
    ]


def test_responses_have_their_own_order_and_only_who_was_scored_on_them(root):
    assert [id_ for id_, _, _ in placed(root, side=1)] == ["anchor", "buoy", "capstan", "eddy", "oracle"]


def test_a_pair_counts_where_only_one_of_the_two_names_it(root):
    write_submission(root, SAMPLE, "ferry", {"nDCG@3": 0.1}, separated={"nDCG@3": ["anchor", "buoy", "capstan", "dredge", "eddy", "gone"]})
    assert ("ferry", "competing", "d") in placed(root)


def test_queries_that_people_rewrote_do_not_compete(root):
    write_submission(root, SAMPLE, "quill", {"nDCG@3": 0.9}, card={"rewriter": "human"})
    assert ("quill", "reference", "") in placed(root)
    (row,) = [row for row in standings(root)[0].rows if row.entry.id == "quill"]
    assert role_of(row) == "people rewrote its queries"


def test_what_has_no_value_stands_last_of_its_section_without_a_letter(root):
    write_submission(root, SAMPLE, "aaa", {"nDCG@3": None})
    assert placed(root)[4] == ("aaa", "competing", "")


def test_equal_values_stand_by_id(root):
    write_submission(root, SAMPLE, "zulu", {"nDCG@3": 0.412})
    write_submission(root, SAMPLE, "abel", {"nDCG@3": 0.412})
    assert [id_ for id_, _, _ in placed(root)[:3]] == ["abel", "anchor", "zulu"]


def test_lower_is_better_where_the_measure_says_so(tmp_path):
    root = tmp_path / "boards"
    write_track(root, track(SAMPLE))
    for id_, value in (("much", 0.9), ("little", 0.1)):
        folder = write_submission(root, SAMPLE, id_, {"nDCG@3": value})
        verified = json.loads((folder / "verified.json").read_text(encoding="utf-8"))
        verified["scores"] = [score("nDCG@3", value, higher_is_better=False)]
        (folder / "verified.json").write_text(json.dumps(verified), encoding="utf-8")
    assert [id_ for id_, _, _ in placed(root)] == ["little", "much"]


def test_slices_stand_in_their_own_order(root):
    board = next(each for each in read_board(root).tracks if each.track.name == SAMPLE)
    assert [(each.name, each.labels) for each in slicings_of(board.track, board.standings[0])] == [
        ("depth", ("1", "4-5")),
        ("topic", ("same", "shift")),
    ]


def test_history_tells_place_and_leader_of_each_day(root):
    steps = [(step.day, step.row.entry.id, step.place, step.of, step.leader.entry.id) for step in history_of(standings(root)[0])]
    assert steps == [
        ("2026-03-02", "dredge", 1, 1, "dredge"),
        ("2026-04-11", "buoy", 1, 3, "buoy"),
        ("2026-04-11", "capstan", 2, 3, "buoy"),
        ("2026-05-20", "anchor", 1, 4, "anchor"),
    ]


def test_refused_and_pending_submissions_stand_aside_with_the_reason(root):
    found = unscored(root)
    assert (found["leak"].status, found["leak"].reasons) == ("refused", ("12 of 120 turns are missing",))
    assert found["new-one"].status == "pending"


@pytest.mark.parametrize(
    ("card", "reason"),
    [
        ({"id": "another"}, "id"),
        ({"track": "harbour"}, "track"),
        ({"name": "two\nlines"}, "name"),
        ({"links": {"paper": "javascript:alert(1)"}}, "links"),
        ({"kind": "winner"}, "kind"),
        ({"rank": 1}, "rank"),
    ],
)
def test_a_wrong_manifest_keeps_only_its_own_submission_out(root, card, reason):
    write_submission(root, SAMPLE, "wrong", {"nDCG@3": 0.99}, card=card)
    entry = unscored(root)["wrong"]
    assert (entry.status, entry.card) == ("unreadable", None)
    assert reason in entry.reasons[0]
    assert str(root) not in entry.reasons[0]
    assert len(placed(root)) == 6


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"schema_version": 2, "key": "x", "level": null}',
        '{"schema_version": 1, "key": "x", "level": "reported"}',
        "[" * 100_000,
        '{"key": "x", "level": "re-scored", "scores": [{"measure": "m", "side": "retrieval", "signature": "s", "value": NaN}]}',
        '{"key": "x", "level": "re-scored", "scores": [{"measure": "m", "side": "retrieval", "signature": "s", "value": 1e999}]}',
    ],
    ids=["broken", "a list", "another version", "no level of these", "deep", "NaN", "infinite"],
)
def test_wrong_results_keep_only_their_own_submission_out(root, text):
    folder = write_submission(root, SAMPLE, "wrong", None)
    (folder / "verified.json").write_text(text, encoding="utf-8")
    assert unscored(root)["wrong"].status == "unreadable"
    assert len(placed(root)) == 6


@pytest.mark.parametrize("name", ["manifest.yaml", "verified.json"])
def test_links_are_not_followed(root, tmp_path, name):
    folder = write_submission(root, SAMPLE, "linked", {"nDCG@3": 0.99})
    (folder / name).rename(tmp_path / name)
    (folder / name).symlink_to(tmp_path / name)
    assert "is a symbolic link" in unscored(root)["linked"].reasons[0]


def test_a_folder_whose_name_is_no_id_is_named_and_left_alone(root):
    write_submission(root, SAMPLE, "Bad Name", {"nDCG@3": 0.99})
    assert "no id" in unscored(root)["Bad Name"].reasons[0]


def test_all_else_is_scored(root):
    assert [entry.id for entry in read_entries(root, SAMPLE) if isinstance(entry, Scored)] == [
        *("anchor", "buoy", "capstan", "dredge", "eddy", "oracle")
    ]


def test_an_empty_folder_and_a_strange_dataset_are_told(tmp_path):
    with pytest.raises(MissingFileError, match="no leaderboards here"):
        read_board(tmp_path)
    write_track(tmp_path, track(SAMPLE, dataset="../up"))
    with pytest.raises(DataError, match="expected the name of a dataset"):
        read_board(tmp_path)


@pytest.mark.parametrize("kind", ["oracle", "random", "shortcut"])
def test_what_sees_gold_or_nothing_does_not_compete(root, kind):
    entry = next(entry for entry in read_entries(root, SAMPLE) if entry.id == "anchor")
    assert section_of(entry) == "competing"
    assert section_of(replace(entry, card=entry.card.model_copy(update={"kind": kind}))) == "reference"
