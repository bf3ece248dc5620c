from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from convbench.config import load_config
from convbench.datasets import DATASETS
from convbench.datasets.origins import known_origins, numbering_of, origins_of
from convbench.errors import DataError
from convbench.training.data.mixture import Mixture, SourceSpec, check_mixture

SET = {"name": "a", "dataset": "topiocqa", "objectives": ["retrieval", "response"]}
CHAT = {"name": "c", "file": "c.jsonl", "format": "chat", "objectives": ["response"]}
PAIRS = {"name": "p", "file": "p.jsonl", "format": "pairs", "objectives": ["retrieval"]}


def saved(folder: Path, *sources: dict[str, object]) -> Path:
    path = folder / "mixture.yaml"
    path.write_text(yaml.safe_dump({"sources": list(sources)}))
    return path


def checked(path: Path) -> Mixture:
    mixture = load_config(Mixture, path)
    check_mixture(mixture, path)
    return mixture


def test_a_mixture_is_read_as_written(tmp_path: Path) -> None:
    selection = {"hold_out": {"share": "1/3", "salt": "s"}}
    mixture = checked(saved(tmp_path, {**SET, "weight": 2, "conversations": selection}, CHAT, {**PAIRS, "derived_from": ["ms-marco"]}))
    first, chat, pairs = mixture.sources
    assert first.conversations is not None
    assert (first.weight, first.history, first.conversations.part) == (2, "full", "kept")
    assert (chat.file, pairs.derived_from) == (Path("c.jsonl"), ["ms-marco"])


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ([], "the mixture is empty"),
        ([SET, {**SET, "objectives": ["response"]}], "two sources are called 'a'"),
        ([{**SET, "weight": 0}], "every source has weight 0"),
        ([{**SET, "weight": -1}], "sources.0.weight: input should be greater than or equal to 0"),
        ([{**SET, "weight": float("inf")}], "sources.0.weight: input should be a finite number"),
        ([{**SET, "wieght": 1}], "sources.0.wieght: extra inputs are not permitted"),
        ([{**SET, "objectives": ["recall"]}], "sources.0.objectives.0: input should be 'retrieval', 'response' or 'identification'"),
        ([{**SET, "objectives": []}], r"\[source a\]: feeds no objective"),
        ([{**SET, "objectives": ["response", "response"]}], "names an objective twice"),
        ([{**SET, "name": "a/b"}], "sources.0.name"),
        ([{**SET, "limit": 0}], "sources.0.limit"),
        ([{**SET, "file": "x"}], "expected either 'dataset' or 'file'"),
        ([{"name": "a", "objectives": ["response"]}], "expected either 'dataset' or 'file'"),
        ([{**CHAT, "format": None}], "'file' needs 'format'"),
        ([{**SET, "format": "chat"}], "'format' is for files"),
        ([{**SET, "licence": "MIT"}], "'licence' is for files"),
        ([{**CHAT, "split": "dev"}], "'split' is for datasets"),
        ([{**CHAT, "options": {"a": "b"}}], "'options' is for datasets"),
        ([{**CHAT, "objectives": ["retrieval"]}], "retrieval needs passages, and chat has none"),
        ([{**CHAT, "objectives": ["response", "identification"]}], "identification needs passages, and chat has none"),
        ([{**CHAT, "response": "passage"}], "needs passages, and chat has none"),
        ([{**PAIRS, "objectives": ["response"]}], "response needs responses, and pairs have none"),
        ([{**PAIRS, "objectives": ["retrieval", "identification"]}], "identification needs responses, and pairs have none"),
        ([{**PAIRS, "passage": "response"}], "needs responses, and pairs have none"),
        ([{**SET, "passage": "response", "response": "passage"}], "contradict each other"),
        ([{**SET, "history": "full-own"}], "there are none in training"),
        ([{**SET, "history": "ful"}], "unknown history view 'ful'"),
        ([{**CHAT, "history": "rewrite"}], "a file has none"),
        ([{**PAIRS, "derived_from": ["msmarco"]}], "derived_from: 'msmarco' is not known; known are ms-marco"),
        ([{**SET, "conversations": {"hold_out": {"salt": "s"}}}], "expected either count or share"),
        ([{**SET, "conversations": {"hold_out": {"count": 1, "share": 0.5, "salt": "s"}}}], "expected either count or share"),
        ([{**SET, "conversations": {"hold_out": {"count": 1}}}], "sources.0.conversations.hold_out.salt: field required"),
        ([{**SET, "conversations": {"hold_out": {"share": 1.0, "salt": "s"}}}], "above 0 and below 1"),
        ([{**SET, "conversations": {"hold_out": {"share": "third", "salt": "s"}}}], "0.25 or 1/3"),
    ],
)
def test_what_cannot_be_trained_on_is_one_clear_line(tmp_path: Path, sources: list[dict[str, object]], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        checked(saved(tmp_path, *sources))
    assert str(caught.value).startswith(f"{tmp_path / 'mixture.yaml'}")
    assert "\n" not in str(caught.value)


def test_the_guide_shows_a_mixture_and_lists_every_key(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "training-data.md").read_text(encoding="utf-8")
    path = tmp_path / "mixture.yaml"
    path.write_text(guide.partition("```yaml\n")[2].partition("```")[0])
    assert [source.name for source in checked(path).sources] == ["topiocqa", "chat", "web"]
    listed = {key for row in guide.splitlines() if row.startswith("| `") for key in re.findall(r"`([a-z_]+)", row.split("|")[1])}
    assert set(SourceSpec.model_fields) <= listed


def test_the_table_of_origins_speaks_of_what_there_is() -> None:
    for name in DATASETS.names():
        adapter = DATASETS.get(name)
        for split in {*adapter.splits.values()}:
            for origin in origins_of(name, split):
                assert origin.origin in known_origins()
                assert {*(origin.splits or [])} <= {*adapter.splits.values()}
                assert origin.source.startswith("https://")
    assert [origin.origin for origin in origins_of("qrecc", "test")] == ["quac", "natural-questions", "trec-cast-2019"]
    assert [origin.origin for origin in origins_of("qrecc", "train")] == ["quac", "natural-questions"]
    assert origins_of("own-dataset", "all") == []
    assert numbering_of("qrecc", "dev") == numbering_of("qrecc", "train") != numbering_of("qrecc", "test")
