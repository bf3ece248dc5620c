from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from convbench.config import parse_yaml
from convbench.errors import ConvbenchError, DataError, MissingFileError, UsageError
from convbench.systems.catalog import shipped
from convbench.training.places import with_places
from convbench.training.recipe import (
    Recipe,
    build_recipe,
    read_values,
    recipe_path,
    with_absolute_paths,
    with_changes,
)

SOURCES: list[dict[str, Any]] = [
    {"name": "topi", "dataset": "topiocqa", "objectives": ["retrieval", "response"]},
    {"name": "topi-ddm", "dataset": "topiocqa", "objectives": ["retrieval"], "passage": "response"},
    {"name": "web", "file": "pairs.jsonl", "format": "pairs", "licence": "CC0-1.0", "objectives": ["retrieval"]},
]
VALUES: dict[str, Any] = {
    "name": "mine",
    "model": {"model": "no/such-model"},
    "mixture": {"sources": SOURCES},
    "objectives": {"weights": {"retrieval": 1.0, "response": 0.3, "identification": 0.0}},
    "training": {"steps": 4},
    "evaluation": {"test": [{"name": "inscit"}]},
}


def built(**changes: Any) -> Recipe:
    return build_recipe(with_changes(VALUES, {key.replace("__", "."): value for key, value in changes.items()}), "my.yaml")


def written(folder: Path, values: Mapping[str, Any], name: str = "train.yaml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(dict(values)), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tunning": {}}, "my.yaml: tunning: extra inputs are not permitted"),
        ({"training__epoch": 3}, "my.yaml: training.epoch: extra inputs are not permitted, found 3"),
        ({"objectives__weights__identify": 1}, "my.yaml: objectives.weights.identify: "),
        ({"tuning__lora__rank": 4}, "my.yaml: tuning.lora.rank: "),
        ({"evaluation__dev": [{"name": "inscit", "spilt": "dev"}]}, "my.yaml: evaluation.dev.0.spilt: "),
        ({"mixture__sources__topi__wieght": 2}, "my.yaml: mixture.sources.0.wieght: "),
        ({"training__learning_rate": "fast"}, "my.yaml: training.learning_rate: input should be a valid number"),
        ({"training__rates": {"*": 0}}, "my.yaml: training.rates.*: input should be greater than 0, found 0"),
        ({"name": "my model"}, "my.yaml: name: string should match pattern"),
        ({"output": "both"}, "my.yaml: output: input should be 'adapter' or 'merged', found 'both'"),
        ({"training__evaluate_every": 2}, "training.evaluate_every and evaluation.dev go together: give both or neither"),
        ({"evaluation__dev": [{"name": "inscit"}]}, "training.evaluate_every and evaluation.dev go together: give both or neither"),
        ({"tuning": {"lora": {"r": 4}, "new_head": True}}, "a new head must be learnt: drop lora or new_head"),
        ({"evaluation__system": {"model": "bert"}}, "my.yaml: evaluation: system: 'model' is that of the model in training"),
        ({"negatives__topo": "n.jsonl"}, "negatives: no source is called 'topo'; sources: topi, topi-ddm, web"),
        ({"mixture__sources": []}, "my.yaml: the mixture is empty: expected one source at least under 'sources'"),
        ({"mixture__sources__topi-ddm__name": "topi"}, "my.yaml: two sources are called 'topi'"),
        ({"mixture__sources__*__weight": 0}, "my.yaml: every source has weight 0"),
        ({"mixture__sources__web__split": "train"}, "my.yaml [source web]: 'split' is for datasets"),
        (
            {"objectives__weights": {"retrieval": 0, "response": 0, "identification": 0}},
            "my.yaml: objectives: all objectives have",
        ),
        (
            {"objectives__weights__response": -0.5},
            "my.yaml: objectives: weight of the objective 'response'",
        ),
        ({"objectives__temperature": 0}, "my.yaml: objectives: temperature: found 0.0, expected a number above 0"),
        ({"mixture__sources__topi__conversations": {"hold_out": {"count": 0, "salt": "a"}}}, "my.yaml: mixture"),
        ({"mixture": "mixture.yaml"}, "my.yaml: mixture: "),
    ],
)
def test_what_is_no_recipe_is_refused_in_a_line(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConvbenchError) as error:
        built(**changes)
    assert isinstance(error.value, (UsageError, DataError))
    assert said in str(error.value)
    assert "my.yaml" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("key", ["name", "model", "mixture", "objectives", "training"])
def test_what_a_recipe_needs(key: str) -> None:
    with pytest.raises(UsageError, match=f"my.yaml: {key}: field required"):
        build_recipe({name: value for name, value in VALUES.items() if name != key}, "my.yaml")


