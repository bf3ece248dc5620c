"""Opening a dataset by name: official files or the bundled mini set, rewrites, selection, limit, turn sets, identity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from convbench.datasets.adapters import (
    MINI,
    adapter_class,
    bundled_root,
    load_card,
    refuse_file_of_another_split,
    resolve_options,
    resolve_split,
)
from convbench.datasets.base import Collection, DatasetAdapter, DatasetCard, DatasetSource
from convbench.datasets.declaration import DeclaringAdapter, Facts
from convbench.datasets.download.places import prepared_root
from convbench.datasets.given_rewrites import with_rewrites
from convbench.datasets.pool import Pool, pool_folder, read_pool
from convbench.datasets.selection import Selection, select
from convbench.errors import DataError, UsageError
from convbench.io.cache import cache_root, remembered_sha256
from convbench.types import HIGHEST_GRADE, Conversation, Turn, TurnSet


@dataclass(frozen=True, slots=True)
class DatasetRequest:
    """What the user asked for.

    Attributes:
        name: The dataset.
        data: Folder with official files; None means the bundled mini set or, where another split is named, the files that
            ``convbench data prepare`` put into the cache.
        split: The split, or None for the adapter's default (``mini`` for the bundled set).
        corpus: Corpus file or folder, where it lies elsewhere, or the folder of a pool.
        rewrites: JSONL of ``{turn_id, rewrite}``.
        options: Reading options by name.
        limit: Use the first so many conversations, of the selected ones.
        conversations: The part of the conversations to use; None for all.
    """

    name: str
    data: Path | None = None
    split: str | None = None
    corpus: Path | None = None
    rewrites: Path | None = None
    options: Mapping[str, str] | None = None
    limit: int | None = None
    conversations: Selection | None = None


@dataclass(frozen=True, slots=True)
class Dataset:
    """An opened dataset.

    Attributes:
        name: Its name; of a dataset that declares itself, the declared one.
        split: The canonical split.
        card: Facts about it.
        adapter: Reads its files.
        conversations: The conversations, after selection and ``limit``, with rewrites applied.
        options: Reading options, defaults filled in.
        files: Files that the conversations were read from.
        notes: What the user should know (a selection, a limit, spare rewrites ...).
        bundled: It is the set that ships with convbench, not the user's files.
        pool: The pool that stands in for the collection; None where there is none.
    """

    name: str
    split: str
    card: DatasetCard
    adapter: DatasetAdapter
    conversations: tuple[Conversation, ...]
    options: Mapping[str, str]
    files: tuple[Path, ...]
    notes: tuple[str, ...]
    bundled: bool
    pool: Pool | None = None

    @property
    def turns(self) -> tuple[Turn, ...]:
        """All turns in order."""
        return tuple(turn for conversation in self.conversations for turn in conversation.turns)

    @property
    def licence(self) -> str:
        """The terms of the data: the dataset's, or convbench's own for a bundled set."""
        return "Apache-2.0 (bundled set, written for convbench)" if self.bundled else self.card.licence

    def collection(self) -> Collection:
        """The passages to search: those of the pool where one was given, else the adapter's.

        Raises:
            MissingFileError: There is no corpus, and nothing that could stand in for it.
        """
        return self.adapter.collection() if self.pool is None else self.pool.collection()

    def all_turns(self) -> TurnSet:
        """Every turn of the split."""
        return TurnSet.of(self.turns, "all")

    def retrieval_turns(self) -> TurnSet:
        """The turns that count in retrieval measures, by the dataset's rule."""
        return TurnSet.of((turn for turn in self.turns if self.adapter.retrieval_turn(turn)), self.card.retrieval_turns)

    def response_turns(self) -> TurnSet:
        """The turns that have a non-empty response reference."""
        return TurnSet.of(
            (turn for turn in self.turns if any(r.text and r.kind != "knowledge" for r in turn.references)), "has a reference"
        )

    def identity(self, cache: Path) -> dict[str, Any]:
        """What makes two readings the same: split, options, turn set and the files' digests (by file name, never by place)."""
        digests = sorted([path.name, remembered_sha256(path, cache)] for path in self.files)
        return {"name": self.name, "split": self.split, "options": dict(self.options), "turns": self.all_turns().sha256, "files": digests}


