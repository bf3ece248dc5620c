"""Which files of a run folder convbench itself has written: by their names, and by the stages that ``run.json`` names.

A name alone does not tell in ``stages``, where somebody may keep JSON lines of their own: it must be that of a stage.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from convbench.store.locks import LOCK

_ABOVE = re.compile(
    r"run\.json|results\.json|turns\.jsonl|retrieval\.trec|scores\.jsonl|report\.(md|html)|agreement-(own|gold)\.jsonl"
    r"|\.lock|\.scores\.[0-9a-f]{32}\.parquet"
)
_PART = re.compile(r"(.+)\.[0-9a-f]{16}\.part(?:\.digests)?")
_STAGE_FILE = re.compile(r"(.+?)\.(?:jsonl|cost\.jsonl|manifest\.json|[0-9a-f]{16}\.part(?:\.digests)?)")
_SCORING = re.compile(r"score-.+\.\d+-.+|agreement-(own|gold)")
"""Stages that ``run.json`` does not list."""

_TEMPORARY = re.compile(r"\.(.+)\.\d+\.tmp")
_REPORT = re.compile(r"report\.(md|html)")
_LAST = {name: place for place, name in enumerate(("results.json", "run.json", LOCK), start=1)}
"""What makes a run folder goes last: a removal that was interrupted leaves one, which the next removal finds."""


def own_files(folder: Path, stages: Collection[str]) -> list[Path]:
    """Every file of a run folder that convbench writes, in the order to remove them in.

    Args:
        folder: The run folder.
        stages: The stages that its ``run.json`` names.
    """
    above = [path for path in plain_files(folder) if _ABOVE.fullmatch(path.name)]
    below = [path for path in plain_files(folder / "stages") if _is_of_stage(path.name, stages)]
    return [*below, *half_written(folder, stages), *sorted(above, key=lambda path: _LAST.get(path.name, 0))]


def given_up(folder: Path, stages: Collection[str]) -> list[Path]:
    """Rows of stages that are not finished."""
    return [path for path in plain_files(folder / "stages") if _PART.fullmatch(path.name) and _is_of_stage(path.name, stages)]


def half_written(folder: Path, stages: Collection[str]) -> list[Path]:
    """Files that were being written when the process ended."""
    above = [path for path in plain_files(folder) if _ABOVE.fullmatch(_final_name(path))]
    return above + [path for path in plain_files(folder / "stages") if _is_of_stage(_final_name(path), stages)]


def half_written_reports(folder: Path) -> list[Path]:
    """Reports over several runs, above them, that were being written when the process ended."""
    return [path for path in plain_files(folder) if _REPORT.fullmatch(_final_name(path))]


def plain_files(folder: Path) -> list[Path]:
    """The files of a folder; no links, and nothing where the folder is one."""
    if folder.is_symlink() or not folder.is_dir():
        return []
    try:
        return sorted(path for path in folder.iterdir() if path.is_file() and not path.is_symlink())
    except FileNotFoundError:  # gone in the meantime
        return []


def _is_of_stage(name: str, stages: Collection[str]) -> bool:
    found = _STAGE_FILE.fullmatch(name)
    return found is not None and (found[1] in stages or _SCORING.fullmatch(found[1]) is not None)


def _final_name(path: Path) -> str:
    """The name that a half-written file was going to have; empty for any other file."""
    found = _TEMPORARY.fullmatch(path.name)
    return found[1] if found else ""
