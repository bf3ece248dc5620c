"""Fuzzes every parser: seeds changed at random must be read, or refused in one line, within seconds and without growing.

Each parser runs in a process of its own. An input whose outcome is new joins the pool that further inputs are made from. One that breaks
something is kept as a seed in ``tests/fuzz/seeds``, where the normal tests read it from then on.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fuzz.cases import Case, seed_paths
from fuzz.mutate import mutated
from fuzz.targets import TARGETS, outcome

SECONDS_AN_INPUT = 5
MIB_AN_INPUT = 64
"""How far one input (they have some KB) may lift the process's peak."""
MIB_AT_ALL = 128
"""How far the peak may rise after the first inputs."""
WARM_UP = 300
POOL = 400


class TooSlow(BaseException):
    """Not an ``Exception``, so that no parser takes it for one of its own."""


def too_slow(*_: object) -> None:
    raise TooSlow(f"not done after {SECONDS_AN_INPUT} s")


def peak_mib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def place(error: BaseException) -> str:
    """Where a failure comes from: failures of one place are counted once."""
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if "convbench" in frame.filename and "fuzz" not in frame.filename
    ]
    frame = frames[-1] if frames else traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(frame.filename).name}:{frame.name}"


def work(name: str, seconds: float, seed: int, folder: Path) -> dict[str, object]:
    """Fuzzes one parser for a while; ``folder`` holds the input at hand, for the case that the process dies of it."""
    faulthandler.enable()
    signal.signal(signal.SIGALRM, too_slow)
    target, chance = TARGETS[name], random.Random(f"{name} {seed}")
    seeds = [Case.load(path) for path in seed_paths(target.seeds)]
    pool = list(seeds)
    for path in seed_paths(target.seeds):  # what is imported at first use is no growth
        with suppress(Exception):
            outcome(target, path)
    seen: dict[str, int] = {}
    failures: dict[str, dict[str, str]] = {}
    tried, slowest, before, warm = 0, 0.0, peak_mib(), None
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        case = mutated(chance.choice(chance.choice((seeds, pool))), chance)
        at_hand = folder / str(tried)
        path = case.write(at_hand)
        begun = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, SECONDS_AN_INPUT)
        try:
            came = outcome(target, path)
            signal.setitimer(signal.ITIMER_REAL, 0)
            if peak_mib() - before > MIB_AN_INPUT:
                raise MemoryError(f"one input took {peak_mib() - before:.0f} MiB")
            if warm is not None and peak_mib() - warm > MIB_AT_ALL:
                warm = peak_mib()
                raise MemoryError(f"grew by more than {MIB_AT_ALL} MiB")
        except (Exception, TooSlow) as error:
            signal.setitimer(signal.ITIMER_REAL, 0)
            came = place(error)
            if came not in failures:
                failures[came] = {"error": f"{type(error).__name__}: {error}"[:300], "seed": case.keep(target.seeds).name}
                print(name, came, failures[came], file=sys.stderr, flush=True)
        slowest, before = max(slowest, time.monotonic() - begun), peak_mib()
        if came not in seen and len(pool) < POOL and sum(map(len, case.files.values())) < 100_000:
            pool.append(case)
        seen[came] = seen.get(came, 0) + 1
        shutil.rmtree(at_hand)
        tried += 1
        if tried == WARM_UP:
            warm = peak_mib()
    return {
        "tried": tried,
        "read": seen.get("read", 0),
        "outcomes": len(seen),
        "slowest_ms": round(1000 * slowest, 1),
        "grown_mib": round(peak_mib() - (warm or peak_mib()), 1),
        "failures": failures,
    }


def fuzz(name: str, seconds: float, seed: int) -> dict[str, object]:
    """Fuzzes one parser in its own process."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--worker", folder, "--target", name, "--seconds", str(seconds), "--seed", str(seed)]
        try:
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, timeout=seconds + 60)
            if done.returncode == 0:
                return json.loads(done.stdout)
            died = f"the process ended with {done.returncode}"
        except subprocess.TimeoutExpired:
            died = "the process hung"
        at_hand = next((path for path in Path(folder).iterdir()), None)
        kept = None
        if at_hand is not None:
            is_folder = Case.load(seed_paths(TARGETS[name].seeds)[0]).is_folder
            kept = Case(Case.load(at_hand).files, is_folder).keep(TARGETS[name].seeds).name
        return {"tried": 0, "failures": {"died": {"error": died, "seed": str(kept)}}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="in all, shared by the parsers")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", action="append", choices=TARGETS, help="only this parser (may be repeated)")
    parser.add_argument("--out", type=Path, help="write the counts here, as JSON; what it lists as found and fixed is kept")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, help=argparse.SUPPRESS)
    given = parser.parse_args()
    names = given.target or list(TARGETS)
    if given.worker:
        print(json.dumps(work(names[0], given.seconds, given.seed, given.worker)))
        return
    begun, results = time.monotonic(), {}
    for name in names:
        results[name] = fuzz(name, 60 * given.minutes / len(names), given.seed)
        shown = ", ".join(f"{key} {value}" for key, value in results[name].items() if key != "failures")
        print(f"{name:22} {shown}, failures {len(results[name]['failures'])}", flush=True)
    minutes = (time.monotonic() - begun) / 60
    tried = sum(result["tried"] for result in results.values())
    failures = sum(len(result["failures"]) for result in results.values())
    print(f"{tried} inputs in {minutes:.1f} minutes, {failures} failures")
    if given.out:
        earlier = json.loads(given.out.read_text(encoding="utf-8")) if given.out.exists() else {}
        fixed = earlier.get("found_and_fixed", [])  # written by hand
        summary = {
            "minutes": round(minutes, 2),
            "seed": given.seed,
            "tried": tried,
            "failures": failures,
            "targets": results,
            "found_and_fixed": fixed,
        }
        given.out.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
