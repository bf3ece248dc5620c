from __future__ import annotations

from pathlib import Path

import pytest

import convbench
from convbench.config import build_config
from convbench.datasets.adapters import load_card
from convbench.errors import DataError, MissingFileError, UsageError
from convbench.systems import SYSTEMS
from convbench.systems.base import Settings, Stage, System
from convbench.systems.catalog import baseline_names, shipped, system_values


def test_the_promised_baselines_are_there() -> None:
    promised = {f"{retriever}-{view}" for retriever in ("bm25", "minilm") for view in ("query", "history", "queries", "rewrite")}
    assert promised | {"oracle", "random"} <= set(baseline_names())
    assert baseline_names() == sorted(baseline_names())


@pytest.mark.parametrize("name", baseline_names())
def test_a_baseline_is_called_as_its_folder_and_builds(name: str) -> None:
    values = system_values(name)
    assert values["name"] == name
    assert values["description"]
    if name == "unified-paper":
        values["model"]["model"] = "sentence-transformers/all-MiniLM-L6-v2"  # it has none of its own
    system = build_config(SYSTEMS.get(values["kind"]), values, name).build(Settings(load_card("topiocqa"), offline=True, seed=0))
    assert isinstance(system, System)
    assert system.name == name
    stages = system.stages()
    assert all(isinstance(stage, Stage) for stage in stages)
    assert len({stage.name for stage in stages}) == len(stages)


def test_the_names_say_the_conditions() -> None:
    views = {"query": "query", "history": "full", "queries": "queries", "rewrite": "query"}
    for name in baseline_names():
        retriever, _, view = name.partition("-")
        if view not in views:
            continue
        values = system_values(name)
        kinds = {"bm25": "bm25", "hybrid": "fusion", "splade": "sparse"}
        assert values["retriever"]["type"] == kinds.get(retriever, "dense")
        assert values["history"]["view"] == views[view]
        assert values["rewriter"] == ("human" if view == "rewrite" else "none")


@pytest.mark.parametrize("suffix", [".yaml", ".yml"])
def test_a_file_of_ones_own(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"mine{suffix}"
    path.write_text("kind: oracle\nname: mine\n")
    assert system_values(str(path)) == {"kind": "oracle", "name": "mine"}


def test_a_file_that_is_missing_or_no_mapping(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"mine\.yaml: no such file"):
        system_values(str(tmp_path / "mine.yaml"))
    (tmp_path / "mine.yaml").write_text("- oracle\n")
    with pytest.raises(DataError, match=r"mine\.yaml: expected a mapping, found list"):
        system_values(str(tmp_path / "mine.yaml"))


@pytest.mark.parametrize("name", ["run.jsonl", "run.jsonl.gz", "run.trec", "run.trec.gz", "run.run", "run.run.gz"])
def test_a_finished_run_is_replayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    assert system_values(name) == {"kind": "replay", "name": "run", "run": str(tmp_path / name)}


def test_a_run_folder_is_replayed_and_another_folder_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "best-0.9"
    folder.mkdir()
    with pytest.raises(UsageError, match="unknown system"):
        system_values(str(folder))
    (folder / "turns.jsonl").write_text("")
    assert system_values(str(folder)) == {"kind": "replay", "name": "best-0.9", "run": str(folder)}


def test_a_folder_does_not_hide_a_baseline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "oracle").mkdir()
    (tmp_path / "oracle" / "turns.jsonl").write_text("")
    assert system_values("oracle")["kind"] == "oracle"
    assert system_values("./oracle")["kind"] == "replay"


def test_an_unknown_name_suggests_and_lists() -> None:
    with pytest.raises(
        UsageError, match=r"^unknown system 'bm25-histroy'\. Did you mean 'bm25-history'\? Known: .*oracle.*; or a system\.yaml"
    ):
        system_values("bm25-histroy")


def test_the_installed_copy_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convbench, "__file__", str(tmp_path / "convbench" / "__init__.py"))
    assert shipped("baselines") == tmp_path / "baselines"
    installed = tmp_path / "convbench" / "_shipped" / "baselines" / "mine"
    installed.mkdir(parents=True)
    (installed / "system.yaml").write_text("kind: oracle\nname: mine\n")
    assert shipped("baselines") == installed.parent
    assert baseline_names() == ["mine"]
    assert system_values("mine")["kind"] == "oracle"