def test_relative_paths_begin_at_the_recipes_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "recipes"
    placed = {"name": "topiocqa", "data": "data/topi", "corpus": "../wiki.tsv", "rewrites": "/abs/r.jsonl"}
    values = with_changes(
        VALUES,
        {
            "mixture.sources.topi.data": "data/topi",
            "mixture.sources.topi.corpus": "../wiki.tsv",
            "negatives.topi": "n.jsonl",
            "memory_of": "large.json",
            "evaluation": {"dev": [placed], "test": [{**placed}, {"name": "inscit"}]},
            "training.evaluate_every": 2,
        },
    )
    written(folder, values)
    (folder / "no" / "such-model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    found = build_recipe(read_values(Path("recipes/train.yaml")), "train.yaml")
    topi, _, web = found.mixture.sources
    assert (topi.data, web.file) == (folder / "data/topi", folder / "pairs.jsonl")
    assert str(topi.corpus) == str(folder / "../wiki.tsv")
    assert found.negatives == {"topi": folder / "n.jsonl"}
    assert found.memory_of == folder / "large.json"
    assert found.model.model == str(folder / "no/such-model")
    for dataset in (found.evaluation.dev[0], found.evaluation.test[0]):
        assert (dataset.data, dataset.corpus, dataset.rewrites) == (
            str(folder / "data/topi"),
            str(folder / "../wiki.tsv"),
            "/abs/r.jsonl",
        )
    assert found.evaluation.test[1].data is None


def test_a_hub_id_and_what_is_absolute_stay(tmp_path: Path) -> None:
    values = read_values(written(tmp_path, {**VALUES, "negatives": {"topi": "/abs/n.jsonl"}}))
    assert values["model"] == {"model": "no/such-model"}
    assert values["negatives"] == {"topi": "/abs/n.jsonl"}
    assert with_absolute_paths(values, Path("/elsewhere")) == values


def test_a_mixture_file_has_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = with_changes(VALUES, {"mixture.sources.topi.data": "topi"})["mixture"]
    written(tmp_path / "mixtures", sources, "all.yaml")
    path = written(tmp_path / "recipes", {**VALUES, "mixture": "../mixtures/all.yaml", "negatives": {"topi": "n.jsonl"}})
    found = build_recipe(read_values(path), path)
    assert found.mixture.sources[0].data == tmp_path / "mixtures" / "topi"
    assert found.mixture.sources[2].file == tmp_path / "mixtures" / "pairs.jsonl"
    assert found.negatives == {"topi": tmp_path / "recipes" / "n.jsonl"}
    monkeypatch.chdir(tmp_path)  # as with --set
    again = with_absolute_paths(with_changes(read_values(path), {"mixture": "mixtures/all.yaml"}), tmp_path)
    assert build_recipe(again, path) == found


def test_a_file_that_holds_no_recipe_is_named(tmp_path: Path) -> None:
    (tmp_path / "list.yaml").write_text("- a\n")
    with pytest.raises(DataError, match=r"list\.yaml: expected a mapping, found list"):
        read_values(tmp_path / "list.yaml")
    with pytest.raises(DataError, match=r"list\.yaml: expected a mapping, found list"):
        read_values(written(tmp_path, {**VALUES, "mixture": "list.yaml"}))
    with pytest.raises(MissingFileError, match=r"gone\.yaml"):
        read_values(written(tmp_path, {**VALUES, "mixture": "gone.yaml"}))
    with pytest.raises(MissingFileError, match=r"gone\.yaml"):
        read_values(tmp_path / "gone.yaml")
    with pytest.raises(UsageError, match="mixture"):
        build_recipe(read_values(written(tmp_path, {**VALUES, "mixture": None})), "train.yaml")


def test_places_count_for_sources_and_sets_of_the_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    values = with_changes(
        VALUES,
        {"evaluation.dev": [{"name": "topiocqa", "data": "/old"}], "training.evaluate_every": 1, "mixture.sources.topi.data": "/old"},
    )
    found = build_recipe(with_places(values, {"data": {"topiocqa": "new"}, "corpus": {"inscit": "/c"}, "rewrites": {}}), "my.yaml")
    assert [source.data for source in found.mixture.sources] == [tmp_path / "new", tmp_path / "new", None]
    assert found.evaluation.dev[0].data == str(tmp_path / "new")
    assert (found.evaluation.test[0].data, found.evaluation.test[0].corpus) == (None, "/c")
    assert values["evaluation"]["dev"][0]["data"] == "/old"
    with pytest.raises(UsageError, match="--data qrecc=x: the recipe uses no dataset 'qrecc'; it uses inscit, topiocqa"):
        with_places(values, {"data": {"qrecc": "x"}})


def test_a_recipe_without_evaluation_gets_none() -> None:
    bare = {name: value for name, value in VALUES.items() if name != "evaluation"}
    assert with_places(bare, {"data": {"topiocqa": "/d"}}).keys() == bare.keys()


@pytest.mark.parametrize(
    "changes",
    [
        {"mixture": [1]},
        {"mixture": {"sources": ["topi"]}},
        {"mixture": {"sources": "topi"}},
        {"evaluation": [1]},
        {"evaluation": {"test": "inscit"}},
        {"evaluation": {"test": ["inscit"]}},
        {"evaluation": {"test": {"name": "inscit"}}},
    ],
)
def test_what_has_no_place_to_put_a_dataset_is_refused_as_a_recipe(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"my\.yaml: (mixture|evaluation)"):
        build_recipe(with_places({**VALUES, **changes}, {}), "my.yaml")


def test_a_files_source_is_no_dataset_though_it_is_called_like_one() -> None:
    values = with_changes(VALUES, {"mixture.sources.web.name": "inscit"})
    assert with_places(values, {"data": {"inscit": "/d"}})["mixture"]["sources"][2] == values["mixture"]["sources"][2]


def test_changes_reach_entries_by_name() -> None:
    found = built(mixture__sources__web__weight=0.5, training__seed=3, objectives__weights__response=0)
    assert [source.weight for source in found.mixture.sources] == [1.0, 1.0, 0.5]
    assert (found.training.seed, found.training.steps) == (3, 4)
    assert (found.objectives.weights.retrieval, found.objectives.weights.response) == (1.0, 0.0)
    every = with_changes(VALUES, {"mixture.sources.*.weight": 0.25, "mixture.sources.web.weight": 2})
    assert [source["weight"] for source in every["mixture"]["sources"]] == [0.25, 0.25, 2]
    assert with_changes(VALUES, {"tuning.lora.r": 4})["tuning"] == {"lora": {"r": 4}}
    assert with_changes({**VALUES, "tuning": {"lora": None}}, {"tuning.lora.r": 4})["tuning"] == {"lora": {"r": 4}}


def test_an_entry_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError) as error:
        with_changes(VALUES, {"mixture.sources.tobi.weight": 1})
    assert str(error.value) == (
        "mixture.sources.tobi.weight: nothing there is called 'tobi'. Did you mean 'topi'? Known: topi, topi-ddm, web"
    )
    with pytest.raises(UsageError, match="Known: nothing"):
        with_changes({"mixture": {"sources": []}}, {"mixture.sources.a.weight": 1})


