"""What a batch looks like to the model: rows, widths, padding, chunks, and what had to be left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from convbench.training.batch import Batch, assemble
from convbench.training.data.examples import Example
from convbench.training.memory import Chunk
from convbench.training.passes import Pass, in_chunks, whole_batch
from convbench.training.rows import Branch, Row, Said, Stem
from convbench.training.step import StepSettings
from convbench.training.turn_rows import TurnRows
from convbench.types import Passage

Input: TypeAlias = Literal["session", "passage", "context", "prompt", "response"]
"""What is read: sessions and passages as they are encoded, instructions with session and passage, prompts with their responses, responses
as they are encoded, or behind the session mask with what closes the session."""

_KINDS: dict[str, Input] = {
    "sessions": "session",
    "passages": "passage",
    "contexts": "context",
    "responses": "response",
    "grounded": "prompt",
    "response": "response",
}


@dataclass(frozen=True, slots=True)
class PassShape:
    """Rows that are read at once.

    Attributes:
        reads: ``texts`` are encoded as at inference; ``rows`` have a mask of their own.
        rows: How many.
        width: The longest, in tokens: what all are padded to.
        tokens: Padding not counted.
        predicted: Tokens of responses that are predicted in them.
    """

    reads: Literal["texts", "rows"]
    rows: int
    width: int
    tokens: int
    predicted: int


@dataclass(frozen=True, slots=True)
class BatchShape:
    """A batch.

    Attributes:
        examples: Turns in it.
        conversations: Of how many conversations.
        chunks: The passes of each chunk, in order.
        longest: Kind of input -> its longest, in tokens, of the kinds that are read.
        shortened: Sessions that lost their oldest exchanges, as they were too long.
        negatives: Hard negatives that are read, each passage once.
    """

    examples: int
    conversations: int
    chunks: tuple[tuple[PassShape, ...], ...]
    longest: dict[Input, int]
    shortened: int
    negatives: int

    @property
    def passes(self) -> list[PassShape]:
        """Those of all chunks."""
        return [each for chunk in self.chunks for each in chunk]

    @property
    def rows(self) -> int:
        """Rows of all passes."""
        return sum(each.rows for each in self.passes)

    @property
    def tokens(self) -> int:
        """Tokens that are read, without padding."""
        return sum(each.tokens for each in self.passes)

    @property
    def padding(self) -> float:
        """The share of what is computed that is padding; none is where the model is read by blocks (``training.block_attention``)."""
        return 1 - self.tokens / sum(each.rows * each.width for each in self.passes)

    @property
    def largest(self) -> Chunk:
        """The most of everything that a chunk holds; need not be of one chunk."""
        return Chunk(
            tokens=max(sum(each.rows * each.width for each in chunk) for chunk in self.chunks),
            width=max(each.width for each in self.passes),
            predicted=max(sum(each.predicted for each in chunk) for chunk in self.chunks),
        )

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "rows": self.rows, "tokens": self.tokens, "padding": round(self.padding, 4)}


def batch_shape(
    writer: TurnRows, settings: StepSettings, examples: Sequence[Example], negatives: Mapping[str, Sequence[Passage]]
) -> BatchShape:
    """Writes a batch as a step does, and measures it.

    Args:
        writer: Writes inputs for the checkpoint.
        settings: The step's.
        examples: The batch.
        negatives: Example id -> mined hard negatives.

    Raises:
        UsageError: A question is too long.
    """
    batch = assemble(
        writer,
        settings.weights,
        examples,
        negatives,
        most_negatives=settings.negatives,
        earlier_responses=settings.earlier_responses,
    )
    texts, rows = batch.packed(settings.row_tokens) if settings.packed else batch.plain()
    chunks = whole_batch(texts, rows) if settings.chunk_tokens is None else in_chunks(texts, rows, settings.chunk_tokens)
    sessions = [writer.inputs.session(example.turn, example.history) for example in examples]
    return BatchShape(
        examples=len(examples),
        conversations=len({example.conversation for example in examples}),
        chunks=tuple(tuple(map(_shape, chunk)) for chunk in chunks),
        longest=_longest(batch),
        shortened=sum(bool(session.fitted.dropped) for session in sessions),
        negatives=len(batch.passages.names) - len(set(batch.sessions.positives)),
    )


def _shape(each: Pass) -> PassShape:
    lengths = [len(row.tokens) for row in each]
    predicted = sum(len(read.targets) for row in each if isinstance(row, Row) for _, read in row.said())
    return PassShape("rows" if isinstance(each[0], Row) else "texts", len(each), max(lengths), sum(lengths), predicted)


def _longest(batch: Batch) -> dict[Input, int]:
    found: dict[Input, int] = {}

    def add(kind: str, tokens: int) -> None:
        found[_KINDS[kind]] = max(found.get(_KINDS[kind], 0), tokens)

    for text in batch.texts:
        add(text.reads.kind, len(text.tokens))
    for stem in (stem for stems in batch.stems for stem in stems):
        for branch in stem.branches:
            if branch.reads is not None:
                reads = branch.reads
                add(reads.objective if isinstance(reads, Said) else reads.kind, _length(stem, branch))
    return found


def _length(stem: Stem, branch: Branch) -> int:
    """Tokens that the branch's last one sees, itself included."""
    left = len(stem.trunk) if branch.leaves is None else len(stem.branches[branch.leaves].tokens)
    return left + len(branch.tokens)
