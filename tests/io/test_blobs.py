from __future__ import annotations

import os
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from convbench.io.blobs import BlobCache

MIB = 1 << 20


def blobs(first: int, count: int, size: int = 100_000) -> dict[bytes, bytes]:
    return {number.to_bytes(4, "big"): bytes([number % 251]) * size for number in range(first, first + count)}


def test_what_was_added_is_known_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "kept.sqlite"
    added = blobs(0, 5) | {b"empty": b""}
    BlobCache(file, 8).add(added)
    BlobCache(file, 8).add({})
    assert BlobCache(file, 8).known([*added, b"other"]) == added
    assert BlobCache(file, 8).known([]) == {}


def test_more_keys_than_one_question_takes(tmp_path: Path) -> None:
    cache, added = BlobCache(tmp_path / "kept", 8), blobs(0, 2500, size=3)
    cache.add(added)
    assert cache.known(list(added)) == added


def test_harmed_values_are_not_known_and_can_be_replaced(tmp_path: Path) -> None:
    file, added = tmp_path / "kept", blobs(0, 3)
    cache = BlobCache(file, 8)
    cache.add(added)
    with sqlite3.connect(file) as database:
        database.execute("UPDATE blobs SET value = CASE number WHEN 1 THEN zeroblob(100000) || 'x' WHEN 2 THEN x'00' ELSE value END")
    assert cache.known(list(added)) == blobs(2, 1)
    cache.add(added)
    assert cache.known(list(added)) == added


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_of_yesterday_that_is_read_only_still_gives(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "kept"
    BlobCache(file, 8, today=lambda: 1).add(blobs(0, 3))
    file.chmod(0o400)
    cache = BlobCache(file, 8, today=lambda: 2)
    for _ in range(2):
        assert cache.known(list(blobs(0, 3))) == blobs(0, 3)
        cache.add(blobs(5, 1))
    assert not caplog.records


def test_a_bound_of_nothing_keeps_nothing(tmp_path: Path) -> None:
    cache = BlobCache(tmp_path / "kept", 0)
    cache.add(blobs(0, 2))
    assert cache.known(list(blobs(0, 2))) == {}
    assert not (tmp_path / "kept").exists()


def test_what_was_used_today_stays_and_the_file_keeps_within_its_bound(tmp_path: Path) -> None:
    file, first = tmp_path / "kept", blobs(0, 15)
    cache = BlobCache(file, 2, today=lambda: 100)
    cache.add(first)
    for start in range(1000, 1040, 4):
        cache.add(blobs(start, 4))
    assert cache.known(list(first)) == first
    assert file.stat().st_size <= 2 * MIB


def test_the_oldest_make_room_and_what_is_asked_for_is_young_again(tmp_path: Path) -> None:
    file, day = tmp_path / "kept", [100]
    cache = BlobCache(file, 2, today=lambda: day[0])
    cache.add(blobs(0, 15))
    day[0] = 101
    asked = list(blobs(0, 3))
    cache.known(asked)
    day[0] = 102
    for start in (1000, 1005, 1010):
        cache.add(blobs(start, 5))
        assert file.stat().st_size <= 2 * MIB
    assert cache.known(list(blobs(1000, 15))) == blobs(1000, 15)
    left = cache.known(list(blobs(0, 15)))
    assert set(left) <= set(asked)


def test_what_is_larger_than_the_bound_is_not_kept(tmp_path: Path) -> None:
    cache = BlobCache(tmp_path / "kept", 1)
    cache.add(blobs(0, 20))
    assert cache.known(list(blobs(0, 20))) == {}
    cache.add(blobs(0, 2))
    assert cache.known(list(blobs(0, 20))) == blobs(0, 2)


def test_a_file_that_cannot_be_used_is_done_without(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "kept"
    file.mkdir()
    for _ in range(2):
        cache = BlobCache(file, 8)
        cache.add(blobs(0, 2))
        assert cache.known(list(blobs(0, 2))) == {}
    (said,) = [record.getMessage() for record in caplog.records]
    assert said == f"{file}: the cache cannot be used (unable to open database file); this process goes on without it"


@pytest.mark.parametrize("size", [20, 5000])
@pytest.mark.parametrize("asks_first", [True, False])
def test_a_file_that_is_no_database_is_set_aside(tmp_path: Path, size: int, asks_first: bool, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "kept"
    file.write_bytes(b"x" * size)
    cache = BlobCache(file, 8)
    assert not asks_first or cache.known(list(blobs(0, 2))) == {}
    cache.add(blobs(0, 2))
    assert BlobCache(file, 8).known(list(blobs(0, 2))) == blobs(0, 2)
    assert (tmp_path / "kept.broken").read_bytes() == b"x" * size
    (said,) = [record.getMessage() for record in caplog.records]
    assert said == f"{file}: damaged (file is not a database); it is now kept.broken, and a new cache is begun"


def test_a_database_that_was_damaged_within_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file, added = tmp_path / "kept", blobs(0, 5)
    BlobCache(file, 8).add(added)
    with file.open("r+b") as handle:
        handle.seek(16384)
        handle.write(b"\xff" * (file.stat().st_size - 16384))
    cache = BlobCache(file, 8)
    assert cache.known(list(added)) == {}
    cache.add(added)
    assert cache.known(list(added)) == added
    assert len(caplog.records) == 1
    assert "malformed" in caplog.text


def test_a_file_that_another_process_holds_is_waited_for_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file, added = tmp_path / "kept", blobs(0, 2)
    cache = BlobCache(file, 8)
    cache.add(added)
    with closing(sqlite3.connect(file)) as other:
        other.execute("BEGIN EXCLUSIVE")
        started = time.monotonic()
        for each in (cache, cache, BlobCache(file, 8)):
            assert each.known(list(added)) == {}
            each.add(added)
        assert 1 < time.monotonic() - started < 4
    (said,) = [record.getMessage() for record in caplog.records]
    assert said == f"{file}: the cache cannot be used (database is locked); this process goes on without it"
    assert cache.known(list(added)) == {}


def test_what_is_written_for_less_than_seconds_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file, added = tmp_path / "kept", blobs(0, 2)
    cache = BlobCache(file, 8)
    cache.add(added)
    other = sqlite3.connect(file, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    timer = threading.Timer(0.3, other.rollback)
    timer.start()
    assert cache.known(list(added)) == added
    timer.join()
    other.close()
    assert not caplog.records


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to_is_done_without(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    cache = BlobCache(tmp_path / "below" / "kept", 8)
    cache.add(blobs(0, 2))
    assert cache.known(list(blobs(0, 2))) == {}
    tmp_path.chmod(0o700)


def test_several_may_use_it_at_once(tmp_path: Path) -> None:
    file = tmp_path / "kept"

    def use(number: int) -> bool:
        cache, own = BlobCache(file, 64), blobs(10 * number, 8, size=20_000)
        cache.add(own)
        return cache.known(list(own)) == own

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(use, range(16)))
