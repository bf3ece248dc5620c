"""Packing a finished run as a submission."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convbench.errors import UsageError
from convbench.harness.finished import FinishedRun
from convbench.io.jsonl import read_jsonl
from convbench.leaderboard import system_card
from convbench.leaderboard.answers import Answers
from convbench.leaderboard.run_card import card_of
from convbench.leaderboard.track import Track
from convbench.leaderboard.writer import write_submission
from convbench.types import Run, TurnRecord

_HEADER = ("dataset", "split", "options", "collection", "turnset_sha256", "turns", "seed", "provenance")
"""What is kept of a run's header. The rest stands on the card, or may name places of the machine that made the run."""


def pack(run_folder: Path, track: Track, root: Path, answers: Answers, *, rankings_only: bool = False) -> Path:
    """Packs a finished run folder; the same run and answers give the same bytes.

    Args:
        run_folder: A folder that ``convbench run`` made.
        track: The track.
        root: The folder of leaderboards.
        answers: What the run does not say.
        rankings_only: Leave the responses out: where they may not be passed on, as with words of a dataset's texts in them.

    Returns:
        The submission's folder.

    Raises:
        MissingFileError: No finished run, or not whole.
        UsageError: The run or the answers do not fit the track; the message says what to do.
    """
    finished = FinishedRun(run_folder)
    scored = _ranking_side(track) if rankings_only else track
    _refuse_unfinished(finished)
    _refuse_other_rankings(finished)
    _refuse_other_data(finished, scored)
    records = {id_: _ranked(record) for id_, record in finished.records.items()} if rankings_only else finished.records
    card = card_of(finished, scored, answers)
    return write_submission(card, Run(_header(finished), records), track, root, source=finished.folder.turns)


def _ranking_side(track: Track) -> Track:
    """The track without its measures of responses."""
    if track.retrieval is None:
        raise UsageError(f"track {track.name} scores no rankings, so rankings alone leave nothing to score: pack the responses too")
    return track.model_copy(update={"response": None})


def _ranked(record: TurnRecord) -> TurnRecord:
    return TurnRecord(record.turn_id, passages=record.passages)


def _refuse_unfinished(finished: FinishedRun) -> None:
    """Raises where the run is not whole."""
    folder, info = finished.path, finished.folder.read_info()
    again = "run the same `convbench run` command again to finish it"
    if info["status"] != "finished":
        raise UsageError(f"{folder}: not finished (run.json says {info['status']!r}): {again}")
    asked = finished.folder.spec().dataset
    if asked.limit is not None or asked.conversations is not None:
        raise UsageError(f"{folder}: made from a part of the conversations: run it again on all of them, without limit or selection")
    missing = finished.results.dataset.n_turns - len(finished.records)
    if missing:
        raise UsageError(f"{folder}: {missing} of {finished.results.dataset.n_turns} turns have no record: a submission needs every turn")


def _refuse_other_rankings(finished: FinishedRun) -> None:
    """Raises where another run's rankings took the place of the retriever's: the settings name one that did not search, and not theirs."""
    given = finished.results.system.get("rankings")
    if isinstance(given, Mapping):
        raise UsageError(
            f"{finished.path}: answers from the rankings of {given.get('system')!r}: run it again without --rankings, "
            "or with that retriever in its settings"
        )


def _refuse_other_data(finished: FinishedRun, track: Track) -> None:
    """Raises where the run is of other data than the track."""
    folder, dataset = finished.path, finished.results.dataset
    for key, found, expected in (("dataset", dataset.name, track.dataset), ("split", dataset.split, track.split)):
        if expected not in (None, found):
            raise UsageError(f"{folder}: run on the {key} {found!r}, the track {track.name} is of {expected!r}: choose its own track")
    if dataset.tier == "pooled":
        raise UsageError(f"{folder}: run on a pool, and the track {track.name} is of the {track.tier} collection: run it there")
    if (dataset.tier == "mini") != (track.tier == "mini"):
        raise UsageError(f"{folder}: run on the {dataset.tier} collection, the track {track.name} is of the {track.tier} one: run it there")
    if track.retrieval and dataset.tier in ("gold-union", "unchecked"):
        raise UsageError(f"{folder}: no corpus was given, so what was searched is not the track's collection: run it again with --corpus")
    orders = [ranked.by for ranked in (track.retrieval, track.response) if ranked]
    if not system_card.scores(finished.results, track).keys() & {*orders}:
        raise UsageError(f"{folder}: results.json has no {' or '.join(orders)}, which order the standings: add them with `convbench score`")


def _header(finished: FinishedRun) -> Mapping[str, Any]:
    _, header = next(read_jsonl(finished.folder.turns))
    return {"run_name": finished.name, **{key: header[key] for key in _HEADER if key in header}}
