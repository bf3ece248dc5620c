from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

import convbench as package
from convbench.harness.plan import system_config
from convbench.systems.catalog import baseline_names, shipped
from tests.command_line import convbench, succeed

USAGE, DATA = 2, 3
ROOT = Path(__file__).parents[2]
MINILM = "sentence-transformers/all-MiniLM-L6-v2"


@pytest.fixture
def own_baselines(tmp_path, monkeypatch):
    """The shipped folder with two baselines in it, to be changed by a test."""
    for name in ("bm25-query", "oracle"):
        shutil.copytree(shipped("baselines") / name, tmp_path / "baselines" / name)
    shutil.copy(shipped("baselines") / "sets.yaml", tmp_path / "baselines")
    monkeypatch.setattr(package, "__file__", str(tmp_path / "convbench" / "__init__.py"))
    return tmp_path / "baselines"


def reproduce(tmp_path, *arguments):
    return convbench("baselines", "reproduce", *arguments, "--out", tmp_path / "out", "--cache", tmp_path / "cache", "--offline")


def test_list():
    listed = {each["name"]: each for each in succeed("baselines", "list", "--json").json}
    assert sorted(listed) == baseline_names()
    assert listed["bm25-query"]["needs"] == ["nothing"]
    assert "topiocqa-mini" in listed["bm25-query"]["scores"]
    assert (listed["unified-paper"]["needs"], listed["unified-paper"]["scores"]) == (["your weights"], [])
    header, *lines = succeed("baselines", "list").out.splitlines()
    assert header.split() == ["name", "kind", "needs", "scores", "description"]
    assert [line.split()[0] for line in lines] == baseline_names()


def test_show():
    shown = succeed("baselines", "show", "bm25-query").out
    assert yaml.safe_load(shown)["name"] == "bm25-query"
    assert shown.splitlines()[0].endswith("README.md")
    assert convbench("baselines", "show", "bm25-qery").error.startswith("unknown baseline 'bm25-qery'. Did you mean 'bm25-query'?")


def test_reproduce_says_ok(tmp_path):
    finished = reproduce(tmp_path, "bm25-query", "oracle", "--set-name", "faithdial-mini", "--set-name", "topiocqa-sample")
    assert finished.code == 0, finished.err
    lines = finished.out.splitlines()
    assert "bm25-query on faithdial-mini: OK" in lines
    assert "oracle on topiocqa-sample: skipped" in lines
    assert lines[-1] == "2 skipped, 2 OK"


def test_reproduce_fails_where_a_score_is_another(own_baselines, tmp_path):
    path = own_baselines / "bm25-query" / "expected.json"
    expected = json.loads(path.read_text())
    expected["scores"]["orquac-mini"]["metrics"]["nDCG@3"] = 0.999
    expected["scores"]["inscit-mini"]["turnset_sha256"] = "0" * 64
    path.write_text(json.dumps(expected))
    finished = reproduce(tmp_path, "--all", "--set-name", "orquac-mini", "--set-name", "inscit-mini", "--json")
    assert finished.code == 1
    found = {(each["baseline"], each["set"]): each for each in finished.json}
    assert {key: each["verdict"] for key, each in found.items()} == {
        ("bm25-query", "orquac-mini"): "FAIL",
        ("bm25-query", "inscit-mini"): "FAIL",
        ("oracle", "orquac-mini"): "OK",
        ("oracle", "inscit-mini"): "OK",
    }
    (failed,) = (each for each in found["bm25-query", "orquac-mini"]["measures"] if each["verdict"] == "FAIL")
    assert (failed["name"], failed["expected"]) == ("nDCG@3", 0.999)
    assert found["bm25-query", "inscit-mini"]["reason"].startswith("another turn set: found ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name the baselines, or give --all"),
        (("oracle", "--all"), "name the baselines, or give --all without names"),
        (("oracl",), "unknown baseline 'oracl'. Did you mean 'oracle'?"),
        (("oracle", "--set-name", "topiocqa"), "unknown set 'topiocqa'. Did you mean 'topiocqa-mini'?"),
    ],
)
def test_what_reproduce_is_not_told(arguments, said, tmp_path):
    finished = reproduce(tmp_path, *arguments)
    assert finished.code == USAGE
    assert finished.error.startswith(said)


def test_published():
    shown = succeed("baselines", "published", "-d", "orquac").out
    assert "none was measured by convbench" in shown
    assert "? read from a leaderboard page" in shown
    found = succeed("baselines", "published", "--json").json
    assert sum(len(each["rows"]) for each in found) == 98
    assert convbench("baselines", "published", "-d", "qrec").error.startswith("no published numbers on 'qrec'. Did you mean 'qrecc'?")


