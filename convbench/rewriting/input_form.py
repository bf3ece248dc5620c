"""How a session is written for a sequence-to-sequence model that was trained to rewrite questions."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field, field_validator

from convbench.views.session import Order, SessionTemplate, Utterance, holds_the_text


class InputForm(SessionTemplate):
    """The form of the input; each model knows the one it was trained with.

    Attributes:
        question: Form of the current question; ``{text}`` stands for it.
        prefix: Stands before everything.
        before_history: Stands before the history, where there is one.
        user_words: Longest of the user's utterances, in words; what is longer loses its end.
        agent_words: Longest of the system's utterances, likewise.
    """

    order: Order = "oldest-first"
    question: str = "{text}"
    prefix: str = ""
    before_history: str = ""
    user_words: int | None = Field(default=None, ge=1)
    agent_words: int | None = Field(default=None, ge=1)

    _form = field_validator("question")(holds_the_text)

    def write(self, question: str, earlier: Sequence[Utterance] = ()) -> str:
        """The input.

        Args:
            question: The current question.
            earlier: The earlier utterances, oldest first.
        """
        asked = self.question.replace("{text}", _cut(question, self.user_words))
        said = [self._said(utterance) for utterance in earlier]
        if not said:
            return self.prefix + asked
        newest_first = self.order == "newest-first"
        history = self.before_history + self.separator.join(said[::-1] if newest_first else said)
        return self.prefix + self.separator.join([asked, history] if newest_first else [history, asked])

    def _said(self, utterance: Utterance) -> str:
        form, longest = (self.user, self.user_words) if utterance.role == "user" else (self.agent, self.agent_words)
        return form.replace("{text}", _cut(utterance.text, longest))


def _cut(text: str, words: int | None) -> str:
    if words is None or len(split := text.split()) <= words:
        return text
    return " ".join(split[:words])
