from __future__ import annotations

import json
import logging
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import convbench, succeed
from safetensors.torch import load_file
from training.comparing import lines, same
from training.tiny_recipe import HELD_OUT, killed, recipe, tuned, values, written

from convbench.config import parse_yaml
from convbench.errors import ConvbenchError, DataError, MissingFileError, UsageError
from convbench.harness.results import read_results
from convbench.io.cache import cache_root
from convbench.io.digests import file_sha256
from convbench.io.runfile import read_run
from convbench.training.fine_tune import FineTuned
from convbench.training.prepare import Prepared, prepare
from convbench.training.processes import open_accelerator
from convbench.training.recipe import Recipe, build_recipe

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]  # they train


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> tuple[Path, FineTuned]:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    return out, tuned(out)


def card(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "checkpoint" / "training.json").read_text(encoding="utf-8"))
    return found


def executions(run: Path) -> int:
    return len(json.loads((run / "run.json").read_text(encoding="utf-8"))["executions"])


def prepared(chosen: Recipe) -> Prepared:
    return prepare(chosen, open_accelerator(chosen.training), cache=cache_root(), offline=True)


def rankings(run: Path) -> dict[str, list[tuple[str, float]]]:
    return {turn_id: list(record.passages) for turn_id, record in read_run(run / "turns.jsonl").records.items()}


def learnt(checkpoint: Path) -> dict[str, torch.Tensor]:
    """The weights of a checkpoint to go on from, as they are called in a written one."""
    return {name.removeprefix("model."): weight for name, weight in load_file(checkpoint / "weights.safetensors").items()}


def test_what_a_training_leaves(done: tuple[Path, FineTuned]) -> None:
    out, found = done
    assert {path.name for path in out.iterdir() if not path.name.startswith(".")} == {
        *("checkpoint", "checkpoints", "runs", "train.jsonl", "loss.svg", "loss.png", "recipe.yaml")
    }
    assert (found.checkpoint, found.runs) == (out / "checkpoint", {"topiocqa": out / "runs" / "topiocqa"})
    assert (found.trained.steps, found.trained.chosen_step, found.trained.best) == (4, 4, None)
    assert found.results["topiocqa"] == read_results(found.runs["topiocqa"] / "results.json")
    assert [line["step"] for line in lines(out)] == [1, 2, 3, 4]
    assert all(line["losses"].keys() == {"retrieval", "response", "grounded", "identification"} for line in lines(out))
    used = parse_yaml((out / "recipe.yaml").read_text(encoding="utf-8"), "recipe.yaml")
    assert build_recipe(used, "recipe.yaml") == recipe()


def test_the_card_says_what_it_was_made_from_and_how_good_it_is(done: tuple[Path, FineTuned]) -> None:
    out, found = done
    said, results = card(out), found.results["topiocqa"]
    assert (said["form"], said["steps"], said["seeds"]) == ("whole", 4, {"order, new weights and dropout": 3})
    base = Path(recipe().model.model)
    assert said["base"]["files"]["model.safetensors"] == file_sha256(base / "model.safetensors")
    assert said["base"]["licence"] == "Apache-2.0"
    (source,) = said["sources"]
    assert (source["name"], source["data"]["name"], source["conversations"]) == ("topi", "topiocqa", 2)
    assert source["selection"] == "kept part; 2 conversations held out: the first by sha256 of 'tiny:<conversation id>'"
    assert said["licence"]["hub_id"] == "apache-2.0"
    assert said["objectives"] == {"retrieval": 1.0, "response": 0.3, "identification": 0.2, "grounded": 0.2}
    assert said["settings"]["training"]["learning_rate"] == 1e-3
    assert said["tokens"] == sum(line["tokens"] for line in lines(out)) > 0
    assert 4 <= said["examples"] <= 12
    assert list(said["contamination"]) == ["topiocqa (mini, test)"]
    assert "error" not in {each["severity"] for each in said["contamination"]["topiocqa (mini, test)"]}
    (scored,) = said["scores"]
    assert scored["metrics"] == json.loads(results.model_dump_json())["metrics"]
    readme = (out / "checkpoint" / "README.md").read_text(encoding="utf-8")
    for metric in results.metrics:
        assert metric.signature in readme
    assert "It was tuned for four steps." in readme


