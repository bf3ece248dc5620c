"""What a rewriter is called among the conditions of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from convbench.config import Config

_TELLING = ("prompt", "model")


def rewriter_name(config: str | Config) -> str:
    """``none``, ``human``, or the kind of rewriter with its prompts and models: ``prompted: hyde, owner/name``.

    Args:
        config: A rewriter's configuration.
    """
    if isinstance(config, str):
        return config
    values = config.model_dump(mode="json")
    return f"{values['type']}: {', '.join(dict.fromkeys(_names(values)))}"


def rewrites_by_hand(config: str | Config) -> bool:
    """Whether human rewrites are used, be it as a start or as one of several forms."""
    return _holds_human(config if isinstance(config, str) else config.model_dump(include={"start", "rewriters"}))


def _holds_human(values: Any) -> bool:
    if isinstance(values, Mapping):
        return any(_holds_human(value) for key, value in values.items() if key not in _TELLING)
    return bool(values == "human")


def _names(values: Any) -> Iterator[str]:
    """The prompts and models that a configuration names, in order; a prompt that is written out is the system's own."""
    if isinstance(values, Mapping):
        for key, value in values.items():
            if key in _TELLING and isinstance(value, str):
                yield value
            elif key == "prompt":
                yield "a prompt of its own"
            else:
                yield from _names(value)
    elif isinstance(values, (list, tuple)):
        for value in values:
            yield from _names(value)
