"""Whether a run folder's aggregates are those of its turns' scores, and these the ones that were computed."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence

from convbench.analysis.bootstrap import clustered_interval
from convbench.errors import ConvbenchError, InvariantError
from convbench.harness.folder import RunFolder
from convbench.harness.placed import SKIPPED
from convbench.harness.results import MetricResult, read_results
from convbench.harness.score_file import read_scores
from convbench.io.digests import file_sha256
from convbench.io.jsonl import read_jsonl
from convbench.metrics.base import MISSING
from convbench.metrics.invariants import check_scale, check_turn
from convbench.metrics.signatures import parsed
from convbench.types import Score, conversation_of
from convbench.validation.problems import Findings

_TOLERANCE = 1e-9
_STAGE = re.compile(r"score-(.+)\.[0-9]+-(?:.+)\.jsonl")


def check_scores(folder: RunFolder, findings: Findings) -> None:
    """Compares ``results.json`` with ``scores.jsonl``, that with the stages, and measures with one another."""
    try:
        results, scores = read_results(folder.results), read_scores(folder.scores)
        computed = dict(_computed(folder))
    except (ConvbenchError, KeyError, TypeError) as error:
        findings.fail(error)
        return
    if results.run_sha256 != file_sha256(folder.turns):
        findings.add("results-of-another-run", folder.results.name)
    if not results.metrics:
        findings.add("no-measures", folder.results.name)
    by_measure: dict[tuple[str, str], list[Score]] = {}
    for score in scores:
        by_measure.setdefault((score.protocol, score.measure), []).append(score)
        if score.reason != SKIPPED and computed.get((score.protocol, score.measure, score.turn_id), math.nan) != score.value:
            findings.add("scores-changed", f"{score.measure} of turn {score.turn_id}")
    for metric in results.metrics:
        own = by_measure.get((metric.protocol, metric.name), [])
        if wrong := _wrong(metric, own):
            findings.add("scores-disagree", f"{metric.name} ({metric.protocol or 'no protocol'}): {wrong}")
        for broken in _off_scale(metric, own):
            findings.add("invariants", broken)
    for broken in _contradictions(results.metrics):
        findings.add("invariants", broken)


def _computed(folder: RunFolder) -> Iterator[tuple[tuple[str, str, str], float | None]]:
    """(protocol, measure, turn) -> value, as the stages hold it, whose digests are checked apart."""
    for file in sorted(folder.stages.glob("score-*.jsonl")):
        if match := _STAGE.fullmatch(file.name):
            protocol = "" if match[1] == "plain" else match[1]
            for _, row in read_jsonl(file):
                for score in row["scores"]:
                    yield (protocol, score["measure"], row["turn_id"]), score["value"]


def _wrong(metric: MetricResult, scores: Sequence[Score]) -> str | None:
    """What of an aggregate is not what its turns give."""
    if not metric.signature:
        return "it was not computed, and has scores" if scores else None
    valued = [(score.turn_id, score.value) for score in scores if score.value is not None]
    turns = hashlib.sha256("".join(f"{score.turn_id}\n" for score in scores).encode()).hexdigest()
    if not turns.startswith(parsed(metric.signature).get("turns", "?")):
        return "the turns are not those of the signature"
    if metric.aggregate == "mean" and not _is_mean(metric, valued):
        return "the value or its interval"
    clusters = {conversation_of(turn_id) for turn_id, _ in valued}
    if metric.value is not None and (metric.n_turns, metric.n_conversations) != (len(valued), len(clusters)):
        return f"{metric.n_turns} turns of {metric.n_conversations} conversations"
    missing = sum(score.reason in (MISSING, SKIPPED) for score in scores)
    return f"{metric.n_missing} missing turns" if not missing <= metric.n_missing <= len(scores) else None


def _is_mean(metric: MetricResult, valued: Sequence[tuple[str, float]]) -> bool:
    if metric.value is None or not valued:
        return metric.value is None and not valued
    values = [value for _, value in valued]
    interval = clustered_interval(values, [conversation_of(turn_id) for turn_id, _ in valued])
    return _close(metric.value, math.fsum(values) / len(values)) and (
        metric.ci is interval is None or (metric.ci is not None and interval is not None and all(map(_close, metric.ci, interval)))
    )


def _close(first: float, second: float) -> bool:
    return math.isclose(first, second, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)


def _off_scale(metric: MetricResult, scores: Sequence[Score]) -> Iterator[str]:
    values = [("all turns", metric.value), *((f"turn {score.turn_id}", score.value) for score in scores)]
    for where, value in values:
        try:
            if value is not None:
                check_scale(where, metric.name, value, metric.scale)
        except InvariantError as error:
            yield _in_short(error)


def _contradictions(metrics: Sequence[MetricResult]) -> Iterator[str]:
    """What holds for every turn holds for means over the same turns, too."""
    groups: dict[tuple[str, int], dict[str, float]] = {}
    for metric in metrics:
        if metric.side == "ranking" and metric.value is not None:
            groups.setdefault((metric.protocol, metric.n_turns), {})[metric.name] = metric.value
    for (protocol, _), values in groups.items():
        yield from _contradiction(protocol, values)


def _contradiction(protocol: str, values: Mapping[str, float]) -> Iterator[str]:
    try:
        check_turn(protocol or "no protocol", values, relevant=0, gold={})
    except InvariantError as error:
        yield _in_short(error)


def _in_short(error: InvariantError) -> str:
    return str(error).partition("; these numbers")[0]
