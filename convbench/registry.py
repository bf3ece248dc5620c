"""Named plug-ins: built-ins and entry points resolve through one lazy table of ``"module:attr"`` strings."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable, Mapping
from importlib import metadata
from typing import Any

from convbench.errors import UsageError


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """``" Did you mean 'x'?"`` for a near miss, else an empty string."""
    near = difflib.get_close_matches(name, list(choices), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


class Registry:
    """A table of one kind of plug-in.

    Args:
        kind: What is registered, in the singular ("dataset"), for messages.
        builtins: Name -> ``"module:attr"``; imported on first use only.
        group: Entry-point group through which other packages add names.
    """

    def __init__(self, kind: str, builtins: Mapping[str, str], group: str | None = None) -> None:
        self.kind = kind
        self._group = group
        self._builtins = dict(builtins)
        self._targets: dict[str, str] | None = None

    def _table(self) -> dict[str, str]:
        if self._targets is None:
            targets = dict(self._builtins)
            for point in metadata.entry_points(group=self._group) if self._group else ():
                if point.name in targets and targets[point.name] != point.value:
                    raise UsageError(
                        f"two packages register the {self.kind} {point.name!r}: {targets[point.name]} and {point.value}; "
                        "uninstall or rename one"
                    )
                targets[point.name] = point.value
            self._targets = targets
        return self._targets

    def names(self) -> list[str]:
        """All registered names, sorted."""
        return sorted(self._table())

    def get(self, name: str) -> Any:
        """The registered object, imported now.

        Raises:
            UsageError: The name is unknown (with a suggestion) or its module cannot be imported.
        """
        table = self._table()
        if name not in table:
            raise UsageError(f"unknown {self.kind} {name!r}.{did_you_mean(name, table)} Known: {', '.join(sorted(table))}")
        module, _, attribute = table[name].partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            reason = " ".join(str(error).split())
            raise UsageError(f"the {self.kind} {name!r} cannot be imported from {table[name]}: {reason}") from error
