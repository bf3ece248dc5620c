"""The models that the values of a system name, at any depth: checkpoints, and models behind a server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from convbench.backends.known import known_profiles

_PROFILE = "profile"
_KEYS = ("model", "query_model", "passage_model")
_SERVER = "server"


@dataclass(frozen=True, slots=True)
class NamedCheckpoint:
    """A checkpoint as a system names it.

    Attributes:
        name: Folder or hub id; empty where a system leaves the weights to its users.
        revision: Hub commit, tag or branch, where one is named.
    """

    name: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"{self.name}@{self.revision}" if self.revision else self.name


def named_checkpoints(values: Any) -> Iterator[NamedCheckpoint]:
    """Every checkpoint that the values of a system name, in order; models behind a server are none."""
    if isinstance(values, Mapping):
        for key, value in values.items():
            if _is_name(values, key, value):
                yield _named(values, key)
            else:
                yield from named_checkpoints(_profile(value) if key == _PROFILE else value)
    elif isinstance(values, (list, tuple)):
        for value in values:
            yield from named_checkpoints(value)


def has_server(values: Any) -> bool:
    """Whether the values of a system name a model behind a server."""
    if isinstance(values, Mapping):
        return values.get("type") == _SERVER or any(map(has_server, values.values()))
    return isinstance(values, (list, tuple)) and any(map(has_server, values))


def with_folders(values: Any, folder_of: Callable[[NamedCheckpoint], str | None]) -> Any:
    """The values with folders in place of checkpoints.

    Args:
        values: Those of a system.
        folder_of: The folder of a checkpoint; None where it stays as it is. What gets a folder loses its revision.
    """
    if isinstance(values, Mapping):
        folders = {
            key: folder
            for key, value in values.items()
            if _is_name(values, key, value) and (folder := folder_of(_named(values, key))) is not None
        }
        others = {key: _inner(key, value, folder_of) for key, value in values.items() if key not in folders}
        changed = {key: folders.get(key, others.get(key)) for key in values}
        return changed | {revision: None for revision in map(partial(_revision_key, values), folders) if revision in changed}
    if isinstance(values, (list, tuple)):
        return [with_folders(value, folder_of) for value in values]
    return values


def _inner(key: str, value: Any, folder_of: Callable[[NamedCheckpoint], str | None]) -> Any:
    """What stands under a key; a built-in profile is written out where it names a checkpoint that gets a folder."""
    if key != _PROFILE:
        return with_folders(value, folder_of)
    written = _profile(value)
    changed = with_folders(written, folder_of)
    return value if changed == written else changed


def _profile(given: Any) -> Any:
    """The values of a built-in profile, which may name the encoder of the other side; what is written out stays as it is."""
    known = known_profiles().get(given) if isinstance(given, str) else None
    return given if known is None else dict(known.values)


def _named(values: Mapping[str, Any], key: str) -> NamedCheckpoint:
    return NamedCheckpoint(values[key], values.get(_revision_key(values, key)))


def _revision_key(values: Mapping[str, Any], key: str) -> str:
    """Where the revision of a checkpoint stands: ``query_revision`` for ``query_model``, where there is such a key."""
    own = f"{key.removesuffix('model')}revision"
    return own if own in values else "revision"


def _is_name(values: Mapping[str, Any], key: str, value: Any) -> bool:
    return key in _KEYS and isinstance(value, str) and values.get("type") != _SERVER
