"""A folder of leaderboards for tests: two tracks, invented systems, and on request one whose every text is hostile."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

HOSTILE = (
    "<script>window.broken = 1</script>",
    "<img src=x onerror='window.broken = 1'>\"'",
    "a | b `c` [d](javascript:alert(1)) *e* ~f~ ![g](https://example.org/h.png)",
    '=HYPERLINK("https://example.org","x")',
    "left \u202eright\u202c \u2066in\u2069",
)

DEPTHS = {"1": 0.16, "2": 0.05, "3": 0.01, "4": -0.02, "5": -0.05, "6": -0.09}
MEASURES = {"retrieval": ("nDCG@3", "R@10"), "response": ("token-f1",)}


def track(name: str, **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "name": name,
        "title": f"Harbour talks, {name}",
        "description": "Conversations about ships and their harbours.",
        "dataset": "harbour",
        "split": "dev",
        "tier": "sample",
        "depth": 50,
        "retrieval": {"measures": ["nDCG@3", "R@10"], "by": "nDCG@3"},
        "response": {"measures": ["token-f1"], "by": "token-f1"},
        "slices": ["depth", "topic"],
        "turnset_sha256": "ab" * 32,
    }
    return values | changes


def score(measure: str, value: float | None, turns: int = 120, **changes: Any) -> dict[str, Any]:
    side = next(side for side, measures in MEASURES.items() if measure in measures)
    values: dict[str, Any] = {"measure": measure, "side": side, "signature": f"{measure}|v=1", "value": value, "n_turns": turns}
    values["n_conversations"] = 52
    if value is not None:
        values["interval"] = [round(value - 0.04, 4), round(min(value + 0.04, 1), 4)]
        values["by_depth"] = {depth: [round(min(value + step, 1), 4), 60 - 8 * int(depth)] for depth, step in DEPTHS.items()}
        values["slices"] = {
            "depth": {"4-5": [round(value - 0.03, 4), 40], "1": [round(min(value + 0.16, 1), 4), 40]},
            "topic": {"same": [round(min(value + 0.02, 1), 4), 70], "shift": [round(value - 0.06, 4), 50]},
        }
    return values | changes


def write_submission(
    root: Path,
    track_name: str,
    id_: str,
    values: Mapping[str, float | None] | None,
    *,
    card: Mapping[str, Any] | None = None,
    level: str | None = "re-scored",
    separated: Mapping[str, Sequence[str]] | None = None,
    findings: Sequence[tuple[str, str, str]] = (),
    contaminated: str = "no",
) -> Path:
    """Writes manifest and, where there are values, what verifying gave."""
    folder = root / track_name / "submissions" / id_
    folder.mkdir(parents=True)
    manifest = {"id": id_, "track": track_name, "name": id_.title(), "kind": "two-stage", "submitted": "2026-03-01", **(card or {})}
    (folder / "manifest.yaml").write_text(yaml.safe_dump(manifest, allow_unicode=True), encoding="utf-8")
    (folder / "run.jsonl.gz").write_bytes(gzip.compress(id_.encode(), mtime=0))  # building never reads it
    if values is not None:
        verified = {
            "schema_version": 1,
            "key": "0" * 64,
            "manifest_sha256": sha256((folder / "manifest.yaml").read_bytes()).hexdigest(),
            "run_sha256": sha256((folder / "run.jsonl.gz").read_bytes()).hexdigest(),
            "level": level,
            "findings": [dict(zip(("check", "severity", "message"), finding, strict=True)) for finding in findings],
            "scores": [score(measure, value) for measure, value in values.items()],
            "separated": {measure: list(ids) for measure, ids in (separated or {}).items()},
            "contaminated": contaminated,
        }
        (folder / "verified.json").write_text(json.dumps(verified), encoding="utf-8")
    return folder


def write_track(root: Path, values: Mapping[str, Any]) -> None:
    (root / values["name"]).mkdir(parents=True)
    (root / values["name"] / "track.yaml").write_text(yaml.safe_dump(dict(values), allow_unicode=True), encoding="utf-8")


def write_root(root: Path) -> Path:
    """Two tracks: ``harbour`` has reported numbers and nothing measured; ``harbour-sample`` has seven submissions."""
    write_track(root, track("harbour", tier="full", turnset_sha256=None))
    write_track(root, track("harbour-sample", title="Harbour talks, sample"))
    published = {
        "dataset": "harbour",
        "unit": "per cent",
        "tasks": {"retrieval": {"protocol": None, "note": "full collection"}, "response": {"protocol": None, "note": "own token F1"}},
        "sources": {"Mooring": {"arxiv": "2401.00001"}, "Quay": {"arxiv": None, "verify": True}},
        "rows": [
            {"system": "Pilot", "kind": "dense", "task": "retrieval", "scores": {"nDCG@3": 31.5, "R@10": 52.0}, "source": "Mooring"},
            {
                "system": "Tug",
                "kind": "rewriter",
                "task": "retrieval",
                "scores": {"nDCG@3": 28.1},
                "source": "Quay",
                "note": "read off a plot",
            },
            {"system": "Pilot", "kind": "unified", "task": "response", "scores": {"token-f1": 22.4}, "source": "Mooring"},
        ],
    }
    (root / "harbour" / "published.yaml").write_text(yaml.safe_dump(published), encoding="utf-8")
    sample = "harbour-sample"
    write_submission(
        root,
        sample,
        "anchor",
        {"nDCG@3": 0.412, "R@10": 0.633, "token-f1": 0.241},
        card={
            "name": "Anchor 7B",
            "kind": "unified",
            "description": "One model that finds passages and answers from them.",
            "parameters": 7_240_000_000,
            "submitted": "2026-05-20",
            "authors": "Harbour group",
            "history": "full",
            "evidence": "retrieved",
            "links": {"paper": "https://example.org/anchor", "code": "https://example.org/anchor-code"},
            "checkpoints": [{"name": "example/anchor-7b", "revision": "0123abc", "licence": "Apache-2.0"}],
            "training": [{"source": "harbour", "split": "train", "overlap": "none"}],
            "cost": {"ms_per_turn": 812.4, "tokens_in": 1_250_000, "tokens_out": 48_200, "index_bytes": 412_000_000},
            "scores": {"nDCG@3": 0.415, "token-f1": 0.24},
        },
        separated={"nDCG@3": ["capstan", "dredge"], "token-f1": ["capstan"]},
    )
    write_submission(
        root,
        sample,
        "buoy",
        {"nDCG@3": 0.396, "R@10": 0.641, "token-f1": 0.219},
        card={
            "name": "Buoy (rewriter + dense)",
            "parameters": 332_000_000,
            "submitted": "2026-04-11",
            "history": "rewrite",
            "cost": {"ms_per_turn": 96.0, "index_bytes": 801_000_000},
        },
        level="reproduced",
        separated={"nDCG@3": ["dredge"]},
        findings=[("scores-differ", "flag", "nDCG@3: claimed 0.420, measured 0.396")],
    )
    write_submission(
        root,
        sample,
        "capstan",
        {"nDCG@3": 0.351, "R@10": 0.570, "token-f1": 0.187},
        card={"name": "Capstan", "kind": "rewriter", "submitted": "2026-04-11", "history": "queries", "training": None},
        contaminated="unknown",
    )
    write_submission(
        root,
        sample,
        "dredge",
        {"nDCG@3": 0.224, "R@10": 0.402},
        card={"name": "Dredge BM25", "kind": "retriever", "parameters": 0, "submitted": "2026-03-02", "history": "query", "training": []},
        level="reproduced",
        separated={"nDCG@3": ["anchor", "buoy", "capstan"]},
    )
    write_submission(
        root,
        sample,
        "eddy",
        {"nDCG@3": 0.583, "R@10": 0.801, "token-f1": 0.402},
        card={"name": "Eddy 3B", "kind": "agent", "parameters": 3_100_000_000, "submitted": "2026-06-01"},
        contaminated="yes",
        findings=[("trained-on-test", "flag", "harbour/dev holds every test conversation")],
    )
    write_submission(
        root, sample, "oracle", {"nDCG@3": 1.0, "R@10": 1.0, "token-f1": 0.61}, card={"name": "Oracle", "kind": "oracle", "parameters": 0}
    )
    write_submission(
        root, sample, "leak", {}, card={"name": "Leak"}, level=None, findings=[("turns-missing", "refused", "12 of 120 turns are missing")]
    )
    write_submission(root, sample, "new-one", None, card={"name": "New one"})
    return root


def write_hostile(root: Path) -> Path:
    """One submission whose texts try to break what shows them, one with a bad link, one with a bad name, beside the others."""
    write_root(root)
    texts = {"name": HOSTILE[0], "description": HOSTILE[1], "authors": HOSTILE[3], "decoding": HOSTILE[2], "history": HOSTILE[3]}
    write_submission(
        root,
        "harbour-sample",
        "hostile",
        {"nDCG@3": 0.3, "R@10": 0.4, "token-f1": 0.2},
        card={
            **texts,
            "kind": "other",
            "links": {HOSTILE[1]: "https://example.org/<b>".replace("<b>", "x")},
            "checkpoints": [{"name": HOSTILE[1]}],
            "training": [{"source": HOSTILE[0]}],
            "cost": {"machine": HOSTILE[3]},
        },
        findings=[("scores-differ", "note", text) for text in HOSTILE],
    )
    for id_, name in (("formula", HOSTILE[3]), ("pipes", HOSTILE[2]), ("turned", HOSTILE[4]), ("image", HOSTILE[1])):
        write_submission(root, "harbour-sample", id_, {"nDCG@3": 0.2}, card={"name": name, "kind": "other"})
    write_submission(root, "harbour-sample", "script-link", {"nDCG@3": 0.9}, card={"links": {"paper": "javascript:window.broken=1"}})
    write_submission(root, "harbour-sample", "<b>", {"nDCG@3": 0.9}, card={"name": "Bold"})
    return root
