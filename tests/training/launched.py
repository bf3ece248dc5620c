"""``convbench train`` in several processes, as torchrun or accelerate start it, and what it left."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from convbench.io.cache import cache_root
from convbench.training.log import read_log

TORCHRUN = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2")
ACCELERATE = ("accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--main_process_port", "0")
ALONE = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def start(launcher: Sequence[str], recipe: Path, *arguments: object, **environment: str) -> subprocess.Popen[str]:
    """Starts a training; without a launcher in one process, or in the one that the environment describes."""
    own = ["train", str(recipe), "--cache", str(cache_root()), "--offline", *map(str, arguments)]
    modules = [part for module in (*([launcher] if launcher else []), ["convbench", "-q"]) for part in ("-m", *module)]
    return subprocess.Popen(
        [sys.executable, *modules, *own],
        env={**os.environ, **ALONE, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code, output and errors; what still runs after two minutes is ended with all that it started."""
    try:
        out, error = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return process.returncode, out, error


def trained(launcher: Sequence[str], recipe: Path, out: Path, *arguments: object, **environment: str) -> str:
    """The output of a training that must end well."""
    code, said, error = finished(start(launcher, recipe, "--out", out, *arguments, **environment))
    assert code == 0, error[-5000:]
    return said


def two_without_a_launcher(recipe: Path, out: Path, *arguments: object) -> list[subprocess.Popen[str]]:
    """Two processes that know of each other as if a launcher had started them, but that nothing ends when one of them is gone."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return [start((), recipe, "--out", out, *arguments, RANK=rank, LOCAL_RANK=rank, **shared) for rank in "01"]


def updates(folder: Path) -> list[dict[str, Any]]:
    """The lines of the log that tell of updates."""
    path = folder / "train.jsonl"
    return [line for line in read_log(path) if "losses" in line] if path.exists() else []


def wait_for(step: int, folder: Path) -> None:
    """Waits until so many updates are in the log, whose last line may be half written."""
    path = folder / "train.jsonl"
    for _ in range(2400):
        if path.exists() and path.read_text().count("\n") >= step:
            return
        time.sleep(0.05)
    raise AssertionError(f"{path}: no {step} lines in two minutes")


def children(process: subprocess.Popen[str]) -> dict[str, int]:
    """Rank -> process id of what a launcher started."""
    found = {}
    for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
        environment = dict(line.split("=", 1) for line in Path(f"/proc/{child}/environ").read_text().split("\0") if "=" in line)
        if "RANK" in environment:
            found[environment["RANK"]] = int(child)
    return found


def processes(folder: Path) -> int:
    """How many processes trained, as the last checkpoint says."""
    state = json.loads((sorted((folder / "checkpoints").iterdir())[-1] / "state.json").read_text())
    return int(state["identity"]["processes"])


def assert_same_losses(one: Path, other: Path, *, rel: float) -> None:
    """Losses and length of the gradients, step by step."""
    left, right = updates(one), updates(other)
    assert [line["step"] for line in left] == [line["step"] for line in right]
    assert left
    for mine, theirs in zip(left, right, strict=True):
        assert mine["losses"].keys() == theirs["losses"].keys()
        for name, loss in {**mine["losses"], "total": mine["total"]}.items():
            found = theirs["total"] if name == "total" else theirs["losses"][name]
            assert found == pytest.approx(loss, rel=rel), (mine["step"], name)
        assert theirs["gradient_norm"] == pytest.approx(mine["gradient_norm"], rel=10 * rel)
        assert theirs["learning_rate"] == mine["learning_rate"]


def assert_same_weights(one: Path, other: Path, *, rel: float) -> None:
    """What is learnt, in the last checkpoint."""
    left, right = (load_file(sorted((folder / "checkpoints").iterdir())[-1] / "weights.safetensors") for folder in (one, other))
    assert left.keys() == right.keys()
    for name, weight in left.items():
        assert torch.linalg.vector_norm(weight - right[name]) <= rel * torch.linalg.vector_norm(weight), name
