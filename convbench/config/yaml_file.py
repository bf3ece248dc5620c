"""YAML as values and as nodes, which know their lines; without what lets a small file fill the memory or keep the processor busy."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from convbench.config.small_text import small_text
from convbench.errors import DataError

MAX_YAML = 256 << 10
"""Bytes of a YAML file, which PyYAML needs seconds for."""
MAX_YAML_DEPTH = 64
"""Levels of lists and mappings within each other in YAML."""

_MAX_DIGITS = 1000  # PyYAML reads ``1:1:1 ...`` in square time
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML document.

    Attributes:
        values: What it says.
        node: Its root as PyYAML composed it, for the lines; None where it is empty.
    """

    values: Any
    node: yaml.Node | None = field(default=None, repr=False, compare=False)


class _Refused(yaml.MarkedYAMLError):
    """YAML that is valid but not read."""


class _Loader(yaml.SafeLoader):
    """The safe loader, without what fills the memory or keeps the processor busy for minutes, broken text, and what is easily misread."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if event.anchor is not None:
            raise _Refused(problem="anchors and aliases (& and *) are not read; write the value out", problem_mark=event.start_mark)
        self._depth += 1
        if self._depth > MAX_YAML_DEPTH:
            raise _Refused(problem=f"nested deeper than {MAX_YAML_DEPTH} levels, the most that is read", problem_mark=event.start_mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if isinstance(node, yaml.ScalarNode):
            _check_scalar(node)
        elif isinstance(node, yaml.MappingNode):
            _check_keys(node)
        return node


def _check_keys(node: yaml.MappingNode) -> None:
    """PyYAML keeps the last of two values of one key without a word."""
    seen = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            if (key.tag, key.value) in seen:
                raise _Refused(problem=f"the key {key.value!r:.80} appears twice in one mapping; keep one", problem_mark=key.start_mark)
            seen.add((key.tag, key.value))


def _check_scalar(node: yaml.ScalarNode) -> None:
    if node.tag in _NUMBERS and len(node.value) > _MAX_DIGITS:
        raise _Refused(problem=f"a number of more than {_MAX_DIGITS} digits is not read", problem_mark=node.start_mark)
    if node.tag in _NUMBERS and ":" in node.value:
        problem = f"{node.value!r:.80} is read as a number in base 60; put it in quotes, or write the number out"
        raise _Refused(problem=problem, problem_mark=node.start_mark)
    try:
        node.value.encode()
    except UnicodeEncodeError as error:
        found = f"{node.value[error.start]!r}, half of a surrogate pair"
        raise _Refused(problem=f"the text holds {found}, which is no text", problem_mark=node.start_mark) from None


def read_document(path: Path) -> Document:
    """The document in a YAML file (safe loader; no anchors and aliases).

    Raises:
        MissingFileError: There is no such file.
        DataError: Not YAML, larger than ``MAX_YAML`` bytes, nested deeper than ``MAX_YAML_DEPTH`` levels, or with an anchor, a key twice in
            one mapping, or a number in base 60.
    """
    too_large = f"larger than {MAX_YAML >> 10} KiB, the most that is read as YAML; is it a configuration?"
    return parse_document(small_text(path, MAX_YAML, too_large), path)


def read_mapping(path: Path) -> Document:
    """The document in a YAML file, which must be a mapping.

    Raises:
        MissingFileError: There is no such file.
        DataError: As in ``read_document``, or it is no mapping.
    """
    document = read_document(path)
    if not isinstance(document.values, dict):
        raise DataError(path, f"expected a mapping, found {type(document.values).__name__}")
    return document


def read_yaml(path: Path) -> Any:
    """The values in a YAML file, as ``read_document`` reads it."""
    return read_document(path).values


def parse_document(text: str, origin: str | Path) -> Document:
    """The document in a text; ``origin`` says in messages where it stands.

    Raises:
        DataError: As in ``read_document``, but for the size.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        return Document(loader.construct_document(node) if node is not None else None, node)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else None
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise DataError(origin, problem if isinstance(error, _Refused) else f"not valid YAML: {problem}", line=line) from None
    except RecursionError:
        raise DataError(origin, "nested too deep to be read") from None
    except (ArithmeticError, AttributeError, LookupError, ValueError) as error:  # PyYAML's, for values that their type does not allow
        raise DataError(origin, f"not valid YAML: a value is not what its type allows ({error!r:.80})") from None


def parse_yaml(text: str, origin: str | Path) -> Any:
    """The values in a text, as ``parse_document`` reads it."""
    return parse_document(text, origin).values
