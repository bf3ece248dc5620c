"""What a result depends on besides the data: versions, platform, git commit; and the machine that its times depend on."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import convbench

_PACKAGES = (
    "bert-score", "bm25s", "faiss-cpu", "ir-measures", "numba", "numpy", "pyarrow", "pystemmer", "pytrec-eval-terrier", "rouge-score",
    "rouge-score-rs", "tokenizers", "torch", "transformers",
)  # fmt: skip


def package_versions() -> dict[str, str]:
    """Versions of the packages that can change a number, those installed."""
    return {"convbench": convbench.__version__, **dict(_installed())}


@lru_cache(maxsize=1)
def _installed() -> tuple[tuple[str, str], ...]:
    """Name and version of each; every look-up searches the disk, and what a process has loaded stays what it is."""
    versions = []
    for name in _PACKAGES:
        try:
            versions.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            continue
    return tuple(versions)


def environment() -> dict[str, Any]:
    """Python, platform, packages and the commit of convbench's own checkout (None outside one)."""
    return {"python": platform.python_version(), "platform": platform.platform(), "packages": package_versions(), "git": git_state()}


def machine(described: Any) -> dict[str, Any]:
    """What the times of a stage are measured on.

    Args:
        described: What the stage says of itself; a ``device`` in it is where its model computes. A GPU is given by its own name.
    """
    torch, device = sys.modules.get("torch"), _device(described)
    gpu = torch.cuda.get_device_name(device) if torch and device and device.startswith("cuda") else None
    threads = torch.get_num_threads() if torch else os.cpu_count() or 1
    return {"device": gpu or device, "threads": threads, "processor": _processor(), "platform": platform.platform()}


def _device(described: Any) -> str | None:
    """The first ``device`` at any depth."""
    if isinstance(described, dict):
        device = described.get("device")
        return device if isinstance(device, str) else _device(list(described.values()))
    return next(filter(None, map(_device, described)), None) if isinstance(described, list) else None


@lru_cache(maxsize=1)
def _processor() -> str:
    """The processor's name, which Python knows on few systems; the architecture where it is not to be had."""
    info = Path("/proc/cpuinfo")
    named = re.search(r"^model name\s*:\s*(.+)$", info.read_text(encoding="utf-8"), re.MULTILINE) if info.exists() else None
    return named[1] if named else platform.processor() or platform.machine()


@lru_cache(maxsize=1)
def git_state() -> Mapping[str, Any] | None:
    """Commit and dirtiness of the checkout that convbench is imported from; None where it is installed as a package.

    Looked up once: it is the code of this process that counts, not what becomes of the files meanwhile.
    """
    root = Path(convbench.__file__).parent.parent
    if not (root / ".git").exists():
        return None
    commit = _git(root, "rev-parse", "HEAD")
    return {"commit": commit, "dirty": bool(_git(root, "status", "--porcelain"))} if commit else None


def _git(root: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(root), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
