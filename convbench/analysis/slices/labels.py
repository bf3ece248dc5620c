"""Slicings by what a dataset says of its turns: one of ``Turn.labels`` each."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from convbench.analysis.slices.base import in_order
from convbench.types import Conversation, TurnRecord


class LabelSlicing:
    """A label of the turns as it is; turns without it have none. Subclasses name the label.

    Attributes:
        label: Key of ``Turn.labels``.
        known: Values in the order of the table's rows; others follow.
    """

    name: str
    title: str
    description: str
    label: str
    known: tuple[str, ...] = ()

    def labels(self, conversation: Conversation, runs: Sequence[Mapping[str, TurnRecord]]) -> dict[str, str]:
        """The dataset's values."""
        return {turn.id: value for turn in conversation.turns if (value := turn.labels.get(self.label))}

    def order(self, labels: Collection[str]) -> list[str]:
        """Known values first."""
        return in_order(labels, self.known)


class Answerable(LabelSlicing):
    """Whether there is an answer."""

    name = "answerable"
    title = "Answerable"
    description = "Whether the dataset has an answer to the query: its label answerable."
    label = "answerable"
    known = ("yes", "no")


class ResponseType(LabelSlicing):
    """INSCIT's response types."""

    name = "response-type"
    title = "Type of response"
    description = "What the reference responses do (INSCIT), as labelled; a turn whose two references differ counts under both types."
    label = "response_type"
    known = ("directAnswer", "noAnswerButRelevantInfo", "clarification", "noAnswerNoRelevantInfo")


class Source(LabelSlicing):
    """The dataset that a conversation was taken from."""

    name = "source"
    title = "Source of the conversation"
    description = "The dataset that the conversation was built from (QReCC: quac, nq or trec), as labelled."
    label = "source"


class DialogueAct(LabelSlicing):
    """FaithDial's dialogue acts."""

    name = "dialogue-act"
    title = "Dialogue act"
    description = "VRM acts of the original response (FaithDial), as labelled; a turn counts under each of its acts."
    label = "vrm"
    known = ("Disclosure", "Edification", "Advisement", "Confirmation", "Question", "Ack.")


class Begin(LabelSlicing):
    """FaithDial's attribution labels."""

    name = "begin"
    title = "Attribution of the original response"
    description = "BEGIN classes of the original response (FaithDial), before it was edited, as labelled; a turn counts under each."
    label = "begin"
    known = ("Entailment", "Generic", "Hallucination", "Uncooperative")
