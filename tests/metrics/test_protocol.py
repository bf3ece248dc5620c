from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from convbench.datasets import DATASETS
from convbench.datasets.adapters import load_card
from convbench.datasets.loading import Dataset, DatasetRequest, open_dataset
from convbench.errors import DataError, UsageError
from convbench.metrics import METRICS
from convbench.metrics.protocol import build_metric, load_protocol, protocol_names, read_protocol
from convbench.metrics.selection import GENERAL, Selection
from convbench.metrics.turn_rules import RULES, turn_set
from convbench.retrieval.canonical import TIE_RULE

NAMED = {
    "convgqr-line", "topiocqa-official", "qrecc-original", "qrecc-scai", "qrecc-8209", "orquac-top5", "inscit-official",
    "faithdial-response", "faithdial-knowledge", "faithdial-retrieval", "cast", "llm-verbose",
}  # fmt: skip
MINI = ["topiocqa", "qrecc", "orquac", "inscit", "faithdial"]


def test_the_protocols_of_the_field_are_there() -> None:
    assert set(protocol_names()) >= NAMED


@pytest.mark.parametrize("name", protocol_names())
def test_a_protocol_is_sound(name: str) -> None:
    """Its file names it, its rules exist, its measures can be built, and no name stands twice in it."""
    protocol = load_protocol(name)
    assert (protocol.name, protocol.ties) == (name, TIE_RULE)
    assert protocol.sources
    assert set(protocol.datasets) <= set(DATASETS.names())
    measures = []
    for part in protocol.parts:
        assert part.turns in RULES
        settings = {key: 2 if value == "dataset" else value for key, value in part.settings.items()}
        measures += [measure.name for measure in build_metric(part.metric, settings).measures()]
    assert len(set(measures)) == len(measures) > 0


@pytest.mark.parametrize("name", DATASETS.names())
def test_a_dataset_is_scored_under_protocols_that_are_made_for_it(name: str) -> None:
    for protocol in load_card(name).protocols:
        assert name in (load_protocol(protocol).datasets or [name])


@pytest.mark.parametrize("name", MINI)
def test_every_protocol_of_a_dataset_has_turns(name: str) -> None:
    dataset = open_dataset(DatasetRequest(name))
    for part in Selection().parts(dataset):
        chosen = turn_set(part.turns, dataset)
        labelled = any("answerable" in turn.labels for turn in dataset.turns)
        assert bool(chosen.ids) or (part.metric.name == "abstention" and not labelled)


def test_the_threshold_of_the_split_is_filled_in(real_data: Path) -> None:
    for split, threshold in (("2019", 1), ("2020", 2)):
        dataset = open_dataset(DatasetRequest("cast", real_data / "trec_cast", split))
        parts = [part for part in Selection().parts(dataset) if part.metric.name == "retrieval"]
        assert parts
        assert all(f"|rel:{threshold}|" in measure.signature for part in parts for measure in part.metric.measures())


@pytest.fixture(scope="module")
def mini() -> Dataset:
    return open_dataset(DatasetRequest("topiocqa"))


def labels(selection: Selection, dataset: Dataset) -> list[tuple[str, str]]:
    return [(part.protocol, part.metric.name) for part in selection.parts(dataset)]


def test_families_are_taken_from_the_protocols_that_were_asked_for(mini: Dataset) -> None:
    assert labels(Selection(["topiocqa-official"]), mini) == [("topiocqa-official", "text-hits"), ("topiocqa-official", "token-f1")]
    assert labels(Selection(["topiocqa-official"], ["token-f1"]), mini) == [("topiocqa-official", "token-f1")]
    assert labels(Selection(families=["retrieval", "token-f1"]), mini) == [("convgqr-line", "retrieval"), ("response-overlap", "token-f1")]
    assert {protocol for protocol, _ in labels(Selection(), mini)} == {*GENERAL, "topiocqa-official"}


def test_a_family_without_a_protocol_is_computed_with_its_defaults(mini: Dataset) -> None:
    (part,) = Selection(families=["text-hits"]).parts(mini)
    assert part.protocol == "topiocqa-official"
    (part,) = Selection(families=["heq"]).parts(mini)
    assert (part.protocol, part.turns, part.metric.name) == ("", "has a reference", "heq")


