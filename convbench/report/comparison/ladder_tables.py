"""One system under several conditions: evidence ladder, history ladder, retriever × generator."""

from __future__ import annotations

from convbench.comparison.conditions import history_order
from convbench.comparison.consistency_model import EvidenceLadder, Grid
from convbench.comparison.model import TaskComparison
from convbench.report.comparison.cells import difference_cell, estimate_cell, p_cell
from convbench.report.comparison.results_tables import heading
from convbench.report.comparison.table import Cell, Column, Table
from convbench.views.evidence import EVIDENCE_LADDER


def evidence_table(compared: TaskComparison) -> Table | None:
    """Response quality by what the responder was shown, and what that says about retrieval."""
    ladders = compared.consistency.evidence
    if not ladders:
        return None
    steps = sorted({condition for ladder in ladders for condition, _, _ in ladder.rungs}, key=EVIDENCE_LADDER.index)
    columns = (
        Column("System", kind="text"),
        *(Column(step, "passages shown") for step in steps),
        Column("gain", "differences", title="gold - none"),
        Column("gap", "differences", title="gold - retrieved"),
        Column("distraction", "differences", title="gold+noise - gold"),
        Column("copy risk", "differences", title="other-turn - none"),
        Column("capture", title="(retrieved - none) / (gold - none), in per cent"),
    )
    rows = tuple(_evidence_row(ladder, steps) for ladder in ladders)
    notes = (
        "Gain: gold - none. Gap: gold - retrieved. Distraction: gold+noise - gold. Copy risk: other-turn - none. Capture: (retrieved - "
        "none) / (gold - none), undefined where the interval of the denominator holds 0.",
    )
    return Table(f"{compared.task.id}-evidence", _caption(compared, "by passages shown"), columns, rows, notes)


def history_table(compared: TaskComparison) -> Table | None:
    """Retrieval and responses by what of the conversation was shown."""
    consistency = compared.consistency
    if not consistency.history:
        return None
    sides = [
        (heading(compared.task.measure(key)), place)
        for place, key in enumerate((consistency.retrieval_measure, consistency.response_measure))
        if key is not None
    ]
    steps = sorted({rung.condition for ladder in consistency.history for rung in ladder.rungs}, key=history_order)
    columns = (
        Column("System", kind="text"),
        *(Column(step, name) for name, _ in sides for step in steps),
        *(Column(name, "exposure gap", title="full - full-own, in points") for name, _ in sides),
    )
    rows = []
    for ladder in consistency.history:
        rungs = {rung.condition: (rung.retrieval, rung.response) for rung in ladder.rungs}
        exposure = ladder.exposure or (None, None)
        values = [estimate_cell(rungs.get(step, (None, None))[place]) for _, place in sides for step in steps]
        rows.append((Cell(ladder.name), *values, *(difference_cell(exposure[place]) for _, place in sides)))
    notes = ("Exposure gap: full - full-own, what a system loses when it reads its own responses instead of the dataset's.",)
    caption = f"Results by history shown on {compared.task.title}, in per cent."
    return Table(f"{compared.task.id}-history", caption, columns, tuple(rows), notes)


def grid_table(compared: TaskComparison) -> Table | None:
    """Retrievers × generators and their interaction."""
    grids = compared.consistency.grids
    if not grids:
        return None
    columns = (
        Column("Own", kind="text"),
        Column("Other", kind="text"),
        Column("own, own", "retriever, generator"),
        Column("own, other", "retriever, generator"),
        Column("other, own", "retriever, generator"),
        Column("other, other", "retriever, generator"),
        Column("interaction", title="(own,own) - (own,other) - (other,own) + (other,other), in points"),
        Column("p", title="sign flips of whole conversations, uncorrected"),
    )
    notes = (
        "Interaction: (own,own) - (own,other) - (other,own) + (other,other). Above 0, the two parts of one system do more together than "
        "apart. p is not corrected.",
    )
    return Table(f"{compared.task.id}-grid", _caption(compared, "by retriever and generator"), columns, tuple(map(_grid_row, grids)), notes)


def _evidence_row(ladder: EvidenceLadder, steps: list[str]) -> tuple[Cell, ...]:
    values = {condition: estimate for condition, _, estimate in ladder.rungs}
    differences = map(difference_cell, (ladder.gain, ladder.gap, ladder.distraction, ladder.copy_risk))
    return (
        Cell(ladder.name),
        *(estimate_cell(values.get(step)) for step in steps),
        *differences,
        estimate_cell(ladder.capture, note=ladder.capture_reason or ""),
    )


def _grid_row(grid: Grid) -> tuple[Cell, ...]:
    both = (grid.own, grid.other)
    cells = (grid.cells.get((retriever, generator)) for retriever in both for generator in both)
    return (
        Cell(grid.own),
        Cell(grid.other),
        *(estimate_cell(cell[1] if cell else None) for cell in cells),
        difference_cell(grid.interaction),
        p_cell(grid.p),
    )


def _caption(compared: TaskComparison, what: str) -> str:
    key = compared.consistency.response_measure
    measure = heading(compared.task.measure(key)) if key else "Response quality"
    return f"{measure} {what} on {compared.task.title}, in per cent."
