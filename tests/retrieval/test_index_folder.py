from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from small_disk import SmallDisk, small_disk

from convbench.errors import StorageError
from convbench.io.digests import file_sha256
from convbench.retrieval import index_folder
from convbench.retrieval.index_folder import IndexFolder, Part
from convbench.retrieval.index_journal import JOURNAL, Journal

PARTS = [Part(f"shard-{number:05d}.npy", 10 + number, 3) for number in range(12)]


def open_folder(path: Path) -> IndexFolder:
    return IndexFolder(path, path.parent / "digests")


def write(folder: IndexFolder, part: Part) -> None:
    (folder.path / part.name).write_bytes(part.name.encode() * part.rows)


def make(folder: IndexFolder, parts: list[Part]) -> None:
    """Writes and records files, in no order, as workers finish them."""
    for part in sorted(parts, key=lambda part: hash(part.rows * 7919) % 13):
        write(folder, part)
        folder.record(part)


def build(folder: IndexFolder, parts: list[Part], then: Callable[[], object]) -> None:
    with folder.locked():
        make(folder, parts)
        then()


def names(path: Path) -> list[str]:
    return sorted(each.name for each in path.iterdir() if not each.name.startswith("shard"))


def expected_manifest(path: Path, parts: list[Part] = PARTS) -> str:
    values = [{"file": part.name, "rows": part.rows, "dim": part.dim, "sha256": file_sha256(path / part.name)} for part in parts]
    return "".join(json.dumps(each) + "\n" for each in values)


def missing(path: Path) -> list[str]:
    """What another process would make again."""
    folder = open_folder(path)
    return [part.name for part in PARTS if folder.fault(part)]


def killed(work: Callable[[], object]) -> None:
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL


