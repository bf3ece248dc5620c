"""The comparison's page in a browser, over texts that try to break it: tables, turns, copying, themes, links, and what nobody may do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from browsing import Opened, sort, values
from hostile import CONVERSATIONS, LABEL, TEXTS, TURNS, text_of

from convbench.report.figures.themes import LIGHT

if TYPE_CHECKING:
    from conftest import Open
    from playwright.sync_api import Locator

ALL = CONVERSATIONS * TURNS
FIRST_TURN = '<i>&"q":0_1'


@pytest.fixture
def report(open_page: Open, hostile_page: Path) -> Opened:
    return open_page(hostile_page)


def shown_words(dialog: Locator) -> list[str]:
    return dialog.locator("mark").all_inner_texts()


# ---- tables


def test_a_table_sorts_by_value_both_ways(report):
    table = report.table("-results")
    for _ in range(2):
        direction = sort(table, "nDCG@3")
        assert len(values(table, 1)) == 3
        assert values(table, 1) == sorted(values(table, 1), reverse=direction == "descending")


def test_a_table_filters_its_rows_and_says_so(report):
    table = report.table("-results")
    assert table.locator("tbody tr").count() == 3
    table.get_by_label("Filter rows").fill("alpha")
    assert table.locator("tbody tr").count() == 1
    assert table.locator(".shown").inner_text() == "1 of 3 rows"
    table.get_by_label("Filter rows").fill("span")  # no row holds that word; the markup of intervals does
    assert table.locator("tbody td").all_inner_texts() == ["No row holds these words."]


@pytest.mark.parametrize(("name", "sign"), [("LaTeX", "\\toprule"), ("Markdown", "| ---"), ("CSV", ",")])
@pytest.mark.parametrize("clipboard", [True, False], ids=["clipboard", "no clipboard"])
def test_a_table_is_copied(open_page, hostile_page, name, sign, clipboard):
    report = open_page(hostile_page, permissions=["clipboard-read", "clipboard-write"] if clipboard else [])
    if not clipboard:
        report.page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('not here')) }")
        report.page.evaluate("() => document.addEventListener('copy', () => { window.copied = document.activeElement.value })")
    button = report.table("-results").get_by_role("button", name=name)
    button.click()
    report.page.wait_for_selector("#announcer.visible")
    assert report.page.locator("#announcer").inner_text() == f"Copied as {name}"
    text = report.page.evaluate("navigator.clipboard.readText()" if clipboard else "window.copied")
    assert sign in text
    assert "alpha" in text
    assert button.evaluate("button => button === document.activeElement")


def test_folded_sections_open_when_linked(open_page, hostile_page):
    report = open_page(hostile_page, fragment="#hostile-all-all-measures")
    folded = report.page.locator("details.part").first
    report.page.locator(f"nav a[href='#{folded.get_attribute('id')}']").click()
    assert folded.get_attribute("open") is not None


# ---- the list of turns


def test_the_list_shows_every_turn_fifty_at_a_time(report):
    assert report.page.locator("#turns-count").inner_text() == f"All {ALL} turns."
    assert len(report.listed()) == 50
    report.page.get_by_role("button", name="Next 50").click()
    assert len(report.listed()) == ALL - 50
    assert report.page.locator("#turns-page").inner_text() == f"51–{ALL} of {ALL}"
    assert report.page.get_by_role("button", name="Next 50").is_disabled()


@pytest.mark.parametrize(
    ("words", "found"), [("QUESTION 47 ", 1), ("clever 47", 1), ("c5_2", 1), ("no such words", 0), ("<script>", None), ("שלום", None)]
)
def test_search_looks_into_queries_responses_and_ids(report, words, found):
    report.page.get_by_label("Search in").fill(words)
    report.page.locator("#turns-count", has_not_text="All ").wait_for()
    listed = report.listed()
    assert len(listed) == found if found is not None else 0 < len(listed) < ALL


@pytest.mark.parametrize(("outcome", "found"), [("A better", f"All {ALL}"), ("B better", f"None of {ALL}"), ("Tied", f"None of {ALL}")])
def test_outcomes_split_the_turns(report, outcome, found):
    report.choose("outcome", outcome)
    assert report.page.locator("#turns-count").inner_text().startswith(f"{found} turns.")


def test_outcomes_change_sides_with_the_systems(report):
    report.choose("first", "beta")
    report.choose("second", "alpha")
    report.choose("outcome", "B better")
    assert report.page.locator("#turns-count").inner_text() == f"All {ALL} turns."
    assert all(row[4].startswith("-") for row in report.listed())
    report.choose("second", LABEL)
    report.choose("outcome", "Tied")
    assert {row[4] for row in report.listed()} == {"0.0"}
    assert len(report.listed()) == ALL // 3, "beta has nothing among the first three there, as gamma everywhere"


def test_flipped_turns_are_right_in_one_system_and_wrong_in_the_other(report):
    outcome = next(text for text in report.page.locator("[name=outcome] option").all_inner_texts() if text.startswith("A right, B wrong"))
    report.choose("outcome", outcome)
    listed = report.listed()
    assert len(listed) == ALL // 3, "every third turn has beta's gold at rank 7"
    assert {(row[2], row[3]) for row in listed} == {("100.0", "0.0")}


def test_the_largest_difference_comes_first(report):
    report.choose("order", "Largest difference first")
    differences = [abs(float(row[4])) for row in report.listed()]
    assert differences == sorted(differences, reverse=True)
    assert differences[0] > differences[-1]


def test_slices_choose_turns_and_count_them(report):
    report.choose("slicing", "Answerable")
    options = report.page.locator("[name=slice] option").all_inner_texts()
    assert f"yes ({ALL // 2})" in options
    report.choose("slice", f"yes ({ALL // 2})")
    assert report.page.locator("#turns-count").inner_text() == f"{ALL // 2} of {ALL} turns."
    assert all(int(re.search(r"question (\d+)", row[1])[1]) % 2 for row in report.listed())


# ---- one turn


def test_a_turn_shows_conversation_rankings_responses_and_measures(report):
    dialog = report.open_turn(2)
    text = dialog.inner_text()
    assert [f"question {number} {text_of(number)}" in text for number in range(3)] == [True] * 3
    assert f"the tower was built by 1 people {text_of(3)}" in text, "an earlier response"
    assert f"rewritten 2 {text_of(5)}" in text
    sides = dialog.get_by_role("group")
    first, second = sides.filter(has_text="Passage").all()
    assert first.locator("li.gold .rank").inner_text() == "1"
    assert first.locator("li.gold .badge.gold").inner_text() == "★ gold"
    assert second.locator("li.gold .rank").inner_text() == "2"
    assert first.locator("ol.ranking > li").count() == 5
    assert dialog.get_by_role("row").filter(has_text="nDCG@3").first.locator("td").all_inner_texts() == ["100.0", "63.1", "+36.9"]


def test_gold_further_down_is_named_with_its_rank(report):
    dialog = report.open_turn(0)
    assert dialog.locator(".deeper").inner_text() == "Gold p0 at rank 7"
    dialog.get_by_label("System B").select_option(label=LABEL)
    assert dialog.locator(".deeper").inner_text() == "Gold p0 not among the 8 retrieved"


def test_words_that_differ_are_marked(report):
    dialog = report.open_turn(4)  # its hostile addition is the same in all responses
    assert shown_words(dialog) == ["tower", "clever", "bridge"]
    dialog.get_by_label("Underline words").select_option(label="the reference response")
    assert shown_words(dialog)[0] == "clever"
    assert "bridge" in shown_words(dialog)
    assert "tower" not in shown_words(dialog)
    dialog.get_by_label("Underline words").select_option(label="nothing")
    assert shown_words(dialog) == []


def test_keys_step_and_close(report):
    dialog = report.open_turn(0)
    assert dialog.get_by_role("button", name="Previous").is_disabled()
    for key, title in (("j", "0_2"), ("ArrowRight", "0_3"), ("k", "0_2"), ("ArrowLeft", "0_1")):
        report.page.keyboard.press(key)
        dialog.locator("h2", has_text=title).wait_for()
    dialog.get_by_role("button", name="Next").click()
    dialog.locator("h2", has_text="0_2").wait_for()
    report.page.keyboard.press("Escape")
    assert report.page.locator("dialog[open]").count() == 0
    assert report.page.evaluate("document.activeElement.textContent").endswith("0_2"), "focus goes back to the list"
    assert report.page.evaluate("location.hash") == "#turns"


def test_steps_follow_the_list_as_it_is_filtered(report):
    report.choose("slicing", "Answerable")
    report.choose("slice", f"no ({ALL // 2})")
    dialog = report.open_turn(0)
    report.page.keyboard.press("j")
    dialog.locator("h2", has_text="0_3").wait_for()


def test_a_turn_has_an_address(open_page, hostile_page, report):
    report.open_turn(0)
    address = report.page.evaluate("location.hash")
    assert address == f"#turn=hostile-all:{quote(FIRST_TURN, safe='')}"
    again = open_page(hostile_page, fragment=address)
    assert FIRST_TURN in again.dialog().locator("h2").inner_text()
    again.page.go_back()
    lost = open_page(hostile_page, fragment="#turn=hostile-all:nothing_9")
    assert lost.page.locator("dialog[open]").count() == 0
    assert "There is no turn nothing_9" in lost.page.locator("#announcer").inner_text()


# ---- themes, sizes, paper


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_follows_the_system_or_the_button(open_page, hostile_page, scheme):
    report = open_page(hostile_page, color_scheme=scheme)
    paper = "getComputedStyle(document.body).backgroundColor"
    light, dark = "rgb(255, 255, 255)", "rgb(21, 23, 27)"
    button = report.page.locator("#theme")
    assert report.page.evaluate(paper) == {"light": light, "dark": dark}[scheme]
    button.click()
    assert (button.inner_text(), report.page.evaluate(paper)) == ("Theme: light", light)
    button.click()
    assert (button.inner_text(), report.page.evaluate(paper)) == ("Theme: dark", dark)
    report.page.reload()
    assert report.page.evaluate(paper) == dark, "the choice is kept"
    button.click()
    assert (button.inner_text(), report.page.evaluate(paper)) == ("Theme: auto", {"light": light, "dark": dark}[scheme])


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_sticks_out(open_page, hostile_page, width):
    report = open_page(hostile_page, viewport={"width": width, "height": 800})
    report.page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert report.page.evaluate("document.documentElement.scrollWidth") <= width
    dialog = report.open_turn(1)
    assert dialog.evaluate("dialog => dialog.scrollWidth <= dialog.clientWidth")


def test_paper_is_light_and_has_no_controls(report):
    for _ in range(2):  # dark by hand
        report.page.locator("#theme").click()
    report.table("-results")
    report.page.emulate_media(media="print")
    assert report.page.locator("[data-table$='-results'] table").is_visible()
    assert report.page.locator("figure svg").first.is_visible()
    assert report.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert report.page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--series-1')").strip() == LIGHT.series[0]
    for hidden in (".bar", ".tools", "#turns", "#theme"):
        assert not report.page.locator(hidden).first.is_visible()


def test_paper_shrinks_only_tables_that_are_too_wide(report):
    narrow, wide = report.page.locator("[data-table] table").all()[:2]
    wide.evaluate("table => table.style.width = '3000px'")
    report.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert 0.4 < float(wide.evaluate("table => table.style.zoom")) < 0.5
    assert narrow.evaluate("table => table.style.zoom") == ""
    assert report.page.locator("details.part:not([open])").count() == 0
    report.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert wide.evaluate("table => table.style.zoom") == ""
    assert report.page.locator("details.part[open]").count() == 0


def test_without_scripts_tables_and_pictures_stand(open_page, hostile_page, chromium):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(hostile_page.as_uri())
    assert page.locator("[data-table$='-results'] tbody tr").count() == 3
    assert page.locator("figure svg").first.is_visible()
    assert not page.locator("#theme").is_visible()
    assert page.get_by_text("this browser runs none").is_visible()
    context.close()


def test_a_browser_that_cannot_unpack_says_so(chromium, hostile_page):
    context = chromium.new_context()
    context.add_init_script("delete globalThis.DecompressionStream")
    page = context.new_page()
    page.goto(hostile_page.as_uri())
    page.wait_for_selector("html[data-ready=yes]")
    assert "cannot unpack" in page.locator("#turns-problem").inner_text()
    assert not page.locator("#turns-choices").is_visible()
    context.close()


# ---- what nobody may do


def test_hostile_texts_are_only_texts(report):
    page = report.page
    for ending in page.locator("[data-table]").evaluate_all("tables => tables.map(table => table.dataset.table)")[:4]:
        page.locator(f"[data-table='{ending}']").scroll_into_view_if_needed()
    assert LABEL in report.table("-results").locator("tbody").inner_text()
    for number in range(len(TEXTS)):
        dialog = report.open_turn(number)
        assert f"question {number} {text_of(number)}".split() == dialog.locator(".now").inner_text().split()
        dialog.get_by_label("System B").select_option(label=LABEL)
        assert " ".join(text_of(number + 4).split()) in " ".join(dialog.locator(".response").first.inner_text().split())
        page.keyboard.press("Escape")
    assert page.evaluate("window.broken") is None
    assert page.locator("main img, dialog img").count() == 0
    assert page.locator("script:not([type='text/plain'])").count() == 2


def test_texts_run_in_their_own_direction(report):
    directions = {}
    for conversation in (3, 4):  # their topics are Latin and Hebrew
        dialog = report.open_turn(TURNS * conversation)
        topic = dialog.locator(".facts dd").first
        assert topic.inner_text() == text_of(conversation)
        directions[conversation] = topic.evaluate("text => getComputedStyle(text).direction")
        assert dialog.locator(".now, .response, .snippet").evaluate_all("texts => texts.every(text => text.dir === 'auto')")
        report.page.keyboard.press("Escape")
    assert directions == {3: "ltr", 4: "rtl"}


def test_the_policy_lets_no_other_script_run(report):
    report.page.evaluate("const s = document.createElement('script'); s.textContent = 'window.broken = 1'; document.body.append(s)")
    assert report.page.evaluate("window.broken") is None
    assert any("Content Security Policy" in complaint for complaint in report.complaints)
    report.complaints.clear()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_serious(open_page, hostile_page, axe, scheme, width):
    report = open_page(hostile_page, color_scheme=scheme, viewport={"width": width, "height": 900})
    report.page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    report.table("-results")
    report.page.evaluate(axe)
    assert violations(report) == []
    report.open_turn(1)
    assert violations(report) == []


def violations(report: Opened) -> list[str]:
    found = report.page.evaluate("axe.run()")["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found if one["impact"] in ("serious", "critical")]
