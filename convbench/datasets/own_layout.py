"""The files of a dataset in convbench's own layout: which split each belongs to, and names that look like a slip."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from convbench.errors import DataError, MissingFileError
from convbench.registry import did_you_mean

DECLARATION = "dataset.yaml"
ONLY_SPLIT = "all"
"""The split of a ``conversations.jsonl`` that nothing gives another name to."""

_TURNS = re.compile(r"conversations(?:\.([^.]+))?\.jsonl(?:\.gz)?")
_QRELS = re.compile(r"qrels(?:\.([^.]+))?\.(?:txt|tsv)(?:\.gz)?")
_COLLECTION = re.compile(r"(?:collection|corpus)\.(?:jsonl|tsv)(?:\.gz)?")
_COLLECTION_FOLDERS = ("collection", "corpus")
_COLLECTION_PART = re.compile(r".+\.(?:jsonl|tsv)(?:\.gz)?")
_SPLIT = re.compile(r"[^\W_][\w-]{0,63}")
_SILENT = re.compile(r"(?i)readme|licen[cs]e|changelog|citation|rewrites\.jsonl$")
_NAMES = {
    "conversations": "conversations.jsonl or conversations.<split>.jsonl",
    "qrels": "qrels.txt, qrels.tsv or qrels.<split>.txt",
    "collection": "collection.jsonl or collection.tsv",
    "corpus": "corpus.jsonl or corpus.tsv",
    "dataset": DECLARATION,
}


@dataclass(slots=True)
class OwnSplit:
    """The files of one split.

    Attributes:
        turns: ``conversations.jsonl``.
        qrels: Its judgements, or None.
        shared: The judgements are those of the whole dataset: they may be of other splits' turns.
        collection: The passages, in reading order; empty where there are none.
    """

    turns: Path
    qrels: Path | None = None
    shared: bool = False
    collection: tuple[Path, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """What conversations and judgements are read from."""
        return (self.turns,) if self.qrels is None else (self.turns, self.qrels)


@dataclass(frozen=True, slots=True)
class OwnLayout:
    """The splits of a folder, and the names of the files in it that are not read."""

    splits: dict[str, OwnSplit]
    unread: tuple[str, ...] = ()


@dataclass(slots=True)
class _Found:
    """What one folder holds: files by split (None where the name says none)."""

    turns: dict[str | None, list[Path]] = field(default_factory=dict)
    qrels: dict[str | None, list[Path]] = field(default_factory=dict)
    collection: list[Path] = field(default_factory=list)
    unread: list[Path] = field(default_factory=list)


def find_layout(root: Path, only_split: str = ONLY_SPLIT) -> OwnLayout:
    """The layout of a folder; a file is the conversations of one split, alone.

    Args:
        root: The folder, or a file of conversations.
        only_split: The split of ``conversations.jsonl`` beside the folders of other splits.

    Raises:
        MissingFileError: There are no conversations, or several files could be meant.
        DataError: A file's name is nearly one that is read, or names a split without conversations.
    """
    if root.is_file():
        return OwnLayout({only_split: OwnSplit(root)})
    if not root.is_dir():
        raise MissingFileError(f"{root}: no such folder")
    top = _look(root, root)
    splits = {name or only_split: OwnSplit(_one(root, paths)) for name, paths in top.turns.items()}
    for name, paths in top.qrels.items():
        if name is not None:
            _split(splits, name, paths[0]).qrels = _one(root, paths)
    for folder in _split_folders(root):
        _add_folder(root, folder, splits, top)
    if not splits:
        raise MissingFileError(
            f"{root}: no conversations.jsonl, conversations.<split>.jsonl or <split>/conversations.jsonl (or .gz) here; set --data"
        )
    shared = _one(root, top.qrels[None]) if None in top.qrels else None
    for split in splits.values():
        if split.qrels is None:
            split.qrels, split.shared = shared, len(splits) > 1
        split.collection = split.collection or _collection(root, top.collection)
    return OwnLayout(splits, tuple(path.relative_to(root).as_posix() for path in top.unread))


def _look(folder: Path, root: Path) -> _Found:
    found = _Found()
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            if path.name in _COLLECTION_FOLDERS:
                found.collection.append(path)
        elif match := _TURNS.fullmatch(path.name):
            found.turns.setdefault(_named(match[1], path), []).append(path)
        elif match := _QRELS.fullmatch(path.name):
            found.qrels.setdefault(_named(match[1], path), []).append(path)
        elif _COLLECTION.fullmatch(path.name):
            found.collection.append(path)
        elif not (path.name == DECLARATION and folder == root) and not _SILENT.match(path.name):
            _refuse_slip(path)
            found.unread.append(path)
    return found


def _named(split: str | None, path: Path) -> str | None:
    if split is not None and not _SPLIT.fullmatch(split):
        raise DataError(path, f"{split!r} cannot be the name of a split: expected letters, digits, '-' and '_'")
    return split


def _refuse_slip(path: Path) -> None:
    """A name that is nearly one of the layout's: passing over ``qrel.txt`` would lose all judgements."""
    near = get_close_matches(path.name.partition(".")[0].lower(), _NAMES, n=1, cutoff=0.8)
    if near:
        raise DataError(path, f"not a file that this layout has. Did you mean {_NAMES[near[0]]}? Rename the file or take it away")


