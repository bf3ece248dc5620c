from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from command_line import succeed
from mixed_run import Undisturbed, quick_command, undisturbed


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """The mixed system's run that nothing disturbs."""
    return undisturbed(tmp_path_factory.mktemp("undisturbed"))


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``run``, a finished run on one conversation, and ``cache``, which it filled."""
    base = tmp_path_factory.mktemp("warm")
    succeed(*quick_command(base))
    return base


@pytest.fixture
def copied(warm: Path, tmp_path: Path) -> Path:
    """A folder with a copy of the cache, and no run yet."""
    shutil.copytree(warm / "cache", tmp_path / "cache")
    return tmp_path
