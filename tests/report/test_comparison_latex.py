"""LaTeX tables: balanced, every row as wide as its table, every special character escaped."""

from __future__ import annotations

import re

import pytest
from comparisons import HOSTILE, QUICK, renamed, tables_of

from convbench.comparison.build import compare
from convbench.comparison.model import Comparison
from convbench.report.comparison import sections
from convbench.report.comparison.latex import latex_text
from convbench.report.comparison.latex_characters import escape
from convbench.report.comparison.table import Cell, Column, Table

AND = re.compile(r"(?<!\\)&")
COMMANDS = re.compile(r"\\(?:[A-Za-z]+\*?|.)", flags=re.DOTALL)


@pytest.fixture(scope="module")
def comparison(compared_runs) -> Comparison:
    return compare(compared_runs["plain"], settings=QUICK)


def check(text: str) -> int:
    """Fails where a table would not compile; returns how many floats there are."""
    open_: list[str] = []
    for kind, name in re.findall(r"\\(begin|end)\{([a-z*]+)\}", text):
        if kind == "begin":
            open_.append(name)
        else:
            assert open_.pop() == name
    assert not open_
    bare = COMMANDS.sub("", text)
    depth = 0
    for character in bare:
        depth += (character == "{") - (character == "}")
        assert depth >= 0
    assert depth == 0
    assert bare.count("$") % 2 == 0
    assert not set("#%_^") & set(bare)
    floats = re.findall(r"\\begin\{tabular\}\{@\{\}([^\n]*)@\{\}\}\n(.*?)\\end\{tabular\}", text, flags=re.DOTALL)
    for alignment, body in floats:
        width = len(re.sub(r"p\{[\d.]+\\linewidth\}", "p", alignment))
        lines = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert len(lines) >= 1
        for line in lines:
            spans = [int(size) for size in re.findall(r"\\multicolumn\{(\d+)\}", line)]
            assert len(AND.findall(line)) + 1 + sum(size - 1 for size in spans) == width, line
            assert not line.startswith(("[", "*"))
    assert text.count(r"\toprule") == text.count(r"\midrule") == text.count(r"\bottomrule") == len(floats)
    assert text.count(r"\caption{") == text.count(r"\label{tab:") == len(floats)
    return len(floats)


def test_every_table_would_compile(comparison):
    files = {table.id: latex_text(table) for table in sections.tables_of(comparison)}
    assert {"faithdial-mini-results", "topiocqa-mini-differences", "faithdial-mini-outcomes"} <= files.keys()
    assert sum(map(check, files.values())) >= len(files) > 30
    labels = re.findall(r"\\label\{(tab:[^}]*)\}", "\n".join(files.values()))
    assert len(labels) == len(set(labels))


def test_marks_groups_and_intervals_are_there(comparison):
    table = tables_of(comparison.tasks[0])["results"]
    text = latex_text(table)
    assert r"\multicolumn{3}{c}{Retrieval (convgqr-line)}" in text
    assert r"\cmidrule(lr){2-4}" in text
    best = next(cell for cell in table.rows[2] if cell.strong)
    assert rf"\textbf{{{best.text}}}\textsuperscript{{{best.mark}}}" in text
    assert rf"{{\tiny {escape(best.below)}}}" in text
    assert r"\textit{oracle}" in text
    assert text.startswith("\\begin{table*}[tbp]\n\\centering\n\\caption{Results on faithdial, split mini")


def test_hostile_names_are_escaped(comparison):
    compared = comparison.tasks[0]
    names = dict(zip([entrant.label for entrant in compared.task.entrants], HOSTILE, strict=True))
    for table in tables_of(renamed(compared, names)).values():
        check(latex_text(table))
    results = latex_text(tables_of(renamed(compared, names))["results"])
    assert r"\textless{}b\textgreater{}\& \$x\textasciicircum{}2\$ \#1 \textasciitilde{}50\% \textbackslash{}input\{a\} \_u\_" in results
    assert "中文" in results
    assert "\n{}[a](b)" in results or r"\textit{[a](b)" in results or r"\textbf{[a](b)" in results


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a_b & c%", r"a\_b \& c\%"),
        ("[-1.5, 2.0]", "[$-$1.5, 2.0]"),
        ("bm25-query", "bm25-query"),
        ("a--b", "a-{}-b"),
        ("10 × 3 ↓", r"10 $\times$ 3 $\downarrow$"),
        ("naïve 東京", "naïve 東京"),
        ("a\nb\x00", "a b"),
        ("\\", r"\textbackslash{}"),
    ],
)
def test_characters(text, shown):
    assert escape(text) == shown


def test_long_and_wide_tables_go_on_in_another_float():
    names = ("System", *(f"a measure {place}" for place in range(40)))
    columns = tuple(Column(name, kind="number" if place else "text") for place, name in enumerate(names))
    rows = tuple((Cell(f"s{number}"), *(Cell("10.0", 0.1) for _ in names[1:])) for number in range(70))
    text = latex_text(Table("wide", "Caption.", columns, rows, ("One note.",)))
    floats = check(text)
    assert floats >= 4
    assert text.count(f"(part 1 of {floats})") == 1
    assert text.count("One note.") == 1
    assert all(f"{{{name}}}" in text for name in names[1:])
    assert text.count("s0 &") == floats // 2, "the names of rows are in every sheet"


def test_a_table_wider_than_a_column_takes_the_page():
    ids = ", ".join(f"12_{number}" for number in range(5))
    columns = tuple(Column(name, kind="text") for name in ("System", "used hit", "unused hit", "lucky miss", "honest miss"))
    rows = tuple((Cell(f"system-{number}"), *(Cell(ids) for _ in columns[1:])) for number in range(3))
    text = latex_text(Table("examples", "Caption.", columns, rows))
    assert text.startswith("\\begin{table*}")
    assert latex_text(Table("narrow", "Caption.", columns[:2], tuple(row[:2] for row in rows))).startswith("\\begin{table}")


def test_a_long_name_takes_no_more_room_than_it_is_given():
    columns = (Column("System", kind="text"), *(Column(f"m{place}") for place in range(12)))
    rows = tuple(
        (Cell("a system under conditions that take many words, shown other passages"), *(Cell("10.0", 0.1),) * 12) for _ in range(60)
    )
    text = latex_text(Table("long", "Caption.", columns, rows))
    assert r"{@{}p{0.31\linewidth}" in text
    for part in text.split(r"\end{tabular}")[:-1]:
        assert part.count("a system under") * 2 <= 44, "a name of two lines takes two lines of the page"


def test_a_table_without_rows_is_a_table():
    check(latex_text(Table("empty", "Nothing.", (Column("System", kind="text"), Column("x")), ())))


def test_a_bracket_at_the_start_of_a_row_is_no_argument():
    text = latex_text(Table("t", "c", (Column("a", kind="text"), Column("b")), ((Cell("[x]"), Cell("1")), (Cell("*y"), Cell("2")))))
    assert "\n{}[x] & 1" in text
    assert "\n{}*y & 2" in text
