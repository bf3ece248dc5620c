from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from backends.classifiers import SENTENCES, directly, make_classifier

from convbench.meter import Meter
from convbench.retrieval.canonical import is_canonical
from convbench.retrieval.rerank import RerankConfig, open_reranker
from convbench.systems.base import Stage, Workplace
from convbench.systems.rerank_stage import RerankStage
from convbench.systems.stages import join_rows, ranked_ids
from convbench.types import Passage, Ranking, Turn

if TYPE_CHECKING:
    from conftest import StoreOf

QUESTION = "who built the stone bridge"
PASSAGES = [Passage(str(number), text) for number, text in enumerate([*SENTENCES, "The red boat was found before dawn."])]
TURN, BARE = Turn("1_2", "who built it"), Turn("2_1", "and why")
UPSTREAM: Any = {
    "view": {"1_2": {"utterances": [["user", "tell me of the bridge"]]}, "2_1": {"utterances": []}},
    "rewrite": {
        "1_2": {"question": QUESTION, "query": f"{QUESTION} tell me of the bridge"},
        "2_1": {"question": "and why", "query": "why"},
    },
    "search": {"1_2": {"passages": [["0", 4.0], ["1", 3.0], ["2", 2.0], ["3", 1.0]]}, "2_1": {"passages": []}},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_classifier(tmp_path_factory.mktemp("rerank") / "bert", "bert", labels=("relevant",))


@pytest.fixture
def workplace(store_of: StoreOf, tmp_path: Path) -> Workplace:
    return Workplace(store_of(PASSAGES), tmp_path / "cache", Meter())


def stage_of(folder: Path, k: int = 10, **settings: Any) -> RerankStage:
    return RerankStage(open_reranker(RerankConfig(model=str(folder), **settings), offline=True), k)


def test_passages_stand_in_the_order_of_the_models_scores(folder: Path, workplace: Workplace) -> None:
    stage = stage_of(folder)
    stage.check([TURN, BARE])
    stage.open(workplace)
    first, second = stage.run([TURN, BARE], UPSTREAM)
    expected = {passage.id: float(directly(folder, QUESTION, passage.text)[0]) for passage in PASSAGES}
    assert [id_ for id_, _ in first["passages"]] == sorted(expected, key=expected.__getitem__, reverse=True) != ["0", "1", "2", "3"]
    assert {id_: pytest.approx(score, abs=1e-4) for id_, score in first["passages"]} == expected
    assert second == {"turn_id": "2_1", "passages": []}
    assert is_canonical(Ranking("1_2", tuple((id_, score) for id_, score in first["passages"])))
    assert workplace.meter.take()["models"]


def test_only_the_best_are_handed_on(folder: Path, workplace: Workplace) -> None:
    deep, cut = stage_of(folder), stage_of(folder, k=2)
    for stage in (deep, cut):
        stage.open(workplace)
    (whole,), (best,) = deep.run([TURN], UPSTREAM), cut.run([TURN], UPSTREAM)
    assert best["passages"] == whole["passages"][:2]


def test_its_ranking_takes_the_place_of_the_searchs(folder: Path, workplace: Workplace) -> None:
    stage = stage_of(folder, k=3)
    stage.open(workplace)
    (row,) = stage.run([TURN], UPSTREAM)
    upstream = {**UPSTREAM, "rerank": {"1_2": row}}
    assert ranked_ids(TURN, upstream, 3) == [passage_id for passage_id, _ in row["passages"]]
    record = join_rows("1_2", {name: rows["1_2"] for name, rows in upstream.items()} | {"view": {"kept": [], "dropped": []}})
    assert [list(pair) for pair in record.passages] == row["passages"]


def test_it_is_a_stage_and_its_description_tells_settings_apart(folder: Path) -> None:
    stage: Any = stage_of(folder)
    assert isinstance(stage, Stage)
    assert stage.name == "rerank"
    assert stage.describe() == stage_of(folder).describe()
    assert all(other.describe() != stage.describe() for other in (stage_of(folder, k=3), stage_of(folder, depth=2)))
