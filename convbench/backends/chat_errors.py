"""What a failed request means: one text is at fault, or every other request would fail as well; and settings that hold a secret."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from convbench.errors import ResourceError, UsageError

if TYPE_CHECKING:
    from convbench.backends.chat import ChatConfig

GO_ON = "answers that came are kept, the same command goes on from there"

_LONGEST = 200
_ABOUT_THE_TEXT = ("context_length_exceeded", "content_filter", "content_policy_violation", "string_above_max_length")
_TOO_LONG = ("context length", "context window", "too long", "maximum context")
_STATUS = re.compile(r"Error code: \d+ - ")
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
"""Keys hold small letters; names of variables by convention none."""


def refuse_secrets(values: Any) -> None:
    """Refuses settings that hold a key, without repeating it, as the message for any other wrong setting would.

    Args:
        values: The settings as they were given.

    Raises:
        UsageError: ``api_key_env`` holds something else than a variable's name, or there are headers, which no server here needs.
    """
    if not isinstance(values, dict):
        return
    variable = values.get("api_key_env")
    if variable is not None and not (isinstance(variable, str) and _VARIABLE.fullmatch(variable)):
        raise UsageError("api_key_env: expected the name of an environment variable, such as OPENAI_API_KEY, and not the key itself")
    for name in values:
        if isinstance(name, str) and "header" in name.lower():
            raise UsageError(f"{name}: no such setting; name the environment variable that holds the key with api_key_env")


def failure_of(error: Exception, config: ChatConfig, host: str, key: str, variable: str) -> str:
    """Why the server does not take this one text.

    Args:
        error: What the package openai raised.
        config: What was asked for.
        host: The server, for messages.
        key: What must stand in no message.
        variable: The environment variable that holds it.

    Raises:
        ResourceError: Every other request would fail as well.
    """
    import openai

    tries, found = f"(tries: {config.retries + 1})", _redacted(error, key)
    if isinstance(error, openai.APITimeoutError):
        problem = f"no answer within {config.timeout:g} s {tries}; is it overloaded? {GO_ON}"
    elif isinstance(error, openai.APIConnectionError):
        problem = f"cannot be reached {tries}; is it running? {GO_ON}"
    elif not isinstance(error, openai.APIStatusError):
        problem = f"the request failed ({found}); {GO_ON}"
    elif error.status_code in (401, 403):  # such a message may hold a part of the key
        problem = f"it refuses the key (HTTP {error.status_code}); put a valid one into the environment variable {variable}"
    elif error.status_code == 429 or error.status_code >= 500:
        problem = f"HTTP {error.status_code} {tries}: {found}; wait, or lower 'parallel'; {GO_ON}"
    elif _is_about_the_text(error):
        return f"the server does not take this text: {found}"
    else:
        problem = f"it refuses the request (HTTP {error.status_code}: {found}); change the model or its settings"
    raise ResourceError(f"{host}: {problem}") from None


def _redacted(error: Exception, key: str) -> str:
    """An error's message as one short line without the key."""
    return " ".join(_STATUS.sub("", str(error)).replace(key, "***").split())[:_LONGEST]


def _is_about_the_text(error: Any) -> bool:
    """Whether another text might pass: this one is too long for the model, or filtered."""
    if error.status_code == 413 or error.code in _ABOUT_THE_TEXT:
        return True
    return error.status_code in (400, 422) and any(words in str(error).lower() for words in _TOO_LONG)
