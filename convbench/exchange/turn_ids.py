"""Turn ids as other tools write them: a pattern such as ``<conversation>-<turn>`` reads and writes them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from convbench.errors import UsageError

CONVERSATION, TURN, TURN_FROM_0 = "<conversation>", "<turn>", "<turn0>"
OWN = f"{CONVERSATION}_{TURN}"
"""How convbench names turns."""

_PLACEHOLDER = re.compile(f"({CONVERSATION}|{TURN}|{TURN_FROM_0})")
_GROUPS = {
    CONVERSATION: "(?P<conversation>[^\\s\\x00-\\x1f\\x7f-\\x9f\u2423]+)",
    TURN: "(?P<turn>[1-9][0-9]{0,8})",
    TURN_FROM_0: "(?P<turn0>0|[1-9][0-9]{0,8})",
}


@dataclass(frozen=True, slots=True)
class TurnId:
    """A turn id in its parts. ``number`` is None where the pattern has no place for it: every id is a conversation then."""

    conversation: str
    number: int | None

    @property
    def own(self) -> str:
        """The id as convbench writes it; a conversation without a turn number has one turn."""
        return f"{self.conversation}_{self.number or 1}"


def own_turn_id(text: str) -> TurnId:
    """The parts of one of our own ids.

    Raises:
        ValueError: It is none; the message says what it should be.
    """
    return TurnIds((OWN,)).parse(text)


class TurnIds:
    """A way of writing turn ids.

    Args:
        patterns: Text with ``<conversation>`` and ``<turn>`` (counted from 1) or ``<turn0>`` (from 0) in it. All are tried in reading, in
            this order; the first is written.

    Raises:
        UsageError: A pattern that could not be read back.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self.patterns = tuple(patterns)
        self._compiled = [re.compile(_expression(pattern)) for pattern in self.patterns]

    def parse(self, text: str) -> TurnId:
        """The parts of an id.

        Raises:
            ValueError: It does not fit; the message, to be put after the file and line, names the id and the pattern.
        """
        for expression in self._compiled:
            if found := expression.fullmatch(text):
                groups = found.groupdict()
                if groups.get("turn0") is not None:
                    return TurnId(groups["conversation"], int(groups["turn0"]) + 1)
                return TurnId(groups["conversation"], int(groups["turn"]) if groups.get("turn") else None)
        shown = " or ".join(map(repr, self.patterns))
        raise ValueError(f"turn id {text!r:.80} is not of the form {shown}; say how the file names turns with --turn-ids")

    def write(self, turn_id: str) -> str:
        """One of our ids, written by the first pattern.

        Raises:
            ValueError: The id is not ``<conversation>_<turn>``, or the pattern has no place for a later turn than the first.
        """
        try:
            parts, pattern = own_turn_id(turn_id), self.patterns[0]
        except ValueError:
            raise ValueError(
                f"turn {turn_id!r:.80} is not named {OWN!r}; bring the file in with `convbench import` and --turn-ids"
            ) from None
        assert parts.number is not None
        if TURN not in pattern and TURN_FROM_0 not in pattern and parts.number > 1:
            raise ValueError(f"turn {turn_id!r:.80}: {pattern!r} has no place for its number; add {TURN} to --turn-ids")
        values = {CONVERSATION: parts.conversation, TURN: str(parts.number), TURN_FROM_0: str(parts.number - 1)}
        return _PLACEHOLDER.sub(lambda found: values[found[0]], pattern)


def _expression(pattern: str) -> str:
    """The regular expression of a pattern."""
    parts = _PLACEHOLDER.split(pattern)
    named = parts[1::2]
    if named.count(CONVERSATION) != 1 or len(named) > 2 or (len(named) == 2 and len({TURN, TURN_FROM_0} & set(named)) != 1):
        raise UsageError(f"--turn-ids {pattern!r}: expected {CONVERSATION} once and {TURN} (or {TURN_FROM_0}) at most once, as in {OWN!r}")
    if re.search(r"\s", pattern):
        raise UsageError(f"--turn-ids {pattern!r}: turn ids hold no white space")
    between = parts[2] if len(named) == 2 else "-"
    if not between or between[0].isdecimal() or between[-1].isdecimal():
        raise UsageError(f"--turn-ids {pattern!r}: between {named[0]} and {named[1]} must be text that neither begins nor ends in a digit")
    return "".join(_GROUPS.get(part, re.escape(part)) for part in parts)
