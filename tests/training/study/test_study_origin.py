"""A finished cell is known again by what its files hold, and by their names where nobody wrote down what they held."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from backends.small import folder_of
from safetensors.torch import load_file, save_file
from training.study.tiny_study import recipe as values

from convbench.errors import UsageError
from convbench.io.cache import cache_root
from convbench.training.recipe import build_recipe
from convbench.training.study.cell_file import FILE, CellFile, read_cell, write_cell
from convbench.training.study.origin import Origin, difference, origin_of, refuse_other


def origin(base: Path, **changes: Any) -> Origin:
    values_here = values(**changes)
    values_here["model"]["model"] = str(base)
    return origin_of(build_recipe(values_here, "train.yaml"), cache_root())


def finished(made: Origin) -> CellFile:
    return CellFile(made_from=json.loads(json.dumps(made.made_from)), places=made.places or {}, contents=made.contents)


def without_digests(folder: Path, made: Origin) -> CellFile:
    """As a cell was written before digests were kept."""
    write_cell(folder, finished(made))
    content = json.loads((folder / FILE).read_text(encoding="utf-8"))
    del content["contents"]
    (folder / FILE).write_text(json.dumps(content), encoding="utf-8")
    found = read_cell(folder)
    assert found is not None
    return found


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder_of("llama"), tmp_path / "first" / "base"))


@pytest.fixture
def tuned(tmp_path: Path, base: Path) -> Path:
    """Of the same name, with other weights."""
    folder = Path(shutil.copytree(base, tmp_path / "second" / "base"))
    weights = load_file(folder / "model.safetensors")
    save_file({name: weight + 0.01 for name, weight in weights.items()}, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_a_base_that_was_moved_and_renamed_is_the_same(base: Path, tmp_path: Path) -> None:
    made = finished(origin(base))
    assert made.contents["base"].keys() >= {"model.safetensors", "config.json"}
    base.rename(tmp_path / "renamed")
    assert difference(made, origin(tmp_path / "renamed")) is None


def test_a_base_of_the_same_name_with_other_weights_is_another(base: Path, tuned: Path) -> None:
    made = finished(origin(base))
    assert (difference(made, origin(tuned)) or "").startswith("base.model.safetensors was ")
    with pytest.raises(UsageError, match=r"out/cell: was made from something else: base\.model\.safetensors was .*; choose another --out"):
        refuse_other(Path("out/cell"), made, origin(tuned))


def test_a_base_that_is_not_at_hand_is_matched_by_its_name(base: Path, tmp_path: Path) -> None:
    made = finished(origin(base))
    assert origin(tmp_path / "elsewhere" / "base").contents.keys() == {"negatives"}
    assert difference(made, origin(tmp_path / "elsewhere" / "base")) is None
    assert difference(made, origin(tmp_path / "elsewhere" / "other")) == "model.model was 'base', is 'other'"


def test_negatives_are_matched_by_what_their_file_holds(base: Path, tmp_path: Path) -> None:
    mined = tmp_path / "mined.jsonl"
    mined.write_text("one")
    made = finished(origin(base, negatives={"topi": str(mined)}))
    shutil.copy(mined, tmp_path / "again.jsonl")
    assert difference(made, origin(base, negatives={"topi": str(tmp_path / "again.jsonl")})) is None
    mined.write_text("another")
    assert (difference(made, origin(base, negatives={"topi": str(mined)})) or "").startswith("negatives.topi was ")
    assert (difference(made, origin(base)) or "").startswith("negatives")


def test_a_cell_that_was_finished_before_digests_were_kept_is_still_finished(base: Path, tuned: Path, tmp_path: Path) -> None:
    mined = tmp_path / "mined.jsonl"
    mined.write_text("one")
    negatives = {"topi": str(mined)}
    made = without_digests(tmp_path, origin(base, negatives=negatives))
    assert made.contents == {}
    mined.write_text("another")
    assert difference(made, origin(tuned, negatives=negatives)) is None
    assert difference(made, origin(tmp_path / "other", negatives=negatives)) == "model.model was 'base', is 'other'"
    assert (difference(made, origin(base)) or "").startswith("negatives")


def test_data_of_the_users_are_looked_at_where_that_is_asked_for(base: Path) -> None:
    made = finished(origin(base))
    own = values()["mixture"]
    own["sources"][0]["data"] = "/d"
    other = origin(base, mixture=own)
    assert difference(made, other) == "data.topi was False, is True"
    assert difference(made, replace(other, places=None)) is None
