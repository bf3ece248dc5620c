"""Whether a run folder's aggregates are those of its turns' scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from convbench.errors import ConvbenchError, InvariantError
from convbench.harness.folder import RunFolder
from convbench.harness.results import MetricResult, read_results
from convbench.harness.score_file import read_scores
from convbench.io.digests import file_sha256
from convbench.metrics.invariants import check_turn
from convbench.validation.problems import Findings

_TOLERANCE = 1e-9


def check_scores(folder: RunFolder, findings: Findings) -> None:
    """Compares ``results.json`` with ``scores.jsonl`` and with the run that lies beside it, and its measures with one another."""
    try:
        results, scores = read_results(folder.results), read_scores(folder.scores)
    except ConvbenchError as error:
        findings.fail(error)
        return
    if results.run_sha256 != file_sha256(folder.turns):
        findings.add("results-of-another-run", folder.results.name)
    values: dict[tuple[str, str], list[float]] = {}
    for score in scores:
        if score.value is not None:
            values.setdefault((score.protocol, score.measure), []).append(score.value)
    for metric in results.metrics:
        if metric.aggregate == "mean" and not _is_mean(metric, values.get((metric.protocol, metric.name), [])):
            findings.add("scores-disagree", f"{metric.name} ({metric.protocol or 'no protocol'})")
    for broken in _contradictions(results.metrics):
        findings.add("invariants", broken)


def _is_mean(metric: MetricResult, values: Sequence[float]) -> bool:
    if metric.value is None or not values:
        return metric.value is None and not values
    mean = math.fsum(values) / len(values)
    return metric.n_turns == len(values) and math.isclose(metric.value, mean, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)


def _contradictions(metrics: Sequence[MetricResult]) -> list[str]:
    """What holds for every turn holds for means over the same turns, too."""
    groups: dict[tuple[str, int], dict[str, float]] = {}
    for metric in metrics:
        if metric.side == "ranking" and metric.value is not None:
            groups.setdefault((metric.protocol, metric.n_turns), {})[metric.name] = metric.value
    return [message for (protocol, _), values in groups.items() if (message := _contradiction(protocol, values))]


def _contradiction(protocol: str, values: Mapping[str, float]) -> str | None:
    try:
        check_turn(protocol or "no protocol", values, relevant=0, gold={})
    except InvariantError as error:
        return str(error).partition("; these numbers")[0]
    return None
