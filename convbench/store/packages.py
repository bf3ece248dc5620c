"""Packages that only the run store needs (``convbench[store]``)."""

from __future__ import annotations

import importlib
from typing import Any

from convbench.errors import ResourceError


def package(name: str, purpose: str) -> Any:
    """Imports a package of ``convbench[store]``.

    Args:
        name: The package.
        purpose: What it is needed for, as the end of a sentence.

    Raises:
        ResourceError: It is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ResourceError(f"{name} is needed to {purpose} and is not installed: pip install 'convbench[store]'") from None
