"""Opening a dataset by name: official files or the bundled mini set, rewrites, selection, limit, turn sets, identity."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from convbench.config import load_config
from convbench.datasets import DATASETS
from convbench.datasets.base import Collection, DatasetAdapter, DatasetCard, DatasetSource
from convbench.datasets.declaration import DeclaringAdapter, Facts
from convbench.datasets.download.places import prepared_root
from convbench.datasets.given_rewrites import with_rewrites
from convbench.datasets.pool import Pool, pool_folder, read_pool
from convbench.datasets.selection import Selection, select
from convbench.errors import DataError, UsageError
from convbench.io.cache import cache_root, remembered_sha256
from convbench.registry import did_you_mean
from convbench.types import HIGHEST_GRADE, Conversation, Turn, TurnSet

_HERE = Path(__file__).parent
MINI = "mini"


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


def adapter_class(name: str) -> type[DatasetAdapter]:
    """The adapter registered under a name."""
    adapter: type[DatasetAdapter] = DATASETS.get(name)
    return adapter


def load_card(name: str) -> DatasetCard:
    """The dataset's card: ``cards/<name>.yaml`` beside the module of its adapter, in convbench or in the package that registers it."""
    module = inspect.getfile(adapter_class(name))
    return load_config(DatasetCard, Path(module).parent / "cards" / f"{name}.yaml")


def dataset_facts(request: DatasetRequest) -> Facts:
    """Name, card and splits: what the dataset declares of itself where its adapter reads that, else what is known of it."""
    request = _with_prepared(request)
    adapter = adapter_class(request.name)
    declares: object = adapter  # the protocol of classes, which a type of DatasetAdapter is not known to have
    if isinstance(declares, DeclaringAdapter):
        return declares.facts(request.data or _bundled_root(request.name))
    return Facts(request.name, load_card(request.name), adapter.splits, adapter.default_split)


def check_names(request: DatasetRequest) -> None:
    """Refuses an unknown dataset, split or option, before its files are looked for.

    Raises:
        UsageError: With a suggestion.
    """
    _resolve_split(dataset_facts(request), request)
    _resolve_options(adapter_class(request.name), request.options or {})


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
    root = request.data or _bundled_root(request.name)
    facts = dataset_facts(request)
    split = _resolve_split(facts, request)
    _refuse_file_of_another_split(adapter_type, root, split)
    options = _resolve_options(adapter_type, request.options or {})
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


def _bundled_root(name: str) -> Path:
    root = _HERE / "mini" / name
    if not root.is_dir():
        raise UsageError(f"{name} has no bundled mini set: give its official files with --data DIR (see `convbench data info {name}`)")
    return root


def _resolve_split(facts: Facts, request: DatasetRequest) -> str:
    wanted = request.split or (MINI if request.data is None else facts.default_split)
    known = ", ".join(sorted(facts.splits))
    if wanted is None:
        raise UsageError(f"{facts.name} has several splits and declares none as default_split: name one with --split. Known: {known}")
    if request.data is None and wanted != MINI:
        raise UsageError(
            f"{facts.name}: split {wanted!r} needs the official files: give them with --data DIR, or fetch them with "
            f"`convbench data prepare {facts.name} --tier full` (bundled: {MINI!r})"
        )
    if wanted not in facts.splits:
        raise UsageError(f"{facts.name} has no split {wanted!r}.{did_you_mean(wanted, facts.splits)} Known: {known}")
    return facts.splits[wanted]


def _refuse_file_of_another_split(adapter: type[DatasetAdapter], root: Path, split: str) -> None:
    """A folder is searched for the split's file; a file is taken as it is, so its name must not say that it is another split's."""
    words = re.findall(r"[a-z0-9]+", root.name.lower()) if root.is_file() else []
    named = [adapter.splits[word] for word in words if word in adapter.splits]
    if named and split not in named:
        raise UsageError(f"{root}: by its name this is the split {named[0]!r}, and {split!r} is asked for; add --split {named[0]}")


def _resolve_options(adapter: type[DatasetAdapter], given: Mapping[str, str]) -> dict[str, str]:
    for name, value in given.items():
        allowed = adapter.option_values.get(name)
        if allowed is None:
            known = ", ".join(sorted(adapter.option_values)) or "none"
            raise UsageError(f"{adapter.name} has no option {name!r}.{did_you_mean(name, adapter.option_values)} Known: {known}")
        if value not in allowed:
            raise UsageError(f"{adapter.name}: option {name!r} cannot be {value!r}; expected one of {', '.join(allowed)}")
    return {name: given.get(name, values[0]) for name, values in adapter.option_values.items()}
