from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from convbench.errors import ConvbenchError, DataError, MissingFileError
from convbench.harness.plan import system_config
from convbench.systems.catalog import system_source
from convbench.systems.checkpoint_map import CheckpointMap, read_checkpoint_map, warn_of_unused, with_map
from convbench.systems.named_checkpoints import NamedCheckpoint, has_server, named_checkpoints
from convbench.systems.needs import needs_of

VALUES: dict[str, Any] = {
    "name": "mine",
    "rewriter": {"type": "t5", "model": {"type": "seq2seq", "model": "castorini/t5", "revision": "abc"}},
    "retriever": {
        "type": "fusion",
        "parts": [
            {"type": "dense", "encoder": {"model": "owner/dense@v1"}},
            {"type": "two-towers", "query_model": "owner/q", "passage_model": "owner/p", "revision": "main"},
        ],
    },
    "generator": {"type": "llm", "model": {"type": "server", "model": "castorini/t5", "base_url": "http://127.0.0.1:1"}},
}


def folders(tmp_path: Path, **entries: str) -> CheckpointMap:
    for folder in entries.values():
        (tmp_path / folder).mkdir(exist_ok=True)
    return CheckpointMap(tmp_path / "map.yaml", {entry: tmp_path / folder for entry, folder in entries.items()})


def test_every_checkpoint_is_named_and_no_model_of_a_server() -> None:
    assert list(map(str, named_checkpoints(VALUES))) == ["castorini/t5@abc", "owner/dense@v1", "owner/q@main", "owner/p@main"]
    assert has_server(VALUES)
    assert needs_of(VALUES) == ["hub", "server"]


@pytest.mark.parametrize(
    ("name", "needs"),
    [("oracle", ["nothing"]), ("bm25-query", ["nothing"]), ("minilm-query", ["packaged weights"]), ("unified-paper", ["your weights"])],
)
def test_what_baselines_need(name: str, needs: list[str]) -> None:
    source = system_source(name)
    assert needs_of(system_config(source.values, source.origin).model_dump()) == needs


def test_folders_take_the_place_of_checkpoints_at_any_depth(tmp_path: Path) -> None:
    given = folders(tmp_path, **{"castorini/t5": "t5", "owner/dense@v1": "dense", "owner/p": "p"})
    found = given.applied(VALUES)
    assert found["rewriter"]["model"] == {"type": "seq2seq", "model": str(tmp_path / "t5"), "revision": None}
    dense, towers = found["retriever"]["parts"]
    assert dense["encoder"] == {"model": str(tmp_path / "dense")}
    assert towers == {"type": "two-towers", "query_model": "owner/q", "passage_model": str(tmp_path / "p"), "revision": None}
    assert found["generator"] == VALUES["generator"]
    assert VALUES["rewriter"]["model"]["model"] == "castorini/t5"


def test_the_two_encoders_of_learned_sparse_retrieval_have_a_revision_each(tmp_path: Path) -> None:
    encoder = {"model": "owner/p", "revision": "v1", "query_model": "owner/q", "query_revision": "v2"}
    assert list(map(str, named_checkpoints(encoder))) == ["owner/p@v1", "owner/q@v2"]
    queries = folders(tmp_path, **{"owner/q@v2": "q", "owner/p@v2": "p"}).applied(encoder)
    assert queries == {**encoder, "query_model": str(tmp_path / "q"), "query_revision": None}
    passages = folders(tmp_path, **{"owner/p": "p"}).applied(encoder)
    assert passages == {**encoder, "model": str(tmp_path / "p"), "revision": None}


def test_an_entry_with_a_revision_is_for_that_one_alone(tmp_path: Path) -> None:
    given = folders(tmp_path, **{"owner/name@v1": "one", "owner/name": "any"})
    assert given.entry_of(NamedCheckpoint("owner/name", "v1")) == "owner/name@v1"
    assert given.entry_of(NamedCheckpoint("owner/name@v1")) == "owner/name@v1"
    assert given.entry_of(NamedCheckpoint("owner/name", "v2")) == "owner/name"
    only = folders(tmp_path, **{"owner/name@v1": "one"})
    assert only.entry_of(NamedCheckpoint("owner/name")) is None


def test_warnings_say_what_is_replaced_and_what_nothing_names(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    given = folders(tmp_path, **{"sentence-transformers/all-MiniLM-L6-v2": "small", "sentence-transformers/all-MiniLM-L6-v3": "other"})
    systems = [system_config(system_source(name).values, name) for name in ("minilm-query", "oracle")]
    with caplog.at_level(logging.WARNING):
        small, oracle = (with_map(system, given) for system in systems)
        warn_of_unused(systems, given)
    assert small.model_dump()["retriever"]["encoder"]["model"] == str(tmp_path / "small")
    assert oracle is systems[1]
    replaced, unused = caplog.messages
    assert replaced.startswith("minilm-query: sentence-transformers/all-MiniLM-L6-v2 is replaced by ")
    assert unused.endswith("no system that is run names this checkpoint. Did you mean 'sentence-transformers/all-MiniLM-L6-v2'?")


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("- a\n", DataError, "map.yaml: expected a mapping, found list"),
        ("a/b: 3\n", DataError, "map.yaml:1: 'a/b': expected 'owner/name: FOLDER', found 3"),
        ("\n3: here\n", DataError, "map.yaml:2: 3: expected 'owner/name: FOLDER', found 'here'"),
        ("a/b: here\na/c: there\n", MissingFileError, "map.yaml:2: a/c: no such folder: "),
        ("a/b: [\n", DataError, "not valid YAML"),
        ("a/b: ~nobody-of-this-name/x\n", DataError, "map.yaml:1: a/b: '~nobody-of-this-name/x' is no path of a folder"),
        ('a/b: "\\0"\n', DataError, "map.yaml:1: a/b: '\\x00' is no path of a folder"),
        (f"a/b: {'x' * 5000}\n", DataError, "is no path of a folder (File name too long)"),
    ],
)
def test_a_malformed_map(tmp_path: Path, text: str, kind: type[ConvbenchError], said: str) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "map.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(kind) as caught:
        read_checkpoint_map(tmp_path / "map.yaml")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_paths_count_from_the_folder_of_the_map(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "map.yaml").write_text("a/b: here\n", encoding="utf-8")
    assert read_checkpoint_map(tmp_path / "map.yaml").folders == {"a/b": (tmp_path / "here").resolve()}