def test_what_does_not_exist_or_does_not_fit_is_refused(mini: Dataset) -> None:
    with pytest.raises(UsageError, match=r"unknown protocol 'qrecc-8208'\. Did you mean 'qrecc-8209'\?"):
        Selection(["qrecc-8208"]).parts(mini)
    with pytest.raises(UsageError, match="qrecc-8209 is made for qrecc; topiocqa has other rules"):
        Selection(["qrecc-8209"]).parts(mini)
    with pytest.raises(UsageError, match="unknown metric 'rogue'"):
        Selection(families=["rogue"]).parts(mini)
    with pytest.raises(UsageError, match="the metric 'rouge' cannot be built with"):
        Selection(settings={"rouge": {"stem": True}}).parts(mini)
    with pytest.raises(UsageError, match=r"no turn rule 'jugded'\. Did you mean 'judged'\?"):
        turn_set("jugded", mini)


def test_settings_of_the_user_go_before_the_protocols(mini: Dataset) -> None:
    (part,) = Selection(["response-overlap"], ["rouge"], {"rouge": {"stemmer": False}}).parts(mini)
    assert "|stem:no|" in part.metric.measures()[0].signature


def test_a_protocol_of_ones_own(tmp_path: Path, mini: Dataset) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\ntitle: t\ndescription: d\nsources: [s]\nmissing: zero\nties: id-desc\n"
        "parts: [{metric: retrieval, turns: all, settings: {depth: 1, measures: [P@1]}}]\n",
        encoding="utf-8",
    )
    (part,) = Selection([str(path)]).parts(mini)
    assert (part.protocol, [measure.name for measure in part.metric.measures()]) == ("mine", ["P@1"])
    path.write_text(path.read_text(encoding="utf-8").replace("missing:", "mising:"), encoding="utf-8")
    with pytest.raises(DataError, match=r"mine\.yaml:5: mising: .* Did you mean 'missing'\?"):
        Selection([str(path)]).parts(mini)


@pytest.mark.parametrize("name", ["../../evil", "a/b", "", "a|missing:skip", "two\nlines", "x" * 65, "topiocqa-official"])
def test_a_protocol_may_not_be_called_anything(tmp_path: Path, name: str) -> None:
    """Names become file names and parts of signatures, and those of convbench's own are taken."""
    path = tmp_path / "mine.yaml"
    values = {"name": name, "title": "t", "description": "d", "sources": ["s"], "missing": "zero", "ties": "id-desc", "parts": []}
    path.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(DataError, match="name"):
        read_protocol(path)


def test_a_dataset_names_protocols_and_no_files(mini: Dataset) -> None:
    with pytest.raises(UsageError, match=r"unknown protocol '\.\./mine\.yaml'"):
        Selection().parts(replace(mini, card=mini.card.model_copy(update={"protocols": ["../mine.yaml"]})))


@pytest.mark.parametrize(
    ("family", "settings", "message"),
    [
        ("rouge", {"stemmer": "maybe"}, "the setting 'stemmer' cannot be 'maybe'"),
        ("retrieval", {"relevant_from": 1.5}, "the setting 'relevant_from' cannot be 1.5"),
        ("retrieval", {"relevant_from": "datset"}, "the setting 'relevant_from' cannot be 'datset'"),
        ("retrieval", {"relevant_from": 0}, "relevant_from 0; expected a grade from 1"),
        ("retrieval", {"unjudged": 0.5}, "unjudged 0.5; expected 0, or nothing"),
        ("retrieval", {"unjudged": "x"}, "the setting 'unjudged' cannot be 'x'"),
        ("retrieval", {"measures": "RR"}, "the setting 'measures' cannot be 'RR'"),
        ("span-relevance", {"depth": 2, "cutoffs": [0, 50]}, "expected numbers from 1 to the depth of 2"),
        ("bertscore", {"batch_size": 0}, "batch_size 0; expected 1 or more"),
    ],
)
def test_a_setting_that_means_nothing_is_one_line(family: str, settings: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build_metric(family, settings)


class Unreadable:
    """A plug-in with an annotation that only type checkers can read."""

    def __init__(self, depth: Nowhere = 1) -> None:  # type: ignore[name-defined]  # noqa: F821
        self.depth = depth


def test_a_plug_in_whose_annotations_cannot_be_read_gets_its_settings_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METRICS._table(), "unreadable", f"{__name__}:Unreadable")
    assert build_metric("unreadable", {"depth": "5"}).depth == "5"
