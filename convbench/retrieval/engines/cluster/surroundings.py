"""What workers take over from the driver's process, and what they leave there."""

from __future__ import annotations

import copy
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path

import convbench
from convbench.backends.base import TextEncoder
from convbench.errors import ResourceError

_PACKAGES = ("faiss-cpu", "numpy")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What of the driver's process a worker takes over, so that its results have the same bytes.

    Attributes:
        folder: The working directory: relative names of checkpoints mean the same.
        threads: Threads that models compute with.
        search_threads: Threads that faiss multiplies with; a matrix product's last bits depend on them.
        versions: Versions of convbench and of packages that change bits.
    """

    folder: str
    threads: int
    search_threads: int
    versions: dict[str, str]

    @classmethod
    def here(cls) -> Surroundings:
        """This process's."""
        import faiss

        return cls(str(Path.cwd()), _threads(), faiss.omp_get_max_threads(), versions())

    def enter(self) -> None:
        """Takes them over.

        Raises:
            ResourceError: The versions are others.
        """
        import faiss

        differing = sorted(name for name, version in self.versions.items() if versions().get(name) != version)
        if differing:
            name = differing[0]
            found, expected = versions().get(name, "not installed"), self.versions[name]
            raise ResourceError(f"{name} is {found}, {expected} where the command runs; install the same software on every node")
        with suppress(OSError):  # not there on this node: then no name may be relative to it
            os.chdir(self.folder)
        faiss.omp_set_num_threads(self.search_threads)

    def set_threads(self) -> None:
        """Lets models compute with as many threads; called once they are loaded."""
        if torch := sys.modules.get("torch"):
            torch.set_num_threads(self.threads)


def versions() -> dict[str, str]:
    """Versions of convbench and of packages that change bits; an encoder's own are in its description."""
    found = {"convbench": convbench.__version__}
    for name in _PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _threads() -> int:
    """As torch has it where it is loaded; the encoder was loaded before this is asked."""
    torch = sys.modules.get("torch")
    return int(torch.get_num_threads()) if torch else 1


def bare(encoder: TextEncoder) -> TextEncoder:
    """A copy without what was loaded or worked out on first use, which every worker does for itself."""
    copied = copy.copy(encoder)
    for name in list(vars(copied)):
        if isinstance(getattr(type(copied), name, None), cached_property):
            del vars(copied)[name]
    return copied
