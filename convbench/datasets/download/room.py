"""Whether there is room on the disk for what is about to be written."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from convbench.datasets.download.shown import shown_size
from convbench.errors import StorageError


def check_room(wanted: Iterable[tuple[Path, int]], advice: str) -> None:
    """Refuses to begin what the disk cannot hold.

    Args:
        wanted: Folders, which need not be there yet, and the bytes that will be written below each.
        advice: What to do where there is no room.

    Raises:
        StorageError: A file system has less room than is wanted of it.
    """
    needs: dict[int, tuple[Path, int]] = {}
    for folder, count in wanted:
        place = _existing(folder)
        device = place.stat().st_dev
        needs[device] = (place, needs.get(device, (place, 0))[1] + count)
    for place, count in needs.values():
        if count > (free := shutil.disk_usage(place).free):
            raise StorageError(f"{place}: {shown_size(count)} are needed and {shown_size(free)} are free: {advice}")


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder
