"""Finished run folders, read back."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest
from command_line import MINI, succeed, without_digests

from convbench.errors import DataError, MissingFileError, UsageError
from convbench.harness.finished import load_run
from convbench.io.runfile import read_run

METRICS = ("--metrics", "retrieval,token-f1,abstention", "--offline")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, Path]:
    """A run folder and the files that it was made from; tests copy what they change."""
    root = tmp_path_factory.mktemp("finished")
    data = root / "data"
    data.mkdir()
    shutil.copy(MINI / "topiocqa" / "topiocqa_mini.jsonl", data / "topiocqa_dev.jsonl")
    shutil.copy(MINI / "topiocqa" / "full_wiki_segments.tsv", data)
    succeed("run", "bm25-query", "-d", "topiocqa", "--data", data, "--out", root / "run", *METRICS)
    return root / "run", data


@pytest.fixture
def folder(made, tmp_path) -> Path:
    """A copy of the run, to be spoiled."""
    return Path(shutil.copytree(made[0], tmp_path / "run"))


def moved_data(folder: Path, data: Path, target: Path) -> Path:
    """A copy of the data that a run folder takes for its own."""
    shutil.copytree(data, target)
    info = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    info["spec"]["dataset"]["data"] = str(target)
    (folder / "run.json").write_text(json.dumps(info), encoding="utf-8")
    return target


def score_lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "scores.jsonl").read_text(encoding="utf-8").splitlines()]


def write_lines(folder: Path, lines: list[dict]) -> None:
    without_digests(folder)
    (folder / "scores.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def test_values_stand_in_the_order_of_the_ids_and_are_nan_where_there_is_none(made):
    run = load_run(made[0])
    first, second, *_ = run.records
    values = run.values("convgqr-line", "RR@100", [second, "nowhere_1", first])
    assert values[[0, 2]].tolist() == [run.scores["convgqr-line", "RR@100"][turn_id] for turn_id in (second, first)]
    assert math.isnan(values[1])
    assert all(map(math.isnan, run.values("convgqr-line", "no-such-measure", [first])))


def test_a_run_is_read_back_whole(made):
    run = load_run(str(made[0]))
    assert run.name == "bm25-query"
    assert list(run.records) == [turn.id for turn in run.dataset.turns]
    assert run.records == read_run(made[0] / "turns.jsonl").records
    assert run.scores["convgqr-line", "RR@100"].keys() == run.records.keys()
    assert (len(run.store), run.store.sha256) == (run.results.dataset.passages, run.results.dataset.collection_sha256)
    assert run.store is run.store  # opened once


def test_the_frame_holds_every_score(made):
    frame = load_run(made[0]).to_pandas()
    lines = score_lines(made[0])
    measures = {(line["protocol"], line["measure"]) for line in lines}
    assert list(frame.columns) == ["conversation", *dict.fromkeys(f"{line['protocol']}/{line['measure']}" for line in lines)]
    assert frame.index.name == "turn_id"
    assert list(frame.index) == [turn.id for turn in load_run(made[0]).dataset.turns]
    assert list(frame["conversation"]) == [turn_id.rsplit("_", 1)[0] for turn_id in frame.index]
    empty = 0
    for line in lines:
        value = frame.loc[line["turn_id"], f"{line['protocol']}/{line['measure']}"]
        empty += line["value"] is None
        assert math.isnan(value) if line["value"] is None else value == line["value"]
    assert empty > 0
    assert frame.drop(columns="conversation").notna().to_numpy().sum() == len(lines) - empty
    assert frame.shape == (56, len(measures) + 1)


def test_a_run_that_skips_turns_keeps_the_order(made, tmp_path):
    ids = [turn.id for turn in load_run(made[0]).dataset.turns]
    replayed = tmp_path / "other.jsonl"
    replayed.write_text("".join(json.dumps({"turn_id": id_, "response": "yes"}) + "\n" for id_ in ids[::2]), encoding="utf-8")
    succeed("run", replayed, "-d", "topiocqa", "--out", tmp_path / "r", "--metrics", "token-f1")
    frame = load_run(tmp_path / "r").to_pandas()
    assert sorted(frame.index) == sorted(ids)
    assert list(frame.index)[: len(ids[::2])] == ids[::2]
    assert frame.loc[ids[1], "response-overlap/F1-max"] == 0.0


def test_no_folder_and_an_unfinished_run_are_no_finished_run(folder, tmp_path):
    with pytest.raises(MissingFileError, match="no finished run here"):
        load_run(tmp_path / "nowhere")
    (folder / "results.json").unlink()
    with pytest.raises(MissingFileError, match="no finished run here"):
        load_run(folder)


@pytest.mark.parametrize(("name", "read"), [("scores.jsonl", "scores"), ("turns.jsonl", "records")])
def test_a_file_that_is_gone_is_named(folder, name, read):
    (folder / name).unlink()
    run = load_run(folder)
    with pytest.raises(MissingFileError, match=rf"run/{name}: no .* again"):
        getattr(run, read)
    with pytest.raises(MissingFileError):
        run.to_pandas()


def test_changed_turns_are_refused(folder):
    with (folder / "turns.jsonl").open("a", encoding="utf-8") as handle:
        handle.write(json.dumps({"turn_id": "999_1"}) + "\n")
    run = load_run(folder)
    with pytest.raises(UsageError, match="is not the file that was scored"):
        _ = run.records
    assert run.scores  # does not rest on it


def test_a_line_of_scores_that_is_gone_is_seen_whatever_it_said(folder):
    lines = (folder / "scores.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / "scores.jsonl").write_text("".join(lines[:-1]), encoding="utf-8")
    with pytest.raises(DataError, match=r"scores\.jsonl: is not what was written with results\.json; .* `convbench run` command again"):
        _ = load_run(folder).scores


def test_changed_results_are_refused(folder):
    content = (folder / "results.json").read_text(encoding="utf-8")
    value = json.loads(content)["metrics"][0]["value"]
    (folder / "results.json").write_text(content.replace(str(value), str(value / 2)), encoding="utf-8")
    with pytest.raises(DataError, match=r"results\.json: was changed after it was written"):
        load_run(folder)


def test_results_of_older_versions_are_believed(folder, made):
    without_digests(folder)
    assert load_run(folder).scores == load_run(made[0]).scores


def test_scores_of_another_scoring_are_refused(folder):
    """Where the results do not say which scores are theirs."""
    lines = score_lines(folder)
    target = next(line for line in lines if line["measure"] == "RR@100" and line["value"] == 0.0)
    target["value"] = 1.0
    write_lines(folder, lines)
    with pytest.raises(UsageError, match=r"scores\.jsonl gives 0\.\d+ for convgqr-line/RR@100 and results\.json 0\.\d+"):
        _ = load_run(folder).scores
    write_lines(folder, [line for line in lines if line["measure"] != "RR@100"])
    with pytest.raises(UsageError, match=r"scores\.jsonl gives no value for convgqr-line/RR@100"):
        _ = load_run(folder).scores


def test_a_turn_has_one_value(folder):
    lines = score_lines(folder)
    write_lines(folder, [*lines, lines[0]])
    with pytest.raises(DataError, match=r"turn '1_1' has two values under convgqr-line/nDCG@3"):
        _ = load_run(folder).scores


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1" + "0" * 400, '"0.5"', "true"])
def test_a_value_is_a_finite_number(folder, number):
    lines = (folder / "scores.jsonl").read_text(encoding="utf-8").splitlines()
    without_digests(folder)
    lines[2] = f'{{"turn_id": "1_1", "protocol": "convgqr-line", "measure": "R@5", "value": {number}}}'
    (folder / "scores.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"scores\.jsonl:3: field 'value': expected a finite number or null"):
        _ = load_run(folder).scores


def test_a_dataset_that_is_gone_or_changed_is_refused(made, folder, tmp_path):
    data = moved_data(folder, made[1], tmp_path / "data")
    assert load_run(folder).dataset.turns == load_run(made[0]).dataset.turns
    file = data / "topiocqa_dev.jsonl"
    file.write_text(file.read_text(encoding="utf-8").replace("bridge", "tunnel"), encoding="utf-8")
    with pytest.raises(UsageError, match="the files of topiocqa are no longer those that the run was made from"):
        _ = load_run(folder).dataset
    shutil.rmtree(data)
    run = load_run(folder)
    with pytest.raises(MissingFileError):
        _ = run.dataset
    assert run.store is None
    assert len(run.to_pandas()) == 56


def test_passages_that_are_gone_are_none_and_changed_ones_refused(made, folder, tmp_path):
    data = moved_data(folder, made[1], tmp_path / "data")
    corpus = data / "full_wiki_segments.tsv"
    corpus.write_text(corpus.read_text(encoding="utf-8").replace("bridge", "tunnel"), encoding="utf-8")
    with pytest.raises(UsageError, match="the passages are no longer those that were searched"):
        _ = load_run(folder).store
    corpus.unlink()
    try:
        store = load_run(folder).store
    except UsageError as error:  # topiocqa then has the union of its gold passages, which is another collection
        assert "no longer those that were searched" in str(error)  # noqa: PT017
    else:
        assert store is None
