"""A batch of examples as what is to be read of it, and what is right for whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from convbench.io.digests import value_sha256
from convbench.training.data.examples import Example, passage_key
from convbench.training.objectives.weighted import Weights
from convbench.training.rows import Row, Said, Stem, Text, Tokens, apart, together
from convbench.training.turn_rows import TurnRows, Wanted
from convbench.types import Passage


@dataclass(slots=True)
class Candidates:
    """What anchors choose from: inputs, equal ones once.

    Attributes:
        numbers: Input -> its number, in order.
        names: What each is compared by: a passage's key, a response's text.
    """

    numbers: dict[Tokens, int] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)

    def add(self, tokens: Tokens, name: str) -> int:
        """The number of an input, which is new or was there."""
        if tokens not in self.numbers:
            self.numbers[tokens] = len(self.names)
            self.names.append(name)
        return self.numbers[tokens]

    def inputs(self) -> list[str]:
        """A short name of each input, in order: equal ones have the same in every process."""
        return [value_sha256(tokens)[:32] for tokens in self.numbers]


@dataclass(slots=True)
class Anchors:
    """What chooses: sessions or contexts.

    Attributes:
        positives: The number of each one's right candidate.
        right: The names of all candidates that are right for it.
    """

    positives: list[int] = field(default_factory=list)
    right: list[frozenset[str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Batch:
    """What is read of a batch.

    Attributes:
        examples: The examples.
        stems: Those of each conversation: examples that follow each other or not.
        texts: Passages, then responses, as they are encoded.
        sessions: What chooses among ``passages``.
        passages: Gold passages and hard negatives.
        contexts: What chooses among ``responses``.
        responses: The examples' responses and earlier ones of their conversations.
    """

    examples: tuple[Example, ...]
    stems: tuple[tuple[Stem, ...], ...]
    texts: tuple[Text, ...]
    sessions: Anchors
    passages: Candidates
    contexts: Anchors
    responses: Candidates

    @property
    def counts(self) -> dict[str, int]:
        """Objective -> what its loss is the mean over: how many anchors choose, or tokens are predicted."""
        lengths = self.response_tokens
        return {
            "retrieval": len(self.sessions.positives),
            "response": lengths["response"],
            "identification": len(self.contexts.positives),
            "grounded": lengths["grounded"],
        }

    @property
    def chooses(self) -> bool:
        """Whether anything is told from something else: whether there is a contrastive objective."""
        return bool(self.sessions.positives or self.contexts.positives)

    @property
    def response_tokens(self) -> dict[str, int]:
        """How many tokens are predicted for ``response`` and for ``grounded``."""
        counts = {"response": 0, "grounded": 0}
        for stems in self.stems:
            for stem in stems:
                for branch in stem.branches:
                    if isinstance(branch.reads, Said):
                        counts[branch.reads.objective] += len(branch.reads.targets)
        return counts

    def plain(self) -> tuple[list[Text], list[Row]]:
        """Every input as a row of its own."""
        pairs = [apart(stem) for stems in self.stems for stem in stems]
        return [*self.texts, *(text for texts, _ in pairs for text in texts)], [row for _, rows in pairs for row in rows]

    def packed(self, longest: int) -> tuple[list[Text], list[Row]]:
        """The turns of a conversation in one row of at most ``longest`` tokens, where their sessions nest."""
        return list(self.texts), [row for stems in self.stems for row in together(stems, longest)]


def assemble(
    writer: TurnRows,
    weights: Weights,
    examples: Sequence[Example],
    negatives: Mapping[str, Sequence[Passage]],
    *,
    most_negatives: int,
    earlier_responses: int,
) -> Batch:
    """Writes a batch: only what objectives with a weight need, only of examples that feed them.

    Args:
        writer: Writes the inputs.
        weights: Of the objectives.
        examples: The examples.
        negatives: Example id -> hard negatives, hardest first; those written beside the turn come after them.
        most_negatives: Hard negatives of an example, at most.
        earlier_responses: Responses of the latest earlier turns that are told from the right one, at most.
    """
    sessions, passages, contexts, responses = Anchors(), Candidates(), Anchors(), Candidates()
    wanted = []
    for example in examples:
        session = context = None
        if weights.retrieval and "retrieval" in example.objectives and example.positive is not None:
            session = len(sessions.positives)
            sessions.positives.append(passages.add(writer.passage(example.positive), passage_key(example.positive)))
            sessions.right.append(example.gold_keys)
        if weights.identification and "identification" in example.objectives and example.positive is not None and _said(example):
            context = len(contexts.positives)
            contexts.positives.append(responses.add(writer.text(example.response or ""), example.response or ""))
            contexts.right.append(_right_responses(example))
        speaks = "response" in example.objectives
        wanted.append(Wanted(session, context, bool(speaks and weights.response), bool(speaks and weights.grounded)))
    for example, want in zip(examples, wanted, strict=True):  # after the right ones, which any batch size then numbers alike
        if want.session is not None:
            hard = (*negatives.get(example.id, ()), *example.negatives)
            for passage in [each for each in hard if passage_key(each) not in example.gold_keys][:most_negatives]:
                passages.add(writer.passage(passage), passage_key(passage))
        if want.context is not None:
            earlier = (each.response for each in reversed(example.turn.history) if each.response and each.response.strip())
            for text in islice(earlier, earlier_responses):
                responses.add(writer.text(text), text)
    conversations: dict[str, list[Stem]] = {}
    for example, want in zip(examples, wanted, strict=True):
        conversations.setdefault(example.conversation, []).extend(writer.stems(example, want))
    texts = (*writer.texts("passages", list(passages.numbers)), *writer.texts("responses", list(responses.numbers)))
    stems = tuple(map(tuple, conversations.values()))
    return Batch(tuple(examples), stems, texts, sessions, passages, contexts, responses)


def _said(example: Example) -> bool:
    return bool(example.response and example.response.strip())


def _right_responses(example: Example) -> frozenset[str]:
    """What may be said instead: the example's response, and the turn's other responses."""
    others = [reference.text for reference in example.turn.references if reference.kind == "response"]
    return frozenset([example.response or "", *others])
