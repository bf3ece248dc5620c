"""Submissions that ranked and answered exactly alike under different names."""

from __future__ import annotations

from collections.abc import Mapping

from convbench.leaderboard.places import RUN
from convbench.leaderboard.verified import Finding

_SHOWN = 5


def same_runs(contents: Mapping[str, str]) -> dict[str, Finding]:
    """A note for every submission whose run is also another's. Only ids are told: nobody's name gets onto another one's page that way.

    Args:
        contents: Submission -> digest of what its run ranked and answered.
    """
    alike: dict[str, list[str]] = {}
    for submission in sorted(contents):
        alike.setdefault(contents[submission], []).append(submission)
    found = {}
    for group in alike.values():
        for submission in group if len(group) > 1 else ():
            others = [other for other in group if other != submission]
            more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
            message = f"{RUN}: every ranking and response is that of {', '.join(others[:_SHOWN])}{more}"
            found[submission] = Finding(check="same-run", severity="note", message=message)
    return found
