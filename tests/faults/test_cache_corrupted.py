"""A byte is flipped in a file of the cache: it is found by its digest and made again, or refused in one line, and never used."""

from __future__ import annotations

import logging
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from backends.chat_server import ChatServer, chat_server, completion
from command_line import Finished, content_without_cost, convbench
from mixed_run import quick_command
from scripted_server import Answer, file_server

from convbench.backends.chat import ChatClient, ChatConfig, ChatRequest
from convbench.datasets.download.manifest import DownloadFile
from convbench.datasets.download.obtain import obtain
from convbench.datasets.download.places import Places
from convbench.errors import DataError
from convbench.io.blobs import BlobCache
from convbench.io.cache import remembered_sha256
from convbench.io.digests import file_sha256

Flip = Callable[[Path], None]


def flip(path: Path, at: int | None = None, *, seed: int = 1) -> None:
    """Changes one bit of one byte, as a bad disk does."""
    content = bytearray(path.read_bytes())
    at = random.Random(seed).randrange(len(content)) if at is None else at % len(content)
    content[at] ^= 1 << random.Random(seed).randrange(7)
    path.write_bytes(bytes(content))


def run_again(base: Path) -> Finished:
    return convbench(*quick_command(base))


CACHED = {
    "passages": "stores/*/passages-*/part-00000.arrow",
    "id-hashes": "stores/*/passages-*/id-hashes.u64",
    "id-rows": "stores/*/passages-*/id-rows.i64",
    "store-manifest": "stores/*/manifest.json",
    "vectors": "dense/*/shard-00000.npy",
    "graph": "dense/*/*.faiss",
    "index-manifest": "dense/*/manifest.jsonl",
}
QUICK = ("passages", "graph")


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 6))])
@pytest.mark.parametrize("kind", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in CACHED])
def test_stores_and_vectors(warm: Path, copied: Path, kind: str, seed: int) -> None:
    (path,) = (copied / "cache").glob(CACHED[kind])
    before = path.read_bytes()
    flip(path, seed=seed)
    found = run_again(copied)
    assert found.code == 0, found
    assert "made again" in found.err
    assert kind == "index-manifest" or path.name in found.err, found.err  # its lines vouch for other files
    assert content_without_cost(copied / "run") == content_without_cost(warm / "run")
    assert kind == "index-manifest" or path.read_bytes() == before  # a line of another name stays in it, and vouches for nothing
    assert "made again" not in run_again(copied).err


def test_every_byte_of_a_manifest_counts(warm: Path, tmp_path: Path) -> None:
    """That of the store holds the digest of the collection, which results quote and indexes are named by."""
    from convbench.datasets.store import read_manifest

    (path,) = (warm / "cache").glob(CACHED["store-manifest"])
    shutil.copy(path, tmp_path / "manifest.json")
    content = path.read_bytes()
    for at in range(0, len(content), 5):
        flip(tmp_path / "manifest.json", at, seed=at)
        with pytest.raises(DataError, match=r"manifest\.json"):
            read_manifest(tmp_path)
        (tmp_path / "manifest.json").write_bytes(content)


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 12))])
def test_bm25(warm: Path, copied: Path, seed: int) -> None:
    paths = sorted(path for path in (copied / "cache" / "bm25").rglob("*") if path.is_file() and path.stat().st_size)
    assert len(paths) >= 4
    for path in paths if seed > 1 else random.Random(seed).sample(paths, 2):
        before = path.read_bytes()
        flip(path, seed=seed)
        found = run_again(copied)
        assert found.code == 0, (path.name, found)
        assert "made again" in found.err, (path.name, found.err)
        assert content_without_cost(copied / "run") == content_without_cost(warm / "run")
        assert path.name == "manifest.jsonl" or path.read_bytes() == before
        shutil.rmtree(copied / "run")


