"""Small tracks and submissions for tests, and ways to spoil them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import yaml

from convbench.leaderboard.track import Track
from convbench.leaderboard.verified import Finding
from convbench.types import TurnSet

TURNS = ("1_1", "1_2", "2_1")
COLLECTION = "c" * 64


def track_of(root: Path, **values: Any) -> Track:
    """A track in ``root``, of three turns."""
    given = {
        "name": "toy",
        "title": "Toy",
        "description": "Three turns.",
        "dataset": "topiocqa",
        "split": "mini",
        "tier": "mini",
        "turnset_sha256": TurnSet(TURNS, "").sha256,
        "collection_sha256": COLLECTION,
        "retrieval": {"measures": ["nDCG@3"], "by": "nDCG@3"},
        **values,
    }
    (root / given["name"]).mkdir(parents=True, exist_ok=True)
    (root / given["name"] / "track.yaml").write_text(yaml.safe_dump(given), encoding="utf-8")
    return Track.model_validate(given)


def records() -> list[dict[str, Any]]:
    """A record a turn."""
    return [{"turn_id": turn_id, "passages": [["a", 2.0], ["b", 1.0]], "response": f"on {turn_id}"} for turn_id in TURNS]


def card(id_: str, **values: Any) -> dict[str, Any]:
    """A card in order."""
    given = {"id": id_, "track": "toy", "name": f"System {id_}", "kind": "two-stage", "submitted": "2026-01-02", "evidence": "retrieved"}
    return {**given, **values}


def submit(root: Path, id_: str, lines: list[dict[str, Any]] | None = None, header: dict[str, Any] | None = None, **values: Any) -> Path:
    """A submission in order, but for what is given."""
    folder = root / "toy" / "submissions" / id_
    folder.mkdir(parents=True)
    (folder / "manifest.yaml").write_text(yaml.safe_dump(card(id_, **values), allow_unicode=True), encoding="utf-8")
    write_lines(folder, [{"schema": "convbench.run/1", **(header or {})}, *(records() if lines is None else lines)])
    return folder


def write_lines(folder: Path, lines: list[dict[str, Any]]) -> None:
    """The run file, of JSON lines as Python writes them."""
    write_bytes(folder, "".join(f"{json.dumps(line)}\n" for line in lines).encode())


def write_bytes(folder: Path, content: bytes) -> None:
    """The run file, of any bytes, packed."""
    (folder / "run.jsonl.gz").write_bytes(gzip.compress(content, 1))


def only(findings: tuple[Finding, ...]) -> str:
    """The check and the message of the one finding that there is, which refuses."""
    (finding,) = findings
    assert finding.severity == "refused"
    assert finding.message.isprintable()
    assert len(finding.message) < 500
    return f"{finding.check}: {finding.message}"
