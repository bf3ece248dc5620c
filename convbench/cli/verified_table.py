"""What ``convbench leaderboard verify`` prints: a table a track, a line a refused submission, and all of it as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from convbench.cli.text_table import table_lines

if TYPE_CHECKING:
    from convbench.leaderboard.track import Track
    from convbench.leaderboard.verified import Verified
    from convbench.leaderboard.verify import Outcome

_TRAINED = {"no": "", "yes": "yes", "unknown": "?"}


def track_lines(track: Track, outcomes: Sequence[Outcome]) -> list[str]:
    """A heading, and a row for each submission of a track: its level, the values that order the standings, and what marks it."""
    by = [ranked.by for ranked in (track.retrieval, track.response) if ranked is not None]
    rows = [("  submission", "level", *by, "trained on test", "marks")]
    rows += [_row(outcome.submission, outcome.verified, by) for outcome in outcomes if outcome.verified is not None]
    scored = sum(outcome.scored for outcome in outcomes)
    levels = Counter(outcome.verified.level or "refused" for outcome in outcomes if outcome.verified is not None)
    counts = ", ".join(f"{count} {level}" for level, count in sorted(levels.items()))
    heading = f"{track.name}: {counts}; {scored} scored now, {len(outcomes) - scored} known from before"
    return [heading, *table_lines(rows)]


def _row(submission: str, verified: Verified, by: Sequence[str]) -> tuple[str, ...]:
    measured = {score.measure: score.value for score in verified.scores}
    values = ("-" if (value := measured.get(name)) is None else f"{100 * value:.1f}" for name in by)
    marks = dict.fromkeys(finding.check for finding in verified.findings if finding.severity != "note")
    trained = _TRAINED[verified.contaminated] if verified.level else ""
    return f"  {_line(submission)}", verified.level or "refused", *values, trained, ", ".join(marks)


def refusal_lines(outcome: Outcome) -> list[str]:
    """Why a submission is refused, in one line a reason."""
    verified = outcome.verified
    if verified is None or verified.level is not None:
        return []
    found = [finding for finding in verified.findings if finding.severity == "refused"]
    return [_line(f"refused: {outcome.track}/{outcome.submission}: {finding.check}: {finding.message}") for finding in found]


def broken_line(outcome: Outcome) -> str:
    """That a submission could not be verified, and what broke."""
    stays = "its verified.json stays as it was; this is no fault of the submission, please report it"
    return _line(f"not verified: {outcome.track}/{outcome.submission}: {outcome.reason}; {stays}")


def as_json(outcome: Outcome) -> dict[str, Any]:
    """An outcome in plain values."""
    verified = outcome.verified.model_dump(mode="json") if outcome.verified is not None else None
    state = {"scored": outcome.scored, "changed": outcome.changed, "reason": outcome.reason}
    return {"track": outcome.track, "submission": outcome.submission, **state, "verified": verified}


def _line(text: str) -> str:
    """A folder's name may hold anything; a terminal is to see none of it."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
