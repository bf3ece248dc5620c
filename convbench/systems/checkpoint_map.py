"""Local folders in place of the checkpoints that systems name: for machines without the hub, and for trying a system on small weights."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convbench.config import Origin, build_config, read_mapping
from convbench.errors import DataError, MissingFileError
from convbench.registry import did_you_mean
from convbench.systems.base import SystemConfig
from convbench.systems.named_checkpoints import NamedCheckpoint, named_checkpoints, with_folders

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CheckpointMap:
    """Which folder stands for which checkpoint.

    Attributes:
        path: The file it was read from.
        folders: ``owner/name``, for every revision, or ``owner/name@revision`` -> folder.
    """

    path: Path
    folders: Mapping[str, Path]

    def entry_of(self, checkpoint: NamedCheckpoint) -> str | None:
        """The entry that gives a checkpoint its folder: the one of its revision, else the one of every revision; None: no entry does."""
        name, _, revision = checkpoint.name.partition("@")
        revision = checkpoint.revision or revision
        return next((entry for entry in (f"{name}@{revision}", name) if entry in self.folders), None)

    def bare(self, system: str) -> str:
        """SYSTEM of the command line: the folder of a checkpoint that the map names; anything else as it is."""
        entry = self.entry_of(NamedCheckpoint(system))
        return system if entry is None else str(self.folders[entry])

    def used(self, values: Mapping[str, Any]) -> list[str]:
        """The entries that the values of a system make use of, in order."""
        entries = [self.entry_of(checkpoint) for checkpoint in named_checkpoints(values)]
        return list(dict.fromkeys(entry for entry in entries if entry is not None))

    def applied(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values of a system with the map's folders in place of the checkpoints they name."""

        def folder_of(checkpoint: NamedCheckpoint) -> str | None:
            entry = self.entry_of(checkpoint)
            return None if entry is None else str(self.folders[entry])

        return dict(with_folders(values, folder_of))


def with_map(system: SystemConfig, checkpoints: CheckpointMap) -> SystemConfig:
    """A system with a map's folders in place of the checkpoints that it or its defaults name; a warning says which are replaced."""
    values = system.model_dump()
    entries = checkpoints.used(values)
    for entry in entries:
        folder = checkpoints.folders[entry]
        log.warning("%s: %s is replaced by %s: this is no longer the system of that name", system.name, entry, folder)
    return build_config(type(system), checkpoints.applied(values), system.name) if entries else system


def warn_of_unused(systems: Sequence[SystemConfig], checkpoints: CheckpointMap, *, given: Sequence[str] = ()) -> None:
    """Warns of entries of a map that no system makes use of.

    Args:
        systems: As they are without the map.
        checkpoints: The map.
        given: What the command line calls them: a checkpoint there makes use of its entry.
    """
    named = [checkpoint for system in systems for checkpoint in named_checkpoints(system.model_dump())]
    used = {checkpoints.entry_of(checkpoint) for checkpoint in [*named, *map(NamedCheckpoint, given)]}
    for entry in checkpoints.folders:
        if entry not in used:
            near = did_you_mean(entry, set(map(str, named)))
            log.warning("%s: %s: no system that is run names this checkpoint.%s", checkpoints.path, entry, near)


def read_checkpoint_map(path: Path) -> CheckpointMap:
    """Reads a YAML mapping of checkpoints to folders; a folder's path counts from the file's own.

    Raises:
        MissingFileError: There is no such file, or a folder does not exist.
        DataError: Not YAML, no mapping, or an entry that is no text or no path.
    """
    document = read_mapping(path)
    origin = Origin(str(path), path, document.node)
    folders = {}
    for entry, folder in document.values.items():
        place = origin.at([str(entry)])
        if not isinstance(entry, str) or not isinstance(folder, str) or not folder:
            raise DataError(place, f"{entry!r}: expected 'owner/name: FOLDER', found {folder!r:.80}")
        try:
            found = (path.absolute().parent / Path(folder).expanduser()).resolve()
            is_there = found.is_dir()
        except (OSError, RuntimeError, ValueError) as error:  # a name that is too long, an unknown user's home, a NUL
            reason = getattr(error, "strerror", None) or error
            raise DataError(place, f"{entry}: {folder!r:.80} is no path of a folder ({reason})") from None
        if not is_there:
            raise MissingFileError(f"{place}: {entry}: no such folder: {found}")
        folders[entry] = found
    return CheckpointMap(path, folders)
