"""Killed in every step of a run, from its start to its report, some more than once: what is there is kept, and the end is byte for byte
that of a run without a kill.

Most of a run's time goes into few of its steps, so that moments at random in time would hardly ever hit the others. A moment is therefore a
step and a share of the time that the step takes: both are drawn from a seed, and the kill waits for the step to begin, however busy the
machine is.
"""

from __future__ import annotations

import json
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from command_line import content_without_cost, fork
from mixed_run import Undisturbed, finish, leftovers, mixed_command

from convbench.io.digests import file_sha256

STEPS = ("start", "store", "index", "search", "generate", "score", "report")


def step_of(out: Path, cache: Path) -> str:
    """The step that a run is in, by what it has written; asked of the last step first, as each leaves its files there."""
    if (out / "results.json").exists():
        return "report"
    if (out / "turns.jsonl").exists():
        return "score"
    if (out / "stages" / "search.manifest.json").exists():
        return "generate"
    if any(cache.glob("dense/*/*.faiss")):  # the last of the indexes
        return "search"
    if any(cache.glob("stores/*/manifest.json")):
        return "index"
    return "store" if (out / "run.json").exists() else "start"


def watched(process: BaseProcess, out: Path, cache: Path, until: Callable[[str], bool]) -> dict[str, float]:
    """Step -> when it was first seen, until one is reached or the process ends."""
    seen: dict[str, float] = {}
    while process.is_alive():
        seen.setdefault(step := step_of(out, cache), time.monotonic())
        if until(step):
            break
        time.sleep(0.0005)
    return seen


@dataclass(frozen=True)
class Moment:
    """A share of a step's time after its beginning."""

    step: str
    share: float

    def kill(self, out: Path, cache: Path, lasting: dict[str, float]) -> str | None:
        """Starts the run and kills it at the moment; the step it was killed in, or None where it had ended."""
        process = fork(out.with_name(f"{out.name}.killed.log"), *mixed_command(out, cache))
        place = STEPS.index(self.step)
        watched(process, out, cache, lambda step: STEPS.index(step) >= place)
        if step_of(out, cache) == self.step:  # else it is late already
            end = time.monotonic() + self.share * lasting.get(self.step, 0.0)
            while process.is_alive() and time.monotonic() < end:
                time.sleep(0.0002)
        process.kill()
        process.join()
        return step_of(out, cache) if process.exitcode == -signal.SIGKILL else None


@pytest.fixture(scope="module")
def lasting(whole: Undisturbed, tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """Step -> seconds, in a run that nothing disturbs."""
    base = tmp_path_factory.mktemp("lasting")
    process = fork(base / "log", *mixed_command(base / "run", base / "cache"))
    seen = watched(process, base / "run", base / "cache", lambda _: False)
    process.join()
    begun = [*seen.values(), time.monotonic()]
    assert list(seen) == [step for step in STEPS if step in seen]
    assert content_without_cost(base / "run") == whole.content
    return {step: begun[place + 1] - begun[place] for place, step in enumerate(seen)}


def finished_stages(out: Path) -> dict[str, tuple[int, int]]:
    """Stage -> inode and time of its finished rows."""
    found = {}
    for path in out.glob("stages/*.manifest.json"):
        manifest, rows = json.loads(path.read_text(encoding="utf-8")), path.with_name(path.name.replace(".manifest.json", ".jsonl"))
        if rows.exists() and file_sha256(rows) == manifest["sha256"]:
            found[manifest["stage"]] = (rows.stat().st_ino, rows.stat().st_mtime_ns)
    return found


TIMED = ("run.json", "results.json", "report.md", "report.html")
"""What holds times or costs; ``content_without_cost`` compares the rest of them."""


def every_byte(folder: Path) -> dict[str, str]:
    """Path -> digest of every file of a run folder or cache that is the same each time; what else is there, by its name alone."""
    # Left out are notes of files' dates, among which a kill may leave a half-written one of some bytes.
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.parent.name != "digests")
    return {
        path.relative_to(folder).as_posix(): "" if path.name in TIMED or path.name.endswith(".cost.jsonl") else file_sha256(path)
        for path in files
    }


def killed_and_finished(moments: list[Moment], whole: Undisturbed, base: Path, lasting: dict[str, float]) -> list[str]:
    """Kills one run at one moment after the other, lets it end, and compares; the steps that it was killed in."""
    base.mkdir()
    out, cache = base / "run", base / "cache"
    came: list[str] = []
    for moment in moments:
        kept = finished_stages(out)
        if (step := moment.kill(out, cache, lasting)) is not None:
            came.append(step)
        assert {name: made for name, made in finished_stages(out).items() if name in kept} == kept, "a finished stage was made again"
    kept = finished_stages(out)
    finish(out, cache)
    assert content_without_cost(out) == whole.content, (moments, came)
    assert {name: made for name, made in finished_stages(out).items() if name in kept} == kept, "a finished stage was made again"
    assert every_byte(out) == every_byte(whole.folder), (moments, came)
    assert every_byte(cache) == every_byte(whole.cache), (moments, came)
    assert leftovers(out) == []
    assert json.loads((out / "run.json").read_text(encoding="utf-8"))["executions"][-1]["status"] == "finished"
    return came


def drawn(kills: int, seed: int) -> list[list[Moment]]:
    """The moments of as many runs: each step in turn is the first one's, and every third run is killed once more, in that step or later."""
    chance, found = random.Random(seed), []
    for number in range(kills):
        place = number % len(STEPS)
        moments = [Moment(STEPS[place], chance.random())]
        if number % 3 == 2:
            moments.append(Moment(STEPS[chance.randrange(place, len(STEPS))], chance.random()))
        found.append(moments)
    return found


def test_moments_are_the_same_each_time_and_spread_over_the_steps() -> None:
    assert drawn(20, 20) == drawn(20, 20) != drawn(20, 21)
    counts = Counter(moments[0].step for moments in drawn(20, 20))
    assert set(counts) == set(STEPS)
    assert min(counts.values()) >= 2


@pytest.mark.parametrize(("kills", "seed"), [(2, 4), pytest.param(20, 20, marks=pytest.mark.slow)])
def test_killed_at_random_moments(whole: Undisturbed, lasting: dict[str, float], tmp_path: Path, kills: int, seed: int) -> None:
    hit: Counter[str] = Counter()
    for number, moments in enumerate(drawn(kills, seed)):
        for attempt in range(6):  # a step of a few milliseconds can be over before it is seen: then at its very beginning
            sooner = [Moment(moment.step, moment.share * 0.5**attempt) for moment in moments]
            came = killed_and_finished(sooner, whole, tmp_path / f"{number}-{attempt}", lasting)
            hit.update(came)
            if moments[0].step in came:
                break
        else:
            pytest.fail(f"never killed in {moments[0].step}: {hit}")
    assert {moments[0].step for moments in drawn(kills, seed)} <= set(hit), hit
