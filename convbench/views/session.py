"""How a session is written: the question and the earlier utterances as one text, in an order and with the roles that a model expects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from pydantic import field_validator

from convbench.config import Config

Order = Literal["newest-first", "oldest-first"]
Role = Literal["user", "agent"]


def holds_the_text(form: str) -> str:
    """The form of something that was said, which must hold ``{text}`` once: a pydantic validator."""
    if form.count("{text}") != 1:
        raise ValueError("must hold {text} once")
    return form


class Utterance(NamedTuple):
    """Something that was said."""

    role: Role
    text: str


class SessionTemplate(Config):
    """The form of a session.

    Attributes:
        order: Newest first puts the question first, so that an encoder that truncates on the right loses the oldest utterances; oldest
            first is the natural order, the question last, and what a decoder can continue.
        user: Form of what the user said; ``{text}`` stands for it.
        agent: Form of what the system said.
        separator: Between utterances.
    """

    order: Order = "newest-first"
    user: str = "{text}"
    agent: str = "{text}"
    separator: str = "\n"

    _forms = field_validator("user", "agent")(holds_the_text)

    def write(self, question: str, earlier: Sequence[Utterance] = ()) -> str:
        """The session as one text.

        Args:
            question: The current question.
            earlier: The earlier utterances, oldest first.
        """
        said = [*earlier, Utterance("user", question)]
        forms = {"user": self.user, "agent": self.agent}
        parts = [forms[utterance.role].replace("{text}", utterance.text) for utterance in said]
        return self.separator.join(parts[::-1] if self.order == "newest-first" else parts)
