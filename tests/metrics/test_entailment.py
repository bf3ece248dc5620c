from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from backends.checkpoints import change_json
from backends.classifiers import directly, make_classifier

from convbench.errors import ConvbenchError, ResourceError, UsageError
from convbench.metrics.base import MISSING, Metric, PassageMetric
from convbench.metrics.entailment import EntailmentMetric
from convbench.metrics.responses import NO_KNOWLEDGE
from convbench.metrics.retrieval import NO_GOLD
from convbench.types import Passage, Reference, Score, Turn, TurnRecord

if TYPE_CHECKING:
    from conftest import StoreOf

KINDS = ("bert", "roberta")
PASSAGES = [Passage("p1", "the stone bridge", "the northern river"), Passage("p2", "the red boat"), Passage("p3", "old letters")]
TURN = Turn(
    "c_1",
    "who built it?",
    references=(Reference("nobody knows"), Reference("the keeper rowed", "knowledge"), Reference("before dawn", "knowledge")),
    gold={"p3": 1, "p1": 2},
)
RECORD = TurnRecord("c_1", response="nobody knows who built the bridge", evidence=("p2", "p1"))
PREMISES = {
    "given": "the red boat\n\nthe northern river\nthe stone bridge",
    "gold": "the northern river\nthe stone bridge\n\nold letters",
    "knowledge": "the keeper rowed\n\nbefore dawn",
}


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("classifiers")
    return {kind: make_classifier(root / kind, kind, positions=64) for kind in KINDS}


def metric_of(folder: Path, **settings: Any) -> EntailmentMetric:
    return EntailmentMetric(**{"model": str(folder), "offline": True, "device": "cpu", **settings})


def expected(folder: Path, premise: str, hypothesis: str, label: int = 2) -> Any:
    return pytest.approx(directly(folder, premise, hypothesis).softmax(-1)[label].item(), abs=1e-6)


def values(scores: list[Score]) -> list[tuple[float | None, str | None]]:
    return [(score.value, score.reason) for score in scores]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("premise", PREMISES)
def test_equals_transformers_for_every_premise(folders: dict[str, Path], store_of: StoreOf, kind: str, premise: str) -> None:
    metric = metric_of(folders[kind], premise=premise)
    metric.open_passages(store_of(PASSAGES))
    value = expected(folders[kind], PREMISES[premise], str(RECORD.response))
    assert metric.score([TURN], {"c_1": RECORD}) == [Score("c_1", f"entailment({premise})", value)]


def test_another_label(folders: dict[str, Path]) -> None:
    for label, positive in ((0, "contradiction"), (1, 1), (0, "0")):
        ((value, _),) = values(metric_of(folders["bert"], premise="knowledge", positive=positive).score([TURN], {"c_1": RECORD}))
        assert value == expected(folders["bert"], PREMISES["knowledge"], str(RECORD.response), label)


@pytest.mark.parametrize("kind", KINDS)
def test_sentences_are_judged_one_by_one(folders: dict[str, Path], kind: str) -> None:
    record = replace(RECORD, response="Nobody knows. The keeper rowed before dawn. Old letters about trade!")
    metric = metric_of(folders[kind], premise="knowledge", hypothesis="sentences")
    sentences = ("Nobody knows.", "The keeper rowed before dawn.", "Old letters about trade!")
    each = [directly(folders[kind], PREMISES["knowledge"], sentence).softmax(-1)[2].item() for sentence in sentences]
    mean, least = metric.score([TURN], {"c_1": record})
    assert mean == Score("c_1", "entailment-mean(knowledge)", pytest.approx(sum(each) / 3, abs=1e-6))
    assert least == Score("c_1", "entailment-min(knowledge)", pytest.approx(min(each), abs=1e-6))
    assert max(each) - min(each) > 1e-3


def test_turns_keep_their_own_values_in_any_order(folders: dict[str, Path]) -> None:
    words = ["the red boat", "old letters. a stone bridge", "before dawn", "music. trade. dawn"]
    turns = [replace(TURN, id=f"c_{number}") for number in range(1, 5)]
    records = {turn.id: TurnRecord(turn.id, response=text) for turn, text in zip(turns, words, strict=True)}
    for hypothesis in ("response", "sentences"):
        metric = metric_of(folders["roberta"], premise="knowledge", hypothesis=hypothesis, batch_tokens=50)
        together = {(score.turn_id, score.measure): score.value for score in metric.score(turns, records)}
        backwards = {(score.turn_id, score.measure): score.value for score in metric.score(turns[::-1], records)}
        alone = {(score.turn_id, score.measure): score.value for turn in turns for score in metric.score([turn], records)}
        assert list(together) == list(alone)
        assert backwards == pytest.approx(together, abs=1e-6)
        assert alone == pytest.approx(together, abs=1e-6)


def test_what_is_not_judged(folders: dict[str, Path], store_of: StoreOf) -> None:
    turns = [replace(TURN, id=f"c_{number}") for number in range(1, 7)]
    turns[0] = replace(turns[0], gold={}, references=TURN.references[:1])
    records = {turn.id: replace(RECORD, turn_id=turn.id) for turn in turns}
    del records["c_2"]
    records["c_3"] = TurnRecord("c_3", passages=(("p1", 1.0),), evidence=("p1",))
    records["c_4"] = replace(records["c_4"], response=" \n")
    records["c_5"] = replace(records["c_5"], evidence=())
    records["c_6"] = replace(records["c_6"], evidence=("p1", "p9"))
    missing = [(0.0, MISSING), (0.0, MISSING), (0.0, "the response is empty")]
    value = (pytest.approx(0.5, abs=0.5), None)
    found = {}
    for premise in PREMISES:
        metric = metric_of(folders["bert"], premise=premise)
        metric.open_passages(store_of(PASSAGES))
        found[premise] = values(metric.score(turns, records))
        assert metric.score([], {}) == []
    absent = (None, "passage 'p9' is not in the collection")
    assert found["given"] == [value, *missing, (0.0, "the response was given no passages"), absent]
    assert found["gold"] == [(None, NO_GOLD), *missing, value, value]
    assert found["knowledge"] == [(None, NO_KNOWLEDGE), *missing, value, value]


