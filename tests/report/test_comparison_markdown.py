"""The comparison as Markdown: tables that parse, texts that stay texts."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from comparisons import HOSTILE, QUICK, renamed, tables_of

from convbench.comparison.build import compare
from convbench.comparison.model import Comparison
from convbench.report.comparison.markdown import markdown_text, render_markdown
from convbench.report.comparison.table import Cell, Column, Table
from convbench.report.figures import figures_of

BAR = re.compile(r"(?<!\\)\|")


@pytest.fixture(scope="module")
def comparison(compared_runs) -> Comparison:
    return compare(compared_runs["plain"], settings=QUICK)


def tables_in(text: str) -> list[list[str]]:
    """Blocks of lines that begin with a bar."""
    return [block.strip("\n").split("\n") for block in re.findall(r"(?:^\|.*\n?)+", text, flags=re.MULTILINE)]


def test_every_table_parses(comparison):
    report = render_markdown(comparison)
    tables = tables_in(report)
    assert len(tables) > 30
    for header, rule, *rows in tables:
        bars = len(BAR.findall(header))
        assert re.fullmatch(r"\|( -+ \|)+", rule)
        assert {len(BAR.findall(line)) for line in (rule, *rows)} == {bars}
        assert len({len(line) for line in (header, rule, *rows)}) == 1, "columns line up"
        assert header.startswith("| ")
        assert rows


def test_one_table_has_all_that_it_says(comparison):
    table = tables_of(comparison.tasks[0])["results"]
    text = markdown_text(table)
    assert text.startswith(f"**{table.caption}**\n\n| System")
    row = next(line for line in text.splitlines() if line.startswith("| bm25-rewrite"))
    best = next(cell for cell in table.rows[2] if cell.strong)
    assert f"**{best.text}**<sup>{best.mark}</sup> {best.below}" in row
    assert "| *oracle* (ceiling) |" in text
    assert all(note.split("(")[0] in text for note in table.notes if "*" not in note)


def test_footnotes_are_numbered_once():
    cells = (Cell("n/c", note="why"), Cell("n/c", note="why"), Cell("1.0", 0.01, note="because"))
    text = markdown_text(Table("t", "Caption.", (Column("a"), Column("b"), Column("c")), (cells,)))
    assert "| n/c (1) | n/c (1) | 1.0 (2) |" in text
    assert text.endswith("- (1) why\n- (2) because")


def test_headings_that_repeat_carry_their_group():
    columns = (Column("System", kind="text"), Column("full", "nDCG@3"), Column("full", "F1"))
    assert "| System | full (nDCG@3) | full (F1) |" in markdown_text(Table("t", "c", columns, ((Cell("a"), Cell("1"), Cell("2")),)))


def test_hostile_names_stay_text(comparison):
    compared = comparison.tasks[0]
    names = dict(zip([entrant.label for entrant in compared.task.entrants], HOSTILE, strict=True))
    report = render_markdown(replace(comparison, tasks=(renamed(compared, names),)))
    for header, rule, *rows in tables_in(report):
        assert {len(BAR.findall(line)) for line in (rule, *rows)} == {len(BAR.findall(header))}
    assert "<b>" not in report
    assert "&lt;b&gt;&amp;" in report
    assert r"\[a\](b) \|" in report
    assert r"\`c\`" in report


def test_parts_fold_and_unfold(comparison):
    report = render_markdown(comparison)
    assert report.count("<details>") == report.count("</details>") == report.count("<summary>")
    assert report.startswith("# 5 systems on 2 tasks\n")
    for title in ("## faithdial, split mini", "### Differences: faithdial, split mini", "## Methods", "### Statistics"):
        assert f"\n{title}\n" in report


def test_the_same_comparison_gives_the_same_text(comparison, compared_runs):
    assert render_markdown(comparison) == render_markdown(compare(compared_runs["plain"], settings=QUICK))


def test_pictures_are_referred_to_where_there_are_any(comparison):
    drawn = {compared.task.id: figures_of(compared) for compared in comparison.tasks}
    report = render_markdown(comparison, drawn)
    for pictures in drawn.values():
        for picture in pictures:
            assert f"](figures/{picture.name}.png)" in report
    assert "figures/" not in render_markdown(comparison)


def test_slices_are_cut_to_the_leading_measures_and_say_so(comparison):
    report = render_markdown(comparison)
    table = tables_of(comparison.tasks[0])["slice-depth"]
    left_out = sum(row[0].text not in ("nDCG@3", "F1-max") for row in table.rows)
    assert f"{left_out} more rows: `tables/{table.id}.csv`" in report
