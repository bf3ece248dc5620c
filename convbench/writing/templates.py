"""Texts with placeholders such as ``{rewrite}``, filled in at once, so that braces within what is filled in stand for themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from convbench.errors import UsageError
from convbench.registry import did_you_mean

_PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*)\}")


def placeholders(form: str) -> set[str]:
    """Names of the placeholders in a form."""
    return set(_PLACEHOLDER.findall(form))


def filled(form: str, texts: Mapping[str, str]) -> str:
    """The form with its placeholders' texts."""
    return _PLACEHOLDER.sub(lambda found: texts[found[1]], form)


def check_form(form: str, known: Iterable[str], origin: str) -> None:
    """Makes sure that every placeholder of a form has a text.

    Raises:
        UsageError: One has none.
    """
    names = list(known)
    for name in sorted(placeholders(form) - set(names)):
        listed = ", ".join(f"{{{each}}}" for each in names)
        raise UsageError(f"{origin}: nothing fills in the placeholder {{{name}}}.{did_you_mean(name, names)} Known here: {listed}")
