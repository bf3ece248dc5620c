from __future__ import annotations

import gzip
import os
import pickle
import re
import resource
import socket
import time
import zlib
from pathlib import Path

import pytest
from submission_folders import only, submit, track_of

from convbench.errors import DataError
from convbench.leaderboard.safe_read import MAX_LINE, check_bounds, look_through


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    track_of(tmp_path / "boards")
    return submit(tmp_path / "boards", "ours")


def look(folder: Path, id_: str = "ours") -> str:
    return only(look_through(folder.parents[2], "toy", id_).findings)


def test_a_folder_in_order(folder: Path) -> None:
    (folder / "verified.json").write_text("{}", encoding="utf-8")
    assert look_through(folder.parents[2], "toy", "ours").findings == ()


@pytest.mark.parametrize(
    "id_",
    ["../ours", "..", ".", "", "/etc", "a/b", "a\\b", "A", "-a", "ours\n", "a" * 65, "о" + "urs", ".ours.12.tmp", "\u202eours", "a\x00b"],
)
def test_an_id_that_leads_elsewhere_is_not_followed(folder: Path, id_: str) -> None:
    assert look(folder, id_).startswith("submission-id: ")


def test_symbolic_links(folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    (folder / "run.jsonl.gz").rename(secret)
    for target in (secret, Path("../../../../secret"), tmp_path / "missing"):
        (folder / "run.jsonl.gz").symlink_to(target)
        assert look(folder).startswith("link: run.jsonl.gz is a symbolic link")
        (folder / "run.jsonl.gz").unlink()


@pytest.mark.parametrize("level", [0, 1])
def test_a_folder_that_is_a_link(folder: Path, tmp_path: Path, level: int) -> None:
    linked = [folder, folder.parent][level]
    linked.rename(tmp_path / "elsewhere")
    linked.symlink_to(tmp_path / "elsewhere")
    assert look(folder).startswith(f"link: toy/submissions{'/ours' if level == 0 else ''} is a symbolic link")


def test_hard_links(folder: Path, tmp_path: Path) -> None:
    (folder / "run.jsonl.gz").rename(tmp_path / "other")
    os.link(tmp_path / "other", folder / "run.jsonl.gz")
    assert look(folder).startswith("link: run.jsonl.gz has 2 hard links")


def test_pipes_sockets_folders(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = folder / "run.jsonl.gz"
    run.unlink()
    os.mkfifo(run)
    assert look(folder) == "files: run.jsonl.gz is a pipe, expected a plain file"
    run.unlink()
    run.mkdir()
    assert look(folder) == "files: run.jsonl.gz is a folder, expected a plain file"
    run.rmdir()
    monkeypatch.chdir(folder)  # the path of a socket must be short
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(run.name)
        assert look(folder) == "files: run.jsonl.gz is a socket, expected a plain file"


def test_a_device(folder: Path) -> None:
    run = folder / "run.jsonl.gz"
    run.unlink()
    try:
        os.mknod(run, 0o20600, os.makedev(1, 5))  # /dev/zero, which never ends
    except PermissionError:
        pytest.skip("only root makes devices")
    assert look(folder) == "files: run.jsonl.gz is a device, expected a plain file"


@pytest.mark.parametrize("name", ["weights.pkl", "setup.py", ".git", "Manifest.yaml", "a\nb", "a\u202eb", os.fsdecode(b"\xff")])
def test_files_that_are_no_part_of_a_submission(folder: Path, name: str) -> None:
    (folder / name).write_bytes(pickle.dumps(name.isascii()))
    assert " is no part of a submission (manifest.yaml, run.jsonl.gz, verified.json)" in look(folder)


def test_a_crowd_of_files_is_counted_no_further_than_needed(folder: Path) -> None:
    for number in range(200):
        (folder / f"{number}.txt").touch()
    found = look_through(folder.parents[2], "toy", "ours").findings
    assert len(found) < 20
    assert any("more than 10 files" in finding.message for finding in found)


def test_missing_files(folder: Path) -> None:
    (folder / "manifest.yaml").unlink()
    assert look(folder) == "files: manifest.yaml is missing"
    assert look(folder, "theirs").startswith("files: toy/submissions/theirs: cannot be read")


def repeated(path: Path, block: bytes, times: int) -> None:
    """A gzip file of many times the same block, made without packing it each time; its checksum is that of nothing."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    with path.open("wb") as file:
        file.write(gzip.compress(b"")[:10])
        for _ in range(times):
            file.write(packed)
        file.write(b"\x03\x00" + bytes(8))


def refused(path: Path) -> str:
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(DataError) as raised:
        check_bounds(path)
    assert time.process_time() - started < 10
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) < 64 * 1024  # KiB
    return str(raised.value).removeprefix(str(path))


def test_a_line_of_ten_gigabytes(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl.gz"
    repeated(path, b"a" * (1 << 20), 10_000)
    assert refused(path) == ":1: longer than 4 MiB, the most that is read as one line of a run"


def test_a_bomb_of_short_lines(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl.gz"
    repeated(path, b"\n" * (1 << 20), 10_000)
    assert refused(path) == ":100001: more than 100,000 lines, the most that a run may have"


def test_a_bomb_of_long_lines(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl.gz"
    repeated(path, b"a" * ((1 << 20) - 1) + b"\n", 1000)
    assert re.fullmatch(r":\d+: gives more than (19|20)\d MiB when unpacked, the most that is read of it", refused(path))


def test_a_file_that_is_too_large_is_not_even_begun(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl.gz"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    assert "1,099,511,627,776 bytes; the most that is read of a run is 64 MiB, packed" in refused(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (pickle.dumps({"turn_id": "1_1"}), "no whole gzip file"),
        (b"", "no whole gzip file (it ends early)"),
        (gzip.compress(b"{}\n{}\n")[:-4], "no whole gzip file (it ends early)"),
        (gzip.compress(b"{}\n") + gzip.compress(b"{}\n"), "no whole gzip file (something stands behind its end)"),
        (gzip.compress(b"{}\n") + b"PK", "no whole gzip file (something stands behind its end)"),
        (gzip.compress(b"{}\n")[:-8] + bytes(8), "no whole gzip file (Error -3"),
    ],
    ids=["a pickle", "empty", "cut", "two members", "more behind it", "a wrong sum"],  # gzip writes the time, which is no name for a test
)
def test_what_is_no_whole_gzip_file(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "run.jsonl.gz"
    path.write_bytes(content)
    assert said in refused(path)


def test_lines_as_long_as_they_may_be(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl.gz"
    path.write_bytes(gzip.compress(b"a" * MAX_LINE + b"\n" + b"b" * MAX_LINE, 1))
    check_bounds(path)
    path.write_bytes(gzip.compress(b"a\n" + b"b" * (MAX_LINE + 1), 1))
    assert refused(path).startswith(":2: longer")
