"""How far a submission that was scored again is to be trusted: whether it is what a shipped baseline promises."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import convbench
from convbench.errors import ConvbenchError
from convbench.harness.expected import ExpectedSet, read_expected
from convbench.harness.provenance import package_versions
from convbench.harness.reproduce import Verdict, judge, shipped_system
from convbench.harness.results import Cost, DatasetResult, MetricResult, Results
from convbench.harness.summary import truncation
from convbench.leaderboard import system_card
from convbench.leaderboard.card import FILE, Card
from convbench.leaderboard.measures import ranking_measures
from convbench.leaderboard.names import printable
from convbench.leaderboard.track_data import TrackData
from convbench.leaderboard.verified import Finding, Level, Severity
from convbench.systems.catalog import baseline_names
from convbench.systems.named_checkpoints import has_server, named_checkpoints
from convbench.types import TurnRecord

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Trust:
    """A level, and what speaks against a higher one."""

    level: Level
    findings: tuple[Finding, ...] = ()


def trust(card: Card, records: Mapping[str, TurnRecord], results: Sequence[MetricResult], data: TrackData) -> Trust:
    """``reproduced`` where a run is of a baseline: its card says the same of the system, and every score that was measured is as promised.

    No model is run: what is judged, as ``convbench baselines reproduce`` judges, is this run against ``expected.json``.

    Args:
        card: The card, which names the baseline.
        records: The run.
        results: What was measured of it.
        data: The track.
    """
    if card.baseline is None:
        return Trust("re-scored")
    named = f"{FILE}: baseline {printable(card.baseline)!r}"
    if card.baseline not in baseline_names():
        return _not(f"{named}: no baseline of that name ships with convbench")
    try:
        expected = read_expected(card.baseline)
    except ConvbenchError as error:
        return _not(f"{named}: {error}")
    promise = expected.scores.get(data.track.set or "") if expected else None
    if expected is None or promise is None or data.track.set is None:
        return _not(f"{named}: it promises no scores on this track's set", severity="note")
    if other := "; ".join(_other_system(card)):
        return _not(f"{named}: {other}")
    measured = [result for result in results if result.name in promise.metrics]
    if not {result.name for result in measured} & set(ranking_measures(data.track)):
        return _not(f"{named}: it promises nothing of what the standings are ordered by", severity="note")
    verdict = judge(expected, data.track.set, _only(promise, measured), _as_results(card, records, measured, data))
    if verdict.verdict is Verdict.OK:
        return Trust("reproduced")
    worst = [measure for measure in verdict.measures if measure.verdict is verdict.verdict]
    shown = "; ".join(f"{each.name} is {each.measured}, promised {each.expected}{each.reason and f' ({each.reason})'}" for each in worst)
    return _not(f"{named}: {verdict.verdict}: {shown or verdict.reason}")


def _other_system(card: Card) -> Iterator[str]:
    """What the card says of its system that is not so of the baseline.

    Names of checkpoints are compared by their last part: a card names a local folder by that alone. How many parameters the checkpoints
    of a baseline have is not known here, only whether it has any.
    """
    shipped = shipped_system(card.baseline or "").model_dump(mode="json")
    if card.kind != (kind := system_card.kind(shipped)):
        yield f"its kind is {kind!r}, and kind is {card.kind!r}"
    expected = {_last_part(each.name) for each in named_checkpoints(shipped)}
    found = {_last_part(each.name) for each in card.checkpoints}
    if has_server(shipped):
        return
    if found != expected and "" not in expected:
        yield f"its checkpoints are {_listed(expected)}, and those given are {_listed(found)}"
    if card.parameters is not None and (card.parameters > 0) != bool(expected):
        yield f"it has {'parameters' if expected else 'no parameters'}, and parameters is {card.parameters}"


def _last_part(name: str) -> str:
    """The last part of a checkpoint's name, without the digest that a label ends with."""
    return name.partition("@")[0].rstrip("/").rpartition("/")[2]


def _listed(names: set[str]) -> str:
    return ", ".join(printable(name) for name in sorted(names)[:_SHOWN]) or "none"


def _not(message: str, severity: Severity = "flag") -> Trust:
    return Trust("re-scored", (Finding(check="not-reproduced", severity=severity, message=message),))


def _only(promise: ExpectedSet, measured: Sequence[MetricResult]) -> ExpectedSet:
    """What is promised of the measures that a track has."""
    names = [result.name for result in measured]
    return promise.model_copy(
        update={
            "metrics": {name: promise.metrics[name] for name in names},
            "signatures": {name: promise.signatures[name] for name in names},
        }
    )


def _as_results(card: Card, records: Mapping[str, TurnRecord], measured: Sequence[MetricResult], data: TrackData) -> Results:
    """The submission as a ``results.json`` has a run; what it cost is not known here."""
    dataset = data.dataset
    return Results(
        convbench_version=convbench.__version__,
        system={"kind": card.kind, "name": card.name},
        dataset=DatasetResult(
            name=dataset.name,
            split=dataset.split,
            options=dict(dataset.options),
            tier="mini" if dataset.bundled else "corpus" if data.store is not None else "unchecked",
            collection_sha256=data.collection_sha256,
            passages=len(data.store) if data.store is not None else None,
            turnset_sha256=dataset.all_turns().sha256,
            n_conversations=len(dataset.conversations),
            n_turns=len(data.turn_ids),
            n_judged=len(dataset.retrieval_turns().ids),
            licence=dataset.licence,
        ),
        conditions={},
        seed=0,
        run_sha256="",
        metrics=list(measured),
        cost=Cost(
            parameters=card.parameters or 0, models={}, index_bytes=0, indexes={}, turns=len(records), tokens_in=0, tokens_out=0,
            forward_passes=0, phases=[], recall=None, environment=None,
        ),
        truncation=truncation(records.values()),
        packages=package_versions(),
        warnings=[],
    )  # fmt: skip