def test_the_checkpoint_is_the_last_one_and_runs(done: tuple[Path, FineTuned], tmp_path: Path) -> None:
    out, found = done
    weights = load_file(found.checkpoint / "model.safetensors")
    assert same(weights, learnt(out / "checkpoints" / "step-00000004"))
    base = load_file(Path(recipe().model.model) / "model.safetensors")
    assert not any(torch.equal(weights[name], base[name]) for name in weights)
    part = ("-d", "topiocqa", "--conversations", "held-out:2:tiny", "--metrics", "retrieval", "--offline", "--out", tmp_path / "run")
    system = ("--set", "k=5", "--set", "passages=1", "--set", "decoding.max_new_tokens=3")
    succeed("run", found.checkpoint, *part, *system)
    assert rankings(tmp_path / "run") == rankings(found.runs["topiocqa"])


def test_the_same_call_again_computes_nothing(done: tuple[Path, FineTuned]) -> None:
    out, found = done
    kept = [path for folder in ("checkpoint", "checkpoints", "runs") for path in (out / folder).rglob("*") if path.is_file()]
    before = {path: path.stat().st_mtime_ns for path in [*kept, out / "recipe.yaml"]}
    log = (out / "train.jsonl").read_bytes()
    assert tuned(out) == found
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert (out / "train.jsonl").read_bytes() == log
    assert executions(found.runs["topiocqa"]) == 1


def test_another_recipe_does_not_go_on_in_the_folder(done: tuple[Path, FineTuned]) -> None:
    out, _ = done
    for changes, said in (
        ({"training__seed": 4}, "settings: seed was 3, is 4"),
        ({"objectives__weights__response": 0.5}, "objectives"),
        ({"mixture__sources__topi__limit": 3}, "data"),
        ({"mixture__sources__topi__response": "passage"}, "texts was None, is {'topi': {'response': 'passage'}}"),
        ({"mixture__sources__topi__history": "query"}, "texts was None, is {'topi': {'history': 'query'}}"),
        ({"model__profile__lengths__passage": 40}, "profile"),
    ):
        with pytest.raises(UsageError, match=f"holds another training: {said}"):
            tuned(out, **changes)  # type: ignore[arg-type]


def test_one_set_more_is_evaluated_and_put_on_the_card(tmp_path: Path) -> None:
    first = tuned(tmp_path, training__steps=1)
    weights = (first.checkpoint / "model.safetensors").stat().st_mtime_ns
    more = [*values()["evaluation"]["test"], {"name": "inscit", "limit": 1}, {"name": "inscit", "limit": 2}]
    found = tuned(tmp_path, training__steps=1, evaluation__test=more)
    assert list(found.runs) == ["topiocqa", "inscit-1", "inscit-2"]
    assert [each["dataset"]["name"] for each in card(tmp_path)["scores"]] == ["topiocqa", "inscit", "inscit"]
    assert found.results["topiocqa"].run_sha256 == first.results["topiocqa"].run_sha256
    assert (found.checkpoint / "model.safetensors").stat().st_mtime_ns == weights
    assert tuned(tmp_path, training__steps=1, evaluation__test=more).results == found.results
    assert executions(found.runs["inscit-1"]) == 1


