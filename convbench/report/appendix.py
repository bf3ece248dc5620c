"""The end of a report: what the systems are, what the numbers depend on, and how to cite the data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from convbench.harness.results import Results
from convbench.report.words import in_words, machine_in_words

_NAMED = 3


@dataclass(frozen=True, slots=True)
class Appendix:
    """Pairs of (label, text)."""

    systems: tuple[tuple[str, str], ...]
    settings: tuple[tuple[str, str], ...]
    versions: tuple[tuple[str, str], ...]
    licences: tuple[tuple[str, str], ...]


def appendix_of(runs: Sequence[Results]) -> Appendix:
    """The appendix of a report; where runs disagree on a version or a setting, every value is given with its runs."""
    packages = [{"convbench": run.convbench_version, **run.packages} for run in runs]
    names = sorted({name for versions in packages for name in versions}, key=lambda name: (name != "convbench", name))
    return Appendix(
        systems=_distinct((str(run.system["name"]), str(run.system.get("description") or "no description")) for run in runs),
        settings=(
            ("Seed of the runs", _agreed(runs, [str(run.seed) for run in runs])),
            ("95 % intervals", _agreed(runs, [in_words(run.statistics) for run in runs])),
            ("Times measured on", _agreed(runs, [machine_in_words(run.cost.environment) for run in runs])),
        ),
        versions=tuple((name, _agreed(runs, [versions.get(name, "not installed") for versions in packages])) for name in names),
        licences=_distinct((run.dataset.name, run.dataset.licence) for run in runs),
    )


def _distinct(pairs: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple(dict.fromkeys(pairs))


def _agreed(runs: Sequence[Results], values: Sequence[str]) -> str:
    holders: dict[str, list[str]] = {}
    for run, value in zip(runs, values, strict=True):
        holders.setdefault(value, []).append(f"{run.system['name']} on {run.dataset.name} {run.dataset.split}")
    if len(holders) == 1:
        return values[0]
    return "; ".join(f"{value} ({_few(names)})" for value, names in holders.items())


def _few(names: Sequence[str]) -> str:
    more = [f"{len(names) - _NAMED} more"] if len(names) > _NAMED else []
    return ", ".join([*names[:_NAMED], *more])
