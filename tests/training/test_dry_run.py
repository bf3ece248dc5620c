from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from backends.small import folder_of
from training.joint import ALL, LENGTHS, examples, settings, trainable

from convbench.errors import MissingFileError, UsageError
from convbench.io.cache import cache_root
from convbench.training.batch_shape import batch_shape
from convbench.training.data.mixture import Mixture
from convbench.training.data.sampling import batches
from convbench.training.data.sources import Source, open_mixture
from convbench.training.dry_run import DryRun, dry_run
from convbench.training.dry_run_text import show
from convbench.training.objectives.weighted import Weights
from convbench.training.recipe import Recipe, build_recipe, read_values, recipe_path, with_changes
from convbench.training.sharing import shareable_pools, sharing
from convbench.training.turn_rows import TurnRows

SMALL: dict[str, Any] = {
    "mixture.sources.*.split": "mini",
    "training.batch_size": 16,
    "training.steps": 100,
    "evaluation.test": [{"name": "topiocqa", "split": "mini"}, {"name": "inscit", "split": "mini"}],
}


def recipe(**changes: Any) -> Recipe:
    path = recipe_path("unified-paper")
    own = {"model.model": str(folder_of("mistral")), **SMALL, **{key.replace("__", "."): value for key, value in changes.items()}}
    return build_recipe(with_changes(read_values(path), own), path)


def tried(**changes: Any) -> DryRun:
    return dry_run(recipe(**changes), cache=cache_root(), offline=True)


@pytest.fixture(scope="module")
def found() -> DryRun:
    return tried()


@pytest.fixture(scope="module")
def sources() -> list[Source]:
    objectives = ["retrieval", "response", "identification"]
    mixture = {"sources": [{"name": name, "dataset": name, "objectives": objectives} for name in ("topiocqa", "qrecc")]}
    return open_mixture(Mixture.model_validate(mixture), Path(), cache_root())


def test_the_paper_recipe_is_what_the_method_says() -> None:
    path = recipe_path("unified-paper")
    shipped = build_recipe(read_values(path), path)
    training, objectives = shipped.training, shipped.objectives
    assert (training.steps, training.warmup_steps, training.learning_rate, training.precision) == (2500, 50, 1e-4, "bf16")
    assert (training.batch_size, training.batch_size % 8, objectives.negatives) == (64, 0, 4)
    assert objectives.weights == Weights(retrieval=1.0, response=0.3, identification=0.3, grounded=0.0)
    assert (objectives.temperature, objectives.label_smoothing) == (0.01, 0.1)
    assert shipped.tuning.lora is not None
    assert shipped.tuning.gradient_checkpointing
    own = read_values(path.parent / "system.yaml")["model"]["profile"]
    assert shipped.model.profile == own
    assert shipped.memory_of == path.parent / "mistral-7b.config.json"


def test_a_dry_run_of_the_paper_recipe_reads_what_the_first_step_reads(found: DryRun) -> None:
    assert found.steps == 100
    assert [source["name"] for source in found.sources] == ["topiocqa", "qrecc"]
    assert found.examples == sum(source["examples"] for source in found.sources)
    assert found.epochs == pytest.approx(found.steps * found.examples_a_step / found.examples)
    assert 8 < found.examples_a_step <= 16
    assert len(found.batches) == 2
    assert found.batches[0].tokens == found.computed.tokens
    assert list(found.computed.losses) == ["retrieval", "response", "identification"]
    assert all(map(math.isfinite, [*found.computed.losses.values(), found.computed.norm]))
    weighted = sum(
        weight * found.computed.losses[name] for name, weight in (("retrieval", 1.0), ("response", 0.3), ("identification", 0.3))
    )
    assert found.computed.total == pytest.approx(weighted, rel=1e-5)
    assert found.computed.wrong is None


def test_what_the_evaluation_sets_share_is_told_set_by_set(found: DryRun) -> None:
    checks = {(each.source, each.check) for each in found.shared["topiocqa (mini, test)"]}
    assert ("topiocqa", "same-conversations") in checks
    assert found.shared["inscit (mini, test)"] == []


def test_memory_is_estimated_for_the_model_and_for_the_one_it_stands_in_for(found: DryRun) -> None:
    own, own_sharded, large, large_sharded = found.memory
    assert own.model == own_sharded.model == found.model
    assert (large.model, large.parameters - large.learnt) == ("mistral-7b.config.json", 7_241_732_096)
    assert [each.processes for each in found.memory] == [1, 8, 1, 8]
    assert {each.chunk for each in found.memory} == {own.chunk}
    assert own.chunk.tokens == 8192
    assert large_sharded.weights < large.weights / 7
    assert 10 * 2**30 < large.total < 40 * 2**30


def test_lines_and_json_say_the_same(found: DryRun) -> None:
    text, values = "\n".join(show(found)), json.loads(json.dumps(found.as_json()))
    assert text.startswith("unified-paper: ")
    assert "100 steps of" in text
    assert "topiocqa (mini, test): error: topiocqa: 9 of 9 conversations are trained on" in text
    assert "inscit (mini, test): nothing is shared" in text
    assert f"{found.computed.tokens:,} tokens in" in text
    assert "7,283,675,136 parameters, 41,943,040 learnt" in text
    assert "sharded over 8" in text
    assert values["contamination"]["topiocqa (mini, test)"][0]["severity"] == "error"
    assert values["batches"][0]["tokens"] == values["computed"]["tokens"]
    assert values["memory"][2]["total"] == found.memory[2].total