def test_the_checkpoint_of_a_training_whose_states_are_gone_is_not_taken_for_the_next_ones(tmp_path: Path) -> None:
    first = load_file(tuned(tmp_path, training__steps=1, evaluation__test=[]).checkpoint / "model.safetensors")
    shutil.rmtree(tmp_path / "checkpoints")
    again = tuned(tmp_path, training__steps=1, training__seed=4, evaluation__test=[])
    weights = load_file(again.checkpoint / "model.safetensors")
    assert same(weights, learnt(again.trained.checkpoint))
    assert not same(weights, first)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """As on a disk that is full for what is larger."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_training_that_is_stopped_again_and_again_ends_as_an_undisturbed_one(done: tuple[Path, FineTuned], tmp_path: Path) -> None:
    undisturbed, _ = done
    path, out, log = written(tmp_path, values()), tmp_path / "out", tmp_path / "log"
    states = out / "checkpoints"
    assert killed(log, path, out, "training.pt", 3) == -9, log.read_text()
    assert [each.name for each in states.glob("step-*")] == ["step-00000002"]
    with files_of_at_most(100_000):
        full = convbench("train", path, "--out", out, "--offline")
    assert (full.code, "step-00000004: cannot write" in full.err) == (6, True)
    assert [each.name for each in states.iterdir()] == ["step-00000002"]
    assert killed(log, path, out, "README.md", 1) == -9, log.read_text()  # the checkpoint is whole, and not in its place
    assert not (out / "checkpoint").exists()
    assert killed(log, path, out, "respond.jsonl", 1) == -9, log.read_text()
    assert (out / "checkpoint" / "model.safetensors").exists()
    assert not (out / "recipe.yaml").exists()
    said = succeed("train", path, "--out", out, "--offline", "--json").json
    assert (said["steps"], said["chosen_step"], said["checkpoint"]) == (4, 4, str(out / "checkpoint"))
    for name in ("checkpoint/model.safetensors", "checkpoint/convbench.json"):
        assert (out / name).read_bytes() == (undisturbed / name).read_bytes(), name
    one, other = (parse_yaml((each / "recipe.yaml").read_text(), "recipe.yaml") for each in (out, undisturbed))
    assert one == other
    one, other = ((each / "runs" / "topiocqa" / "turns.jsonl").read_bytes().split(b"\n", 1) for each in (out, undisturbed))
    assert one[1] == other[1]  # the header names the checkpoint's place
    assert lines(out) == lines(undisturbed)
    said, as_well = ({key: value for key, value in card(each).items() if key not in ("seconds", "scores")} for each in (out, undisturbed))
    assert said == as_well
    assert not [each for each in out.rglob(".*") if each.name != ".lock"]


def test_the_best_checkpoint_is_chosen_on_dev_sets(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dev = [{"name": "inscit", "limit": 2}, {"name": "topiocqa", "limit": 1}]
    chosen = {"evaluate_every": 1, "metric": "inscit/RR@100", "save_every": 4, "keep": 1, "learning_rate": 5e-3, "higher_is_better": False}
    changes = {f"training__{key}": value for key, value in chosen.items()}
    caplog.set_level(logging.WARNING)
    found = tuned(tmp_path, evaluation__dev=dev, evaluation__test=[], **changes)
    measured = {line["step"]: line["metrics"] for line in lines(tmp_path) if "metrics" in line}
    assert list(measured) == [1, 2, 3, 4]
    scores = {step: metrics["inscit/RR@100"] for step, metrics in measured.items()}
    best = min(scores.values())
    assert found.trained.best == best
    assert found.trained.chosen_step == next(step for step, value in scores.items() if value == best)
    assert found.trained.chosen_step < found.trained.steps == 4  # so that the last weights are not those that count
    step = found.trained.chosen_step
    assert same(load_file(found.checkpoint / "model.safetensors"), learnt(found.trained.checkpoint))
    assert card(tmp_path)["steps"] == step
    assert card(tmp_path)["tokens"] == sum(line["tokens"] for line in lines(tmp_path) if "losses" in line and line["step"] <= step)
    runs = tmp_path / "evaluations"
    assert sorted(path.name for path in runs.iterdir()) == [f"step-{number:08d}" for number in (1, 2, 3, 4)]
    for number, metrics in measured.items():
        results = read_results(runs / f"step-{number:08d}" / "inscit" / "results.json")
        assert next(each.value for each in results.metrics if each.name == "RR@100") == metrics["inscit/RR@100"]
    assert found.runs == {}
    assert card(tmp_path)["scores"] == []
    assert list(card(tmp_path)["contamination"]) == ["inscit (mini, dev)", "topiocqa (mini, dev)"]
    with pytest.raises(UsageError, match="holds another training: chosen_on: dev was"):
        tuned(tmp_path, evaluation__dev=[{**dev[0], "limit": 3}], evaluation__test=[], **changes)


def test_what_an_evaluation_measures_is_what_the_checkpoint_gives(tmp_path: Path) -> None:
    sets = [{"name": "inscit", "limit": 2}]
    found = tuned(tmp_path, evaluation__dev=sets, evaluation__test=sets, training__evaluate_every=4)
    last = tmp_path / "evaluations" / "step-00000004" / "inscit"
    assert rankings(last) == rankings(found.runs["inscit"])
    assert (last / "turns.jsonl").read_bytes() != b""


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ({"training__metric": "inscit/nDGC@3"}, UsageError, r"'inscit/nDGC@3' is not measured\. Did you mean 'inscit/nDCG@3'.*F1-max"),
        ({"training__metric": "nDCG@3"}, UsageError, r"training\.metric: 'nDCG@3' is not measured\. .*inscit/nDCG@3"),
        ({"evaluation__metrics": ["retreival"]}, UsageError, "retreival"),
        ({"evaluation__system__passagse": 2}, UsageError, r"tiny: evaluation\.system: passagse"),
        ({"evaluation__system__history": "ful"}, UsageError, "unknown history view 'ful'"),
        ({"evaluation__test": [{"name": "topiocq"}]}, UsageError, "topiocq"),
        ({"evaluation__test": [{"name": "topiocqa", "corpus": "/no/corpus.tsv"}]}, MissingFileError, r"/no/corpus\.tsv"),
        ({"training__rates": {"nothing.*": 1.0}}, UsageError, r"rates: no weight that is learnt has a name like 'nothing\.\*'"),
        ({"mixture__sources__*__objectives": ["retrieval"]}, UsageError, "response has weight"),
    ],
)
def test_what_cannot_be_is_refused_before_the_first_step(
    changes: dict[str, Any], kind: type[ConvbenchError], said: str, tmp_path: Path
) -> None:
    dev = {"evaluation__dev": [{"name": "inscit", "limit": 2}], "training__evaluate_every": 2}
    with pytest.raises(kind, match=said) as error:
        tuned(tmp_path / "out", **dev, **changes)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out" / "train.jsonl").exists()


def test_an_adapter_and_a_merged_model_rank_alike(tmp_path: Path) -> None:
    lora = {"tuning": {"lora": {"r": 4, "alpha": 8, "dropout": 0.0}}, "training__learning_rate": 2e-2}
    adapter = tuned(tmp_path / "adapter", **lora)
    merged = tuned(tmp_path / "merged", **lora, output="merged")
    assert (card(tmp_path / "adapter")["form"], card(tmp_path / "merged")["form"]) == ("adapter", "merged")
    assert {path.name for path in adapter.checkpoint.glob("*.safetensors")} == {"adapter_model.safetensors"}
    assert {path.name for path in merged.checkpoint.glob("*.safetensors")} == {"model.safetensors"}
    assert lines(tmp_path / "adapter") == lines(tmp_path / "merged")
    one, other = rankings(adapter.runs["topiocqa"]), rankings(merged.runs["topiocqa"])
    for turn_id in one:
        assert dict(one[turn_id]) == pytest.approx(dict(other[turn_id]), abs=1e-4)
    succeed("run", recipe().model.model, "-d", "topiocqa", "--conversations", "held-out:2:tiny", "--set", "k=5", "--set", "decoding=null",
            "--metrics", "retrieval", "--offline", "--out", tmp_path / "base")  # fmt: skip
    base = rankings(tmp_path / "base")
    assert any(dict(base[turn_id]) != pytest.approx(dict(one[turn_id]), abs=1e-3) for turn_id in one)  # something was learnt


def test_the_other_form_takes_the_checkpoints_place(tmp_path: Path) -> None:
    lora = {"tuning": {"lora": {"r": 4}}, "evaluation__test": []}
    tuned(tmp_path, **lora)
    found = tuned(tmp_path, **lora, output="merged")
    assert card(tmp_path)["form"] == "merged"
    assert (found.checkpoint / "model.safetensors").exists()
    assert not (found.checkpoint / "adapter_config.json").exists()
    assert "library_name: transformers" in (found.checkpoint / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def mined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mined") / "n.jsonl"
    succeed("train", "mine", "-d", "topiocqa", "--conversations", "kept:2:tiny", "--with", "bm25", "--count", 3, "--out", path)
    return path


def test_mined_negatives_are_learnt_from(mined: Path, tmp_path: Path, done: tuple[Path, FineTuned]) -> None:
    chosen = recipe(negatives__topi=str(mined), evaluation__test=[])
    found = prepared(chosen)
    rows = {row["turn_id"]: row for row in map(json.loads, mined.read_text(encoding="utf-8").splitlines()[1:])}
    assert found.negatives
    for example_id, passages in found.negatives.items():
        assert [passage.id for passage in passages] == [each["id"] for each in rows[example_id.removeprefix("topi/")]["negatives"]]
        assert all(passage.text for passage in passages)
    tuned(tmp_path / "out", chosen)
    assert card(tmp_path / "out")["settings"]["negatives"] == {"topi": file_sha256(mined)}
    assert lines(tmp_path / "out")[0]["losses"]["retrieval"] > lines(done[0])[0]["losses"]["retrieval"]
    assert lines(tmp_path / "out")[0]["losses"]["grounded"] == lines(done[0])[0]["losses"]["grounded"]
    with pytest.raises(UsageError, match="holds another training: negatives"):
        tuned(tmp_path / "out", recipe(evaluation__test=[]))


def test_negatives_of_something_else_are_refused(mined: Path, tmp_path: Path) -> None:
    header, *rows = mined.read_text(encoding="utf-8").splitlines()
    other = tmp_path / "other.jsonl"
    other.write_text("\n".join([header.replace('"topiocqa"', '"inscit"', 1), *rows]) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"other\.jsonl: is of inscit \(mini\), and source topi is topiocqa \(mini\)"):
        prepared(recipe(negatives__topi=str(other)))
    id_ = json.loads(rows[0])["negatives"][0]["id"]
    strange = tmp_path / "strange.jsonl"
    strange.write_text("\n".join([header, *(row.replace(f'"id":"{id_}"', '"id":"p-9"') for row in rows)]) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"1 of \d+ negatives are not in the collection of .*first: 'p-9' of turn"):
        prepared(recipe(negatives__topi=str(strange)))
    unseen = tmp_path / "unseen.jsonl"
    succeed("train", "mine", "-d", "topiocqa", "--conversations", "held-out:2:tiny", "--with", "bm25", "--out", unseen)
    with pytest.raises(DataError, match=r"unseen\.jsonl: holds no turn of source topi \(kept part; 2 conversations held out"):
        prepared(recipe(negatives__topi=str(unseen)))


def test_a_test_set_that_was_trained_on_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="convbench")
    everything = {"mixture__sources__topi__conversations": None, "mixture__sources__topi__limit": None}
    tuned(
        tmp_path,
        **everything,
        training__steps=1,
        base_licence="CC BY-NC 4.0",
        evaluation__test=[{"name": "topiocqa", "conversations": HELD_OUT}],
    )
    warned = [record.getMessage() for record in caplog.records if record.name.startswith("convbench.training")]
    assert "topiocqa (mini, test): source topi: 2 of 2 conversations are trained on" in "\n".join(warned)
    assert card(tmp_path)["licence"]["hub_id"] == "cc-by-nc-4.0"
    findings = card(tmp_path)["contamination"]["topiocqa (mini, test)"]
    assert ("same-conversations", "error", 2) in {(each["check"], each["severity"], each["count"]) for each in findings}
    assert "2 of 2 conversations are trained on" in (tmp_path / "checkpoint" / "README.md").read_text(encoding="utf-8")
