"""Whether a baseline still gets the scores that it promises: one piece for the command line, for the tests, and for writing the promises.

A measure is ``OK`` where it differs from its promise by no more than the tolerance. It is ``within noise`` where it differs by more, but by
no more than half the width of its own 95 % interval (conversations resampled): a reader of the promise would draw the same conclusions.
Anything else is ``FAIL``, and so is every measure of another turn set, another collection or another signature. Other package versions
excuse nothing; the verdict names them, as they are the first thing to look at. A set is as good as its worst measure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from convbench.errors import ConvbenchError, MissingFileError, ResourceError
from convbench.harness.expected import MEASURED, Expected, ExpectedSet, named_set, read_expected
from convbench.harness.plan import system_config
from convbench.harness.provenance import package_versions
from convbench.harness.results import MetricResult, Results
from convbench.harness.run import run
from convbench.harness.spec import RunSpec
from convbench.metrics.signatures import differences
from convbench.systems.base import SystemConfig
from convbench.systems.catalog import system_source
from convbench.systems.checkpoint_map import CheckpointMap, with_map


class Verdict(IntEnum):
    """From best to worst, so that the worst of several is their maximum."""

    SKIPPED = 0
    OK = 1
    NOISE = 2
    FAIL = 3

    def __str__(self) -> str:
        return ("skipped", "OK", "within noise", "FAIL")[self]


@dataclass(frozen=True, slots=True)
class MeasureVerdict:
    """One measure against its promise.

    Attributes:
        name: The measure.
        expected: Its promised value; None where it was promised to have none.
        measured: Its value; None where it has none.
        half_width: Half the width of its 95 % interval; 0 where there is none.
        verdict: What follows.
        reason: Why, where it is a failure that the numbers do not show.
    """

    name: str
    expected: float | None
    measured: float | None
    half_width: float
    verdict: Verdict
    reason: str = ""

    @property
    def difference(self) -> float | None:
        """Measured minus expected."""
        return None if self.measured is None or self.expected is None else self.measured - self.expected


@dataclass(frozen=True, slots=True)
class SetVerdict:
    """A baseline on one set.

    Attributes:
        baseline: Its name.
        set_name: The set.
        verdict: That of its worst measure.
        reason: Why it was skipped or failed, or what else is to be known.
        tolerance: Greatest difference that is ok; None where nothing was measured.
        measures: Each measure, in the order of the promise.
    """

    baseline: str
    set_name: str
    verdict: Verdict
    reason: str = ""
    tolerance: float | None = None
    measures: tuple[MeasureVerdict, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Plain values, in full precision."""
        measures = [
            {
                "name": each.name,
                "expected": each.expected,
                "measured": each.measured,
                "difference": each.difference,
                "half_width": each.half_width,
                "verdict": str(each.verdict),
                "reason": each.reason,
            }
            for each in self.measures
        ]
        return {
            "baseline": self.baseline,
            "set": self.set_name,
            "verdict": str(self.verdict),
            "reason": self.reason,
            "tolerance": self.tolerance,
            "measures": measures,
        }


@dataclass(frozen=True, slots=True)
class Bench:
    """Where baselines are measured.

    Attributes:
        out: Run folders go to ``OUT/SET/BASELINE-DIGEST``: a system that has changed since does not meet its own older run.
        cache: Folder for stores, indexes and embeddings.
        real_data: Folder of the samples of real data; None: there is none.
        offline: Refuse the network.
        checkpoint_map: Folders in place of the checkpoints that baselines name.
    """

    out: Path
    cache: Path
    real_data: Path | None = None
    offline: bool = False
    checkpoint_map: CheckpointMap | None = None

    def system(self, baseline: str) -> SystemConfig:
        """A baseline as it is measured here: with the map's folders, where there is a map."""
        config = shipped_system(baseline)
        return config if self.checkpoint_map is None else with_map(config, self.checkpoint_map)

    def measure(self, system: SystemConfig, set_name: str) -> Results:
        """Runs a baseline on a set, or goes on with its run.

        Raises:
            MissingFileError: The set is not at hand.
            ConvbenchError: As ``run``.
        """
        spec = RunSpec(system=system.model_dump(mode="json"), dataset=named_set(set_name).spec(self.real_data))
        folder = self.out / set_name / f"{system.name}-{spec.digest[:8]}"
        return run(spec, folder, MEASURED, cache=self.cache, offline=self.offline)


def shipped_system(baseline: str) -> SystemConfig:
    """The configuration of a shipped baseline."""
    source = system_source(baseline)
    return system_config(source.values, source.origin)


