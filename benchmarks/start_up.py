"""How long `convbench --help` takes from the shell, against a Python that imports click and does nothing.

    python benchmarks/start_up.py --out results.json

Both are processes of their own, started in turn. The aim is a difference: at most 0.15 s more than the import of click, so the peer's time
is that of click and 0.15 s. What `convbench run --help` and `convbench baselines list` take is measured in the same way, without an aim.
"""

# ruff: noqa: E402
from __future__ import annotations

from side_by_side import one_thread

one_thread()

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from side_by_side import Pairs, Result, Spread, environment, seconds, write_results

ALLOWED = 0.15
PAIRS = 15
CLICK = ("-c", "import click")
COMMANDS = {
    "convbench --help": ("-m", "convbench", "--help"),
    "convbench run --help": ("-m", "convbench", "run", "--help"),
    "convbench baselines list": ("-m", "convbench", "baselines", "list"),
}


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock, and those that the processes of some work computed: other work on the machine adds little to these."""
    before = os.times()
    spent = seconds(work)
    after = os.times()
    computed = (after.children_user - before.children_user) + (after.children_system - before.children_system)
    return spent, computed


def started(arguments: Sequence[str]) -> str:
    """What a fresh Python prints."""
    return subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True, timeout=120).stdout


def compared(name: str, pairs: int) -> Result:
    """One command and the import of click, in turn."""
    command = COMMANDS[name]
    assert started(command).strip(), f"{name} prints nothing"
    assert not started(CLICK)
    ours, click = [], []
    for _ in range(pairs):
        ours.append(timed(partial(started, command)))
        click.append(timed(partial(started, CLICK)))
    aimed = name == "convbench --help"
    allowed = ALLOWED if aimed else 0.0
    own = [clock for clock, _ in ours]
    peer = [clock + allowed for clock, _ in click]
    more, computed = (Spread.of([mine[at] - bare[at] for mine, bare in zip(ours, click, strict=True)]) for at in (0, 1))
    return Result(
        path=f"start-up, {name}",
        peer='python -c "import click"' + (f", and {ALLOWED:g} s" if aimed else ""),
        pairs=Pairs(
            {"ours": Spread.of(own), "peer": Spread.of(peer)},
            Spread.of([bare / mine for mine, bare in zip(own, peer, strict=True)]),
            pairs,
        ),
        equality="it prints something and ends well",
        at_most=1.0 if aimed else None,
        notes=f"{more.median:.3f} s more than the import of click ({more.min:.3f} to {more.max:.3f}, pair by pair), of which the processor "
        f"works {computed.median:.3f} s.",
        settings={"seconds_more_than_click": more.median, "of_which_processor": computed.median},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="where the figures go, as JSON")
    parser.add_argument("--small", action="store_true", help="two pairs, to see that it works")
    options = parser.parse_args()
    load_before = os.getloadavg()[0]
    pairs = 2 if options.small else PAIRS
    write_results(options.out, [compared(name, pairs) for name in COMMANDS], environment(["click", "pydantic"], load_before))


if __name__ == "__main__":
    main()
