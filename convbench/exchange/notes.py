"""What did not come along: kinds of things, counted, each with where it was met first."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Note:
    """A kind of thing that stays behind.

    Attributes:
        what: The kind, in words ("field 'ptkb_provenance'", "responses").
        count: How many there were.
        why: Why it stays behind.
        first: The id of the turn (or other thing) where it was met first.
    """

    what: str
    count: int
    why: str
    first: str

    def __str__(self) -> str:
        first = self.first if self.first.isprintable() else repr(self.first)
        return f"{self.what}: {self.count:,} (first: {first}); {self.why}"


class Notes:
    """Collects notes; the same kind is counted, not repeated."""

    def __init__(self) -> None:
        self._notes: dict[tuple[str, str], Note] = {}

    def add(self, what: str, first: str, why: str, count: int = 1) -> None:
        """Counts a thing.

        Args:
            what: Its kind.
            first: Where it was met.
            why: Why it stays behind.
            count: How many of them.
        """
        note = self._notes.setdefault((what, why), Note(what, 0, why, first))
        note.count += count

    def unknown_fields(self, values: dict[str, object], known: frozenset[str], first: str, prefix: str = "") -> None:
        """Counts the fields of an object that are not read; empty ones hold nothing and are passed over."""
        for field, value in values.items():
            if field not in known and value not in (None, "", [], {}):
                self.add(f"field {prefix + field!r}", first, "not read")

    def all(self) -> list[Note]:
        """The notes, in the order of first meeting."""
        return list(self._notes.values())