def test_every_measure_of_a_turn_gets_the_reason(folders: dict[str, Path]) -> None:
    metric = metric_of(folders["bert"], premise="knowledge", hypothesis="sentences")
    assert values(metric.score([TURN], {})) == [(0.0, MISSING)] * 2
    assert values(metric.score([replace(TURN, references=())], {"c_1": RECORD})) == [(None, NO_KNOWLEDGE)] * 2


def test_a_turn_without_a_gold_text_in_the_collection_has_no_value_for_any_run(folders: dict[str, Path], store_of: StoreOf) -> None:
    metric = metric_of(folders["bert"], premise="gold")
    metric.open_passages(store_of(PASSAGES[:2]))
    for records in ({"c_1": RECORD}, {}):
        assert values(metric.score([TURN], records)) == [(None, "passage 'p3' is not in the collection")]


def test_what_did_not_fit_is_said(folders: dict[str, Path]) -> None:
    long = replace(TURN, references=(Reference("river " * 100, "knowledge"),))
    ((value, reason),) = values(metric_of(folders["bert"], premise="knowledge", windows=1).score([long], {"c_1": RECORD}))
    assert value is not None
    assert reason == "the premise was read up to token 55 of 100"
    ((value, reason),) = values(metric_of(folders["bert"], premise="knowledge").score([long], {"c_1": RECORD}))
    assert value is not None
    assert reason is None
    record = replace(RECORD, response="nobody knows. " + "river " * 70)
    for hypothesis in ("response", "sentences"):
        scores = metric_of(folders["bert"], premise="knowledge", hypothesis=hypothesis).score([TURN], {"c_1": record})
        assert {score.value for score in scores} == {None}
        assert all(str(score.reason).startswith("too long to be judged: 7") for score in scores)


def test_passages_that_were_not_opened_are_an_error(folders: dict[str, Path]) -> None:
    for premise in ("given", "gold"):
        metric = metric_of(folders["bert"], premise=premise)
        assert metric.reads_passages
        with pytest.raises(UsageError, match="open_passages"):
            metric.score([TURN], {"c_1": RECORD})
    assert not metric_of(folders["bert"], premise="knowledge").reads_passages


def test_names_and_signatures(folders: dict[str, Path]) -> None:
    metric = metric_of(folders["roberta"], premise="knowledge")
    assert isinstance(metric, Metric)
    assert isinstance(metric, PassageMetric)
    metric.check_resources()
    (measure,) = metric.measures()
    assert (measure.name, measure.higher_is_better, measure.ranks, measure.scale) == ("entailment(knowledge)", True, True, "unit")
    version = ".".join(metadata.version("transformers").split(".")[:2])
    rest = f"label:2=entailment|premise:knowledge|hypothesis:response|max:64|windows:8|overlap:1/4|transformers:{version}"
    digest = re.findall(r"model:roberta@([0-9a-f]{12})\|", measure.signature)[0]
    assert measure.signature == f"entailment(knowledge)|model:roberta@{digest}|{rest}"


def test_everything_that_changes_a_value_is_in_the_signature(folders: dict[str, Path]) -> None:
    changes: list[dict[str, Any]] = [{}, {"positive": 0}, {"premise": "gold"}, {"hypothesis": "sentences"}, {"windows": 1}]
    signatures = [metric_of(folders["bert"], **change).measures()[0].signature for change in changes]
    signatures.append(metric_of(folders["roberta"]).measures()[0].signature)
    assert len(set(signatures)) == 6
    assert {metric_of(folders["bert"], batch_tokens=9).measures()[0].signature} == {signatures[0]}


def test_a_label_cannot_break_the_signature(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(folders["bert"], tmp_path / "odd"))
    change_json(folder / "config.json", id2label={"0": "a|b:c d", "1": "x", "2": "y"})
    assert "|label:0=a-b-c-d|" in metric_of(folder, positive=0).measures()[0].signature


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"model": ""}, "entailment: no classifier is named"),
        ({"premise": "evidence"}, "entailment: premise: input should be 'given', 'gold' or 'knowledge'"),
        ({"hypothesis": "words"}, "entailment: hypothesis: "),
        ({"windows": 0}, "entailment: windows: "),
        ({"window": 3}, "entailment: window: extra inputs are not permitted"),
    ],
)
def test_settings_that_do_not_fit(folders: dict[str, Path], settings: dict[str, Any], found: str) -> None:
    with pytest.raises(UsageError, match=re.escape(found)):
        metric_of(folders["bert"], **settings)


def test_trouble_with_the_checkpoint_is_known_before_any_inference(tmp_path: Path) -> None:
    unnamed = make_classifier(tmp_path / "unnamed", "bert", labels=("LABEL_0", "LABEL_1"))
    for folder, error in ((unnamed, UsageError), (tmp_path / "nowhere", ResourceError)):
        for use in (EntailmentMetric.check_resources, EntailmentMetric.measures):
            with pytest.raises(error) as caught:
                use(metric_of(folder))
            assert isinstance(caught.value, ConvbenchError)
            assert "\n" not in str(caught.value)


def test_importing_the_metric_loads_no_heavy_library() -> None:
    code = "import sys, convbench.metrics.entailment; print([name for name in ('torch', 'transformers') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
