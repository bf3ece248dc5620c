"""A disk of a chosen size, mounted for a test."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class SmallDisk:
    """A folder on a disk of its own."""

    folder: Path

    def resize(self, kib: int) -> None:
        """Makes it larger, or smaller as far as its content allows."""
        self._mount("-o", f"remount,size={kib}k")

    def writable(self, yes: bool) -> None:
        """Makes it read-only, or takes that back."""
        self._mount("-o", f"remount,{'rw' if yes else 'ro'}")

    @property
    def used(self) -> int:
        """KiB in use."""
        listed = subprocess.run(["df", "--output=used", "-k", self.folder], check=True, capture_output=True, text=True).stdout
        return int(listed.split()[-1])

    def _mount(self, *options: str) -> None:
        subprocess.run(["mount", *options, self.folder], check=True, capture_output=True)


@contextmanager
def small_disk(folder: Path, kib: int = 16) -> Iterator[SmallDisk]:
    """Mounts it; the test is skipped where mounting is not allowed."""
    folder.mkdir(parents=True)
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", folder], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"cannot mount a small disk here: {getattr(error, 'stderr', error)!r}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)  # stores stay mapped into memory
