"""Pictures of a comparison: that they are drawn from what there is, are sound on a page, and take any text."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from command_line import succeed

from convbench.analysis.resampling import Resampling
from convbench.comparison.build import compare
from convbench.comparison.model import Settings, TaskComparison
from convbench.report.figures import Picture, figures_of, inline_svg, save_pictures
from convbench.report.figures.scatter import scatter_pictures
from convbench.report.figures.themes import DARK, LIGHT, PAGE, PAGE_COLOURS, series_css
from convbench.report.figures.wording import names_of, plain

KINDS = {"depth", "forest", "mosaic", "ladder", "cost", "scatter", "ranks"}
HOSTILE = (
    "<script>alert('x')</script>",
    "_under $x^2$ \\frac{1}{2} 100 %",
    "שלום \"quoted\" & 'single'",
    "東京 😀 \x00\x1b[31m\u202e end",
    "a-name-that-is-so-long-that-no-picture-can-hold-it-whole-" + "x" * 200,
)
QUICK = Settings(resampling=Resampling(resamples=300), good=0.12)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("figures")
    shared = ("-d", "topiocqa", "--limit", 6, "--metrics", "retrieval,token-f1", "--offline")
    succeed("run", "bm25-query", "bm25-queries", "bm25-rewrite", "bm25-history", "oracle", "random", *shared, "--out", folder / "plain")
    succeed("run", "bm25-query", "--evidence", "ladder", *shared, "--out", folder / "evidence")
    succeed("run", "bm25-query", "--history", "ladder", *shared, "--out", folder / "history")
    return folder


def compared(folders: list[Path], baseline: str | None = None) -> TaskComparison:
    (task,) = compare(folders, baseline=baseline, settings=QUICK).tasks
    return task


def run_folders_in(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.rglob("results.json"))


def plain_runs(runs: Path) -> list[Path]:
    return run_folders_in(runs / "plain")


@pytest.fixture(scope="module")
def comparison(runs: Path) -> TaskComparison:
    return compared(plain_runs(runs))


@pytest.fixture(scope="module")
def pictures(comparison: TaskComparison, runs: Path) -> list[Picture]:
    """Every kind: the usual ones of four competitors, and both ladders."""
    ladders = [
        picture
        for ladder in ("evidence", "history")
        for picture in figures_of(compared(run_folders_in(runs / ladder)))
        if picture.kind == "ladder"
    ]
    return [*figures_of(comparison), *ladders]


@contextmanager
def no_complaints() -> Iterator[None]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")  # of labels that are dropped, glyphs that are lacking, axes without room
        yield
    assert not [warning for warning in caught if warning.category is UserWarning]


@pytest.fixture(scope="module")
def drawn(pictures: list[Picture]) -> dict[str, str]:
    with no_complaints():
        return {picture.name: inline_svg(picture) for picture in pictures}


def texts(svg: str) -> str:
    return "\n".join("".join(element.itertext()) for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"))


def test_every_kind_is_there_once_a_measure(pictures):
    assert {picture.kind for picture in pictures} == KINDS
    names = [picture.name for picture in pictures]
    assert len({name.casefold() for name in names}) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9-]+", name) for name in names)
    assert {"topiocqa-mini-depth-nDCG-3", "topiocqa-mini-mosaic", "topiocqa-mini-ladder-history"} <= set(names)


def test_words_say_what_there_is(pictures, comparison):
    by_name = {picture.name: picture for picture in pictures}
    measured = {measured.measure.label: measured for measured in comparison.measured}["nDCG@3"]
    cost = by_name["topiocqa-mini-cost-nDCG-3"]
    for label in ("bm25-query", "bm25-rewrite"):
        assert f"{label}: {100 * measured.systems[label].estimate.value:.1f} for " in cost.alt
    forest = by_name["topiocqa-mini-forest-nDCG-3"].alt
    best = max(measured.contrasts, key=lambda contrast: abs(contrast.result.mean))
    assert f": {100 * abs(best.result.mean):.1f} (" in forest
    assert f"corrected p {best.adjusted:.2g}" in forest
    for outcome in comparison.consistency.outcomes:
        used, _, lucky, _ = outcome.counts
        assert re.search(rf"{outcome.label}: used hit {used} turns .* lucky miss {lucky} turns", by_name["topiocqa-mini-mosaic"].alt)
    for picture in pictures:
        assert picture.title
        assert picture.caption.endswith((".", "shown."))
        assert picture.caption.count(". ") <= 1
        assert re.search(r"\d", picture.alt)


def test_bubbles_count_the_turns(pictures, comparison):
    measure = comparison.task.primary("ranking")
    first, second = (comparison.task.values[measure.key][:, place] for place in comparison.task.competitors[:2])
    alt = next(picture.alt for picture in pictures if picture.kind == "scatter")
    higher, lower, ties = (int(np.sum(rule)) for rule in (second > first, first > second, first == second))
    labels = [comparison.task.entrants[place].label for place in comparison.task.competitors[:2]]
    assert f"{labels[1]} is higher on {higher}, {labels[0]} on {lower}, both are equal on {ties}." in alt


def test_ranks_are_those_of_the_records(pictures, comparison):
    alt = next(picture.alt for picture in pictures if picture.kind == "ranks")
    entrant = comparison.task.entrants[0]
    judged = [turn for turn in comparison.task.turns if turn.gold]
    first = [any(id_ in turn.gold for id_, _ in entrant.records[turn.id].passages[:1]) for turn in judged]
    assert f"{entrant.label}: {100 * sum(first) / len(first):.1f} within rank 1," in alt


def test_every_svg_is_fit_for_a_page(drawn, pictures):
    ids: list[str] = []
    for picture in pictures:
        svg = drawn[picture.name]
        assert len(svg.encode()) < 60_000, picture.name
        root = ElementTree.fromstring(svg)
        own = [element.get("id") for element in root.iter() if element.get("id")]
        assert all(name.startswith(f"{picture.name}-") for name in own)
        ids += own
        used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg)) | set(root.get("aria-labelledby").split())
        assert used == set(own)
        assert root.get("role") == "img"
        described = {element.get("id"): element.text for element in root if element.tag.endswith(("title", "desc"))}
        assert described == {f"{picture.name}-title": picture.title, f"{picture.name}-desc": picture.alt}
        assert not re.search(r"<(style|script|image|metadata|foreignObject)|\son\w+=|DejaVu|<!|<\?|javascript:", svg)
        assert set(re.findall(r"\w+://[^\s\"']+", svg)) == {"http://www.w3.org/2000/svg"}
    assert len(ids) == len(set(ids))


def test_colours_on_a_page_are_the_pages(drawn):
    for name, svg in drawn.items():
        assert "currentColor" in svg
        assert "var(--series-1, #0072b2)" in svg, name
        assert not set(re.findall(r"#[0-9a-f]{6}\b", svg)) - set(LIGHT.series), name
    assert series_css(DARK).startswith(f"--series-1: {DARK.series[0]}; --series-2:")
    assert len(PAGE_COLOURS) == len(LIGHT.series) + 2 == len(set(PAGE.series)) + 2


def luminance(colour: str) -> float:
    """Of WCAG 2."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4 for channel in channels]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_marks_can_be_seen(theme):
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast(theme.ink, theme.paper) > 12
    assert all(contrast(colour, theme.paper) >= 3 for colour in theme.series)
    assert len(set(theme.series)) == len(LIGHT.series)


