"""The card of a finished run: what the run says, and what its makers answered."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from convbench.config import build_config
from convbench.errors import UsageError
from convbench.harness.finished import FinishedRun
from convbench.io.jsonl import read_jsonl
from convbench.leaderboard import system_card
from convbench.leaderboard.answers import Answers
from convbench.leaderboard.card import Card, CheckpointCard
from convbench.leaderboard.checkpoint_cards import checkpoints
from convbench.leaderboard.track import Track
from convbench.systems.named_checkpoints import has_server

_REPLAY = "replay"
_OF_OTHERS = ("kind", "parameters", "history", "rewriter", "evidence", "decoding")
"""Answers that a run of convbench gives itself."""


def card_of(finished: FinishedRun, track: Track, answers: Answers) -> Card:
    """The card of a finished run.

    Args:
        finished: The run.
        track: The track that it is for.
        answers: What the run does not say.

    Raises:
        UsageError: An answer is missing, or contradicts what the run says.
    """
    results = finished.results
    name = answers.name or finished.name
    values = {
        "id": answers.id or _id_of(name),
        "track": track.name,
        "name": name,
        "description": answers.description or str(results.system.get("description", "")),
        "submitted": answers.submitted or datetime.now(timezone.utc).date().isoformat(),
        "authors": answers.authors,
        "links": answers.links,
        "training": answers.training,
        "turnset_sha256": results.dataset.turnset_sha256,
        "collection_sha256": results.dataset.collection_sha256,
        "scores": system_card.scores(results, track),
        **(_answered(finished, answers) if results.system["kind"] == _REPLAY else _known(finished, answers)),
    }
    return build_config(Card, {key: value for key, value in values.items() if value is not None}, f"{finished.path}: card")


def _answered(finished: FinishedRun, answers: Answers) -> dict[str, Any]:
    """What is known of a system whose run another tool made: what was answered."""
    if answers.kind is None:
        raise UsageError(f"{finished.path}: another tool made this run: answer what kind of system it is (kind), and what else is known")
    if answers.baseline or answers.licences:
        raise UsageError(f"{finished.path}: another tool made this run: baseline and licences cannot be answered for it")
    return {key: getattr(answers, key) for key in _OF_OTHERS}


def _known(finished: FinishedRun, answers: Answers) -> dict[str, Any]:
    """What the run says of its system."""
    results, header = finished.results, next(read_jsonl(finished.folder.turns))[1]
    served = has_server(results.system)
    known = [key for key in _OF_OTHERS if getattr(answers, key) is not None and not (served and key == "parameters")]
    if known:
        raise UsageError(f"{finished.path}: the run says {', '.join(known)} itself: leave the answer out")
    baseline = system_card.baseline(results.system, answers.baseline)
    if answers.baseline is not None and baseline is None:
        raise UsageError(f"{finished.path}: baseline: its settings are not those of a shipped baseline {answers.baseline!r}: leave it out")
    git = finished.folder.read_info().get("environment", {}).get("git") or {}
    return {
        "kind": system_card.kind(results.system),
        "parameters": answers.parameters if served else results.cost.parameters,
        "checkpoints": _licensed(checkpoints(header.get("stages"), header.get("system")), answers, finished.path),
        **system_card.conditions(results),
        "decoding": system_card.decoding(results),
        "baseline": baseline,
        "tool": f"convbench {results.convbench_version}",
        "commit": f"{git['commit']}{'-dirty' if git.get('dirty') else ''}" if git.get("commit") else None,
        "cost": system_card.cost(results.cost),
    }


def _licensed(found: Sequence[CheckpointCard], answers: Answers, folder: Path) -> list[CheckpointCard]:
    """Checkpoints with the licences that were answered."""
    names = [checkpoint.name for checkpoint in found]
    if unknown := [name for name in answers.licences if name not in names]:
        raise UsageError(f"{folder}: licences: the run has no checkpoint {unknown[0]!r}; it has {', '.join(names) or 'none'}")
    return [checkpoint.model_copy(update={"licence": answers.licences.get(checkpoint.name)}) for checkpoint in found]


def _id_of(name: str) -> str:
    """A name as an id: small letters, digits, dots and dashes."""
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    found = re.sub(r"[^a-z0-9.]+", "-", letters).strip("-.")[:64]
    if not found:
        raise UsageError(f"no id can be made of the name {name!r}: answer one (id), of a-z, 0-9, '.' and '-'")
    return found
