"""Tables of a comparison say what the runs hold, and their CSV is safe and exact."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest
from comparisons import HOSTILE, QUICK, renamed, tables_of

from convbench.comparison.build import compare
from convbench.comparison.model import Comparison, TaskComparison
from convbench.report.comparison.delimited import csv_text
from convbench.report.comparison.difference_tables import same_direction
from convbench.report.comparison.sections import sections_of
from convbench.report.comparison.table import Cell, Column, Table
from convbench.report.numbers import per_cent

KINDS = {"depth", "forest", "mosaic", "ladder", "cost", "scatter", "ranks"}


@pytest.fixture(scope="module")
def comparison(compared_runs) -> Comparison:
    return compare(compared_runs["plain"], settings=QUICK)


@pytest.fixture(scope="module")
def compared(comparison) -> TaskComparison:
    return comparison.tasks[0]


@pytest.fixture(scope="module")
def against(compared_runs) -> TaskComparison:
    return compare(compared_runs["plain"], baseline="bm25-query", measures=["nDCG@3", "F1-max"], settings=QUICK).tasks[0]


def rows(table: Table) -> dict[str, dict[str, Cell]]:
    """First cell -> heading -> cell."""
    return {row[0].text: {column.label: cell for column, cell in zip(table.columns, row, strict=True)} for row in table.rows}


def test_values_are_those_of_the_results(compared):
    found = tables_of(compared)
    shown = 0
    for kind in ("results", "all-measures"):
        for entrant in compared.task.entrants:
            stored = {(m.protocol, m.name): m for m in entrant.run.results.metrics}
            row = rows(found[kind])[entrant.label]
            for measure in compared.task.measures:
                if measure.declared != (kind == "results"):
                    continue
                cell, value = row[measure.label], stored[measure.protocol, measure.name].value
                assert cell.text == ("n/c" if value is None else per_cent(value)), (entrant.label, measure.key)
                assert cell.value == (None if value is None else pytest.approx(value, abs=1e-12))
                shown += 1
    assert shown == len(compared.task.measures) * 5


def test_declared_measures_come_first_and_references_last(compared):
    sections = sections_of(compared, QUICK)
    assert [section.title for section in sections[:3]] == ["Results", "All other measures", "Differences"]
    assert [section.collapsed for section in sections[:3]] == [False, True, False]
    table = tables_of(compared)["results"]
    assert [column.label for column in table.columns] == ["System", "nDCG@3", "RR@100", "R@10", "F1-max"]
    assert [row[0].text for row in table.rows][-2:] == ["oracle", "random"]
    assert [row[0].below for row in table.rows] == ["", "", "", "ceiling", "floor"]
    assert all(cell.muted and not cell.strong for row in table.rows[-2:] for cell in row)


def test_the_best_of_those_that_compete_is_strong(compared):
    for column, cells in zip(*(lambda table: (table.columns, zip(*table.rows, strict=True)))(tables_of(compared)["results"]), strict=True):
        values = [(cell.value, cell) for cell in cells if cell.value is not None and not cell.muted]
        if column.kind == "number":
            best = max(value for value, _ in values)
            assert {cell.text for _, cell in values if cell.strong} == {per_cent(best)}


def test_letters_are_the_tie_groups(compared):
    table = rows(tables_of(compared)["results"])
    for measured in compared.measured:
        if measured.measure.declared:
            for label, value in measured.systems.items():
                assert table[label][measured.measure.label].mark == value.group


def test_every_declared_test_is_a_row_the_largest_first(compared):
    table = tables_of(compared)["differences"]
    assert len(table.rows) == compared.family.tests == 4 * 3
    place = [column.label for column in table.columns].index("Difference")
    for name in ("nDCG@3", "F1-max"):
        sizes = [abs(row[place].value) for row in table.rows if row[0].text == name]
        assert sizes == sorted(sizes, reverse=True)
        assert len(sizes) == 3
    contrast = next(one for one in compared.measured if one.measure.name == "nDCG@3").contrasts[0]
    row = next(row for row in table.rows if (row[0].text, row[1].text, row[2].text) == ("nDCG@3", contrast.first, contrast.second))
    cells = dict(zip([column.label for column in table.columns], row, strict=True))
    assert cells["p (Holm)"].value == contrast.adjusted
    assert cells["W/T/L"].text == f"{contrast.result.wins}/{contrast.result.ties}/{contrast.result.losses}"
    assert cells["MDD"].text == per_cent(contrast.result.detectable)


def test_against_a_baseline_differences_that_are_told_apart_are_marked(against):
    table = tables_of(against)["differences"]
    contrasts = {(one.measure.label, pair.first): pair for one in against.measured for pair in one.contrasts}
    assert any(pair.better for pair in contrasts.values()), "the runs should have one difference that is told apart"
    for row in table.rows:
        pair = contrasts[row[0].text, row[1].text]
        assert row[3].mark == ("*" if pair.better else "")
        assert [cell.text for cell in row[1:3] if cell.strong] == ([pair.better] if pair.better else [])


def test_slices_hold_what_was_computed(compared):
    found = tables_of(compared)
    for slices in compared.slices:
        table = found[f"slice-{slices.name}"]
        assert len(table.rows) == len(slices.rows) * len(slices.measures)
        labels = [column.label for column in table.columns]
        for key, line in ((key, line) for key in slices.measures for line in slices.rows):
            name = compared.task.measure(key).label
            (row,) = [row for row in table.rows if (row[0].text, row[1].text) == (name, line.value)]
            for label, estimate in line.systems[key].items():
                assert row[labels.index(label)].value == estimate.value
            assert row[0].muted == line.small
    assert any(not row[0].muted for name, table in found.items() if name.startswith("slice-") for row in table.rows)


def test_differences_on_slices_are_those_that_are_told_apart(compared):
    told = [
        (table.title, row.value, contrast.better)
        for table in compared.slices
        for row in table.rows
        for contrast in row.contrasts
        if contrast.better
    ]
    table = tables_of(compared)["slice-differences"]
    assert told
    assert sorted((row[0].text, row[1].text, next(cell.text for cell in row[3:5] if cell.strong)) for row in table.rows) == sorted(told)


def test_the_two_by_two_counts_every_turn(compared):
    table = rows(tables_of(compared)["outcomes"])
    for one in compared.consistency.outcomes:
        cells = table[one.label]
        assert cells["turns"].value == sum(one.counts)
        shares = [cells[name].value for name in ("used hit", "unused hit", "lucky miss", "honest miss")]
        assert shares == pytest.approx([count / sum(one.counts) for count in one.counts])
        assert cells["gap"].value == one.gap.value


def test_ladders_stand_in_the_order_of_what_is_shown(compared_runs):
    evidence = compare(compared_runs["evidence"], settings=QUICK).tasks[0]
    table = tables_of(evidence)["evidence"]
    shown = [column.label for column in table.columns if column.group == "passages shown"]
    assert shown == ["none", "other-turn", "retrieved-minus-gold", "retrieved", "gold+noise", "gold"]
    (row,) = rows(table).values()
    assert row["gain"].value == pytest.approx(row["gold"].value - row["none"].value)
    assert row["capture"].value == pytest.approx((row["retrieved"].value - row["none"].value) / row["gain"].value)
    history = compare(compared_runs["history"], settings=QUICK).tasks[0]
    (ladder,) = history.consistency.history
    table = tables_of(history)["history"]
    assert [cell.value for cell in table.rows[0][-2:]] == [gap.value for gap in ladder.exposure]


def test_folders_are_named_without_their_place(compared):
    table = tables_of(compared)["conditions"]
    assert {row[-1].text for row in table.rows} == {"bm25-query", "bm25-queries", "bm25-rewrite", "oracle", "random"}
    assert all("/" not in cell.text for row in table.rows for cell in row)
    assert "answers from retrieved passages" in table.notes[0]


def test_ids_are_unique_and_figures_are_known_kinds(comparison):
    sections = [section for compared in comparison.tasks for section in sections_of(compared, comparison.settings)]
    ids = [section.id for section in sections] + [table.id for section in sections for table in section.tables]
    tables = [table for section in sections for table in section.tables]
    assert len({table.id for table in tables}) == len(tables)
    assert len({section.id for section in sections}) == len(sections)
    assert all(set(section.figures) <= KINDS for section in sections)
    assert all(len(row) == len(table.columns) for table in tables for row in table.rows), ids


def test_lower_is_better_turns_everything_round(compared):
    measured = next(one for one in compared.measured if one.measure.name == "nDCG@3")
    turned = replace(measured, measure=replace(measured.measure, higher_is_better=False))
    changed = replace(compared, measured=tuple(turned if one is measured else one for one in compared.measured))
    table = tables_of(changed)["results"]
    values = [row[1].value for row in table.rows if not row[0].muted]
    assert table.columns[1].label == "nDCG@3 ↓"
    assert [row[1].value for row in table.rows if row[1].strong] == [min(values)]
    assert same_direction(measured, measured) == (3, 3)
    assert same_direction(measured, turned) == (0, 3)


def test_csv_has_every_value_in_full(compared):
    table = tables_of(compared)["results"]
    header, *lines = csv.reader(io.StringIO(csv_text(table)))
    assert header[:4] == ["System", "System role", "Retrieval (convgqr-line): nDCG@3", "Retrieval (convgqr-line): nDCG@3 interval"]
    stored = json.loads((compared.task.entrants[0].run.path / "results.json").read_text(encoding="utf-8"))
    value = next(m["value"] for m in stored["metrics"] if (m["protocol"], m["name"]) == ("convgqr-line", "nDCG@3"))
    assert lines[0][0] == compared.task.entrants[0].label
    assert float(lines[0][2]) == pytest.approx(value, abs=1e-15)
    assert len(lines) == len(table.rows)
    assert {len(line) for line in lines} == {len(header)}


def test_csv_texts_are_no_formulas(compared):
    names = dict(zip([entrant.label for entrant in compared.task.entrants], HOSTILE, strict=True))
    for table in tables_of(renamed(compared, names)).values():
        for line in csv.reader(io.StringIO(csv_text(table))):
            for field in line:
                harmless = field.replace("e-", "").removeprefix("-").replace(".", "").isdigit()
                assert harmless or not field.startswith(("=", "+", "-", "@")), field
    plain = Table("t", "c", (Column("a", kind="text"),), ((Cell("=cmd()"),), (Cell("a=b"),)))
    assert csv_text(plain).splitlines() == ["a", "'=cmd()", "a=b"]