def reproduce(baseline: str, bench: Bench, set_names: tuple[str, ...] = ()) -> Iterator[SetVerdict]:
    """Measures a baseline and judges it, set by set, as each is done.

    Args:
        baseline: Its name.
        bench: Where it is measured.
        set_names: Only these sets; all that it promises something on where there are none.

    Yields:
        A verdict for each set; one that cannot be had (no data, no weights) is skipped, one that breaks is a failure.
    """
    expected = read_expected(baseline)
    if expected is None:
        yield SetVerdict(baseline, "", Verdict.SKIPPED, "it promises no scores: its folder has no expected.json")
        return
    system = bench.system(baseline)
    for set_name in set_names or tuple(expected.scores):
        yield _reproduced(system, expected, bench, set_name)


def _reproduced(system: SystemConfig, expected: Expected, bench: Bench, set_name: str) -> SetVerdict:
    promise = expected.scores.get(set_name)
    if promise is None:
        return SetVerdict(expected.baseline, set_name, Verdict.SKIPPED, "it promises no scores on this set")
    try:
        named_set(set_name).spec(bench.real_data)
    except MissingFileError as error:
        return SetVerdict(expected.baseline, set_name, Verdict.SKIPPED, str(error))
    try:
        results = bench.measure(system, set_name)
    except ResourceError as error:
        return SetVerdict(expected.baseline, set_name, Verdict.SKIPPED, str(error))
    except ConvbenchError as error:
        return SetVerdict(expected.baseline, set_name, Verdict.FAIL, str(error))
    return judge(expected, set_name, promise, results)


def judge(expected: Expected, set_name: str, promise: ExpectedSet, results: Results) -> SetVerdict:
    """The results of a baseline on a set against what it promises.

    Args:
        expected: The baseline's promises; its package versions are compared with those of the results.
        set_name: The set.
        promise: What is promised on it.
        results: What was measured.
    """
    if other := "; ".join(_other_input(promise, results)):
        return SetVerdict(expected.baseline, set_name, Verdict.FAIL, other, promise.tolerance)
    measured = {metric.name: metric for metric in results.metrics}
    measures = tuple(_judged(name, promise, measured.get(name)) for name in promise.metrics)
    verdict = max((each.verdict for each in measures), default=Verdict.OK)
    packages = "" if verdict is Verdict.OK else _other_packages(expected.packages, results.packages)
    return SetVerdict(expected.baseline, set_name, verdict, packages, promise.tolerance, measures)


def _judged(name: str, promise: ExpectedSet, metric: MetricResult | None) -> MeasureVerdict:
    expected = promise.metrics[name]
    if metric is None:
        return MeasureVerdict(name, expected, None, 0.0, Verdict.FAIL, "not measured")
    half_width = (metric.ci[1] - metric.ci[0]) / 2 if metric.ci is not None else 0.0
    other = [part for part in differences(promise.signatures[name], metric.signature) if part.part not in package_versions()]
    if other:
        reason = f"another measure: {'; '.join(map(str, other))}"
        return MeasureVerdict(name, expected, metric.value, half_width, Verdict.FAIL, reason)
    verdict, reason = _compared(expected, metric, promise.tolerance, half_width)
    return MeasureVerdict(name, expected, metric.value, half_width, verdict, reason)


def _compared(expected: float | None, metric: MetricResult, tolerance: float, half_width: float) -> tuple[Verdict, str]:
    if expected is None or metric.value is None:
        same = expected is None and metric.value is None
        return (Verdict.OK, "") if same else (Verdict.FAIL, metric.reason or "a value where none was promised")
    distance = abs(metric.value - expected)
    if distance <= tolerance:
        return Verdict.OK, ""
    return (Verdict.NOISE, "") if distance <= half_width else (Verdict.FAIL, "")


def _other_input(promise: ExpectedSet, results: Results) -> Iterator[str]:
    """What was measured on that is not what the promise was made on."""
    dataset = results.dataset
    if dataset.turnset_sha256 != promise.turnset_sha256:
        found = f"{dataset.turnset_sha256[:12]} with {dataset.n_turns} turns"
        yield f"another turn set: found {found}, expected {promise.turnset_sha256[:12]} with {promise.turns}"
    if dataset.collection_sha256 != promise.collection_sha256:
        found, expected = (digest[:12] if digest else "none" for digest in (dataset.collection_sha256, promise.collection_sha256))
        yield f"another collection: found {found} with {dataset.passages} passages, expected {expected} with {promise.passages}"


def _other_packages(promised: Mapping[str, str], found: Mapping[str, str]) -> str:
    names = [name for name in {**promised, **found} if promised.get(name) != found.get(name)]
    if not names:
        return "package versions are the same: look at the processor, and at what changed in convbench"
    changes = [f"{name} {found.get(name, 'absent')} (promised with {promised.get(name, 'none')})" for name in names]
    return f"other package versions: {', '.join(changes)}"