@pytest.mark.parametrize("place", range(0, 120, 7))
def test_a_remembered_digest(tmp_path: Path, place: int, caplog: pytest.LogCaptureFixture) -> None:
    corpus = tmp_path / "corpus.tsv"
    corpus.write_text("1\tsome text\n", encoding="utf-8")
    remembered_sha256(corpus, tmp_path / "cache")
    (memo,) = (tmp_path / "cache" / "digests").iterdir()
    flip(memo, place, seed=place)
    with caplog.at_level(logging.WARNING):
        assert remembered_sha256(corpus, tmp_path / "cache") == file_sha256(corpus)
    assert remembered_sha256(corpus, tmp_path / "cache") == file_sha256(corpus)


def test_kept_blobs(tmp_path: Path) -> None:
    """Embeddings and BERTScore's numbers: whatever is hit, what is found is what was kept, or nothing is."""
    values = {bytes([number]) * 32: random.Random(number).randbytes(300) for number in range(60)}
    BlobCache(tmp_path / "whole.sqlite", 10).add(values)
    content = (tmp_path / "whole.sqlite").read_bytes()
    chance = random.Random(5)
    lost = 0
    for number in range(150):
        path = tmp_path / f"{number}.sqlite"
        path.write_bytes(content)
        flip(path, chance.randrange(len(content)), seed=number)
        found = BlobCache(path, 10).known(list(values))
        assert all(values[key] == value for key, value in found.items())
        lost += len(found) < len(values)
    assert lost > 5


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with chat_server() as running:
        running.answer = lambda _: completion("The lamp is filled every evening.")
        yield running


def test_chat_answers(server: ChatServer, tmp_path: Path) -> None:
    client = ChatClient(ChatConfig(model="served", base_url=server.url), cache=tmp_path)
    asked = [ChatRequest((("user", "Who fills the lamp?"),))]
    (first,) = client.answers(asked)
    (kept,) = tmp_path.rglob("*.json")
    content = kept.read_bytes()
    places = range(0, len(content) - 1, 6)  # all but the line's end, which may be another white space
    for at in places:
        kept.write_bytes(content)
        flip(kept, at, seed=at)
        assert client.answers(asked) == [first]
    assert len(server.asked) == 1 + len(places)


@pytest.fixture
def fetched(tmp_path: Path) -> Iterator[Callable[[], list[str]]]:
    """Obtains a file that nobody published a digest of; how it came."""
    with file_server() as running:
        content = random.Random(2).randbytes(5000)
        running.script["/f"] = [Answer(content)]
        given = {"name": "file.bin", "part": "turns", "urls": [f"{running.url}/f"], "unchecked": "a test"}
        file = DownloadFile.model_validate(given)
        places = Places.of("some", tmp_path)
        yield lambda: [each.how for each in obtain([file], places, offline=False)]


def test_what_was_fetched(fetched: Callable[[], list[str]], tmp_path: Path) -> None:
    assert fetched() == ["fetched"]
    path = tmp_path / "data" / "some" / "file.bin"
    content = path.read_bytes()
    flip(path)
    with pytest.raises(DataError, match=r"file\.bin: its sha256 is .* when it came .*remove it to have it fetched again"):
        fetched()
    path.unlink()
    assert fetched() == ["fetched"]
    assert path.read_bytes() == content


@pytest.mark.parametrize("place", range(0, 330, 30))
def test_the_record_of_a_download(fetched: Callable[[], list[str]], tmp_path: Path, place: int, caplog: pytest.LogCaptureFixture) -> None:
    fetched()
    record = tmp_path / "data" / "some" / ".state" / "file.bin.json"
    flip(record, place, seed=place)
    with caplog.at_level(logging.INFO):
        assert fetched() == ["copy of yours"]
    assert any("checking what lies there" in message for message in caplog.messages), "it was believed"


@pytest.mark.slow
def test_a_flip_that_leaves_size_and_time(copied: Path, warm: Path) -> None:
    """As a bad disk does it: nothing but the content tells, which is read again where nothing vouches for it (here: a new cache folder)."""
    (path,) = (copied / "cache").glob(CACHED["passages"])
    stat = path.stat()
    flip(path)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    found = run_again(copied)
    assert found.code == 0
    assert f"{path.name}: its content is not what was written: made again" in found.err
    assert content_without_cost(copied / "run") == content_without_cost(warm / "run")
