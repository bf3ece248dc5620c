"""Configuration models from values and from files, with errors that name the place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from convbench.config.model import Config
from convbench.config.origin import Origin
from convbench.config.problems import problems_of
from convbench.config.yaml_file import read_mapping
from convbench.errors import DataError, UsageError

C = TypeVar("C", bound=Config)


def load_config(model: type[C], path: Path) -> C:
    """Reads a YAML file into a configuration model.

    Raises:
        DataError: Not YAML, not a mapping, an unknown key or a wrong value; the message names file, line and key.
    """
    document = read_mapping(path)
    try:
        return model.model_validate(document.values)
    except ValidationError as error:
        place, message = _first_problem(error, model, document.values, Origin(str(path), path, document.node))
        raise DataError(place, message) from None


def build_config(model: type[C], values: Mapping[str, Any], origin: str | Origin) -> C:
    """Builds a configuration model from values.

    Args:
        model: The model.
        values: What it is built from.
        origin: Where they came from, for messages; an ``Origin`` names the line too.

    Raises:
        UsageError: An unknown key or a wrong value.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        given = origin if isinstance(origin, Origin) else Origin(origin)
        raise UsageError(": ".join(_first_problem(error, model, values, given))) from None


def _first_problem(error: ValidationError, model: type[Config], values: Any, origin: Origin) -> tuple[str, str]:
    """Where the first problem lies, and what it is; how many more there are."""
    first, *others = problems_of(error, model, values)
    return origin.at(first.keys), f"{first} (and {len(others)} more)" if others else str(first)
