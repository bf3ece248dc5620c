"""Inputs of parsers: one file, or the files of a folder."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

SEEDS = Path(__file__).parent / "seeds"


@dataclass(frozen=True)
class Case:
    """An input.

    Attributes:
        files: Path below the input's root -> content; a file has its own name.
        is_folder: Whether the root is a folder with the files in it, or the only file itself.
    """

    files: dict[str, bytes]
    is_folder: bool

    @classmethod
    def load(cls, path: Path) -> Case:
        if path.is_file():
            return cls({path.name: path.read_bytes()}, is_folder=False)
        return cls(
            {file.relative_to(path).as_posix(): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}, is_folder=True
        )

    def write(self, folder: Path) -> Path:
        """Writes the files into a folder, and returns what a parser is to be given."""
        for name, content in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        return folder if self.is_folder else folder / next(iter(self.files))

    def keep(self, seeds: str) -> Path:
        """Writes the input as a new seed, named after its content."""
        digest = hashlib.sha256(repr(sorted(self.files.items())).encode()).hexdigest()[:8]
        if self.is_folder:
            return self.write(SEEDS / seeds / f"found-{digest}")
        name = next(iter(self.files))
        return Case({f"found-{digest}.{name.partition('.')[2]}": self.files[name]}, is_folder=False).write(SEEDS / seeds)


def seed_paths(seeds: str) -> list[Path]:
    """The inputs in a folder of seeds."""
    return sorted((SEEDS / seeds).iterdir())
