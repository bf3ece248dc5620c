"""How each entrant was run, and what it cost."""

from __future__ import annotations

import re

from convbench.comparison.model import TaskComparison
from convbench.report.comparison.results_tables import ranked, system_cell
from convbench.report.comparison.table import Cell, Column, Table
from convbench.report.costs import cost_table
from convbench.report.notes import warnings
from convbench.report.words import conditions_in_words, machine_in_words

_AMOUNT = re.compile(r"(-?[\d,]+(?:\.\d+)?(?:e[+-]?\d+)?)(?: ([BMK]))?")
_UNITS = {"B": 1e9, "M": 1e6, "K": 1e3}


def conditions_table(compared: TaskComparison) -> Table:
    """Conditions, seed and folder of each entrant; what all share is said once."""
    entrants = ranked(compared)
    phrases = [[*conditions_in_words(entrant.run.results.conditions), f"seed {entrant.run.results.seed}"] for entrant in entrants]
    competing = [set(own) for entrant, own in zip(entrants, phrases, strict=True) if entrant.competes]
    shared = set.intersection(*competing) if len(competing) > 1 else set()
    rows = tuple(
        (
            system_cell(entrant),
            Cell("; ".join(phrase for phrase in own if not (entrant.competes and phrase in shared)) or "those that all share"),
            Cell(str(entrant.run.results.system.get("description") or "")),
            Cell(entrant.run.path.resolve().name),
        )
        for entrant, own in zip(entrants, phrases, strict=True)
    )
    columns = (
        Column("System", kind="text"),
        Column("Conditions", kind="text"),
        Column("What it is", kind="text"),
        Column("Folder", kind="text"),
    )
    common = [phrase for own in phrases[:1] for phrase in own if phrase in shared]
    notes = [f"All systems that compete: {'; '.join(common)}."] if common else []
    notes += [f"Warning: {text}" for text in warnings([entrant.run.results for entrant in entrants])]
    return Table(f"{compared.task.id}-conditions", f"How the systems were run on {compared.task.title}.", columns, rows, tuple(notes))


def costs_table(compared: TaskComparison) -> Table:
    """What each entrant cost."""
    entrants = ranked(compared)
    costs = cost_table([entrant.run.results for entrant in entrants])
    columns = (Column("System", kind="text"), *(Column(label, group.name) for group in costs.groups for label in group.labels))
    rows = tuple(
        (system_cell(entrant), *(Cell(text, _amount(text), muted=not entrant.competes) for group in texts for text in group))
        for entrant, texts in zip(entrants, costs.rows, strict=True)
    )
    machines = dict.fromkeys(machine_in_words(entrant.run.results.cost.environment) for entrant in entrants)
    notes = (*costs.notes, f"Measured on: {'; '.join(machines)}.")
    return Table(f"{compared.task.id}-cost", f"Cost on {compared.task.title}, as measured when each system was run.", columns, rows, notes)


def _amount(text: str) -> float | None:
    """The number of a cost as shown: ``22.7 M``."""
    match = _AMOUNT.fullmatch(text)
    return float(match[1].replace(",", "")) * _UNITS.get(match[2] or "", 1.0) if match else None
