"""Turn and passage ids: what may not stand in them."""

from __future__ import annotations

import re

from convbench.validation.lines import control_character
from convbench.validation.problems import Findings

_TURN_ID = re.compile(r".+_[1-9][0-9]*", re.DOTALL)


def check_turn_id(turn_id: str, line: int | None, findings: Findings) -> None:
    """A turn id has no white space of any kind, no control character, and ends in its turn's number."""
    if control := control_character(turn_id):
        findings.add("control-characters", f"turn {turn_id!r}: {control}", line)
    elif any(character.isspace() for character in turn_id):
        findings.add("id-blanks", f"turn {turn_id!r}", line)
    elif not _TURN_ID.fullmatch(turn_id):
        findings.add("turn-ids", turn_id, line)


def check_passage_id(passage_id: str, turn_id: str, line: int | None, findings: Findings) -> None:
    """A passage id may hold blanks (article titles do), but is not empty and has no control character."""
    if control := control_character(passage_id):
        findings.add("control-characters", f"passage {passage_id!r} of turn {turn_id}: {control}", line)
    elif not passage_id.strip():
        findings.add("fields", f"turn {turn_id}: empty passage id", line)
