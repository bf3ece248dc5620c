"""What an adapter is: the protocol, the dataset's card, and the collection it retrieves from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Protocol, runtime_checkable

from pydantic import Field

from convbench.config import Config
from convbench.types import HIGHEST_GRADE, Conversation, Passage, Qrels, Turn

CollectionOrigin = Literal["corpus", "gold-union", "pooled"]


@dataclass(frozen=True, slots=True)
class DatasetSource:
    """Where a dataset is read from.

    Attributes:
        root: The folder that holds the official files, at any depth.
        split: The split's name, already resolved to its canonical form.
        corpus: The corpus file or folder, where it lies outside ``root``.
        options: Named reading options of the dataset (``first-question`` of QReCC ...), recorded with every run.
    """

    root: Path
    split: str
    corpus: Path | None = None
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Collection:
    """The passages to search, as a stream.

    Attributes:
        origin: ``corpus`` (official corpus file), ``gold-union`` (no corpus file: the gold passages only) or ``pooled`` (a pool of another
            collection, see ``datasets.pool``); results say which.
        files: The files it is read from; their digests identify the collection.
        passages: Starts a fresh stream of (source position for messages, passage) on every call.
    """

    origin: CollectionOrigin
    files: tuple[Path, ...]
    passages: Callable[[], Iterator[Passage]]


class SplitSize(Config):
    """Facts about a split.

    Attributes:
        conversations: Published number of conversations.
        turns: Published number of turns.
        verified: The counts were seen on the real files.
        relevant_from: The lowest grade that binary measures count as relevant, as the literature does on this split.
    """

    conversations: int | None = None
    turns: int | None = None
    verified: bool = False
    relevant_from: int = Field(default=1, ge=1, le=HIGHEST_GRADE)


class DatasetCard(Config):
    """Facts about a dataset, kept in ``datasets/cards/<name>.yaml``.

    Attributes:
        retrieval_turns: The rule that chooses the turns of retrieval measures, in words.
        protocols: The protocols that the dataset is scored under where none is asked for; the first that have a measure come first.
        bm25: The parameters that the literature uses.
    """

    name: str
    title: str
    description: str
    homepage: str
    paper: str
    licence: str
    citation: str
    passages: int | None = None
    splits: dict[str, SplitSize]
    files: list[str]
    retrieval_turns: str
    protocols: list[str] = Field(default_factory=lambda: ["convgqr-line", "response-overlap", "response-diagnostics"])
    bm25: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(default_factory=dict)


@runtime_checkable
class DatasetAdapter(Protocol):
    """Reads one dataset's official files. Constructing one reads nothing; errors come with the first use.

    Attributes:
        name: The dataset's name on the command line.
        splits: Split name or alias -> canonical split name; ``mini`` names the bundled set where there is one.
        default_split: The split that is evaluated when none is named.
        option_values: Reading options: name -> allowed values, the default first.
    """

    name: ClassVar[str]
    splits: ClassVar[Mapping[str, str]]
    default_split: ClassVar[str]
    option_values: ClassVar[Mapping[str, Sequence[str]]]

    def __init__(self, source: DatasetSource) -> None:
        """Takes the source; opens no file."""

    def files(self) -> tuple[Path, ...]:
        """The files that conversations and judgements are read from (not the corpus)."""

    def conversations(self) -> Iterator[Conversation]:
        """The split's conversations in file order."""

    def qrels(self) -> Qrels:
        """Relevance judgements of the split, turns without any left out."""

    def collection(self) -> Collection:
        """The passages to search."""

    def retrieval_turn(self, turn: Turn) -> bool:
        """Whether the turn counts in retrieval measures (the rule's name is the card's ``retrieval_turns``)."""