def _split_folders(root: Path) -> Iterator[Path]:
    for path in sorted(root.iterdir()):
        if path.is_dir() and not path.name.startswith(".") and path.name not in _COLLECTION_FOLDERS:
            yield path


def _add_folder(root: Path, folder: Path, splits: dict[str, OwnSplit], top: _Found) -> None:
    """A folder is a split if it holds conversations; otherwise it is listed as not read."""
    if not any(_TURNS.fullmatch(path.name) or _QRELS.fullmatch(path.name) for path in folder.iterdir()):
        top.unread.append(folder)
        return
    found, name = _look(folder, root), _named(folder.name, folder)
    for kind in (found.turns, found.qrels):
        for suffix, paths in kind.items():
            if suffix not in (None, name):
                raise DataError(paths[0], f"the folder says split {name!r}, the file {suffix!r}: name the file without a split")
    turns = [path for paths in found.turns.values() for path in paths]
    qrels = [path for paths in found.qrels.values() for path in paths]
    if turns:
        if name in splits:
            raise MissingFileError(f"{root}: two files for the conversations of split {name!r}: {splits[name].turns}, {turns[0]}; keep one")
        splits[str(name)] = OwnSplit(_one(root, turns))
    if qrels:
        split = _split(splits, str(name), qrels[0])
        split.qrels = _one(root, [*([split.qrels] if split.qrels else []), *qrels])
    if name in splits:
        splits[name].collection = _collection(root, found.collection)
    top.unread += found.unread


def _split(splits: dict[str, OwnSplit], name: str, path: Path) -> OwnSplit:
    if name not in splits:
        known = ", ".join(sorted(splits)) or "none"
        raise DataError(path, f"judges split {name!r}, which has no conversations.{did_you_mean(name, splits)} Splits found: {known}")
    return splits[name]


def _collection(root: Path, candidates: list[Path]) -> tuple[Path, ...]:
    if not candidates:
        return ()
    path = _one(root, candidates)
    return collection_files(path)


def collection_files(path: Path) -> tuple[Path, ...]:
    """A collection's files: the file itself, or all passage files of a folder by name.

    Raises:
        MissingFileError: There are none.
    """
    if path.is_file():
        return (path,)
    files = tuple(sorted(part for part in path.glob("*") if part.is_file() and _COLLECTION_PART.fullmatch(part.name)))
    if not files:
        raise MissingFileError(f"{path}: no passages here: expected a .jsonl or .tsv file (or .gz), or a folder of them")
    return files


def _one(root: Path, paths: list[Path]) -> Path:
    if len(paths) > 1:
        names = ", ".join(path.relative_to(root).as_posix() for path in paths)
        raise MissingFileError(f"{root}: {len(paths)} files could be meant: {names}; keep one")
    return paths[0]
