"""What a study file may say, and the one line that says what is wrong with another."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from command_line import convbench
from training.study.tiny_study import recipe, study, write_files

from convbench.io.lock import acquire
from convbench.training.study.consistency import DERIVED
from convbench.training.study.plan import Cell, cells_of, load_study, recipes_of

CLAIM = {"text": "it is better", "arm": "full", "against": "separate", "measure": "nDCG@3"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sedes": [0]}, "sedes: extra inputs are not permitted"),
        ({"seeds": []}, "seeds: list should have at least 1 item"),
        ({"seeds": [1, 1]}, "seeds: one of them comes twice"),
        ({"seeds": [-1]}, "seeds.0: input should be greater than or equal to 0"),
        ({"arms": {}}, "arms: dictionary should have at least 1 item"),
        ({"arms": {"a/b": {}}}, "string should match pattern"),
        ({"arms": {"full": {"sett": {}}}}, "arms.full.sett: extra inputs are not permitted"),
        ({"arms": {"full": {"retriever": "full"}}}, "expected both a retriever and a generator, or neither"),
        (
            {"arms": {"full": {}, "two": {"retriever": "full", "generator": "full", "set": {"a": 1}}}},
            "not trained, so nothing can be set",
        ),
        ({"arms": {"full": {}, "two": {"retriever": "full", "generator": "nobody"}}}, "arms.two: 'nobody' is no arm that is trained"),
        ({"evidence": ["somebody's"]}, "evidence.0: input should be 'none'"),
        ({"measures": []}, "measures: list should have at least 1 item"),
        ({"claims": [{**CLAIM, "arm": "nobody"}]}, "claim 1: no arm is called 'nobody'; arms: full, retrieval-only, separate"),
        ({"claims": [{**CLAIM, "evidence": "gold"}]}, "claim 1: 'gold' is not among the evidence conditions that are run"),
        ({"claims": [{**CLAIM, "against": "full"}]}, "claim 1: 'full' against itself"),
        ({"claims": [{**CLAIM, "on": "inscit"}]}, "a claim is on the test set 'inscit', and the recipe has topiocqa"),
        ({"arms": {"full": {"set": {"training.seed": 7}}}}, "arms.full: sets training.seed, which 'seeds' decides"),
        ({"arms": {"full": {"set": {"mixture.sources.nobody.weight": 7}}}}, "nothing there is called 'nobody'"),
        ({"arms": {"full": {"set": {"training.stepps": 7}}}}, "arms.full: training.stepps: extra inputs are not permitted"),
        ({"arms": {"full": {}, "b": {"set": {"evaluation.test": []}}}}, "arms.b: changes evaluation.test"),
        (
            {"evidence": ["other-turn", "retrieved"]},
            "study.yaml: evidence: 'retrieved' is what the arm full is shown anyway; take it out of 'evidence'",
        ),
        (
            {"evidence": ["gold"], "arms": {"full": {}, "gold": {"set": {"evaluation.system.evidence": "gold"}}}},
            "evidence: 'gold' is what the arm gold is shown anyway",
        ),
        ({"recipe": "absent.yaml"}, "absent.yaml: no such file"),
        ({"recipe": "unified-minilmm"}, "unknown recipe 'unified-minilmm'"),
    ],
)
def test_a_wrong_study_is_refused_before_any_work(tmp_path, changes, message):
    values = study(claims=[]) if "arms" in changes else study()
    path = write_files(tmp_path, recipe(), values | changes)
    assert message in convbench("train", "study", path, "--out", tmp_path / "out", "--offline").error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--arm", "ful"], "--arm ful: the study has no such arm. Did you mean 'full'?"),
        (["--seed", "7"], "--seed 7: the study has the seeds 0, 1; add it there"),
        (["--report-only", "--arm", "full"], "--report-only is over everything that is finished"),
        (["--report-only"], "no cell of the study is finished"),
        (["--data", "qrecc=x"], "the recipe uses no dataset 'qrecc'"),
        (["--arm", "separate"], "needs retrieval-only, seed 0 and full, seed 0 to be finished first"),
    ],
)
def test_what_cannot_be_done_is_refused(tmp_path, arguments, message):
    path = write_files(tmp_path, recipe(), study())
    found = convbench("-q", "train", "study", path, "--out", tmp_path / "out", "--offline", *arguments)
    assert found.code == 2
    assert message in found.err


def test_a_recipe_that_is_evaluated_on_nothing_is_refused(tmp_path):
    path = write_files(tmp_path, recipe(evaluation={}), study())
    assert "evaluation.test is empty" in convbench("train", "study", path, "--out", tmp_path / "out").error


def test_cells_go_seed_by_seed_and_trained_arms_go_first(tmp_path):
    arms = {"two": {"retriever": "b", "generator": "a"}, "a": {}, "b": {"set": {"training.steps": 3}}}
    path = write_files(tmp_path, recipe(), study(arms=arms, claims=[]))
    found = load_study(path)
    assert list(map(str, cells_of(found))) == [f"{arm}, seed {seed}" for seed in (0, 1) for arm in ("a", "b", "two")]
    assert cells_of(found, ["two", "b"], [1]) == [Cell("b", 1), Cell("two", 1)]
    recipes = recipes_of(found, {}, path)
    assert {(cell.arm, cell.seed, each.training.steps, each.training.seed) for cell, each in recipes.items()} == {
        ("a", 0, 2, 0),
        ("a", 1, 2, 1),
        ("b", 0, 3, 0),
        ("b", 1, 3, 1),
    }


def test_an_arm_that_does_not_respond_is_shown_no_evidence(tmp_path):
    arms = {"ranks": {"set": {"evaluation.system.decoding": None}}}
    path = write_files(tmp_path, recipe(), study(arms=arms, claims=[], evidence=["retrieved"]))
    assert len(recipes_of(load_study(path), {}, path)) == 2


def test_a_change_may_reach_every_source(tmp_path):
    path = write_files(tmp_path, recipe(), study(arms={"full": {}, "ddm": {"set": {"mixture.sources.*.passage": "response"}}}, claims=[]))
    recipes = recipes_of(load_study(path), {}, path)
    assert recipes[Cell("full", 0)].mixture.sources[0].passage == "own"
    assert recipes[Cell("ddm", 0)].mixture.sources[0].passage == "response"


def test_paths_of_an_arm_begin_at_the_studys_folder_and_its_mixture_gets_the_places(tmp_path):
    (tmp_path / "other.yaml").write_text(
        "sources: [{name: o, dataset: orquac, objectives: [retrieval, response, identification]}]", encoding="utf-8"
    )
    arms = {"full": {}, "other": {"set": {"mixture": "other.yaml"}}, "negatives": {"set": {"negatives.topi": "mined.jsonl"}}}
    path = write_files(tmp_path, recipe(), study(arms=arms, claims=[]))
    recipes = recipes_of(load_study(path), {"data": {"topiocqa": "/d"}}, path)
    assert [source.dataset for source in recipes[Cell("other", 0)].mixture.sources] == ["orquac"]
    assert recipes[Cell("full", 0)].mixture.sources[0].data == Path("/d")
    assert recipes[Cell("other", 0)].evaluation.test[0].data == "/d"
    assert recipes[Cell("negatives", 1)].negatives == {"topi": tmp_path / "mined.jsonl"}


def test_a_cell_that_another_process_has_is_left_to_it(tmp_path):
    path = write_files(tmp_path, recipe(), study())
    with acquire(tmp_path / "out" / "arms" / "full" / "seed-0" / ".cell.lock", lambda _: None):
        found = convbench("train", "study", path, "--out", tmp_path / "out", "--offline", "--arm", "full", "--seed", "0")
    assert found.code == 0
    assert f"full, seed 0: another process (pid {os.getpid()}) is at work on it" in found.err
    assert "no cell is finished yet" in found.err


def test_the_guides_study_is_one(tmp_path):
    guide = (Path(__file__).parents[3] / "docs" / "studies.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"^```yaml\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)
    path = tmp_path / "study.yaml"
    path.write_text(text, encoding="utf-8")
    found = load_study(path)
    recipes = recipes_of(found, {}, path)
    assert len(recipes) == 5 * len(found.seeds)
    assert recipes[Cell("generation-only", 2)].objectives.weights.retrieval == 0
    assert {source.passage for source in recipes[Cell("without-ddm", 0)].mixture.sources} == {"response"}


def test_the_guide_names_every_derived_measure():
    guide = (Path(__file__).parents[3] / "docs" / "studies.md").read_text(encoding="utf-8")
    listed = {
        name: better
        for names, better in re.findall(r"^\| (`[^|]*) \| [^|]* \| (higher|lower) \|$", guide, re.MULTILINE)
        for name in re.findall(r"`([^`]+)`", names)
    }
    assert listed == {name: "higher" if measure.higher_is_better else "lower" for name, measure in DERIVED.items()}
