"""Importing convbench and asking its command line for help stays cheap: no heavy library, well under a third of a second."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

HEAVY = {"torch", "transformers", "faiss", "pyarrow", "bm25s", "ir_measures", "numba", "pandas", "scipy"}
HELP = "import sys; from convbench.cli.main import main; sys.argv = ['convbench', *{arguments!r}]; main()"
LOADED = "import json, sys; print(json.dumps(sorted(name.partition('.')[0] for name in sys.modules)), file=sys.stderr)"
BUDGET = 0.3
"""Seconds of ``convbench --help`` beyond the start of the interpreter."""


def loaded_by(code: str) -> set[str]:
    """Top-level names of the modules that a fresh interpreter has loaded after ``code``, even where it exits."""
    wrapped = f"try:\n    exec({code!r})\nexcept SystemExit as end:\n    assert not end.code, end.code\n{LOADED}"
    done = subprocess.run([sys.executable, "-c", wrapped], capture_output=True, text=True, timeout=60, check=True)
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize(
    "code", ["import convbench", "import convbench.cli.main", HELP.format(arguments=["--help"]), HELP.format(arguments=["--version"])]
)
def test_no_heavy_library_is_loaded(code: str) -> None:
    loaded = loaded_by(code)
    assert "convbench" in loaded
    assert loaded & HEAVY == set()


@pytest.mark.parametrize("command", ["run", "score", "validate", "data", "baselines"])
def test_nor_by_the_help_of_a_command(command: str) -> None:
    assert loaded_by(HELP.format(arguments=[command, "--help"])) & HEAVY == set()


def test_the_check_sees_what_is_loaded() -> None:
    assert "bm25s" in loaded_by("import bm25s")


def test_help_is_quick(capsys: pytest.CaptureFixture[str]) -> None:
    def best_of_five(code: str) -> float:
        times = []
        for _ in range(5):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, timeout=60, check=True)
            times.append(time.perf_counter() - start)
        return min(times)

    bare, whole = best_of_five("pass"), best_of_five(HELP.format(arguments=["--help"]))
    with capsys.disabled():
        print(f"\nconvbench --help: {whole:.3f} s, of which the interpreter's start {bare:.3f} s")  # noqa: T201
    assert whole - bare < BUDGET
