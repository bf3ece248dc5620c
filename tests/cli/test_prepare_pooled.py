"""``convbench data prepare --tier pooled``: the default pool, found in its place or made of the official files."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command_line import MINI, convbench, succeed
from scripted_server import Answer, FileServer, file_server

from convbench.datasets.collection import prepare_store
from convbench.datasets.loading import DatasetRequest, open_dataset
from convbench.datasets.pool import Pool, read_pool
from convbench.datasets.pool_write import Contributor, write_pool
from convbench.harness.pooling import DEPTH, SYSTEMS, pool_place
from convbench.io.digests import file_sha256

TURNS = MINI / "topiocqa" / "topiocqa_mini.jsonl"
CORPUS = MINI / "topiocqa" / "full_wiki_segments.tsv"
USAGE = 2


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server() as running:
        running.script |= {"/turns": [Answer(TURNS.read_bytes())], "/corpus": [Answer(CORPUS.read_bytes(), etag='"1"')]}
        yield running


@pytest.fixture
def prepare(server, tmp_path) -> Callable[..., tuple[object, ...]]:
    """The command, with the bundled set served as if it were the official files."""
    files = [
        {"name": "topiocqa_dev.jsonl", "part": "turns", "urls": [f"{server.url}/turns"], "sha256": file_sha256(TURNS)},
        {"name": "full_wiki_segments.tsv", "part": "corpus", "urls": [f"{server.url}/corpus"], "sha256": file_sha256(CORPUS)},
    ]
    licence = {"name": "CC BY 9.9", "url": "https://licence.invalid/by", "covers": "everything", "terms": "Be kind."}
    entry = {"licences": [licence], "citation": "Somebody et al., 2020", "tiers": {"full": {"files": files}}}
    own = tmp_path / "downloads.yaml"
    own.write_text(json.dumps({"datasets": {"topiocqa": entry}}), encoding="utf-8")

    def command(*more: object) -> tuple[object, ...]:
        fixed = ("--tier", "pooled", "--manifest", own, "--cache", tmp_path / "cache", "--accept-licence")
        return ("data", "prepare", "topiocqa", *fixed, *more)

    return command


def pool_in_its_place(tmp_path: Path) -> Pool:
    """A pool that somebody has brought: of the systems' names, with rankings by hand."""
    data = tmp_path / "data"
    data.mkdir()
    shutil.copy(TURNS, data / "topiocqa_dev.jsonl")
    shutil.copy(CORPUS, data)
    dataset = open_dataset(DatasetRequest("topiocqa", data, "dev"))
    store = prepare_store(dataset, dataset.collection(), tmp_path / "other-cache")
    ranked = {dataset.turns[0].id: store.ids([0, len(store) - 1])}
    contributors = [Contributor(name, {}, {}, data, ranked) for name in SYSTEMS]
    place = pool_place(tmp_path / "cache", "topiocqa", "dev", SYSTEMS, DEPTH)
    return write_pool(dataset, store, "corpus", contributors, depth=DEPTH, folder=place)


def test_a_pool_in_its_place_is_found_and_the_corpus_is_not_fetched(prepare, server, tmp_path):
    pool = pool_in_its_place(tmp_path)
    summary = succeed(*prepare("--json")).json
    assert [each.path for each in server.asked] == ["/turns"]
    assert (summary["tier"], summary["collection"], summary["pool"]) == ("pooled", "pooled", str(pool.folder))
    assert summary["passages"] == pool.manifest.passages
    assert summary["pool_of"] == summary["pooled"] == pool.manifest.describe()
    words = shlex.split(summary["run"])
    assert words[-2:] == ["--corpus", str(pool.folder)]
    results = succeed(*words[1:], "--split", "dev", "--metrics", "retrieval", "--offline", "--out", tmp_path / "run", "--json").json
    assert (results[0]["dataset"]["tier"], results[0]["dataset"]["passages"]) == ("pooled", pool.manifest.passages)
    assert f"pooled             {pool.manifest.describe()}" in succeed(*prepare()).out.splitlines()


def test_a_part_of_the_conversations_is_prepared_with_the_pool_of_all(prepare, tmp_path):
    pool = pool_in_its_place(tmp_path)
    summary = succeed(*prepare("--json", "--limit", 2)).json
    assert (summary["conversations"], summary["passages"]) == (2, pool.manifest.passages)


def test_a_pool_in_its_place_is_not_taken_for_one_of_another_corpus(prepare, tmp_path):
    pool = pool_in_its_place(tmp_path)
    assert succeed(*prepare("--json", "--corpus", CORPUS)).json["pool"] == str(pool.folder)
    lines = CORPUS.read_text(encoding="utf-8").splitlines(keepends=True)
    other = tmp_path / "other" / CORPUS.name
    other.parent.mkdir()
    other.write_text("".join(lines[:-1]), encoding="utf-8")
    error = convbench(*prepare("--corpus", other)).error
    assert error.startswith(f"{pool.folder}: a pool of another collection than --corpus {other} (digest {pool.manifest.full.sha256[:12]}")
    assert f"`convbench data pool topiocqa --corpus {other} --out DIR`" in error


def test_options_that_do_not_go_together(prepare, tmp_path):
    assert "--tier pooled says which files, and --data too" in convbench(*prepare("--data", tmp_path)).error
    assert "a pool is made of the corpus" in convbench(*prepare("--without-corpus")).error


def test_files_only(prepare, server, tmp_path):
    summary = succeed(*prepare("--fetch-only", "--json")).json
    assert [each.path for each in server.asked] == ["/turns", "/corpus"]
    assert "pool" not in summary
    assert not (tmp_path / "cache" / "pools").exists()


def test_info_names_the_pools_of_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CONVBENCH_CACHE", str(tmp_path / "cache"))
    assert succeed("data", "info", "topiocqa", "--json").json["pools"] == []
    pool = pool_in_its_place(tmp_path)
    (found,) = succeed("data", "info", "topiocqa", "--json").json["pools"]
    assert (found["pool"], found["full_sha256"]) == (str(pool.folder), pool.manifest.full.sha256)
    assert f"pool      {pool.folder}: {pool.manifest.describe()}" in succeed("data", "info", "topiocqa").out.splitlines()
    assert succeed("data", "info", "inscit", "--json").json["pools"] == []


@pytest.mark.slow
@pytest.mark.usefixtures("minilm")
def test_made_of_the_official_files(prepare, server, tmp_path):
    summary = succeed(*prepare("--json")).json
    place = pool_place(tmp_path / "cache", "topiocqa", "dev", SYSTEMS, DEPTH)
    pool = read_pool(place)
    assert (summary["pool"], summary["collection"]) == (str(place), "pooled")
    assert (pool.manifest.names, pool.manifest.depth) == (list(SYSTEMS), DEPTH)
    assert [each.path for each in server.asked] == ["/turns", "/corpus"]
    assert succeed(*prepare("--json")).json["passages"] == summary["passages"]