def test_colours_without_a_style_sheet_can_be_seen_in_both_modes():
    assert all(contrast(colour, paper) >= 3 for colour in LIGHT.series for paper in (LIGHT.paper, DARK.paper))


def test_the_same_picture_gives_the_same_bytes(pictures, drawn, tmp_path):
    some = [next(picture for picture in pictures if picture.kind == kind) for kind in ("forest", "mosaic", "cost")]
    assert all(inline_svg(picture) == drawn[picture.name] for picture in some)
    once, again = save_pictures(some, tmp_path / "once"), save_pictures(some, tmp_path / "again")
    assert [path.name for path in once][:4] == [f"{some[0].name}{end}" for end in (".svg", ".pdf", ".png", "-dark.png")]
    assert sorted(tmp_path.glob("once/*")) == sorted(once)
    for one, other in zip(once, again, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_files_for_papers(pictures, tmp_path):
    from matplotlib.image import imread

    picture = next(picture for picture in pictures if picture.kind == "forest")
    svg, pdf, png, dark = save_pictures([picture], tmp_path)
    root = ElementTree.fromstring(svg.read_text(encoding="utf-8"))
    assert root.get("width").endswith("pt")
    assert LIGHT.paper in svg.read_text(encoding="utf-8")
    assert b"CreationDate" not in pdf.read_bytes()
    assert b"/Type3" not in pdf.read_bytes()
    light, night = imread(png), imread(dark)
    assert light.shape[1] == 7 * 300 == night.shape[1]
    assert light[0, 0, :3] == pytest.approx([1, 1, 1])
    assert night[0, 0, :3] == pytest.approx([int(DARK.paper[place : place + 2], 16) / 255 for place in (1, 3, 5)], abs=0.01)


def renamed(comparison: TaskComparison, names: dict[str, str]) -> TaskComparison:
    """The same comparison of entrants that are called otherwise."""
    task = replace(comparison.task, entrants=tuple(replace(entrant, label=names[entrant.label]) for entrant in comparison.task.entrants))
    measured = tuple(
        replace(
            one,
            systems={names[label]: value for label, value in one.systems.items()},
            contrasts=tuple(replace(pair, first=names[pair.first], second=names[pair.second]) for pair in one.contrasts),
        )
        for one in comparison.measured
    )
    outcomes = tuple(replace(outcome, label=names[outcome.label]) for outcome in comparison.consistency.outcomes)
    slices = tuple(
        replace(
            table,
            rows=tuple(
                replace(row, systems={key: {names[label]: value for label, value in row.systems[key].items()} for key in row.systems})
                for row in table.rows
            ),
        )
        for table in comparison.slices
    )
    consistency = replace(comparison.consistency, outcomes=outcomes)
    return replace(comparison, task=task, measured=measured, slices=slices, consistency=consistency)


def test_names_are_drawn_as_they_are(comparison, tmp_path):
    labels = [entrant.label for entrant in comparison.task.entrants]
    names = dict(zip(labels, (*HOSTILE, "plain"), strict=True))
    hostile = renamed(comparison, names)
    with no_complaints():
        pictures = figures_of(hostile)
        svgs = {picture.kind: inline_svg(picture) for picture in pictures}
        save_pictures([picture for picture in pictures if picture.kind == "ranks"], tmp_path)
    for svg in svgs.values():
        ElementTree.fromstring(svg)
        assert "<script" not in svg
        assert "\u202e" not in svg
    ranks = texts(svgs["ranks"])
    assert "<script>alert('x')</script>" in ranks
    assert "_under $x^2$ \\frac{1}{2} 100 %" in ranks
    assert "שלום \"quoted\" & 'single'" in ranks
    assert "東京 😀 ��[31m� end" in ranks
    assert not re.search(r"x{30}", ranks)
    assert "…xxx" in ranks


def test_long_names_stay_apart():
    labels = [f"{'a' * 60}{middle}{'b' * 60}" for middle in "xyz"]
    names = names_of(labels)
    assert len(set(names.values())) == 3
    assert all(len(name) <= 44 for name in names.values())
    assert plain("two\nlines\t and\u2028more") == "two lines and more"


def test_a_baseline_is_what_all_are_compared_with(runs):
    pictures = {picture.name: picture for picture in figures_of(compared(plain_runs(runs), baseline="bm25-query"))}
    alt = pictures["topiocqa-mini-forest-nDCG-3"].alt
    assert alt.count(" minus bm25-query: ") == 3 == alt.count(" minus ")
    assert pictures["topiocqa-mini-scatter-nDCG-3"].title.startswith("nDCG@3 turn by turn: bm25-query and bm25-rewrite")


def test_of_many_pairs_some_are_chosen(runs):
    picture = next(picture for picture in figures_of(compared(run_folders_in(runs / "history"))) if picture.kind == "forest")
    pairs, rest = picture.alt.count(" minus "), int(re.search(r"Of (\d+) pairs", picture.caption)[1])
    assert (pairs, rest) == (11, 21)  # 6 of the best with each, 5 more of neighbours


def test_few_systems_share_a_panel(runs):
    two = compared([path for path in plain_runs(runs) if path.name in ("bm25-query", "bm25-rewrite")])
    picture = next(picture for picture in figures_of(two) if picture.kind == "depth")
    assert len(picture.draw(LIGHT).axes) == 1
    assert texts(inline_svg(picture)).count("bm25-rewrite") == 1


def test_depths_are_those_of_the_turns(comparison):
    picture = next(picture for picture in figures_of(comparison) if picture.kind == "depth")
    first = sum(turn.number == 1 for turn in comparison.task.turns)
    assert f"Turns at each depth: 1: {first}, 2:" in picture.alt


def test_pictures_without_data_are_left_out(comparison, runs):
    nothing = replace(comparison, measured=(), slices=(), consistency=replace(comparison.consistency, outcomes=(), evidence=(), history=()))
    assert {picture.kind for picture in figures_of(nothing)} == {"ranks", "scatter"}
    alone = compared([path for path in plain_runs(runs) if path.name in ("bm25-query", "oracle")])
    assert not {"forest", "cost", "scatter"} & {picture.kind for picture in figures_of(alone)}


def test_a_replayed_run_has_no_costs(comparison, monkeypatch):
    before = next(picture.alt for picture in figures_of(comparison) if picture.kind == "cost")
    monkeypatch.setitem(comparison.task.entrants[0].run.results.system, "kind", "replay")
    after = next(picture.alt for picture in figures_of(comparison) if picture.kind == "cost")
    label = comparison.task.entrants[0].label
    assert f"{label}: " in before
    assert f"{label}: " not in after


def test_many_values_are_counted_in_squares(comparison):
    task, measure = comparison.task, comparison.task.primary("ranking")
    chance = np.random.default_rng(7)
    values = np.tile(task.values[measure.key], (60, 1))
    values += chance.random(values.shape) / 10
    many = replace(comparison, task=replace(task, values={**task.values, measure.key: values}))
    picture = next(scatter_pictures(many))
    assert "have about these two values" in picture.caption
    assert len(inline_svg(picture)) < 60_000


def test_the_users_matplotlib_is_left_alone(pictures):
    import matplotlib

    picture = next(picture for picture in pictures if picture.kind == "scatter")
    before = dict(matplotlib.rcParams)
    expected = inline_svg(picture)
    assert dict(matplotlib.rcParams) == before
    with matplotlib.rc_context({"font.size": 30, "axes.grid": True, "svg.fonttype": "path", "lines.linewidth": 9}):
        assert inline_svg(picture) == expected


def test_matplotlib_is_imported_to_draw_and_pyplot_never():
    program = """
import sys
from convbench.report.figures import Picture, inline_svg
from convbench.report.figures.canvas import new_figure
assert not [name for name in sys.modules if name.startswith("matplotlib")]
inline_svg(Picture("n", "depth", "t", "c", "a", lambda theme: new_figure(2, 2)))
assert "matplotlib" in sys.modules
assert "matplotlib.pyplot" not in sys.modules
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
