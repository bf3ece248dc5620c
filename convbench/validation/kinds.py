"""What kind of file this is, by what it looks like inside, then by its name."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from convbench.errors import UsageError
from convbench.io.trec import split_columns
from convbench.validation.lines import is_number, scan_lines
from convbench.validation.problems import Findings

Kind: TypeAlias = Literal["run", "responses", "qrels", "dataset"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_LOOKED_AT = 50
"""Lines that decide, so that a bad one among them does not."""
_CERTAIN_NAMES: tuple[tuple[str, Kind], ...] = (("qrel", "qrels"), (".trec", "run"), (".run", "run"))
_LIKELY_NAMES: tuple[tuple[str, Kind], ...] = (("response", "responses"), (".jsonl", "run"))
_JUDGEMENTS = re.compile(r'\s*\{\s*"[^"]*"\s*:\s*\{\s*(?:\}|"[^"]*"\s*:\s*-?[0-9])')


def kind_of(path: Path, *, has_dataset: bool) -> Kind:
    """The kind of a file or folder.

    Args:
        path: The file or folder.
        has_dataset: A dataset was named, so that what is nothing else is taken for its files.

    Raises:
        MissingFileError: It cannot be read.
        UsageError: It cannot be told.
    """
    if path.is_dir():
        return "dataset" if has_dataset and not (path / "run.json").exists() else "run"
    head = [line for _, line in islice(scan_lines(path, Findings()), _LOOKED_AT) if line.strip()]
    if kind := _by_content(head) or _by_name(path, _CERTAIN_NAMES):
        return kind
    if kind := "dataset" if has_dataset else _by_name(path, _LIKELY_NAMES):
        return kind
    advice = "a dataset's file needs -d, too; a run in another tool's format comes in through `convbench import`"
    raise UsageError(f"{path}: not clear what it is: say --kind {'|'.join(KINDS)} ({advice})")


def is_json(path: Path) -> bool:
    """Whether a file's first character, blanks aside, opens a JSON object; an empty file is JSON by its name."""
    for _, line in scan_lines(path, Findings()):
        if line.strip():
            return line.lstrip().startswith("{")
    return path.name.removesuffix(".gz").endswith((".jsonl", ".json"))


def _by_name(path: Path, names: Iterable[tuple[str, Kind]]) -> Kind | None:
    return next((kind for part, kind in names if part in path.name.lower()), None)


def _by_content(lines: Sequence[str]) -> Kind | None:
    """What most of the first lines look like, or None."""
    if not lines or lines[0].lstrip().startswith("["):
        return None
    if not lines[0].lstrip().startswith("{"):
        return Counter(map(_trec_kind, lines)).most_common(1)[0][0]
    if _JUDGEMENTS.match("\n".join(lines)):
        return "qrels"
    kinds = set(map(_json_kind, lines))
    return "run" if "run" in kinds else "responses" if "responses" in kinds else None


def _trec_kind(line: str) -> Kind | None:
    columns = split_columns(line)
    if len(columns) == 4 and is_number(columns[3]):
        return "qrels"
    return "run" if len(columns) == 6 and is_number(columns[4]) else None


def _json_kind(line: str) -> Kind | None:
    try:
        keys = set(json.loads(line))
    except (ValueError, RecursionError, TypeError):
        return None
    if keys & {"passages", "schema"}:
        return "run"
    return "responses" if {"turn_id", "response"} <= keys else None