def dataset_facts(request: DatasetRequest) -> Facts:
    """Name, card and splits: what the dataset declares of itself where its adapter reads that, else what is known of it."""
    request = _with_prepared(request)
    adapter = adapter_class(request.name)
    declares: object = adapter  # the protocol of classes, which a type of DatasetAdapter is not known to have
    if isinstance(declares, DeclaringAdapter):
        return declares.facts(request.data or bundled_root(request.name))
    return Facts(request.name, load_card(request.name), adapter.splits, adapter.default_split)


def check_names(request: DatasetRequest) -> None:
    """Refuses an unknown dataset, split or option, before its files are looked for.

    Raises:
        UsageError: With a suggestion.
    """
    resolve_split(dataset_facts(request), request.split, bundled=request.data is None)
    resolve_options(adapter_class(request.name), request.options or {})


def open_dataset(request: DatasetRequest) -> Dataset:
    """Reads a dataset's conversations.

    Raises:
        UsageError: Unknown dataset, split or option (with a suggestion), the selection leaves no conversation, or the pool is another
            split's.
        MissingFileError: A file is not there, or several could be meant.
        DataError: A record is malformed.
    """
    request = _with_prepared(request)
    adapter_type = adapter_class(request.name)
    root = request.data or bundled_root(request.name)
    facts = dataset_facts(request)
    split = resolve_split(facts, request.split, bundled=request.data is None)
    refuse_file_of_another_split(adapter_type, root, split)
    options = resolve_options(adapter_type, request.options or {})
    pool = read_pool(folder) if (folder := pool_folder(request.corpus)) is not None else None
    adapter = adapter_type(DatasetSource(root, split, request.corpus if pool is None else None, options))
    conversations = tuple(adapter.conversations())
    if not conversations:
        raise DataError(adapter.files()[0], "holds no conversation")
    _refuse_huge_grades(conversations, adapter.files())
    if pool is not None:
        pool.refuse_other(facts.name, split, adapter.qrels())
    rewrites = request.rewrites or (root / "rewrites.jsonl" if request.data is None else None)
    notes = list(facts.notes)
    files = adapter.files()
    if rewrites is not None and (request.rewrites or rewrites.exists()):
        conversations = with_rewrites(conversations, rewrites, notes)
        files = (*files, rewrites)
    if request.conversations is not None:  # before the limit: the rule needs all conversations, or it would hold out others
        conversations = _selected(conversations, request.conversations, facts.name, split, notes)
    if request.limit is not None:
        total = len(conversations)
        conversations = tuple(islice(conversations, request.limit))
        if len(conversations) < total:
            notes.append(f"limited to the first {len(conversations)} of {total} conversations: not a result on {facts.name}")
    return Dataset(facts.name, split, facts.card, adapter, conversations, options, files, tuple(notes), request.data is None, pool)


def _with_prepared(request: DatasetRequest) -> DatasetRequest:
    """The request with the folder of prepared files, where a split is named that only official files have and no folder is given."""
    adapter_class(request.name)  # its name becomes part of a path
    if request.data is not None or request.split in (None, MINI):
        return request
    return replace(request, data=prepared_root(request.name, cache_root()))


def _selected(
    conversations: Sequence[Conversation], selection: Selection, name: str, split: str, notes: list[str]
) -> tuple[Conversation, ...]:
    chosen, total = select(conversations, selection), len(conversations)
    if not chosen:
        raise UsageError(f"{name} {split}: nothing is left of {total} conversations: {selection.describe()}")
    if len(chosen) < total:
        notes.append(f"{len(chosen)} of {total} conversations ({selection.describe()}): not a result on {name}")
    return chosen


def _refuse_huge_grades(conversations: Sequence[Conversation], files: Sequence[Path]) -> None:
    for turn in (turn for conversation in conversations for turn in conversation.turns):
        if (highest := max(turn.gold.values(), default=0)) > HIGHEST_GRADE:
            raise DataError(files[-1], f"turn {turn.id}: a passage has the grade {highest}; expected at most {HIGHEST_GRADE}")
