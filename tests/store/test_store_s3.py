"""Runs in an S3 bucket, on a server of this machine that speaks S3 (moto). Needs `pip install 'moto[server]' s3fs`."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from command_line import convbench, succeed

pytestmark = pytest.mark.slow

s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed")
moto = pytest.importorskip("moto.server", reason="moto[server] is not installed")

RUNS = "s3://bucket/all runs/é+%20#1"


@pytest.fixture
def bucket(two_runs, monkeypatch) -> Iterator[Any]:
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    system = s3fs.S3FileSystem()
    system.mkdir("bucket")
    place = RUNS.removeprefix("s3://")
    for path in two_runs.rglob("*"):
        if path.is_file():
            system.pipe_file(f"{place}/{path.relative_to(two_runs).as_posix()}", path.read_bytes())
    system.pipe_file(f"{place}-old/run.json", b"{}")  # of the same beginning, and not below it
    yield system
    s3fs.S3FileSystem.clear_instance_cache()
    urlopen(Request(f"http://{host}:{port}/moto-api/reset", method="POST")).close()  # all servers of a process hold the same buckets
    server.stop()


def test_a_bucket_is_read_as_the_folder_is(bucket, two_runs):
    here, there = (succeed("runs", "list", place, "--json").json for place in (two_runs, RUNS))
    assert [row["name"] for row in there] == ["a", "deep/b"]
    for ours, theirs in zip(here, there, strict=True):
        assert theirs.pop("place") == f"{RUNS}/{ours['name']}"
        assert theirs == {key: value for key, value in ours.items() if key != "place"}
    shown = succeed("runs", "show", f"{RUNS}/deep/b/", "--json").json
    assert shown["files"] == succeed("runs", "show", two_runs / "deep" / "b", "--json").json["files"]
    question = ("runs", "sql", "SELECT * FROM scores JOIN turns USING (run, turn_id) ORDER BY ALL", "--limit", 10_000, "--json", "--folder")
    before = bucket.find(RUNS, detail=True)
    assert succeed(*question, RUNS).json == succeed(*question, two_runs).json
    assert {path: entry["ETag"] for path, entry in bucket.find(RUNS, detail=True).items()} == {
        path: entry["ETag"] for path, entry in before.items()
    }
    assert "use a path" in convbench("runs", "gc", RUNS, "--delete").error


def test_a_bundle_goes_into_a_bucket_once(bucket, two_runs, tmp_path):
    succeed("runs", "export", two_runs, "-o", tmp_path / "here.tar.gz")
    for source, name in ((two_runs, "one.tar.gz"), (RUNS, "other.tar.gz")):
        succeed("runs", "export", source, "-o", f"s3://bucket/shared/{name}")
        assert bucket.cat_file(f"bucket/shared/{name}") == (tmp_path / "here.tar.gz").read_bytes()
    succeed("runs", "export", two_runs, "-o", "s3://bucket/shared/folder")
    with tarfile.open(fileobj=io.BytesIO((tmp_path / "here.tar.gz").read_bytes())) as archive:
        expected = {member.name: archive.extractfile(member).read() for member in archive}
    held = {path.removeprefix("bucket/shared/folder/"): bucket.cat_file(path) for path in bucket.find("bucket/shared/folder")}
    assert held == expected
    for place in ("s3://bucket/shared/folder", "s3://bucket/shared/one.tar.gz", "s3://bucket"):
        assert "is there already" in convbench("runs", "export", two_runs, "-o", place).error


@pytest.mark.parametrize("name", ["bundle", "bundle.tar.gz"])
def test_no_bucket_is_made_of_a_name_that_is_mistyped(bucket, two_runs, name):
    refused = convbench("runs", "export", two_runs, "-o", f"s3://bukcet/shared/{name}")
    assert refused.code == 6
    assert f"s3://bukcet/shared/{name}: cannot be reached" in refused.error
    assert bucket.ls("") == ["bucket"]


def test_what_is_wrong_is_one_line(bucket, monkeypatch):
    for place in ("s3://bucket/none", "s3://nobucket/runs"):
        assert f"{place}: no run here or below" in convbench("runs", "list", place).error
    bucket.pipe_file(f"{RUNS.removeprefix('s3://')}/a/run.json", json.dumps({"schema": "other"}).encode())
    found = succeed("runs", "list", RUNS, "--json")
    assert [row["name"] for row in found.json] == ["deep/b"]
    assert found.err.startswith(f"warning: {RUNS}/a/run.json: ")
    s3fs.S3FileSystem.clear_instance_cache()
    with monkeypatch.context() as patch:
        patch.delenv("AWS_ACCESS_KEY_ID")
        patch.delenv("AWS_SECRET_ACCESS_KEY")
        patch.setenv("HOME", str(Path("/nonexistent")))
        refused = convbench("runs", "list", RUNS)
        assert refused.code == 6
        assert "NoCredentialsError" in refused.error
    s3fs.S3FileSystem.clear_instance_cache()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert "EndpointConnectionError" in convbench("runs", "list", RUNS).error
