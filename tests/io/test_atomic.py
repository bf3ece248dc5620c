from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from convbench.errors import StorageError
from convbench.io import atomic
from convbench.io.atomic import atomic_folder, atomic_path, atomic_text, write_text

NOBODY = 65534


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@contextmanager
def without_privileges() -> Iterator[None]:
    """Root may write anywhere, so it steps down; others have nothing to step down from."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_writes_text_and_creates_folders(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file.txt"
    write_text(path, "première\nsecond\n")
    assert path.read_bytes() == "première\nsecond\n".encode()
    assert names(path.parent) == ["file.txt"]


def test_nothing_is_seen_before_the_end(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_text(path, "old")
    with atomic_text(path) as handle:
        handle.write("new")
        handle.flush()
        assert path.read_text() == "old"
    assert path.read_text() == "new"


@pytest.mark.parametrize("failure", [ValueError("a bug"), KeyboardInterrupt()])
def test_a_failing_block_leaves_the_old_file(tmp_path: Path, failure: BaseException) -> None:
    path = tmp_path / "file.txt"
    write_text(path, "old")

    def interrupted() -> None:
        with atomic_text(path) as handle:
            handle.write("half of the n")
            raise failure

    with pytest.raises(type(failure)):
        interrupted()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file.txt"]


def test_a_failing_block_leaves_no_first_file(tmp_path: Path) -> None:
    def interrupted() -> None:
        with atomic_path(tmp_path / "file") as temporary:
            temporary.write_bytes(b"half")
            raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        interrupted()
    assert names(tmp_path) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a device that is always full")
def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_text(path, "old")
    (tmp_path / f".file.txt.{os.getpid()}.tmp").symlink_to("/dev/full")
    with pytest.raises(StorageError, match=r"file\.txt: cannot write: the disk is full") as caught, atomic_text(path) as handle:
        handle.write("new")
    assert "\n" not in str(caught.value)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file.txt"]


def test_a_disk_that_turns_out_full_at_the_last_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.txt"
    write_text(path, "old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(StorageError, match="the disk is full"):
        write_text(path, "new")
    with pytest.raises(StorageError, match="the disk is full"), atomic_folder(tmp_path / "folder") as temporary:
        (temporary / "part").write_text("x")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file.txt"]


def test_a_folder_without_permission(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with without_privileges():
        with pytest.raises(StorageError, match=r"file\.txt: cannot write: permission denied"):
            write_text(closed / "file.txt", "new")
        with pytest.raises(StorageError, match=r"folder: cannot write: permission denied"), atomic_folder(closed / "folder"):
            pass
    assert names(closed) == []


def test_a_read_only_file_system(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"file\.txt: cannot write: the file system is read-only"), atomic_path(tmp_path / "file.txt"):
        raise OSError(errno.EROFS, "Read-only file system")


@pytest.mark.parametrize("below", ["file.txt", "folder/file.txt"])
def test_a_path_below_a_file(tmp_path: Path, below: str) -> None:
    write_text(tmp_path / "plain", "x")
    with pytest.raises(StorageError, match="a file stands where a folder is needed: choose another place"):
        write_text(tmp_path / "plain" / below, "new")
    with pytest.raises(StorageError, match="a file stands where a folder is needed"), atomic_folder(tmp_path / "plain" / below):
        pass


def test_other_os_errors_pass_unchanged(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_text(tmp_path / "file") as handle:
        handle.write((tmp_path / "nothing").read_text())
    assert names(tmp_path) == []


def test_a_killed_writer_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_text(path, "old")
    code = (
        "import os, pathlib, sys; from convbench.io.atomic import atomic_text\n"
        "with atomic_text(pathlib.Path(sys.argv[1])) as handle: handle.write('half'); handle.flush(); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == 9
    assert path.read_text() == "old"


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "index"
    with atomic_folder(folder) as temporary:
        (temporary / "part").write_text("x")
        assert not folder.exists()
    assert names(folder) == ["part"]
    assert names(folder.parent) == ["index"]


def test_a_failing_block_leaves_no_folder(tmp_path: Path) -> None:
    def interrupted() -> None:
        with atomic_folder(tmp_path / "index") as temporary:
            (temporary / "part").write_text("x")
            raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        interrupted()
    assert names(tmp_path) == []


def test_a_folder_that_is_already_there_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    with atomic_folder(folder) as temporary:
        (temporary / "part").write_text("second")
        folder.mkdir()
        (folder / "part").write_text("first")
    assert (folder / "part").read_text() == "first"
    assert names(tmp_path) == ["index"]


def test_what_a_killed_process_of_the_same_number_left_is_cleared(tmp_path: Path) -> None:
    stale = tmp_path / f".index.{os.getpid()}.tmp"
    stale.mkdir()
    (stale / "half").write_text("x")
    with atomic_folder(tmp_path / "index") as temporary:
        assert temporary == stale
        assert names(temporary) == []
    assert names(tmp_path) == ["index"]
