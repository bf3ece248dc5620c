"""From the places in pydantic's errors to those in a file: the tags of unions are no keys; and which keys a place may have."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

_UNIONS = (Union, types.UnionType)


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """A place in the values that were given.

    Attributes:
        keys: Keys and indices that lead to it, from the outside; no tags.
        known: Keys that may stand where the last one stands; empty where any may, or where that is not known.
        kinds: Types that the value there may have.
    """

    keys: tuple[str | int, ...]
    known: tuple[str, ...]
    kinds: tuple[Any, ...]

    def choices(self, key: str) -> list[str]:
        """What a key that tells the types apart may say."""
        annotations = [_annotations(kind).get(key) for kind in self.kinds]
        return [str(choice) for annotation in annotations if get_origin(annotation) is Literal for choice in get_args(annotation)]


def place_of(loc: Sequence[str | int], model: type[BaseModel], values: Any, *, absent: bool) -> Place:
    """Finds the place that an error of pydantic speaks of.

    Args:
        loc: The error's ``loc``: keys and indices, and for unions the tag of a member, or a label.
        model: The model that was to be built.
        values: What it was to be built from.
        absent: Whether the last part names a key that is not there.
    """
    kinds: list[Any] = [model]
    keys: list[str | int] = []
    known: tuple[str, ...] = ()
    inner = values
    for number, part in enumerate(loc):
        if len(kinds) > 1 and (narrowed := [each for each in kinds if part in _tags(each)]):
            kinds = narrowed
            continue
        found, value = _entry(inner, part)
        if not found and not (absent and number == len(loc) - 1):
            continue  # the label of a union's member
        known = tuple(dict.fromkeys(key for each in _fitting(kinds, inner) for key in _annotations(each)))
        kinds = [each for outer in kinds for each in _below(outer, part)]
        inner = value
        keys.append(part)
    return Place(tuple(keys), known, tuple(kinds))


def _entry(values: Any, part: str | int) -> tuple[bool, Any]:
    """Whether there is such an entry, and its value."""
    if isinstance(values, Mapping):
        return part in values, values.get(part)
    if isinstance(values, (list, tuple)) and isinstance(part, int):
        return part < len(values), values[part] if part < len(values) else None
    name = str(part)
    return hasattr(values, name) and _is_record(type(values)), getattr(values, name, None)


def _is_record(kind: Any) -> bool:
    """Whether a type has named fields: a model or a dataclass."""
    return isinstance(kind, type) and (issubclass(kind, BaseModel) or dataclasses.is_dataclass(kind))


def _annotations(kind: Any) -> dict[str, Any]:
    """Field -> type of a model or a dataclass; nothing for other types."""
    if not _is_record(kind):
        return {}
    if issubclass(kind, BaseModel):
        return {field.alias or name: field.annotation for name, field in kind.model_fields.items()}
    try:
        return get_type_hints(kind, include_extras=True)
    except (NameError, TypeError):  # types that only a type checker sees
        return {field.name: Any for field in dataclasses.fields(kind)}


def _tags(kind: Any) -> set[Any]:
    """The values by which a member of a union can be told from the others."""
    return {value for annotation in _annotations(kind).values() if get_origin(annotation) is Literal for value in get_args(annotation)}


def _fitting(kinds: Sequence[Any], values: Any) -> list[Any]:
    """The records among some types, those only whose tags the values have, where any does."""
    records = [kind for kind in kinds if _is_record(kind)]
    given = {value for value in values.values() if isinstance(value, str)} if isinstance(values, Mapping) else set()
    return [kind for kind in records if _tags(kind) & given] or records


def _below(kind: Any, part: str | int) -> Iterator[Any]:
    """The types that an entry of a type may have."""
    if _is_record(kind):
        annotation = _annotations(kind).get(str(part))
    else:
        origin, arguments = get_origin(kind), get_args(kind)
        if not arguments or origin is Literal or not isinstance(origin, type):
            return
        annotation = arguments[-1] if issubclass(origin, Mapping) else arguments[0]
    yield from _members(annotation)


def _members(annotation: Any) -> Iterator[Any]:
    """The members of a union at any depth, or the type itself."""
    if get_origin(annotation) is Annotated:
        yield from _members(get_args(annotation)[0])
    elif get_origin(annotation) in _UNIONS:
        for member in get_args(annotation):
            yield from _members(member)
    else:
        yield annotation
