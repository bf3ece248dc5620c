from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from convbench.io import cache
from convbench.io.cache import cache_root, remembered_sha256
from convbench.io.digests import file_sha256


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.tsv"
    path.write_text("one\n")
    return path


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Paths of the files that were really read, one entry a reading."""
    seen: list[Path] = []

    def counted(path: Path) -> str:
        seen.append(path)
        return file_sha256(path)

    monkeypatch.setattr(cache, "file_sha256", counted)
    return seen


def test_tests_do_not_touch_the_users_cache() -> None:
    assert "pytest" in str(cache_root())


def test_the_root_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    monkeypatch.setenv("CONVBENCH_CACHE", "~/mine")
    assert cache_root() == Path("/home/someone/mine")
    monkeypatch.setenv("CONVBENCH_CACHE", "")
    assert cache_root() == Path("/xdg/convbench")
    monkeypatch.delenv("CONVBENCH_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_root() == Path("/home/someone/.cache/convbench")


def test_an_unchanged_file_is_read_once(tmp_path: Path, corpus: Path, readings: list[Path]) -> None:
    first = remembered_sha256(corpus, tmp_path / "cache")
    assert first == file_sha256(corpus)
    assert remembered_sha256(corpus, tmp_path / "cache") == first
    assert len(readings) == 1
    assert remembered_sha256(corpus, tmp_path / "other cache") == first
    assert len(readings) == 2


def test_another_way_to_the_same_file_is_not_read_again(
    tmp_path: Path, corpus: Path, readings: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = remembered_sha256(corpus, tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    assert remembered_sha256(Path("corpus.tsv"), tmp_path / "cache") == first
    (tmp_path / "link.tsv").symlink_to(corpus)
    assert remembered_sha256(tmp_path / "link.tsv", tmp_path / "cache") == first
    assert len(readings) == 1


def test_a_change_is_seen_by_size_or_time(tmp_path: Path, corpus: Path) -> None:
    stat = corpus.stat()
    first = remembered_sha256(corpus, tmp_path / "cache")
    corpus.write_text("ones\n")
    os.utime(corpus, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    second = remembered_sha256(corpus, tmp_path / "cache")
    corpus.write_text("twos\n")
    os.utime(corpus, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    third = remembered_sha256(corpus, tmp_path / "cache")
    assert third == file_sha256(corpus)
    assert len({first, second, third}) == 3


def test_another_file_of_the_same_size_and_time_is_seen(tmp_path: Path, corpus: Path) -> None:
    os.utime(corpus, ns=(0, 0))
    first = remembered_sha256(corpus, tmp_path / "cache")
    corpus.write_text("two\n")  # as a copy that keeps times overwrites it: the inode stays
    os.utime(corpus, ns=(0, 0))
    second = remembered_sha256(corpus, tmp_path / "cache")
    (tmp_path / "new").write_text("six\n")  # as an archive replaces it
    os.utime(tmp_path / "new", ns=(0, 0))
    (tmp_path / "new").rename(corpus)
    third = remembered_sha256(corpus, tmp_path / "cache")
    assert corpus.stat().st_mtime_ns == 0
    assert third == file_sha256(corpus)
    assert len({first, second, third}) == 3


@pytest.mark.parametrize("memo", ["", "{", "{}", "[]", "null", '"text"', '{"state": []}', b"\xff"])
def test_a_damaged_memo_is_made_anew(tmp_path: Path, corpus: Path, memo: str | bytes) -> None:
    expected = remembered_sha256(corpus, tmp_path / "cache")
    (path,) = (tmp_path / "cache" / "digests").iterdir()
    path.write_bytes(memo.encode() if isinstance(memo, str) else memo)
    assert remembered_sha256(corpus, tmp_path / "cache") == expected
    assert json.loads(path.read_text())["sha256"] == expected
