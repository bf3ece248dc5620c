"""What a result depends on besides the data: versions, platform, git commit."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import convbench

_PACKAGES = (
    "bert-score", "bm25s", "faiss-cpu", "ir-measures", "numpy", "pyarrow", "pystemmer", "pytrec-eval-terrier", "rouge-score", "tokenizers",
    "torch", "transformers",
)  # fmt: skip


def package_versions() -> dict[str, str]:
    """Versions of the packages that can change a number, those installed."""
    versions = {"convbench": convbench.__version__}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def environment() -> dict[str, Any]:
    """Python, platform, packages and the commit of convbench's own checkout (None outside one)."""
    return {"python": platform.python_version(), "platform": platform.platform(), "packages": package_versions(), "git": git_state()}


def git_state() -> dict[str, Any] | None:
    """Commit and dirtiness of the checkout that convbench is imported from; None where it is installed as a package."""
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
