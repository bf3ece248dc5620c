"""What is typed as the value of an option, read: pairs, settings, a profile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from convbench.errors import DataError, UsageError


def parse_options(pairs: tuple[str, ...], option: str = "--option", form: str = "NAME=VALUE") -> dict[str, str]:
    """``NAME=VALUE`` pairs as a mapping."""
    parsed = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not name:
            raise UsageError(f"{option} {pair!r}: expected {form}")
        parsed[name] = value
    return parsed


def read_settings(pairs: tuple[str, ...]) -> dict[str, Any]:
    """The ``KEY=VALUE`` pairs of ``--set``, values read as YAML."""
    return {key: read_value(value) for key, value in parse_options(pairs, "--set", "KEY=VALUE").items()}


def read_value(text: str) -> Any:
    """A value as YAML would read it: ``64``, ``false``, ``[a, b]``, ``text``."""
    from convbench.config import parse_yaml

    try:
        return parse_yaml(text, "value")
    except DataError:
        return text


def read_profile(profile: str | None) -> str | dict[str, Any] | None:
    """A profile: its name, or the content of its file (JSON is YAML)."""
    if profile is None or not profile.endswith((".json", ".yaml", ".yml")):
        return profile
    from convbench.config import read_yaml

    values = read_yaml(Path(profile))
    if not isinstance(values, dict):
        raise UsageError(f"{profile}: expected a mapping, found {type(values).__name__}")
    return values
