"""Packing what another tool made: rankings as a TREC run, responses as JSON lines, and a card written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from convbench.config import load_config
from convbench.errors import UsageError
from convbench.exchange import responses as responses_format
from convbench.exchange import trec as trec_format
from convbench.exchange.notes import Notes
from convbench.exchange.turn_ids import OWN, TurnIds
from convbench.leaderboard.card import Card
from convbench.leaderboard.track import Track
from convbench.leaderboard.writer import write_submission
from convbench.types import Run, TurnRecord, TurnSet
from convbench.validation.problems import Findings
from convbench.validation.runs import scan_run

_EMPTY = TurnRecord("")


def pack_foreign(trec: Path | None, responses: Path | None, manifest: Path, track: Track, root: Path, *, turns: Sequence[str]) -> Path:
    """Packs rankings, responses or both as a submission.

    Both files are checked as ``convbench validate`` does; a turn needs a line in one of them at least.

    Args:
        trec: A TREC run, plain or gzipped.
        responses: JSON lines of ``turn_id`` and ``response``, plain or gzipped.
        manifest: The card (``manifest.yaml``).
        track: The track.
        root: The folder of leaderboards.
        turns: The ids of the track's turns, in the dataset's order.

    Returns:
        The submission's folder.

    Raises:
        MissingFileError, DataError: A file is not there, or not what its format says.
        UsageError: Neither file was given, a file has errors, or the run or the card does not fit the track.
    """
    source = trec or responses
    if source is None:
        raise UsageError("nothing to pack: give a TREC run, a file of responses, or both")
    card = load_config(Card, manifest)
    ranked = _read(trec, "run")
    answered = _read(responses, "responses")
    given = {**ranked, **answered}
    known = set(turns)
    order = [*(id_ for id_ in turns if id_ in given), *(id_ for id_ in given if id_ not in known)]
    records = {id_: _joined(id_, ranked.get(id_, _EMPTY), answered.get(id_, _EMPTY)) for id_ in order}
    if card.turnset_sha256 is None:
        card = card.model_copy(update={"turnset_sha256": TurnSet(tuple(turns), "").sha256})
    header = {"run_name": card.name, "dataset": track.dataset, "turnset_sha256": card.turnset_sha256, "turns": len(records)}
    return write_submission(card, Run(header, records), track, root, source=source, turns=turns)


def _read(path: Path | None, kind: Literal["run", "responses"]) -> dict[str, TurnRecord]:
    """The records of a file, which must have no errors."""
    if path is None:
        return {}
    findings = Findings()
    scan_run(path, kind, findings)
    errors = [problem for problem in findings.problems() if problem.severity == "error"]
    if errors:
        more = f" (and {len(errors) - 1} more: see `convbench validate {path}`)" if len(errors) > 1 else ""
        raise UsageError(f"{path}: {errors[0].to_line().removeprefix('error').strip()}{more}")
    reader = trec_format if kind == "run" else responses_format
    return dict(reader.FORMAT.read(path, TurnIds((OWN,)), Notes()).records)


def _joined(turn_id: str, ranked: TurnRecord, answered: TurnRecord) -> TurnRecord:
    return TurnRecord(turn_id, passages=ranked.passages, response=answered.response, abstained=answered.abstained)
