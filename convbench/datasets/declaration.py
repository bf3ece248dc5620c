"""What a dataset says of itself in its own ``dataset.yaml``: the part of a card that its owner knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Protocol, runtime_checkable

from pydantic import Field

from convbench.config import Config, build_config
from convbench.datasets.base import DatasetCard, SplitSize

RetrievalRule = Literal["has a gold passage", "is judged"]


class Declaration(Config):
    """The content of ``dataset.yaml``. Everything may be left out.

    Attributes:
        name: What results call the dataset. Default: ``own-`` and the folder's name.
        title: Its title; the name where none is given.
        description: What it is, in a sentence or two.
        homepage: Where it comes from.
        paper: The paper that describes it.
        licence: The terms of the data.
        citation: How to cite it.
        relevant_from: The lowest grade that binary measures count as relevant.
        retrieval_turns: Which turns count in retrieval measures: those with a passage graded above 0, or all that are judged at all.
        splits: Facts about single splits; ``relevant_from`` may differ there.
        default_split: The split that is evaluated when none is named.
        protocols: Names of the scoring protocols to use.
        bm25: ``k1`` and ``b``, where others than usual fit.
    """

    name: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    title: str | None = None
    description: str = ""
    homepage: str = "not stated"
    paper: str = "not stated"
    licence: str = "not stated"
    citation: str = ""
    relevant_from: Annotated[int, Field(ge=1)] = 1
    retrieval_turns: RetrievalRule = "has a gold passage"
    splits: dict[str, SplitSize] = Field(default_factory=dict)
    default_split: str | None = None
    protocols: list[str] | None = None
    bm25: dict[str, float] = Field(default_factory=dict)

    def card(self, name: str, splits: Mapping[str, list[str]], origin: Path) -> DatasetCard:
        """The card of the dataset.

        Args:
            name: Its name, the declared one or what stands in for it.
            splits: Names of the files of every split that there is.
            origin: Named in errors.
        """
        values: dict[str, Any] = self.model_dump(
            include={"description", "homepage", "paper", "licence", "citation", "retrieval_turns", "bm25"}
        )
        if self.protocols is not None:
            values["protocols"] = self.protocols
        values |= {
            "name": name,
            "title": self.title or name,
            "splits": {split: self._size(split) for split in splits},
            "files": list(dict.fromkeys(file for files in splits.values() for file in files)),
        }
        return build_config(DatasetCard, values, str(origin))

    def _size(self, split: str) -> SplitSize:
        size = self.splits.get(split, SplitSize())
        return size if "relevant_from" in size.model_fields_set else size.model_copy(update={"relevant_from": self.relevant_from})


@dataclass(frozen=True, slots=True)
class Facts:
    """What must be known of a dataset before a split of it is read.

    Attributes:
        name: Its name in results.
        card: Facts about it.
        splits: Split name or alias -> canonical split name.
        default_split: The split that is read when none is named; None where one must be named.
        notes: What the user should know.
    """

    name: str
    card: DatasetCard
    splits: Mapping[str, str]
    default_split: str | None
    notes: tuple[str, ...] = ()


@runtime_checkable
class DeclaringAdapter(Protocol):
    """An adapter class of datasets that bring their facts along: name, splits and card come from the folder, not from the class."""

    name: ClassVar[str]

    @classmethod
    def facts(cls, root: Path) -> Facts:
        """The facts about the dataset below ``root``."""
