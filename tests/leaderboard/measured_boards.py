"""Boards of real runs on bundled sets, and ways to change what was submitted."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from convbench.harness.expected import MEASURED, named_set
from convbench.harness.reproduce import shipped_system
from convbench.harness.results import Results
from convbench.harness.run import run
from convbench.harness.spec import RunSpec
from convbench.leaderboard.answers import Answers
from convbench.leaderboard.pack import pack
from convbench.leaderboard.track import read_track
from convbench.leaderboard.verified import Finding, Verified
from convbench.leaderboard.verify import Outcome
from convbench.systems.catalog import shipped

Line = dict[str, Any]


def add_track(root: Path, name: str, **changes: Any) -> None:
    """The shipped track of a name, changed."""
    values = yaml.safe_load((shipped("leaderboards") / name / "track.yaml").read_text(encoding="utf-8"))
    (root / name).mkdir(parents=True, exist_ok=True)
    (root / name / "track.yaml").write_text(yaml.safe_dump({**values, **changes}, allow_unicode=True), encoding="utf-8")


def submit_baseline(root: Path, track: str, baseline: str, work: Path) -> Results:
    """Runs a baseline on a track's bundled set and packs it; returns the run's own results."""
    found = read_track(root, track)
    assert found.set is not None
    spec = RunSpec(system=shipped_system(baseline).model_dump(mode="json"), dataset=named_set(found.set).spec(None))
    results = run(spec, work / track / baseline, MEASURED, cache=work / "cache", offline=True)
    pack(work / track / baseline, found, root, Answers(submitted="2026-01-02"))
    return results


def folder_of(root: Path, track: str, submission: str) -> Path:
    return root / track / "submissions" / submission


def change_card(root: Path, track: str, submission: str, /, **changes: Any) -> None:
    """Writes a card with other values; None takes one away."""
    path = folder_of(root, track, submission) / "manifest.yaml"
    values = {**yaml.safe_load(path.read_text(encoding="utf-8")), **changes}
    path.write_text(yaml.safe_dump({key: value for key, value in values.items() if value is not None}), encoding="utf-8")


def change_run(root: Path, track: str, submission: str, change: Callable[[list[Line]], list[Line]]) -> None:
    """Writes a run with other turns; the header stays."""
    path = folder_of(root, track, submission) / "run.jsonl.gz"
    header, *lines = map(json.loads, gzip.decompress(path.read_bytes()).decode().splitlines())
    path.write_bytes(gzip.compress("".join(f"{json.dumps(line)}\n" for line in [header, *change(lines)]).encode(), 1))


def verified(outcomes: list[Outcome]) -> dict[str, Verified]:
    """Submission -> what was verified."""
    return {outcome.submission: outcome.verified for outcome in outcomes if outcome.verified is not None}


def findings(found: Verified, *severities: str) -> dict[str, Finding]:
    """Check -> finding, of some severities."""
    return {finding.check: finding for finding in found.findings if finding.severity in (severities or ("refused", "flag"))}
