from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from measured_boards import (
    Line,
    add_track,
    change_card,
    change_run,
    findings,
    folder_of,
    submit_baseline,
    verified,
)

from convbench.errors import UsageError
from convbench.harness.results import Results
from convbench.leaderboard import verify as verifying
from convbench.leaderboard.measured import key_of
from convbench.leaderboard.track import read_track
from convbench.leaderboard.track_data import Files, open_track
from convbench.leaderboard.verified import Verified
from convbench.leaderboard.verify import Outcome, verify

TRACK = "topiocqa-mini"
OTHER = "orquac-mini"
SUBMITTED = {TRACK: ("bm25-query", "first-sentence", "oracle", "random"), OTHER: ("bm25-query", "oracle")}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def measured(work: Path) -> dict[tuple[str, str], Results]:
    for track in SUBMITTED:
        add_track(work / "board", track)
    return {(track, name): submit_baseline(work / "board", track, name, work) for track, names in SUBMITTED.items() for name in names}


@pytest.fixture
def root(work: Path, measured: dict[tuple[str, str], Results], tmp_path: Path) -> Path:
    return Path(shutil.copytree(work / "board", tmp_path / "board"))


@pytest.fixture
def cache(work: Path, tmp_path: Path) -> Path:
    # Passage stores are built once; what was measured is each test's own.
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "stores").symlink_to(work / "cache" / "stores")
    return tmp_path / "cache"


def again(root: Path, cache: Path, *tracks: str, jobs: int = 1) -> list[Outcome]:
    return verify(root, tracks or (TRACK,), files=Files(), cache=cache, jobs=jobs)


def test_scores_are_those_of_the_runs_results(root: Path, cache: Path, measured: dict[tuple[str, str], Results]) -> None:
    outcomes = again(root, cache, TRACK, OTHER)
    assert {(outcome.track, outcome.submission) for outcome in outcomes} == measured.keys()
    for outcome in outcomes:
        assert outcome.verified is not None
        results = {metric.name: metric for metric in measured[outcome.track, outcome.submission].metrics}
        track = read_track(root, outcome.track)
        assert track.retrieval
        assert track.response
        assert [score.measure for score in outcome.verified.scores] == [*track.retrieval.measures, *track.response.measures]
        for score in outcome.verified.scores:
            own = results[score.measure]
            assert score.value is not None
            assert score.value == pytest.approx(own.value, abs=1e-12, rel=0)
            assert score.interval == pytest.approx(own.ci, abs=1e-9)
            assert (score.signature, score.n_turns, score.side == "retrieval") == (own.signature, own.n_turns, own.side == "ranking")
        assert not findings(outcome.verified)


def test_what_is_written_is_what_is_returned(root: Path, cache: Path) -> None:
    for outcome in again(root, cache):
        text = (folder_of(root, TRACK, outcome.submission) / "verified.json").read_text(encoding="utf-8")
        assert Verified.model_validate(json.loads(text)) == outcome.verified


def test_slices_and_depths_add_up(root: Path, cache: Path) -> None:
    (score,) = [score for score in verified(again(root, cache))["bm25-query"].scores if score.measure == "nDCG@3"]
    assert set(score.slices) == {"depth", "topic", "answerable"}
    assert score.value is not None
    for means in (score.by_depth, score.slices["depth"]):
        assert sum(turns for _, turns in means.values()) == score.n_turns
        assert sum(value * turns for value, turns in means.values()) == pytest.approx(score.value * score.n_turns)
    assert list(score.by_depth)[:3] == ["1", "2", "3"]


def test_a_baseline_that_is_what_it_promises_is_reproduced(root: Path, cache: Path) -> None:
    change_card(root, TRACK, "first-sentence", baseline=None)
    levels = {name: found.level for name, found in verified(again(root, cache)).items()}
    assert levels == {"bm25-query": "reproduced", "first-sentence": "re-scored", "oracle": "reproduced", "random": "reproduced"}


def test_a_baseline_that_is_not_what_it_promises_is_only_rescored(root: Path, cache: Path) -> None:
    change_card(root, TRACK, "first-sentence", baseline="bm25-query")
    change_card(root, TRACK, "random", baseline="no-such-baseline")
    found = verified(again(root, cache))
    assert (found["first-sentence"].level, found["random"].level) == ("re-scored", "re-scored")
    assert "nDCG@3 is 0.2395" in findings(found["first-sentence"])["not-reproduced"].message
    assert "promised 0.4542" in findings(found["first-sentence"])["not-reproduced"].message
    assert "no baseline of that name" in findings(found["random"])["not-reproduced"].message