def test_a_map_puts_a_folder_in_place_of_a_checkpoint(tmp_path, minilm):
    shutil.copytree(minilm_folder(), tmp_path / "small")
    (tmp_path / "map.yaml").write_text(f"{MINILM}: small\nowner/unused: small\n", encoding="utf-8")
    run = ("run", "minilm-query", "-d", "orquac", "--metrics", "retrieval", "--checkpoint-map", tmp_path / "map.yaml")
    finished = succeed(*run, "--out", tmp_path / "out", "--cache", tmp_path / "cache", "--offline")
    assert f"minilm-query: {MINILM} is replaced by {tmp_path / 'small'}" in finished.err
    assert "owner/unused: no system that is run names this checkpoint." in finished.err
    spec = json.loads((tmp_path / "out" / "run.json").read_text())["spec"]
    assert spec["system"]["retriever"]["encoder"]["model"] == str(tmp_path / "small")
    assert spec["system"]["retriever"]["encoder"]["revision"] is None


def test_a_map_is_for_bare_checkpoints_and_for_reproduce_too(tmp_path, minilm):
    shutil.copytree(minilm_folder(), tmp_path / "small")
    path = tmp_path / "map.yaml"
    path.write_text("owner/mine: small\n", encoding="utf-8")
    run = ("run", "owner/mine", "-d", "orquac", "--profile", "minilm", "--dry-run", "--offline", "--out", tmp_path / "run")
    assert convbench(*run).error.startswith("owner/mine: not on this machine")
    planned = succeed(*run, "--checkpoint-map", path)
    assert planned.out.startswith("small on orquac (mini)")
    assert "no system" not in planned.err
    path.write_text(f"{MINILM}: small\nowner/unused: small\n", encoding="utf-8")
    finished = reproduce(tmp_path, "minilm-query", "oracle", "--set-name", "orquac-mini", "--checkpoint-map", path)
    assert finished.code == 0, finished.err
    assert finished.out.splitlines()[-1] == "2 OK"  # the weights are the same
    assert finished.err.count("is replaced by") == 1
    assert finished.err.count("owner/unused: no system that is run names this checkpoint.") == 1


def minilm_folder():
    from convbench.backends.locate import locate_model

    return locate_model(MINILM, offline=True).path


@pytest.mark.parametrize(
    ("text", "said"),
    [("owner/name: nowhere\n", "map.yaml:1: owner/name: no such folder: "), ("- owner/name\n", "map.yaml: expected a mapping, found list")],
)
def test_a_malformed_map(text, said, tmp_path):
    (tmp_path / "map.yaml").write_text(text, encoding="utf-8")
    run = ("run", "oracle", "-d", "topiocqa", "--checkpoint-map", tmp_path / "map.yaml", "--out", tmp_path / "out")
    finished = convbench(*run)
    assert finished.code == DATA
    assert said in finished.error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--set", "retriever.k9=1"), "bm25-query with --set retriever.k9: retriever.k9: extra inputs are not permitted, found 1"),
        (("--set", "retriever.type=bm52"), "bm25-query with --set retriever.type: retriever.type: input should be "),
        (("--set", "kind=two-stge"), "bm25-query with --set kind: kind: 'two-stge' is no kind of system. Did you mean 'two-stage'?"),
        (("--set", "rewriter=humn"), "bm25-query with --set rewriter: rewriter: input should be 'none' or 'human', found 'humn'."),
    ],
)
def test_a_set_that_does_not_fit_names_its_key(arguments, said, tmp_path):
    finished = convbench("run", "bm25-query", "-d", "topiocqa", *arguments, "--out", tmp_path / "out")
    assert finished.code == USAGE
    assert finished.error.startswith(said)


def documented(path):
    """The first example of a system.yaml in a guide."""
    return re.findall(r"^```yaml\n(.*?)^```$", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)[0]


def test_the_baseline_in_ten_lines_runs(tmp_path):
    example = documented("CONTRIBUTING.md")
    assert len(example.splitlines()) <= 10
    (tmp_path / "my.yaml").write_text(example, encoding="utf-8")
    run = ("run", tmp_path / "my.yaml", "-d", "topiocqa", "--metrics", "retrieval", "--limit", "2", "--out", tmp_path / "out", "--json")
    (results,) = succeed(*run, "--offline", "--cache", tmp_path / "cache").json
    assert results["system"]["name"] == "my-bm25"


def test_the_system_of_the_guide_is_valid():
    values = yaml.safe_load(documented("docs/add-a-system.md"))
    assert system_config(values, "docs/add-a-system.md").name == "my-encoder"
