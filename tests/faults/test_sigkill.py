"""Killed at random moments of a run, from its start to its report: what is there is kept, and the end is that of a run without a kill."""

from __future__ import annotations

import itertools
import json
import random
import signal
import time
from pathlib import Path

import pytest
from command_line import content_without_cost, fork
from mixed_run import Undisturbed, finish, leftovers, mixed_command, phase

from convbench.io.digests import file_sha256


def killed_after(seconds: float, out: Path, cache: Path) -> float | None:
    """Kills a run at a moment; None, or how long it took where it was done before."""
    process = fork(out.with_name(f"{out.name}.killed.log"), *mixed_command(out, cache))
    began = time.monotonic()
    while process.is_alive() and time.monotonic() < began + seconds:
        time.sleep(0.001)
    process.kill()
    process.join()
    return None if process.exitcode == -signal.SIGKILL else time.monotonic() - began


def finished_stages(out: Path) -> dict[str, tuple[int, int]]:
    """Stage -> inode and time of its finished rows."""
    found = {}
    for path in out.glob("stages/*.manifest.json"):
        manifest, rows = json.loads(path.read_text(encoding="utf-8")), path.with_name(path.name.replace(".manifest.json", ".jsonl"))
        if rows.exists() and file_sha256(rows) == manifest["sha256"]:
            found[manifest["stage"]] = (rows.stat().st_ino, rows.stat().st_mtime_ns)
    return found


@pytest.mark.parametrize(("kills", "phases"), [(4, 2), pytest.param(20, 6, marks=pytest.mark.slow)])
def test_killed_at_random_moments(whole: Undisturbed, tmp_path: Path, kills: int, phases: int) -> None:
    chance, seen, seconds = random.Random(kills), [], whole.seconds
    for number in range(kills):  # one moment in each of as many equal parts of the time that a run takes
        part = (number + chance.random()) / kills
        for attempt in itertools.count():
            out, cache = tmp_path / f"run-{number}-{attempt}", tmp_path / f"cache-{number}-{attempt}"
            took = killed_after(part * seconds, out, cache)
            if took is None:
                break
            seconds = min(seconds, took)  # the undisturbed one had less of the machine
        seen.append(phase(out, cache))
        kept = finished_stages(out)
        finish(out, cache)
        assert content_without_cost(out) == whole.content, seen
        assert {name: made for name, made in finished_stages(out).items() if name in kept} == kept, "a finished stage was made again"
        assert leftovers(out) == []
        executions = json.loads((out / "run.json").read_text(encoding="utf-8"))["executions"]
        assert executions[-1]["status"] == "finished"
    assert len(set(seen)) >= phases, seen