def test_inflated_scores_are_flagged_and_the_measured_ones_count(root: Path, cache: Path, measured: dict[tuple[str, str], Results]) -> None:
    honest = {metric.name: metric.value for metric in measured[TRACK, "bm25-query"].metrics}
    assert honest["nDCG@3"] is not None
    change_card(root, TRACK, "bm25-query", scores={"nDCG@3": 0.987654, "R@10": honest["R@10"], "wit": 3.0})
    found = verified(again(root, cache))["bm25-query"]
    assert found.scores[0].value == pytest.approx(honest["nDCG@3"], abs=1e-12)
    message = findings(found)["scores-differ"].message
    assert "0.987654 is claimed" in message
    assert f"{honest['nDCG@3']:.6g} was measured" in message
    assert list(findings(found)) == ["scores-differ"]
    assert findings(found, "note").keys() == {"scores-unchecked"}


def test_scores_that_were_rounded_are_not_flagged(root: Path, cache: Path, measured: dict[tuple[str, str], Results]) -> None:
    change_card(root, TRACK, "bm25-query", scores={m.name: round(m.value or 0, 3) for m in measured[TRACK, "bm25-query"].metrics})
    assert not findings(verified(again(root, cache))["bm25-query"])


@pytest.mark.parametrize(
    ("change", "check", "said"),
    [
        (lambda lines: lines[3:], "turns-missing", "3 of the track's 56 turns are left out"),
        (lambda lines: [*lines, {**lines[0], "turn_id": "99_1"}], "turns-extra", "99_1"),
        (lambda lines: [{**line, "turn_id": f"other-{line['turn_id']}"} for line in lines], "turns-missing", "56 of the track's 56"),
        (lambda lines: [{**lines[0], "response": None}, *lines[1:]], "turns-missing", "1 of 56 turns have no response (first: 1_1)"),
        (lambda lines: [{**lines[0], "passages": [["wiki:7", 9.0]]}, *lines[1:]], "other-collection", "(first: wiki:7)"),
        (lambda lines: [{**lines[0], "passages": lines[0]["passages"][:1] * 2}, *lines[1:]], "run", "appears twice"),
        (lambda lines: [{**lines[0], "passages": [[lines[0]["passages"][0][0], 1e308]]}, *lines[1:]], "run", "1e+308"),
    ],
)
def test_a_run_that_is_not_the_tracks_is_refused(root: Path, cache: Path, change, check: str, said: str) -> None:
    change_run(root, TRACK, "bm25-query", change)
    found = verified(again(root, cache))
    assert found["bm25-query"].level is None
    assert found["bm25-query"].scores == ()
    assert said in findings(found["bm25-query"], "refused")[check].message
    assert [name for name, own in found.items() if own.level] == ["first-sentence", "oracle", "random"]
    assert not any("bm25-query" in others for own in found.values() for others in own.separated.values())


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"collection_sha256": "0" * 64}, "other-collection"),
        ({"turnset_sha256": "0" * 64}, "other-turn-set"),
        ({"track": OTHER}, "other-track"),
    ],
)
def test_a_card_of_another_collection_turn_set_or_track_is_refused(root: Path, cache: Path, changes: dict[str, str], check: str) -> None:
    change_card(root, TRACK, "bm25-query", **changes)
    found = verified(again(root, cache))["bm25-query"]
    assert (found.level, check in findings(found, "refused")) == (None, True)


def test_gold_copied_as_the_response_is_flagged_but_for_the_oracle(root: Path, cache: Path) -> None:
    references = {turn.id: turn.references[0].text for turn in open_track(read_track(root, TRACK), Files(), cache).dataset.turns}

    def copied(lines: list[Line]) -> list[Line]:
        return [{**line, "response": f"{references[line['turn_id']].upper()} !"} for line in lines[:20]] + lines[20:]

    change_run(root, TRACK, "first-sentence", copied)
    change_card(root, TRACK, "first-sentence", baseline=None, scores={})
    found = verified(again(root, cache))
    assert "20 of 56 responses (36%)" in findings(found["first-sentence"])["responses-copied"].message
    assert found["first-sentence"].level == "re-scored"
    assert findings(found["oracle"], "note").keys() == {"gold-shown"}
    assert not findings(found["oracle"])


def test_files_that_break_do_not_stop_the_others(root: Path, cache: Path) -> None:
    (folder_of(root, TRACK, "bm25-query") / "run.jsonl.gz").write_bytes(b"no gzip file")
    (folder_of(root, TRACK, "oracle") / "manifest.yaml").write_text("{ no: yaml", encoding="utf-8")
    (root / TRACK / "submissions" / "empty").mkdir()
    found = verified(again(root, cache))
    assert {name: own.level for name, own in found.items()} == {
        "bm25-query": None,
        "empty": None,
        "first-sentence": "reproduced",
        "oracle": None,
        "random": "reproduced",
    }
    assert all(findings(found[name], "refused") for name in ("bm25-query", "empty", "oracle"))


def test_a_verified_file_that_comes_along_is_not_believed(root: Path, cache: Path) -> None:
    honest = verified(again(root, cache))["bm25-query"]
    path = folder_of(root, TRACK, "bm25-query") / "verified.json"
    path.write_text(json.dumps(honest.model_dump(mode="json")).replace("0.4542", "0.9999"), encoding="utf-8")
    (outcome,) = [outcome for outcome in again(root, cache) if outcome.submission == "bm25-query"]
    assert (outcome.verified, outcome.scored, outcome.changed) == (honest, False, True)
    assert Verified.model_validate(json.loads(path.read_text(encoding="utf-8"))) == honest


