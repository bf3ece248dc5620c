"""The licence that a trained checkpoint inherits: the most restrictive of its base's and its data's; what is not known stays unknown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

UNKNOWN = "unknown: check before use"

_CREATIVE_COMMONS = re.compile(r"(?<![\w-])cc[ -]by((?:[ -](?:nc|nd|sa))*)(?:[ -](\d\.\d))?(?![\w-])", re.IGNORECASE)
_PERMISSIVE = (
    ("CC0-1.0", r"cc0(?:[ -]1\.0)?"),
    ("MIT", r"mit(?: license| licence)?"),
    ("Apache-2.0", r"apache(?:[ -]license| license| licence)?,?(?:[ -]version)?[ -]2(?:\.0)?"),
    ("BSD-3-Clause", r"bsd[ -]3[ -]clause"),
    ("BSD-2-Clause", r"bsd[ -]2[ -]clause"),
)
_NAMES = tuple((name, re.compile(rf"(?<![\w-])(?:{form})(?![\w-])", re.IGNORECASE)) for name, form in _PERMISSIVE)
_DOUBT = re.compile(r"\b(?:conflict|check|unknown|unclear|not stated|own terms|other terms|may not|except)\b", re.IGNORECASE)
_RANKS = ("", "sa", "nc", "nc-sa", "nd", "nc-nd")
"""What Creative Commons licences ask beside attribution, the most restrictive last."""


@dataclass(frozen=True, slots=True)
class Licence:
    """A licence that a text names without any doubt.

    Attributes:
        name: As it is written: ``MIT``, ``CC BY-NC-SA 4.0``.
        rank: How restrictive it is; 0 asks for no more than its notice.
        version: Of Creative Commons; 0 where none is stated.
    """

    name: str
    rank: int
    version: float = 0.0

    @property
    def hub_id(self) -> str:
        """How the model hub calls it: ``cc-by-nc-sa-4.0``. A Creative Commons licence without a version has no such name."""
        return "other" if self.name.startswith("CC BY") and not self.version else self.name.lower().replace(" ", "-")

    @property
    def shares_alike(self) -> bool:
        """Whether what is made from it must have the same licence."""
        return self.rank > 0 and _RANKS[self.rank - 1].endswith("sa")


@dataclass(frozen=True, slots=True)
class Inherited:
    """The licence of what was made from several things.

    Attributes:
        text: The most restrictive licence, or ``UNKNOWN``.
        hub_id: The same for a card's ``license``; ``unknown`` and ``other`` are names that the hub knows.
        notes: What has to be looked at.
    """

    text: str
    hub_id: str
    notes: tuple[str, ...]


def licence_of(text: str) -> Licence | None:
    """The licence in a text; None where the text begins with none, names a second one, or expresses a doubt.

    It is meant to err on that side: "Not stated; the passages are CC BY-SA" is not a licence of the conversations.
    """
    found = list(_licences(text))
    if not found or found[0][0] != len(text) - len(text.lstrip()) or len({licence for _, licence in found}) > 1 or _DOUBT.search(text):
        return None
    return found[0][1]


def inherited(licences: Mapping[str, str]) -> Inherited:
    """The licence of what was made from all of these.

    This is a rule of caution and no legal advice. The most restrictive is the one that asks for most: no derivatives, then no commercial
    use, then sharing alike, then attribution.

    Args:
        licences: What it was made from -> the terms of that, in any words.
    """
    known = {name: licence for name, text in licences.items() if (licence := licence_of(text)) is not None}
    strictest = max(known.values(), key=lambda licence: (licence.rank, licence.version), default=None)
    notes = [f"the terms of {name} are not known: {text or 'nothing stated'}" for name, text in licences.items() if name not in known]
    if notes and strictest is not None:
        notes.append(f"the most restrictive of the terms that are known is {strictest.name}")
    notes += _conflicts(known)
    if strictest is None or len(known) < len(licences):
        return Inherited(UNKNOWN, "unknown", tuple(notes))
    return Inherited(strictest.name, strictest.hub_id, tuple(notes))


def _licences(text: str) -> Iterator[tuple[int, Licence]]:
    """Where a licence is named, and which, in the order of the text."""
    found = [(match.start(), Licence(name, 0)) for name, form in _NAMES for match in form.finditer(text)]
    for match in _CREATIVE_COMMONS.finditer(text):
        parts = "-".join(part for part in ("nc", "nd", "sa") if part in re.split("[ -]", match[1].lower()))
        if parts in _RANKS:
            name = " ".join(filter(None, [f"CC BY{'-' if parts else ''}{parts.upper()}", match[2]]))
            found.append((match.start(), Licence(name, 1 + _RANKS.index(parts), float(match[2] or 0))))
    yield from sorted(found, key=lambda place: place[0])


def _conflicts(known: Mapping[str, Licence]) -> Iterator[str]:
    """Licences that each want what is made from them to have their own terms: another version may do, another kind does not."""
    alike = {licence.name: licence.rank for licence in known.values() if licence.shares_alike}
    if len(set(alike.values())) > 1:
        yield f"{' and '.join(sorted(alike))} each ask for the same terms in what is made from them, so no licence meets both: {UNKNOWN}"
    asked = {_RANKS[licence.rank - 1] for licence in known.values() if licence.rank}
    if alike and asked & {"nc", "nd", "nc-nd"}:
        yield f"{' and '.join(sorted(alike))} may not be combined with terms that restrict more: check before use"
    if asked & {"nd", "nc-nd"}:
        yield "a source allows no derivatives; whether a model is one is an open question: check before use"
