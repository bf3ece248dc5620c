"""A disk that fills at every place of a run: one line, the exit code, nothing half-written, and with more room the same end."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from command_line import content_without_cost, fork
from mixed_run import Undisturbed, finish, leftovers, mixed_command, phase
from small_disk import SmallDisk, small_disk

STORAGE = 6
ADVICE = "run the same command again to go on"
CHECKED = "free some space, or "
"""Where the room is looked at before work begins."""


def size_of(folder: Path) -> int:
    """KiB that a folder takes on a disk of pages."""
    return sum(-(-path.stat().st_size // 4096) * 4 + 4 for path in folder.rglob("*"))


def filled(disk: SmallDisk, out: Path, cache: Path, sizes: list[int]) -> list[str]:
    """Runs at one size of the disk after the other; how far each came."""
    seen = []
    for kib in sizes:
        disk.resize(max(kib, disk.used))
        log = out.with_name(f"log-{kib}") if out.parent != disk.folder else cache.with_name(f"log-{kib}")
        process = fork(log, "--quiet", *mixed_command(out, cache))
        process.join(300)
        said = log.read_text(encoding="utf-8")
        if process.exitcode == 0:  # what does not fit is only a shortcut
            break
        assert process.exitcode == STORAGE, said
        errors = [line for line in said.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1, said
        assert ADVICE in errors[0] or CHECKED in errors[0], said
        assert "Traceback" not in said
        assert [name for name in leftovers(disk.folder) if name.endswith(".tmp")] == []
        seen.append(phase(out, cache))
    return seen


def check(whole: Undisturbed, tmp_path: Path, place: str, share: list[float]) -> list[str]:
    with small_disk(tmp_path / "disk") as disk:
        places = {"out": tmp_path / "here" / "run", "cache": tmp_path / "here" / "cache"} | {place: disk.folder / place}
        places["out"].parent.mkdir(exist_ok=True, parents=True)
        most = size_of(whole.folder if place == "out" else whole.cache)
        (tmp_path / "here").mkdir(exist_ok=True)
        seen = filled(disk, places["out"], places["cache"], [int(part * most) for part in share])
        disk.resize(4 * most)
        finish(places["out"], places["cache"])
        assert content_without_cost(places["out"]) == whole.content
        return seen


@pytest.mark.slow
@pytest.mark.parametrize("place", ["out", "cache"])
def test_a_disk_that_fills(whole: Undisturbed, tmp_path: Path, place: str) -> None:
    assert check(whole, tmp_path, place, [0.4])


@pytest.mark.slow
@pytest.mark.parametrize(("place", "phases"), [("out", 5), ("cache", 3)])
def test_a_disk_that_grows_a_little_each_time(whole: Undisturbed, tmp_path: Path, place: str, phases: int) -> None:
    """From no room at all to room for almost everything: store, indexes, rows of stages, scores, report."""
    chance = random.Random(11)
    seen = check(whole, tmp_path, place, sorted(chance.uniform(0.02, 1.0) for _ in range(14)))
    assert len(set(seen)) >= phases, seen
