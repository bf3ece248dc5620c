"""What systems cost, as text: sizes, tokens and forward passes, and time by phase."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from convbench.harness.results import Cost, Results
from convbench.report.words import ABSENT, magnitude

_FIRST = ("encode", "search", "generate")
"""Phases that systems have in common stand first, so that tables look alike."""

_Text = Callable[[Cost], str]


@dataclass(frozen=True, slots=True)
class CostGroup:
    """Columns of one unit."""

    name: str
    labels: tuple[str, ...]

    @property
    def full_labels(self) -> tuple[str, ...]:
        """The labels for a table without a row of groups."""
        return tuple(f"{label} ({self.name})" for label in self.labels)


@dataclass(frozen=True, slots=True)
class CostTable:
    """The costs of runs on one dataset.

    Attributes:
        groups: The columns.
        rows: For each run, for each group its texts.
        notes: What a reader must know of them.
    """

    groups: tuple[CostGroup, ...]
    rows: tuple[tuple[tuple[str, ...], ...], ...]
    notes: tuple[str, ...]


def cost_table(runs: Sequence[Results]) -> CostTable:
    """The costs of ``runs``, a row each; of a replayed run they are not known, as another tool made it."""
    columns = _columns([run.cost for run in runs if not _replayed(run)])
    groups = tuple(CostGroup(name, tuple(texts)) for name, texts in columns.items())
    rows = tuple(
        tuple(tuple(ABSENT if _replayed(run) else text(run.cost) for text in texts.values()) for texts in columns.values()) for run in runs
    )
    return CostTable(groups, rows, tuple(_notes(runs)))


def _replayed(run: Results) -> bool:
    return bool(run.system["kind"] == "replay")


def _columns(costs: Sequence[Cost]) -> Mapping[str, Mapping[str, _Text]]:
    """Group -> label -> what stands in the column."""
    groups: dict[str, Mapping[str, _Text]] = {
        "loaded": {
            "parameters": lambda cost: magnitude(cost.parameters),
            "index MiB": lambda cost: _number(cost.index_bytes / 2**20, digits=2),
        },
        "per turn": {
            "tokens in": lambda cost: _number(cost.tokens_in / cost.turns),
            "tokens out": lambda cost: _number(cost.tokens_out / cost.turns),
            "forward passes": lambda cost: _number(cost.forward_passes / cost.turns, digits=2),
        },
        "server": _of_servers(costs),
        "ms per turn": {"all": _milliseconds} | {name: _phase(name) for name in _phases(costs, once=False)},
        "seconds, apart": {name: _phase(name) for name in _phases(costs, once=True)},
    }
    return {name: texts for name, texts in groups.items() if texts}


def _of_servers(costs: Sequence[Cost]) -> Mapping[str, _Text]:
    """Requests and price per thousand turns, where some system asks a server."""
    if not any(cost.server for cost in costs):
        return {}
    return {
        "requests per turn": lambda cost: _number(cost.server.requests / cost.turns, digits=2) if cost.server else ABSENT,
        "price per 1,000 turns": lambda cost: _number(1000 * cost.server.price / cost.turns, digits=2) if cost.server else ABSENT,
    }


def _phases(costs: Sequence[Cost], *, once: bool) -> list[str]:
    """The phases of any system whose time shows."""
    names = dict.fromkeys(phase.name for cost in costs for phase in cost.phases if phase.once == once)
    ordered = sorted(names, key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST))
    return [name for name in ordered if {_phase(name)(cost) for cost in costs} - {ABSENT, "0", "0.0"}]


def _phase(name: str) -> _Text:
    """Milliseconds per turn, or seconds of what is apart from turns."""

    def text(cost: Cost) -> str:
        found = [phase.seconds if phase.ms_per_turn is None else phase.ms_per_turn for phase in cost.phases if phase.name == name]
        return _number(found[0]) if found else ABSENT

    return text


def _milliseconds(cost: Cost) -> str:
    return _number(sum(phase.ms_per_turn or 0 for phase in cost.phases))


def _number(value: float, digits: int = 1) -> str:
    return f"{value:,.{digits}f}" if value else "0"


def _notes(runs: Sequence[Results]) -> list[str]:
    """How to read the table, what an approximate index finds, and how far an approximate encoder agrees."""
    notes = [
        "Phases exclude those within them. Apart from the turns stand loading (open), building an index (index; not again where an earlier "
        "run built it) and measuring an approximate one (recall) or an approximate encoder (agreement)."
    ]
    for run in runs:
        if recall := run.cost.recall:
            share = f"{100 * recall.value:.1f} % ({recall.found:,} of {recall.of:,})"
            notes.append(f"{run.system['name']}: the index is approximate; it finds {share} of what exact search finds.")
        for name, measured in run.cost.agreements.items():
            ranks = f", rank correlation {measured.rank_correlation:.3f}" if measured.rank_correlation is not None else ""
            cosines = f"cosine at least {measured.min_cosine:.4f}, mean {measured.mean_cosine:.4f}"
            notes.append(f"{run.system['name']}: {name} is approximate; {measured.texts} texts encoded exactly too: {cosines}{ranks}.")
    if any(map(_replayed, runs)):
        notes.append("A replayed run was made elsewhere: its costs are not known.")
    return notes
