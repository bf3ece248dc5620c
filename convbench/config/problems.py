"""What is wrong with values, in one line: where, what was found, what was expected, and what was probably meant."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from convbench.config.places import place_of
from convbench.registry import did_you_mean

_UNKNOWN_KEY = ("extra_forbidden", "unexpected_keyword_argument")
_ABSENT = ("missing", "missing_argument", "missing_keyword_only_argument")
_SECRET = re.compile(
    r"(^|[_\W]|(?<=[a-z0-9])(?=[A-Z]))(?i:api[_\W]?key|key|token|secret|password|passwd|pwd|credentials?|auth|authorization|bearer)$"
)
_SECRET_VALUE = re.compile(r"://[^/\s]*@|\b(sk-|gsk_|hf_|xai-|Bearer )[\w-]{16}")
"""An address with a password, and what the keys of some servers begin with: such a value is a secret under whatever name."""
_NO_MAPPING = ("model_type", "model_attributes_type", "dict_type", "dataclass_type")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        keys: Keys and indices that lead to the value, from the outside.
        message: What is wrong with it, the keys left out.
        kind: pydantic's name of the kind of error.
        mismatch: Whether the value is of another type altogether than what was tried.
    """

    keys: tuple[str | int, ...]
    message: str
    kind: str
    mismatch: bool

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.keys))}: {self.message}" if self.keys else self.message


def problems_of(error: ValidationError, model: type[BaseModel], values: Any) -> list[Problem]:
    """The problems that an error of pydantic names, unknown keys first, as a misspelt key is also one that is missing.

    A value that may be of several types gives a problem for each of them: those about types that it is not of are left out, unless it is
    of none.

    Args:
        error: The error.
        model: The model that was to be built.
        values: What it was to be built from.
    """
    found = [_problem(details, model, values) for details in error.errors(include_url=False)]
    meant = [each for each in found if not (each.mismatch and any(_explains(other, each) for other in found))]
    return sorted(meant, key=lambda each: each.kind not in _UNKNOWN_KEY)


def _explains(other: Problem, mismatch: Problem) -> bool:
    return not other.mismatch and other.keys[: len(mismatch.keys)] == mismatch.keys


def _problem(details: Any, model: type[BaseModel], values: Any) -> Problem:
    kind, context = details["type"], details.get("ctx", {})
    place = place_of(details["loc"], model, values, absent=kind in _ABSENT)
    keys, message, found = place.keys, details["msg"].lower(), _found(place.keys, details["input"])
    if kind in _ABSENT:
        message = "field required"
    elif kind in _UNKNOWN_KEY:
        message = f"extra inputs are not permitted{found}{_meant_key(str(keys[-1]) if keys else '', place.known)}"
    elif kind == "literal_error":
        message += found + _meant(str(details["input"]), _quoted(context["expected"]))
    elif kind in ("union_tag_invalid", "union_tag_not_found"):
        key = context["discriminator"].strip("'")
        keys, message = (*keys, key), _tag_message(context.get("tag"), place.choices(key)) + _misspelt(key, details["input"])
    elif kind in _NO_MAPPING:
        message = f"input should be a mapping{_with_type(place.choices('type'))}{found}"
    elif kind == "value_error":  # in the words of who raised it, who has quoted what matters of a mapping
        message = str(context["error"]) + ("" if isinstance(details["input"], Mapping) else found)
    else:
        message += found + _meant_type(details["input"], place.choices("type"))
    return Problem(keys, message, kind, _is_mismatch(kind, details["input"]))


def _tag_message(tag: str | None, choices: Sequence[str]) -> str:
    expected = _listed(choices)
    if tag is None:
        return f"field required, expected {expected}"
    return f"input should be {expected}, found {tag!r:.80}{_meant(tag, choices)}"


def _found(keys: Sequence[str | int], value: Any) -> str:
    """What was found, but for what may be somebody's key: it would end up in logs."""
    if (keys and _SECRET.search(str(keys[-1]))) or _holds_secret(value):
        return ", found what may be a secret and is not shown"
    return f", found {value!r:.80}"


def _holds_secret(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_SECRET.search(str(key)) or _holds_secret(inner) for key, inner in value.items())
    if isinstance(value, list):
        return any(map(_holds_secret, value))
    return isinstance(value, str) and _SECRET_VALUE.search(value) is not None


def _with_type(choices: Sequence[str]) -> str:
    return f" with 'type' {_listed(choices)}" if choices else ""


def _listed(choices: Sequence[str]) -> str:
    """``'a', 'b' or 'c'``, as pydantic lists choices."""
    *others, last = map(repr, choices or ["something else"])
    return f"{', '.join(others)} or {last}" if others else last


def _misspelt(key: str, values: Any) -> str:
    """A key that was given in place of the one that is needed, as a sentence of its own, or nothing."""
    near = did_you_mean(key, map(str, values)) if isinstance(values, dict) and key not in values else ""
    return f"; found{near.removeprefix(' Did you mean').removesuffix('?')} instead" if near else ""


def _meant(text: str, choices: Sequence[str]) -> str:
    """The choice that was probably meant, as a sentence of its own, or nothing."""
    near = did_you_mean(text, choices)
    return f".{near}" if near else ""


def _meant_type(value: Any, choices: Sequence[str]) -> str:
    """The component that a mapping of an unknown type was probably meant to be: a union may refuse it in words of its own."""
    given = value.get("type") if isinstance(value, dict) else None
    return _meant(given, choices) if isinstance(given, str) and given not in choices else ""


def _meant_key(key: str, known: Sequence[str]) -> str:
    """The known key that was probably meant, or else all of them."""
    return _meant(key, known) or (f"; known: {', '.join(sorted(known))}" if known else "")


def _quoted(text: str) -> list[str]:
    return re.findall(r"'([^']*)'", text)


def _is_mismatch(kind: str, value: Any) -> bool:
    if kind == "literal_error":
        return isinstance(value, (dict, list))
    return kind.endswith("_type")