def kill_self(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index"


@pytest.fixture
def half(path: Path) -> Path:
    """Eight files of a build that was killed then."""
    killed(lambda: build(open_folder(path), PARTS[:8], kill_self))
    return path


def test_a_build_ends_with_a_manifest_in_order(path: Path) -> None:
    folder = open_folder(path)
    with folder.locked():
        for count, part in enumerate(PARTS):
            assert missing(path) == [each.name for each in PARTS[count:]]
            make(folder, [part])
            assert names(path) == ["build.lock", JOURNAL]
    assert (path / "manifest.jsonl").read_text(encoding="utf-8") == expected_manifest(path)
    assert names(path) == ["build.lock", "manifest.jsonl"]
    assert missing(path) == []
    assert [folder.sha256(part) for part in PARTS] == [file_sha256(path / part.name) for part in PARTS]


def test_what_a_record_writes_does_not_grow(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The manifest once, however many files there are."""
    wrote: list[str] = []
    write_text = index_folder.write_text

    def note(where: Path, text: str) -> None:
        wrote.append(where.name)
        write_text(where, text)

    monkeypatch.setattr(index_folder, "write_text", note)
    folder, sizes = open_folder(path), [0]
    with folder.locked():
        for part in PARTS:
            make(folder, [part])
            sizes.append((path / JOURNAL).stat().st_size)
    assert len({later - earlier for earlier, later in pairwise(sizes)}) == 1
    assert wrote == ["manifest.jsonl"]


def test_nothing_recorded_is_nothing_written(path: Path) -> None:
    with open_folder(path).locked():
        pass
    assert names(path) == ["build.lock"]


def test_an_error_leaves_a_manifest_too(path: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(open_folder(path), PARTS[:3], interrupt)
    assert names(path) == ["build.lock", "manifest.jsonl"]
    assert (path / "manifest.jsonl").read_text(encoding="utf-8") == expected_manifest(path, PARTS[:3])


class TestKilled:
    def test_the_next_builder_goes_on(self, half: Path) -> None:
        assert names(half) == ["build.lock", JOURNAL]
        assert missing(half) == [part.name for part in PARTS[8:]]
        folder = open_folder(half)
        with folder.locked():
            assert names(half) == ["build.lock", "manifest.jsonl"]
            make(folder, PARTS[8:])
        assert (half / "manifest.jsonl").read_text(encoding="utf-8") == expected_manifest(half)

    @pytest.mark.parametrize("moment", ["before the manifest", "half the manifest", "before the journal goes"])
    def test_while_the_manifest_is_written(self, path: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
        def half_of_it(where: Path, text: str) -> None:
            where.with_name(f".{where.name}.1.tmp").write_text(text[: len(text) // 2], encoding="utf-8")
            kill_self()

        with monkeypatch.context() as patch:
            if moment == "before the journal goes":
                patch.setattr(Journal, "remove", kill_self)
            else:
                patch.setattr(index_folder, "write_text", kill_self if moment == "before the manifest" else half_of_it)
            killed(lambda: build(open_folder(path), PARTS, list))
        assert (path / JOURNAL).exists()
        assert missing(path) == []
        open_folder(path).tidy()
        assert names(path) == ["build.lock", "manifest.jsonl"]
        assert (path / "manifest.jsonl").read_text(encoding="utf-8") == expected_manifest(path)
        times = [each.stat().st_mtime_ns for each in (path, path / "build.lock")]
        open_folder(path).tidy()
        assert [each.stat().st_mtime_ns for each in (path, path / "build.lock")] == times

    def test_between_a_file_and_its_line(self, half: Path) -> None:
        write(open_folder(half), PARTS[8])
        assert missing(half) == [part.name for part in PARTS[8:]]

    def test_an_untidy_index_on_a_read_only_disk_is_used(self, tmp_path: Path) -> None:
        with small_disk(tmp_path / "disk", kib=512) as disk:
            path = disk.folder / "index"
            killed(lambda: build(open_folder(path), PARTS, kill_self))
            disk.writable(False)
            folder = open_folder(path)
            folder.tidy()
            assert not any(map(folder.fault, PARTS))


class TestDamagedJournal:
    def test_cut_anywhere(self, half: Path) -> None:
        whole = (half / JOURNAL).read_bytes()
        files = [json.loads(line)["file"] for line in whole.split(b"\n") if line]
        ends = [end for end in range(len(whole)) if whole[end : end + 1] == b"\n" and whole[end - 1 : end] == b"}"]
        for length in range(0, len(whole), 19):
            (half / JOURNAL).write_bytes(whole[:length])
            known = sum(end <= length for end in ends)
            assert missing(half) == sorted({part.name for part in PARTS} - set(files[:known]))

    def test_a_changed_byte_costs_its_own_file_at_most(self, half: Path) -> None:
        whole = (half / JOURNAL).read_bytes()
        always = {part.name for part in PARTS[8:]}
        cost = []
        for at in range(0, len(whole), 11):
            for bit in (0, 7):
                changed = bytearray(whole)
                changed[at] ^= 1 << bit
                (half / JOURNAL).write_bytes(changed)
                lost = set(missing(half)) - always
                line = whole[whole.rfind(b"\n", 0, at) + 1 :].split(b"\n")[0]
                own = {json.loads(line)["file"]} if line else set()
                assert lost <= (own or {part.name for part in PARTS})
                assert len(lost) <= 1
                cost.append(len(lost))
        assert sum(cost) > len(cost) / 2

    @pytest.mark.parametrize("garbage", [b"", b"\x00" * 500, b'[]\n{}\n1\n""\nnull\n', b"\xff\xfe{\n", b'{"check": 1}\n'])
    def test_garbage(self, half: Path, garbage: bytes) -> None:
        (half / JOURNAL).write_bytes(garbage)
        assert missing(half) == [part.name for part in PARTS]

    def test_a_half_written_line_does_not_take_the_next_along(self, half: Path) -> None:
        with (half / JOURNAL).open("a", encoding="utf-8") as handle:
            handle.write('\n{"file": "shard-0000')
        folder = open_folder(half)
        make(folder, [PARTS[9]])
        assert missing(half) == [PARTS[8].name, PARTS[10].name, PARTS[11].name]

    def test_a_damaged_manifest_leaves_the_journal(self, half: Path) -> None:
        (half / "manifest.jsonl").write_text("{", encoding="utf-8")
        assert missing(half) == [part.name for part in PARTS[8:]]


def test_a_folder_without_a_journal_reads_as_before(path: Path) -> None:
    path.mkdir()
    for part in PARTS:
        write(open_folder(path), part)
    (path / "manifest.jsonl").write_text(expected_manifest(path), encoding="utf-8")
    assert missing(path) == []
    assert names(path) == ["manifest.jsonl"]


def test_the_journal_is_newer_than_the_manifest(half: Path) -> None:
    """A file that was made again, with another content than the manifest tells."""
    open_folder(half).tidy()
    folder = open_folder(half)

    def again() -> None:
        with folder.locked():
            (half / PARTS[2].name).write_bytes(b"another content")
            folder.record(PARTS[2])
            kill_self()

    killed(again)
    assert missing(half) == [part.name for part in PARTS[8:]]
    open_folder(half).tidy()
    assert (half / "manifest.jsonl").read_text(encoding="utf-8") == expected_manifest(half, PARTS[:8])


def fill_up(disk: SmallDisk) -> None:
    (disk.folder / "filler").write_bytes(bytes(1024 * (64 - disk.used)))


class TestFullDisk:
    def test_a_line_that_does_not_fit(self, tmp_path: Path) -> None:
        with small_disk(tmp_path / "disk", kib=64) as disk:
            folder = IndexFolder(disk.folder / "index", tmp_path / "digests")

            def fill() -> None:
                fill_up(disk)
                for _ in range(100):
                    folder.record(PARTS[0])

            with pytest.raises(StorageError, match=r"journal\.jsonl: cannot write: the disk is full"):
                build(folder, PARTS[:2], fill)
            (disk.folder / "filler").unlink()
            folder = IndexFolder(disk.folder / "index", tmp_path / "digests")
            assert not any(map(folder.fault, PARTS[:2]))
            with folder.locked():
                make(folder, PARTS[2:])
            assert (folder.path / "manifest.jsonl").read_text(encoding="utf-8") == expected_manifest(folder.path)
            assert names(folder.path) == ["build.lock", "manifest.jsonl"]

    def test_a_manifest_that_does_not_fit(self, tmp_path: Path) -> None:
        """The journal stays, and vouches for everything."""
        with small_disk(tmp_path / "disk", kib=64) as disk:
            folder = IndexFolder(disk.folder / "index", tmp_path / "digests")
            with pytest.raises(StorageError, match=r"manifest\.jsonl: cannot write: the disk is full"):
                build(folder, PARTS, lambda: fill_up(disk))
            assert names(folder.path) == ["build.lock", JOURNAL]
            assert not any(map(IndexFolder(folder.path, tmp_path / "digests").fault, PARTS))


def test_a_read_only_cache_says_what_to_do(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        disk.writable(False)
        with pytest.raises(StorageError) as error, IndexFolder(disk.folder / "bm25" / "x", tmp_path).locked():
            pass
        assert str(error.value).startswith(f"{disk.folder}")
        assert "the file system is read-only: choose another place" in str(error.value)
        assert str(error.value).endswith(
            "; the index is missing, damaged or of another version: name a cache that can be written to (--cache, or CONVBENCH_CACHE)"
        )
        assert "\n" not in str(error.value)
