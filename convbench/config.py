"""YAML configuration checked by pydantic: unknown keys are errors, messages are one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from convbench.errors import DataError, UsageError, reading_error


class Config(BaseModel):
    """Base of all configuration models: immutable, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


C = TypeVar("C", bound=Config)


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"]) or "top level"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{where}: {problem['msg'].lower()}, found {problem['input']!r:.80}{more}"


def read_yaml(path: Path) -> Any:
    """The document in a YAML file (safe loader)."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise reading_error(error, path) or error from None
    except UnicodeDecodeError as error:
        raise DataError(path, f"not UTF-8 ({error.reason} at byte {error.start})") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else None
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise DataError(path, f"not valid YAML: {problem}", line=line) from None


def load_config(model: type[C], path: Path) -> C:
    """Reads a YAML file into a configuration model.

    Raises:
        DataError: Not YAML, not a mapping, an unknown key or a wrong value; the message names the key.
    """
    document = read_yaml(path)
    if not isinstance(document, dict):
        raise DataError(path, f"expected a mapping, found {type(document).__name__}")
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise DataError(path, _first_problem(error)) from None


def build_config(model: type[C], values: dict[str, Any], origin: str) -> C:
    """Builds a configuration model from values; ``origin`` names where they came from in an error."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise UsageError(f"{origin}: {_first_problem(error)}") from None
