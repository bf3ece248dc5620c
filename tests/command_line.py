"""Running ``convbench`` from tests: in this process, in one of its own, or in a fork that can be killed."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from convbench.cli.main import main
from convbench.harness.results import Cost, read_results
from convbench.report.build import render_html, render_markdown

MINI = Path(__file__).parents[1] / "convbench" / "datasets" / "mini"

# Tests run side by side: more threads than cores make small models wait for each other.
_ENVIRONMENT = {"OMP_NUM_THREADS": "1"}

_FORKS = multiprocessing.get_context("forkserver")
# What a run imports lazily is imported once, before the forks: it is most of the time of a small run.
_FORKS.set_forkserver_preload(
    ["convbench.harness.run", "convbench.report.write", "bm25s", "bert_score", "faiss", "transformers.models.bert.modeling_bert"]
)


_SAME_EVERY_TIME = ("turns.jsonl", "retrieval.trec", "scores.jsonl")


def content_without_cost(folder: Path) -> dict[str, Any]:
    """What a run folder holds and every execution of the same run gives: all but times and the reports that show them.

    Of the costs it has what was counted and loaded; the reports are checked to be those of the results.
    """
    found: dict[str, Any] = {name: (folder / name).read_bytes() for name in _SAME_EVERY_TIME}
    rows = [path for path in sorted(folder.glob("stages/*.jsonl")) if not path.name.endswith(".cost.jsonl")]
    found |= {path.relative_to(folder).as_posix(): path.read_bytes() for path in rows}
    results = read_results(folder / "results.json")
    assert (folder / "report.md").read_text(encoding="utf-8") == render_markdown([results])
    assert (folder / "report.html").read_text(encoding="utf-8") == render_html([results])
    found["results.json"] = results.model_dump_json(exclude={"cost"})
    found["cost"] = counted(results.cost)
    return found


def without_digests(folder: Path) -> dict[str, Any]:
    """Writes ``results.json`` as older versions did, so that a test may change the run by hand; its content."""
    results: dict[str, Any] = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    for key in ("check", "scores_sha256"):
        results.pop(key, None)
    (folder / "results.json").write_text(json.dumps(results), encoding="utf-8")
    return results


def counted(cost: Cost) -> dict[str, Any]:
    """The part of a cost that is no time, without what only the first of several runs has to build."""
    per_turn = [phase.model_dump(exclude={"seconds", "ms_per_turn"}) for phase in cost.phases if not phase.once]
    return {**cost.model_dump(include={"models", "indexes", "turns", "tokens_in", "tokens_out", "forward_passes"}), "phases": per_turn}


@dataclass(frozen=True)
class Finished:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The one line that an error must be."""
        assert self.code != 0, f"expected an error, got: {self.out}"
        assert self.err.startswith("error: "), self.err
        assert self.err.endswith("\n"), self.err
        assert self.err.count("\n") == 1, self.err
        return self.err.removeprefix("error: ").rstrip("\n")


def convbench(*arguments: object) -> Finished:
    """Runs a command in this process, logging included."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with _as_command(arguments), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Finished(code, out.getvalue(), err.getvalue())


def succeed(*arguments: object) -> Finished:
    """Runs a command in this process that must end well."""
    finished = convbench(*arguments)
    assert finished.code == 0, finished.err
    return finished


@contextlib.contextmanager
def _as_command(arguments: tuple[object, ...]) -> Iterator[None]:
    with patch.object(sys, "argv", ["convbench", *map(str, arguments)]), patch.object(logging.getLogger(), "handlers", []):
        yield


def start(*arguments: object, **settings: Any) -> subprocess.Popen[str]:
    """Starts a command in a process of its own, from a fresh interpreter."""
    command = [sys.executable, "-c", "from convbench.cli.main import main; main()", *map(str, arguments)]
    environment = {**os.environ, **_ENVIRONMENT}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **settings)


def heed_control_c() -> None:
    """For ``preexec_fn``: tests run in the background of a shell ignore Ctrl-C, and what they start would too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def completed(process: subprocess.Popen[str]) -> Finished:
    """Waits for a started command."""
    out, err = process.communicate(timeout=120)
    return Finished(process.returncode, out, err)


def fork(log: Path, *arguments: object) -> multiprocessing.process.BaseProcess:
    """Starts a command in a forked process that has everything imported; what it prints goes to ``log``."""
    process = _FORKS.Process(target=_forked, args=(str(log), [*map(str, arguments)]), daemon=True)
    with patch.dict(os.environ, _ENVIRONMENT):  # the first one starts the server that all are forked from
        process.start()
    return process


def _forked(log: str, arguments: list[str]) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    with _as_command(tuple(arguments)):
        main()
