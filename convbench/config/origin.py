"""Where values were written, so that a message can name file and line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a mapping of values came from; it is for messages and is no part of what is configured.

    Attributes:
        name: What the user calls it: a path, the name of a baseline.
        file: The YAML file it stands in, if any.
        node: The root of that file's document.
        changes: Place of a value that was changed afterwards -> by what (``--set k``).
    """

    name: str
    file: Path | None = None
    node: yaml.Node | None = field(default=None, repr=False, compare=False)
    changes: Mapping[tuple[str, ...], str] = field(default_factory=dict)

    def changed(self, place: Sequence[str], by: str) -> Origin:
        """The origin of the values after a change at a place."""
        return Origin(self.name, self.file, self.node, {**self.changes, tuple(place): by})

    def at(self, place: Sequence[str | int]) -> str:
        """``FILE:LINE`` of a value, or of the innermost value around it that has a line; what changed it, where something did.

        Args:
            place: Keys and indices that lead to the value, from the outside.
        """
        keys = tuple(map(str, place))
        for length in range(len(keys), 0, -1):
            if by := self.changes.get(keys[:length]):
                return f"{self.name} with {by}"
        if self.node is None:
            return str(self.file or self.name)
        return f"{self.file or self.name}:{line_of(self.node, keys)}"


def line_of(root: yaml.Node, place: Sequence[str]) -> int:
    """The line, from 1, on which the key or list entry at a place begins; of the last one on the way that is there."""
    line, node = root.start_mark.line, root
    for part in place:
        entry = _entry(node, part)
        if entry is None:
            break
        marked, node = entry
        line = marked.start_mark.line
    return int(line) + 1


def _entry(node: yaml.Node, part: str) -> tuple[yaml.Node, yaml.Node] | None:
    """What marks an entry (its key, or itself in a list), and its value."""
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in reversed(node.value) if key.value == part), None)
    if isinstance(node, yaml.SequenceNode) and part.isdecimal() and int(part) < len(node.value):
        return (node.value[int(part)],) * 2
    return None
