"""Messages as the prompt of a causal language model: its own chat template where it has one, plain words where it has none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from convbench.backends.calls import calling_transformers
from convbench.backends.tokens import InputForm
from convbench.errors import ResourceError

Message = tuple[str, str]

_ENDS = ("<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<end_of_turn>", "<|end|>", "<|endoftext|>", "<|end_of_text|>")
"""What ends a message in the chat templates of Qwen, Llama 3, Gemma, Phi and others; not every checkpoint's settings name it."""

_NAMES = {"user": "User", "assistant": "Assistant"}
_CLOCK = "strftime_now"
_STOPPED_CLOCK = (
    f"{{% macro {_CLOCK}(format) %}}{{% if '%Y-%m-%d' in format %}}2024-07-26{{% else %}}26 Jul 2024{{% endif %}}{{% endmacro %}}"
)
"""The date that templates are told (Llama 3, Mistral): with the real one, no two days would have the same prompts."""


class ChatForm:
    """How messages are written for one checkpoint.

    Args:
        tokenizer: Its tokenizer.
        form: How its inputs are written.
        label: Its name, for messages.
        settings: What its chat template is told beside the messages, such as ``enable_thinking``.
    """

    def __init__(self, tokenizer: Any, form: InputForm, label: str, settings: Mapping[str, Any]) -> None:
        self._tokenizer, self._form, self._label, self._settings = tokenizer, form, label, settings

    @property
    def has_template(self) -> bool:
        """Whether the tokenizer comes with a chat template."""
        return bool(self._tokenizer.chat_template)

    @cached_property
    def _template(self) -> str:
        own: str = self._tokenizer.get_chat_template()
        return _STOPPED_CLOCK + own if _CLOCK in own else own

    @property
    def stop(self) -> tuple[str, ...]:
        """Texts before which an answer ends: a model without a template would go on with the user's next question."""
        return () if self.has_template else (f"\n{_NAMES['user']}:",)

    @property
    def ends(self) -> frozenset[int]:
        """Tokens that end an answer."""
        added = self._tokenizer.get_added_vocab()
        return frozenset(added[token] for token in _ENDS if token in added)

    def tokens(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """The prompt's tokens, up to where the answer begins.

        Control tokens that are spelled out in a message are broken up into letters.

        Raises:
            ResourceError: The chat template does not take the messages.
        """
        said = [(role, self._form.plain(text)) for role, text in messages]
        if self.has_template:
            return tuple(self._form.ids(self._by_template(said)))  # the template writes what opens a text
        return (*self._form.opening, *self._form.ids(written_out(said)))

    def _by_template(self, messages: Sequence[Message]) -> str:
        """Where the template refuses a system message, or leaves it out, the first user message begins with it."""
        system = next((text for role, text in messages if role == "system"), "").strip()
        try:
            written = self._rendered(messages)
        except ResourceError:
            if not system:
                raise
            return self._rendered(folded(messages))
        return written if system in written else self._rendered(folded(messages))

    def _rendered(self, messages: Sequence[Message]) -> str:
        with calling_transformers(f"{self._label}: its chat template does not take the messages"):
            text: str = self._tokenizer.apply_chat_template(
                [{"role": role, "content": text} for role, text in messages],
                tokenize=False,
                add_generation_prompt=True,
                chat_template=self._template,
                **self._settings,
            )
        return text


def folded(messages: Sequence[Message]) -> list[Message]:
    """Messages without a system's: the first user message begins with its text."""
    system = "\n\n".join(text for role, text in messages if role == "system")
    others = [message for message in messages if message[0] != "system"]
    first = next(index for index, (role, _) in enumerate(others) if role == "user")
    return [*others[:first], ("user", f"{system}\n\n{others[first][1]}"), *others[first + 1 :]]


def written_out(messages: Sequence[Message]) -> str:
    """Messages in plain words, up to where the answer begins, for a model that was never taught to chat."""
    parts = [f"{text}\n" if role == "system" else f"{_NAMES[role]}: {text}" for role, text in messages]
    return "\n".join([*parts, f"{_NAMES['assistant']}:"])