def test_a_link_in_place_of_the_verified_file_is_replaced_and_not_followed(root: Path, cache: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("untouched")
    path = folder_of(root, TRACK, "bm25-query") / "verified.json"
    path.symlink_to(secret)
    assert verified(again(root, cache))["bm25-query"].level is None
    assert (secret.read_text(), path.is_symlink()) == ("untouched", False)


def test_what_is_unchanged_is_not_scored_again(root: Path, cache: Path) -> None:
    def files() -> dict[str, bytes]:
        return {path.parent.name: path.read_bytes() for path in root.rglob("verified.json")}

    first = again(root, cache)
    assert all(outcome.scored and outcome.changed for outcome in first)
    before = files()
    second = again(root, cache)
    assert not any(outcome.scored or outcome.changed for outcome in second)
    assert (verified(second), files()) == (verified(first), before)
    change_card(root, TRACK, "random", description="Drawn from a hat.")
    assert [outcome.submission for outcome in again(root, cache) if outcome.scored] == ["random"]


def test_keys_depend_on_what_scores_depend_on(root: Path, cache: Path) -> None:
    def keys(**changes: object) -> str:
        add_track(root, TRACK, **changes)
        return key_of(root, open_track(read_track(root, TRACK), Files(), cache), "bm25-query")

    own = keys()
    assert keys(title="Another title") == own
    assert len({own, keys(depth=10), keys(slices=[]), keys(contains=["quac"]), keys(retrieval={"measures": ["R@10"], "by": "R@10"})}) == 5


def test_pairs_follow_what_is_added_and_removed(root: Path, cache: Path, work: Path) -> None:
    away = work / "away"
    shutil.move(folder_of(root, TRACK, "first-sentence"), away)
    alone = verified(again(root, cache))
    assert not any(own.separated for own in alone.values())
    shutil.move(away, folder_of(root, TRACK, "first-sentence"))
    change_run(root, TRACK, "first-sentence", lambda lines: [lines[0], *({**line, "passages": []} for line in lines[1:])])
    outcomes = again(root, cache)
    assert [outcome.submission for outcome in outcomes if outcome.scored] == ["first-sentence"]
    found = verified(outcomes)
    assert found["bm25-query"].separated["nDCG@3"] == ("first-sentence",)
    assert found["first-sentence"].separated["nDCG@3"] == ("bm25-query",)
    assert not found["oracle"].separated
    change_card(root, TRACK, "first-sentence", training=[{"source": "topiocqa", "split": "mini"}])
    assert not any(own.separated for own in verified(again(root, cache)).values())


def test_a_name_that_looks_like_anothers_is_refused(root: Path, cache: Path) -> None:
    change_card(root, TRACK, "first-sentence", name="bm25-quеry")
    found = verified(again(root, cache))
    assert (found["bm25-query"].level, found["first-sentence"].level) == ("reproduced", None)
    assert "name-taken" in findings(found["first-sentence"], "refused")


def test_other_processes_give_the_same(root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    here = verified(again(root, cache))
    monkeypatch.setattr(verifying, "_WORTH_A_PROCESS", 0)
    shutil.rmtree(cache / "leaderboards")
    outcomes = again(root, cache, jobs=2)
    assert all(outcome.scored and not outcome.changed for outcome in outcomes)
    assert verified(outcomes) == here


def test_a_track_whose_data_are_not_at_hand_is_passed_over(root: Path, cache: Path) -> None:
    add_track(root, TRACK, set=None, tier="full", split="dev", turnset_sha256=None, collection_sha256=None)
    passed, *others = again(root, cache, TRACK, OTHER)
    assert (passed.track, passed.submission, passed.verified) == (TRACK, "", None)
    assert "the files of topiocqa are not at hand" in passed.reason
    assert [outcome.submission for outcome in others] == ["bm25-query", "oracle"]
    assert not list((root / TRACK).rglob("verified.json"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"turnset_sha256": "0" * 64}, "turnset_sha256: the files at hand give"),
        ({"collection_sha256": "0" * 64}, "collection_sha256: the files at hand give"),
        ({"set": "orquac-mini"}, "is of orquac"),
        ({"slices": ["depht"]}, "Did you mean 'depth'?"),
        ({"retrieval": {"measures": ["nDCG@4"], "by": "nDCG@4"}}, "no protocol has the measure 'nDCG@4'"),
    ],
)
def test_a_track_that_its_data_do_not_fit_says_so(root: Path, cache: Path, changes: dict[str, object], said: str) -> None:
    add_track(root, TRACK, **changes)
    with pytest.raises(UsageError, match=said.replace("?", "[?]")):
        again(root, cache)
