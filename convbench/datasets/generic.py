"""Any dataset in convbench's own layout: conversations, passages and judgements in a folder, no code (``docs/your-own-dataset.md``)."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from convbench.config import load_config
from convbench.datasets import DATASETS
from convbench.datasets.base import Collection, DatasetSource
from convbench.datasets.declaration import Declaration, Facts
from convbench.datasets.own_layout import DECLARATION, ONLY_SPLIT, OwnLayout, OwnSplit, collection_files, find_layout
from convbench.datasets.own_passages import own_passages
from convbench.datasets.own_qrels import read_own_qrels
from convbench.datasets.own_turns import build_turns, read_own_turns, written_grades
from convbench.errors import DataError, MissingFileError
from convbench.registry import did_you_mean
from convbench.types import Conversation, Qrels, Turn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


class Generic:
    """Reads a folder that holds ``conversations.jsonl``, judgements, a collection and, where it says more of itself, ``dataset.yaml``."""

    name: ClassVar[str] = "generic"
    splits: ClassVar[Mapping[str, str]] = {}
    default_split: ClassVar[str] = ONLY_SPLIT
    option_values: ClassVar[Mapping[str, Sequence[str]]] = {}

    def __init__(self, source: DatasetSource) -> None:
        self._source = source

    @classmethod
    def facts(cls, root: Path) -> Facts:
        """Name, card and splits of the dataset in a folder.

        Raises:
            MissingFileError: There are no conversations, or several files could be meant.
            DataError: The declaration is malformed, or does not fit the files.
        """
        declaration, layout = _read(root)
        origin = root / DECLARATION
        name = declaration.name or _name_of(root)
        _refuse_taken_name(name, origin)
        for split in [*declaration.splits, *([declaration.default_split] if declaration.default_split else [])]:
            if split not in layout.splits:
                found = ", ".join(sorted(layout.splits))
                raise DataError(
                    origin, f"declares split {split!r}, which has no conversations.{did_you_mean(split, layout.splits)} Found: {found}"
                )
        files = {split: [_shown(path, root) for path in (*own.files, *own.collection)] for split, own in layout.splits.items()}
        default = declaration.default_split or (next(iter(layout.splits)) if len(layout.splits) == 1 else None)
        notes = (f"files not read: {', '.join(layout.unread)}",) if layout.unread else ()
        return Facts(name, declaration.card(name, files, origin), {split: split for split in layout.splits}, default, notes)

    def files(self) -> tuple[Path, ...]:
        """The conversations, and the judgements where they have a file."""
        return self._split.files

    def conversations(self) -> Iterator[Conversation]:
        """The split's conversations in file order."""
        name = self._declared[0].name or _name_of(self._source.root)
        for id_, turns in read_own_turns(self._split.turns):
            yield Conversation(id_, name, self._source.split, tuple(build_turns(turns, self._judgements)))

    def qrels(self) -> Qrels:
        """All grades of the judged turns, 0 and below included."""
        return self._judgements

    def collection(self) -> Collection:
        """The passages of the corpus that was named, else of the split, else of the dataset."""
        files = collection_files(self._source.corpus) if self._source.corpus else self._split.collection
        if not files:
            raise MissingFileError(
                f"{self._source.root}: no passages here: expected collection.jsonl, corpus.jsonl, collection.tsv or collection/*.jsonl (or "
                ".gz); set --corpus (gold passages are named by id only, so their texts cannot stand in for it)"
            )
        return Collection("corpus", files, lambda: own_passages(files))

    def retrieval_turn(self, turn: Turn) -> bool:
        """Turns with a gold passage count, or all judged ones, as the dataset declares."""
        return bool(turn.gold) if self._declared[0].retrieval_turns == "has a gold passage" else turn.id in self._judgements

    @cached_property
    def _declared(self) -> tuple[Declaration, OwnLayout]:
        return _read(self._source.root)

    @property
    def _split(self) -> OwnSplit:
        return self._declared[1].splits[self._source.split]

    @cached_property
    def _judgements(self) -> Qrels:
        """What the turns themselves and the file of judgements say together; they may repeat but not contradict one another."""
        qrels: dict[str, dict[str, int]] = {}
        own: set[str] = set()
        for _, turns in read_own_turns(self._split.turns):
            own |= {turn.id for turn in turns}
            qrels |= {turn.id: dict(grades) for turn in turns if (grades := written_grades(turn.record))}
        path = self._split.qrels
        if path is None:
            return qrels
        known = self._known_turns() if self._split.shared else own
        for turn_id, grades in read_own_qrels(path).items():
            if turn_id not in known:
                raise DataError(path, f"turn {turn_id!r} is in no conversation; a turn's id is <conversation_id>_<turn>")
            written = qrels.setdefault(turn_id, {}) if turn_id in own else {}
            for passage, grade in grades.items():
                if written.setdefault(passage, grade) != grade:
                    raise DataError(
                        path, f"turn {turn_id}: passage {passage!r} has grade {grade}, but {written[passage]} in the turn's 'gold'"
                    )
        return qrels

    def _known_turns(self) -> set[str]:
        return {turn.id for split in self._declared[1].splits.values() for _, turns in read_own_turns(split.turns) for turn in turns}


def _read(root: Path) -> tuple[Declaration, OwnLayout]:
    path = root / DECLARATION
    declaration = load_config(Declaration, path) if path.is_file() else Declaration()
    named = list(declaration.splits)
    return declaration, find_layout(root, named[0] if len(named) == 1 else declaration.default_split or ONLY_SPLIT)


def _shown(path: Path, root: Path) -> str:
    return path.name if path == root else path.relative_to(root).as_posix()


def _name_of(root: Path) -> str:
    """What stands in for a name: two folders that say nothing of themselves must still be told apart in results."""
    folder = root.absolute()
    stem = folder.name.partition(".")[0] if folder.is_file() else folder.name
    return "own-" + (re.sub(r"[^a-z0-9._-]+", "-", stem.lower()).strip("-") or "dataset")[:60]


def _refuse_taken_name(name: str, origin: Path) -> None:
    if name in DATASETS.names():
        raise DataError(origin, f"name: {name!r} is a dataset that convbench knows; results would be taken for that one's, choose another")
