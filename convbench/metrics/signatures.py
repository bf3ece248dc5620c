"""Whether two numbers may be compared: only where their signatures are the same, and if not, what differs."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Difference:
    """One part in which two signatures differ: what it is called, and its value in either (``absent`` where there is none)."""

    part: str
    first: str
    second: str

    def __str__(self) -> str:
        return f"{self.part} is {self.first} against {self.second}"


def parsed(signature: str) -> dict[str, str]:
    """The parts of a signature by key: the measure's name has the key ``measure``, ``L17`` the key ``layer``.

    Any other part without a key is its own.
    """
    name, *parts = signature.split("|")
    return {"measure": name} | dict(_part(part) for part in parts)


def _part(part: str) -> tuple[str, str]:
    key, _, value = part.partition(":")
    if layer := re.fullmatch(r"L(\d+)", part):
        return "layer", layer[1]
    return key, value or key


def leaves_missing_out(signature: str) -> bool:
    """Whether turns that a run lacks are left out of the average; the reason beside the value then says how many there are."""
    return parsed(signature).get("missing") == "skip"


def differences(first: str, second: str) -> list[Difference]:
    """Every part in which two signatures differ, in the order of the first; empty where the numbers may be compared."""
    ours, theirs = parsed(first), parsed(second)
    pairs = {key: (ours.get(key, _ABSENT), theirs.get(key, _ABSENT)) for key in [*ours, *theirs]}
    return [Difference(key, *values) for key, values in pairs.items() if values[0] != values[1]]