def test_a_loss_that_is_no_number_is_told(found: DryRun) -> None:
    wrong = replace(found, computed=replace(found.computed, total=math.nan, wrong="the total loss is nan"))
    assert "  training would stop here: the total loss is nan" in show(wrong)
    assert json.loads(json.dumps(wrong.as_json(), allow_nan=False))["computed"]["total"] is None


def test_negatives_written_beside_pairs_are_counted_and_read(tmp_path: Path) -> None:
    pairs = [
        {
            "query": f"who made tool {number}",
            "positive": f"Maker {number} made it.",
            "negatives": [f"Maker {number} did not."][: number % 2],
        }
        for number in range(6)
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    source = {"name": "web", "file": str(path), "format": "pairs", "licence": "none", "objectives": ["retrieval"]}
    weights = {"retrieval": 1.0, "response": 0.0, "identification": 0.0}
    only = {"mixture": {"sources": [source]}, "objectives.weights": weights, "training.batch_size": 6, "evaluation": {}}
    path = recipe_path("unified-paper")
    values = with_changes(read_values(path), {"model.model": str(folder_of("mistral")), "training.steps": 60, **only})
    found = dry_run(build_recipe(values, path), cache=cache_root(), offline=True, batches=1)
    assert found.negatives == {"web": {"examples": 6, "have": 3, "mean": 0.5}}
    assert found.batches[0].negatives == 3
    assert found.shared == {}
    assert "  no evaluation set is named" in show(found)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"training__warmup_steps": 100}, "warmup_steps 100 of 100 steps"),
        ({"mixture__sources__qrecc__split": "train"}, "train"),
        ({"objectives__new_tokens": 500}, "tokens for a prompt"),
        ({"memory_of": "nowhere.json"}, "nowhere.json"),
    ],
)
def test_what_would_keep_the_training_from_beginning_keeps_the_dry_run_too(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises((UsageError, MissingFileError), match=problem):
        tried(**changes)


def test_no_batch_at_all_is_refused() -> None:
    with pytest.raises(UsageError, match="batches: found 0"):
        dry_run(recipe(), cache=cache_root(), offline=True, batches=0)


def test_shapes_are_those_of_the_inputs() -> None:
    model, chosen = trainable("llama"), settings(chunk_tokens=600)
    writer = TurnRows(model.loaded, chosen.new_tokens, chosen.instruction)
    batch = examples()[:9]
    plain = batch_shape(writer, chosen, batch, {})
    packed = batch_shape(writer, replace(chosen, packed=True), batch, {})
    sessions = [writer.inputs.session(example.turn, example.history) for example in batch]
    assert plain.shortened == packed.shortened == sum(bool(each.fitted.dropped) for each in sessions) > 0
    assert plain.longest["session"] == max(len(each.ids) for each in sessions) <= LENGTHS["session"]
    assert plain.longest["passage"] == LENGTHS["passage"]
    assert set(plain.longest) == {"session", "passage", "context", "prompt", "response"}
    assert packed.longest == plain.longest
    assert packed.rows < plain.rows
    assert packed.tokens < plain.tokens
    assert plain.conversations == len({example.conversation for example in batch})
    assert all(each.rows * each.width <= 600 or each.rows == 1 for each in plain.passes)
    assert plain.largest.tokens == max(each.rows * each.width for each in plain.passes)
    assert 0 < plain.padding < 0.5
    whole = batch_shape(writer, replace(chosen, chunk_tokens=None), batch, {})
    assert (len(whole.chunks), whole.tokens) == (1, plain.tokens)
    assert whole.largest.predicted == sum(each.predicted for each in plain.passes) > plain.largest.predicted


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("processes", [1, 2, 8])
def test_every_batch_of_shareable_pools_has_a_unit_for_each_process(sources: list[Source], processes: int, packed: bool) -> None:
    pools = shareable_pools(sources, packed=packed, batch_size=16, processes=processes)
    for seed in range(5):
        stream = batches(pools, seed, 16)
        drawn = [next(stream) for _ in range(200)]
        assert min(map(len, drawn)) >= processes
        assert max(sum(map(len, batch)) for batch in drawn) <= 16
        assert sharing(drawn, processes, ALL).works


def test_batches_that_cannot_be_shared_are_counted(sources: list[Source]) -> None:
    one, other, third, fourth = sources[0].examples[:4]
    speaks = [replace(each, objectives=frozenset({"response"})) for each in (third, fourth)]
    drawn = [[(one, other)], [(one,), (other,)], [(one,), (speaks[0],)], [(speaks[0],), (speaks[1],)], [(one, speaks[0]), (other,)]]
    found = sharing(drawn, 2, ALL)
    assert (found.batches, found.too_few, found.unequal) == (5, 1, 1)
    assert found.first == (one.id,)
    assert "2 processes cannot share out 2 of 5 batches" in found.describe()
    assert sharing(drawn, 1, ALL).works
    assert sharing(drawn[1:], 2, Weights(retrieval=0.0, response=1.0, identification=0.0)).works
