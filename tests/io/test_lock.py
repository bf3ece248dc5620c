from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_disk import small_disk

from convbench.io.lock import acquire

HOLDS = """
import sys
from pathlib import Path
from convbench.io.lock import acquire

def busy(who):
    print("busy:", who, flush=True)

with acquire(Path(sys.argv[1]), busy):
    print("held", flush=True)
    sys.stdin.readline()
"""


class Refused(Exception):
    pass


def refuse(who: str) -> None:
    raise Refused(who)


def refused(path: Path) -> str:
    with pytest.raises(Refused) as raised:
        acquire(path, refuse)
    return str(raised.value)


def holder(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", HOLDS, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def held(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    with holder(tmp_path / "deep" / ".lock") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_holder_is_named(held: subprocess.Popen[str], tmp_path: Path) -> None:
    path = tmp_path / "deep" / ".lock"
    assert refused(path) == f"another process (pid {held.pid})"
    assert refused(path) == f"another process (pid {held.pid})"  # being refused does not take the name away


def test_what_a_killed_process_left_keeps_nobody_out(held: subprocess.Popen[str], tmp_path: Path) -> None:
    path = tmp_path / "deep" / ".lock"
    held.kill()
    assert held.wait() == -signal.SIGKILL
    assert path.read_text().startswith(f"{held.pid} ")
    with acquire(path, refuse):
        assert path.read_text().startswith(f"{os.getpid()} ")
        assert refused(path) == f"another process (pid {os.getpid()})"
    assert path.read_text() == ""


def test_one_that_waits_goes_on_when_the_first_ends(held: subprocess.Popen[str], tmp_path: Path) -> None:
    with holder(tmp_path / "deep" / ".lock") as second:
        assert second.stdout is not None
        assert second.stdout.readline() == f"busy: another process (pid {held.pid})\n"
        held.kill()
        assert second.stdout.readline() == "held\n"
        assert refused(tmp_path / "deep" / ".lock") == f"another process (pid {second.pid})"
        second.kill()


@pytest.mark.parametrize(
    ("left", "who"),
    [
        ("", "another process"),
        ("no number", "another process"),
        ("4711 00000000-0000-0000-0000-000000000000\n", "another process (pid 4711 on another machine)"),
    ],
)
def test_a_file_that_says_less_or_of_another_machine(tmp_path: Path, left: str, who: str) -> None:
    path = tmp_path / ".lock"
    with acquire(path, refuse):
        path.write_text(left)
        assert refused(path) == who


def test_a_full_disk_holds_a_lock_too(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", kib=4) as disk:
        (disk.folder / "filler").write_bytes(b"x" * 4096)
        with acquire(disk.folder / ".lock", refuse):
            assert refused(disk.folder / ".lock") == "another process"


def test_a_lock_says_nothing_of_the_machine_but_its_run(tmp_path: Path) -> None:
    with acquire(tmp_path / ".lock", refuse):
        words = (tmp_path / ".lock").read_text().split()
    assert words[0] == str(os.getpid())
    assert os.uname().nodename not in words
    assert words[1:] == Path("/proc/sys/kernel/random/boot_id").read_text().split()