NAMES = st.text("abc", min_size=1, max_size=2)
TREES = st.recursive(
    st.integers(),
    lambda inner: st.one_of(
        st.dictionaries(NAMES, inner, max_size=3),
        st.dictionaries(NAMES, inner, max_size=2).flatmap(
            lambda more: st.lists(NAMES, unique=True, max_size=3).map(lambda names: [{**more, "name": name} for name in names])
        ),
    ),
    max_leaves=12,
)


def leaves(tree: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    if isinstance(tree, list):
        children = {each["name"]: each for each in tree}
    elif isinstance(tree, dict):
        children = tree
    else:
        return {path: tree}
    found: dict[tuple[str, ...], Any] = {}
    for name, child in children.items():
        found |= leaves(child, (*path, name))
    return found


@given(st.dictionaries(NAMES, TREES, min_size=1, max_size=3), st.data())
def test_a_change_changes_one_value_and_keeps_all_others(tree: dict[str, Any], data: st.DataObject) -> None:
    before = leaves(tree)
    paths = [path for path in before if path[-1] != "name"]
    if not paths:
        return
    path = data.draw(st.sampled_from(paths))
    changed = with_changes(tree, {".".join(path): "new"})
    assert leaves(changed) == {**before, path: "new"}
    assert leaves(tree) == before


def test_the_names_of_shipped_recipes() -> None:
    assert recipe_path("unified-minilm") == shipped("baselines") / "unified-minilm" / "train.yaml"
    assert recipe_path("some/where.yml") == Path("some/where.yml")
    with pytest.raises(UsageError, match=r"unknown recipe 'unified-minlm'\. Did you mean 'unified-minilm'\? Known: .*; or the path of a"):
        recipe_path("unified-minlm")
    with pytest.raises(UsageError, match="unknown recipe 'bm25-query'"):
        recipe_path("bm25-query")


@pytest.mark.parametrize(
    "path", sorted([*shipped("baselines").glob("*/train.yaml"), shipped("baselines") / "unified-minilm" / "tiny.yaml"]), ids=str
)
def test_shipped_recipes_build(path: Path) -> None:
    found = build_recipe(read_values(path), path)
    assert found.description
    assert found.base_licence
    assert found.limitations
    assert found.memory_of is None or found.memory_of.is_file()
    again = parse_yaml(yaml.safe_dump(found.model_dump(mode="json")), path)  # recipe.yaml of a finished training
    assert build_recipe(again, path) == found
