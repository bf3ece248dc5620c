"""Measuring one submission, and remembering what was measured under a key of everything that it depends on.

What is remembered lies in the cache of this machine, never in the folder of a submission: a ``verified.json`` that comes with one is not
believed, whatever key it has, and is written anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from convbench.config import Config
from convbench.datasets import origins
from convbench.errors import DataError, RunFileError, UsageError
from convbench.io.atomic import write_text
from convbench.io.digests import file_sha256, value_sha256
from convbench.io.sealed import sealed, unsealed
from convbench.leaderboard.bound import Digests, digests_of
from convbench.leaderboard.card import Card
from convbench.leaderboard.checks import check_claims, check_copies, check_run
from convbench.leaderboard.contamination import TestSet, contamination
from convbench.leaderboard.level import trust
from convbench.leaderboard.names import printable
from convbench.leaderboard.pairs import PairCache
from convbench.leaderboard.rescore import rescore
from convbench.leaderboard.safe_read import look_through, refused
from convbench.leaderboard.submission import Submission, read_submission
from convbench.leaderboard.track_data import TrackData
from convbench.leaderboard.verified import Finding, Level, MeasuredScore
from convbench.systems.competing import NO_COMPETITORS
from convbench.types import TurnRecord

VERSION = 3
"""Raised when the same submission gets other findings or scores."""


class Measured(Config):
    """What was found of one submission by itself.

    Attributes:
        key: Digest of everything that it depends on.
        manifest_sha256: Digest of its manifest; None where it could not be read.
        run_sha256: Digest of its run; None likewise.
        content: Digest of what the run ranked and answered, however it is packed; empty where it is refused.
        level: Its level; None where it is refused.
        contaminated: Whether it was trained on the test conversations.
        findings: What was found.
        scores: What was measured.
        by_turn: Ranking measure -> a value a turn, in the dataset's order.
    """

    key: str
    manifest_sha256: str | None = None
    run_sha256: str | None = None
    content: str = ""
    level: Level | None = None
    contaminated: Literal["no", "yes", "unknown"] = "unknown"
    findings: tuple[Finding, ...] = ()
    scores: tuple[MeasuredScore, ...] = ()
    by_turn: dict[str, tuple[float | None, ...]] = {}  # noqa: RUF012 - pydantic copies defaults

    @property
    def refused(self) -> bool:
        """Whether it stays out of the standings."""
        return self.level is None


def digests_at(root: Path, data: TrackData, submission: str) -> Digests:
    """The digests of a submission's files; None for what is not to be opened."""
    looked = look_through(root, data.track.name, submission)
    return Digests() if looked.findings else digests_of(looked.folder)


def key_of(root: Path, data: TrackData, submission: str) -> str:
    """Digest of everything that a submission's scores and findings depend on: its files, the track, the truth, versions, promises.

    Args:
        root: The folder of leaderboards.
        data: The track.
        submission: The submission's id.
    """
    looked = look_through(root, data.track.name, submission)
    files = [] if looked.findings else list(digests_of(looked.folder))
    found = [finding.message for finding in looked.findings]
    table = file_sha256(Path(origins.__file__).with_suffix(".yaml"))
    track = data.track.model_dump(mode="json", exclude={"title", "description"})
    return value_sha256([VERSION, submission, files, found, track, data.signatures, data.collection_sha256, table, data.promises])


def measure(root: Path, data: TrackData, submission: str, key: str, pairs: PairCache | None) -> Measured:
    """Reads, checks and scores one submission. Nothing that it holds raises: what cannot be done with it is a finding.

    Args:
        root: The folder of leaderboards.
        data: The track.
        submission: The submission's id.
        key: As ``key_of`` gives it.
        pairs: Values of text pairs that were compared before.

    Raises:
        Exception: What is no fault of the submission: a resource that cannot be had, a number that cannot be right, an error of convbench,
            of a library or of a plug-in.
    """
    digests = digests_at(root, data, submission)  # before it is read: what changes in between is then known to be something else
    try:
        read = read_submission(root, data.track, submission, turns=data.turn_ids)
        found = _measured(read, data, key, pairs)
    except (DataError, RunFileError, UsageError) as error:
        found = Measured(key=key, findings=(refused("unreadable", f"it could not be verified: {printable(str(error))}"),))
    return found.model_copy(update={"manifest_sha256": digests.manifest, "run_sha256": digests.run})


def _measured(read: Submission, data: TrackData, key: str, pairs: PairCache | None) -> Measured:
    if read.refused or read.card is None or read.run is None:
        return Measured(key=key, findings=read.findings)
    card, records = read.card, read.run.records
    if wrong := tuple(check_run(records, data)):
        return Measured(key=key, findings=(*read.findings, *wrong))
    rescored = rescore(records, data, pairs)
    trained = contamination(card, TestSet(data.dataset.name, data.dataset.split, data.track.contains))
    trusted = trust(card, records, rescored.results, data)
    found: list[Finding] = [*read.findings, *check_claims(card, rescored.scores), *check_copies(card, records, data.dataset.turns)]
    return Measured(
        key=key,
        content=_content(records),
        level=trusted.level,
        contaminated=trained.answer,
        findings=(*found, *trained.findings, *trusted.findings),
        scores=rescored.scores,
        by_turn=dict(rescored.by_turn),
    )


def remembered(cache: Path, key: str) -> Measured | None:
    """What was measured under a key; None where nothing was, or the file is damaged."""
    try:
        found = Measured.model_validate(unsealed(json.loads(_file(cache, key).read_text(encoding="utf-8"))))
    except (OSError, ValueError, KeyError, ValidationError):
        return None
    return found if found.key == key else None


def remember(cache: Path, measured: Measured) -> None:
    """Keeps what was measured for the next time."""
    write_text(_file(cache, measured.key), json.dumps(sealed(measured.model_dump(mode="json")), separators=(",", ":")) + "\n")


def competes(card: Card | None, measured: Measured) -> bool:
    """Whether a submission is tested against others: no ceiling, floor or shortcut is, nor what was trained on test conversations."""
    return card is not None and not measured.refused and measured.contaminated != "yes" and card.kind not in NO_COMPETITORS


def _file(cache: Path, key: str) -> Path:
    return cache / "leaderboards" / "measured" / f"{key}.json"


def _content(records: Mapping[str, TurnRecord]) -> str:
    """Digest of rankings and responses; scores of passages do not count, as rankings without any may have been given some."""
    digest = hashlib.sha256()
    for turn_id in sorted(records):
        record = records[turn_id]
        digest.update("\x1f".join((turn_id, *(passage_id for passage_id, _ in record.passages))).encode())
        digest.update(b"\x1e" if record.response is None else f"\x1d{record.response}\x1e".encode(errors="surrogatepass"))
    return digest.hexdigest()
