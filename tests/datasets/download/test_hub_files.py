from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import MINI, Finished, completed, start
from scripted_server import Answer, FileServer, file_server

from convbench.io.digests import file_sha256

COMMIT, OTHER_COMMIT = "a" * 40, "b" * 40
FILE = MINI / "topiocqa" / "topiocqa_mini.jsonl"
SHA = file_sha256(FILE)
DATA, RESOURCE = 3, 5


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server() as running:
        yield running


@pytest.fixture
def hub(server, tmp_path, monkeypatch) -> Path:
    """A hub cache of the test's own, and the server in the place of the hub. The client reads these once, so commands get a process."""
    for name, value in {
        "HF_HOME": tmp_path / "hf",
        "HF_HUB_CACHE": tmp_path / "hf" / "hub",
        "HF_ENDPOINT": server.url,
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_TOKEN": "hf_s3cret",
    }.items():
        monkeypatch.setenv(name, str(value))
    return tmp_path / "hf" / "hub"


def cached(hub: Path, content: bytes, commit: str = COMMIT) -> Path:
    """The hub's own layout: blobs, and snapshots of links to them."""
    repo = hub / "datasets--owner--name"
    (repo / "blobs").mkdir(parents=True)
    (repo / "blobs" / "1234").write_bytes(content)
    link = repo / "snapshots" / commit / "data" / "turns.jsonl"
    link.parent.mkdir(parents=True)
    link.symlink_to(os.path.relpath(repo / "blobs" / "1234", link.parent))
    return link


def prepare(tmp_path: Path, *more: str, **check: Any) -> Finished:
    file = {
        "name": "topiocqa_dev.jsonl",
        "part": "turns",
        "hub": {"repo": "owner/name", "filename": "data/turns.jsonl", "revision": COMMIT},
        **(check or {"unchecked": "a test"}),
    }
    licence = {"name": "free", "url": "https://licence.invalid", "covers": "all", "terms": "None."}
    entry = {"licences": [licence], "citation": "Somebody", "tiers": {"full": {"files": [file]}}}
    own = tmp_path / "downloads.yaml"
    own.write_text(json.dumps({"datasets": {"topiocqa": entry}}), encoding="utf-8")
    command = ("data", "prepare", "topiocqa", "--tier", "full", "--accept-licence", "--manifest", own, "--cache", tmp_path / "cache")
    return completed(start(*command, *more))


def test_a_file_of_the_hubs_cache_is_linked(hub, server, tmp_path):
    link = cached(hub, FILE.read_bytes())
    done = prepare(tmp_path, "--offline", "--json", sha256=SHA)
    assert done.code == 0, done.err
    assert (done.json["conversations"], done.json["files"][0]["sha256"]) == (9, SHA)
    placed = tmp_path / "cache" / "data" / "topiocqa" / "topiocqa_dev.jsonl"
    assert placed.readlink() == link
    assert server.asked == []
    assert prepare(tmp_path, "--offline", "--json", sha256=SHA).json["files"][0]["how"] == "there before"


def test_a_commit_in_the_cache_is_not_asked_for(hub, server, tmp_path):
    cached(hub, FILE.read_bytes())
    assert prepare(tmp_path, "--fetch-only").code == 0
    assert server.asked == []


def test_another_commit_in_the_cache_is_not_taken(hub, tmp_path):
    cached(hub, FILE.read_bytes(), OTHER_COMMIT)
    done = prepare(tmp_path, "--offline")
    assert done.code == RESOURCE
    assert "data/turns.jsonl of owner/name is not in the hub's cache" in done.err
    assert f"put a copy here: {tmp_path / 'cache' / 'data' / 'topiocqa' / 'topiocqa_dev.jsonl'}" in done.err


def test_a_copy_of_ones_own(hub, server, tmp_path):
    place = tmp_path / "cache" / "data" / "topiocqa" / "topiocqa_dev.jsonl"
    place.parent.mkdir(parents=True)
    shutil.copy(FILE, place)
    assert prepare(tmp_path, "--offline", "--json", sha256=SHA).json["files"][0]["how"] == "copy of yours"


def test_a_link_that_leads_nowhere_is_made_anew(hub, tmp_path):
    cached(hub, FILE.read_bytes())
    assert prepare(tmp_path, "--offline", "--fetch-only").code == 0
    shutil.rmtree(hub)
    assert prepare(tmp_path, "--offline", "--fetch-only").code == RESOURCE
    cached(hub, FILE.read_bytes())
    assert prepare(tmp_path, "--offline", "--fetch-only").code == 0


def test_another_file_than_the_manifest_says(hub, tmp_path):
    link = cached(hub, b"{}\n")
    done = prepare(tmp_path, "--offline", sha256=SHA)
    assert done.code == DATA
    assert f"error: {link}: data/turns.jsonl of owner/name at {COMMIT}: its sha256 is " in done.err
    assert not (tmp_path / "cache" / "data" / "topiocqa" / "topiocqa_dev.jsonl").exists()


def test_the_hub_is_asked_for_what_is_not_in_its_cache(hub, server, tmp_path):
    place = f"/datasets/owner/name/resolve/{COMMIT}/data/turns.jsonl"
    server.script[place] = [Answer(FILE.read_bytes(), etag='"1234"', headers={"X-Repo-Commit": COMMIT})]
    done = prepare(tmp_path, "--json", sha256=SHA)
    assert done.code == 0, done.err
    assert done.json["files"][0]["how"] == "fetched"
    assert (hub / "datasets--owner--name" / "snapshots" / COMMIT / "data" / "turns.jsonl").read_bytes() == FILE.read_bytes()
    assert place in {each.path for each in server.asked}


@pytest.mark.parametrize("status", [401, 403, 404])
def test_the_hub_refuses(hub, server, tmp_path, status):
    place = f"/datasets/owner/name/resolve/{COMMIT}/data/turns.jsonl"
    server.script[place] = [Answer(status=status)]
    done = prepare(tmp_path)
    assert done.code == RESOURCE
    assert f"data/turns.jsonl of owner/name at {COMMIT}: the hub answers HTTP {status}" in done.err
    assert ("ask for access on its page" in done.err) == (status != 404)
    assert f"put a copy here: {tmp_path / 'cache' / 'data' / 'topiocqa' / 'topiocqa_dev.jsonl'}" in done.err
    assert "Bearer hf_s3cret" in {each.headers.get("authorization") for each in server.asked if each.path == place}
    written = b"".join(path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file())
    assert "hf_s3cret" not in done.err + done.out + written.decode()


def test_the_hubs_client_is_told_to_stay_offline(hub, server, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    done = prepare(tmp_path)
    assert done.code == RESOURCE
    assert "the hub cannot be reached; or put a copy here: " in done.err
    assert server.asked == []
