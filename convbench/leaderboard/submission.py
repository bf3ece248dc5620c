"""A submission, read without trusting it: its card, its run with canonical rankings, and what keeps it out of the standings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from convbench.config import load_config
from convbench.errors import ConvbenchError
from convbench.io.runfile import read_run
from convbench.leaderboard.card import FILE, Card
from convbench.leaderboard.fitting import misfits
from convbench.leaderboard.places import RUN, submission_ids
from convbench.leaderboard.rankings import checked_run, cut
from convbench.leaderboard.safe_read import check_bounds, look_through, refused
from convbench.leaderboard.track import Track
from convbench.leaderboard.verified import Finding
from convbench.types import Run


@dataclass(frozen=True, slots=True)
class Submission:
    """A submission.

    Attributes:
        id: Its folder's name; where that is no id, a finding says so.
        track: The track's name.
        folder: Its folder.
        card: Its card; None where that could not be read.
        run: Its run, rankings canonical and no deeper than the track's depth; None where it or the card could not be read.
        findings: What is wrong with it, or remarkable.
    """

    id: str
    track: str
    folder: Path
    card: Card | None
    run: Run | None
    findings: tuple[Finding, ...]

    @property
    def refused(self) -> bool:
        """Whether anything keeps it out of the standings."""
        return any(finding.severity == "refused" for finding in self.findings)


def read_submission(root: Path, track: Track, submission: str, *, turns: Sequence[str] | None = None) -> Submission:
    """Reads a submission. Nothing that it holds raises: whatever is wrong is a finding.

    Whether another submission of the track has its name is not looked at, see ``read_cards`` and ``names.name_clashes``.

    Args:
        root: The folder of leaderboards.
        track: The track, as ``read_track`` gave it.
        submission: The submission's id.
        turns: The ids of the track's turns, in the dataset's order, where they are at hand, see ``fitting.misfits``.
    """
    looked = look_through(root, track.name, submission)
    if looked.findings:
        return Submission(submission, track.name, looked.folder, None, None, looked.findings)
    return read_folder(looked.folder, track, submission, turns=turns)


def read_folder(folder: Path, track: Track, submission: str, *, turns: Sequence[str] | None = None) -> Submission:
    """Reads a submission whose folder was looked through, wherever it stands; else as ``read_submission``."""
    card, run = _card(folder, submission), read_packed(folder)
    if isinstance(card, Finding) or isinstance(run, Finding):
        wrong = tuple(each for each in (card, run) if isinstance(each, Finding))
        return Submission(submission, track.name, folder, card if isinstance(card, Card) else None, None, wrong)
    run, deeper = cut(run, track.depth)
    return Submission(submission, track.name, folder, card, run, (*misfits(card, run, track, turns), *deeper))


def read_cards(root: Path, track: Track) -> dict[str, Card]:
    """The cards of a track's submissions that can be read; what is wrong with the others, ``read_submission`` says."""
    cards = {}
    for submission in submission_ids(root, track.name):
        looked = look_through(root, track.name, submission)
        if not looked.findings and isinstance(card := _card(looked.folder, submission), Card):
            cards[submission] = card
    return cards


def read_card(folder: Path) -> Card | Finding:
    """The card in a folder that was looked through, or what is wrong with it."""
    try:
        return load_config(Card, folder / FILE)
    except (ConvbenchError, OSError) as error:
        return refused("manifest", _said(error, folder))


def read_packed(folder: Path) -> Run | Finding:
    """The run in a folder that was looked through, rankings canonical, or what is wrong with it."""
    path = folder / RUN
    try:
        check_bounds(path)
        return checked_run(read_run(path), path)
    except (ConvbenchError, OSError) as error:
        return refused("run", _said(error, folder))


def _card(folder: Path, submission: str) -> Card | Finding:
    card = read_card(folder)
    if isinstance(card, Card) and card.id != submission:
        return refused("submission-id", f"{FILE}: id: expected {submission!r}, the folder's name, found {card.id!r}")
    return card


def _said(error: Exception, folder: Path) -> str:
    """An error in one line, without the place where the folder happens to be."""
    if isinstance(error, OSError):
        return f"{Path(str(error.filename)).name}: cannot be read ({error.strerror})"
    return str(error).replace(f"{folder}/", "")
