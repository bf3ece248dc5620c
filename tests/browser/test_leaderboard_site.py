"""The leaderboards' site in a browser: sorting, filters, columns, ways through it, without scripts, served, and with hostile texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from boards import write_hostile, write_root, write_submission

from convbench.leaderboard.build import build
from convbench.leaderboard.serve import site_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    Visit = Callable[..., Page]

TRACK = "track/harbour-sample.html"
COMPETING = ["Anchor 7B", "Buoy (rewriter + dense)", "Capstan", "Dredge BM25"]


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_root(tmp_path_factory.mktemp("site") / "boards")
    build(root)
    return root


@pytest.fixture(scope="module")
def hostile_boards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_hostile(tmp_path_factory.mktemp("hostile-site") / "boards")
    build(root)
    return root


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Visit]:
    """Opens an address; at the end the pages must have said nothing on the console and asked for nothing beyond the site."""
    contexts, complaints, strangers = [], [], []

    def visit_(address: str, **settings: Any) -> Page:
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}} | settings)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        origin = urlsplit(address)
        page.on("request", lambda request: strangers.append(request.url) if foreign(request.url, origin) else None)
        page.goto(address)
        return page

    yield visit_
    for context in contexts:
        context.close()
    assert complaints == []
    assert strangers == []


def foreign(address: str, origin: Any) -> bool:
    parts = urlsplit(address)
    return parts.scheme != "data" and (parts.scheme, parts.netloc) != (origin.scheme, origin.netloc)


def at(root: Path, page: str = TRACK) -> str:
    return (root / "site" / page).resolve().as_uri()


def names(page: Page, side: str = "retrieval") -> list[str]:
    """The systems that are seen, in order."""
    shown = page.locator(f"#{side}-table tbody tr:visible th[scope=row] > a:not(.badge)")
    return shown.all_inner_texts()


def column(page: Page, label: str, side: str = "retrieval") -> Any:
    return page.locator(f"#{side}-table thead th").filter(has=page.get_by_role("button", name=label, exact=True))


def press(page: Page, label: str, side: str = "retrieval") -> str:
    column(page, label, side).get_by_role("button").press("Enter")
    return str(column(page, label, side).get_attribute("aria-sort"))


def form(page: Page, side: str = "retrieval") -> Any:
    return page.locator(f"form[data-controls='{side}-table']")


# ---- sorting


def test_a_table_sorts_both_ways_and_says_so(visit, boards):
    page = visit(at(boards))
    assert press(page, "R@10") == "descending"
    assert names(page) == ["Buoy (rewriter + dense)", "Anchor 7B", "Capstan", "Dredge BM25", "Oracle"]
    assert press(page, "R@10") == "ascending"
    assert names(page) == ["Dredge BM25", "Capstan", "Anchor 7B", "Buoy (rewriter + dense)", "Oracle"]
    assert press(page, "System") == "ascending"
    assert page.locator("#retrieval-table [aria-sort]").count() == 1
    assert names(page) == [*COMPETING, "Oracle"]


def test_what_has_no_value_stands_last_both_ways(visit, boards):
    page = visit(at(boards))
    for direction, expected in (("ascending", ["Dredge BM25", "Buoy (rewriter + dense)", "Anchor 7B"]), ("descending", None)):
        assert press(page, "Parameters") == direction
        assert names(page)[3] == "Capstan"
        assert names(page)[:3] == (expected or ["Anchor 7B", "Buoy (rewriter + dense)", "Dredge BM25"])


def test_sorting_never_mixes_what_competes_with_what_does_not(visit, boards):
    page = visit(at(boards))
    form(page).get_by_label("trained on test conversations").check()
    for label in ("nDCG@3", "nDCG@3", "Submitted", "System"):
        press(page, label)
        assert names(page)[4:] == ["Eddy 3B", "Oracle"]


def test_slices_sort_by_their_own_values(visit, boards):
    page = visit(at(boards))
    form(page).get_by_label("Slices").check()
    heading = page.locator("#retrieval-table thead th", has_text="shift")
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    place = page.locator("#retrieval-table tbody.competing tr").evaluate_all(
        "rows => rows.map(row => row.cells[row.cells.length - 1].dataset.order)"
    )
    assert place == ["0.352", "0.336", "0.291", "0.164"]


def test_reported_rows_sort_in_their_own_table(visit, boards):
    page = visit(at(boards, "dataset/harbour.html"))
    table = page.locator(".reported table").first
    table.get_by_role("button", name="nDCG@3").click()
    table.get_by_role("button", name="nDCG@3").click()
    assert table.locator("tbody th").all_inner_texts() == ["Tug", "Pilot"]


# ---- filters and columns


def test_what_was_trained_on_the_test_set_is_out_of_sight_until_asked_for(visit, boards):
    page = visit(at(boards))
    assert names(page) == [*COMPETING, "Oracle"]
    count = form(page).locator(".count")
    assert count.inner_text() == "5 of 6 systems; 1 trained on test conversations not shown"
    form(page).get_by_label("Show 1 trained on test conversations").check()
    assert names(page) == [*COMPETING, "Eddy 3B", "Oracle"]
    assert page.locator("tr", has_text="Eddy 3B").locator(".badge").first.inner_text() == "trained on test conversations"
    assert count.inner_text() == "6 of 6 systems"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("kind", "rewriter", ["Capstan"]),
        ("size", "Up to 100 M", []),
        ("size", "100 M to 1 B", ["Buoy (rewriter + dense)"]),
        ("size", "No parameters", ["Dredge BM25", "Oracle"]),
        ("size", "Unknown", ["Capstan"]),
        ("overlap", "unknown", ["Capstan"]),
        ("overlap", "yes", ["Eddy 3B"]),
        ("level", "reproduced", ["Buoy (rewriter + dense)", "Dredge BM25"]),
    ],
)
def test_each_filter_keeps_what_it_names(visit, boards, name, value, expected):
    page = visit(at(boards))
    form(page).locator(f"[name={name}]").select_option(label=value)
    assert names(page) == expected
    assert names(page, "response") == ["Anchor 7B", "Buoy (rewriter + dense)", "Capstan", "Oracle"], "each side has filters of its own"
    assert form(page).locator(".count").inner_text().startswith(f"{len(expected)} of 6 systems")


def test_filters_hold_while_sorting(visit, boards):
    page = visit(at(boards))
    form(page).locator("[name=level]").select_option("reproduced")
    press(page, "nDCG@3")
    press(page, "nDCG@3")
    assert names(page) == ["Dredge BM25", "Buoy (rewriter + dense)"]


def test_columns_are_shown_and_hidden_in_groups(visit, boards):
    page = visit(at(boards))
    for name, default, css in (("Slices", False, "slices"), ("Cost", True, "cost"), ("System", True, "system")):
        cells = page.locator(f"#retrieval-table tbody .g-{css}")
        assert cells.first.is_visible() == default
        form(page).get_by_label(name, exact=True).set_checked(not default)
        assert cells.first.is_visible() != default


# ---- ways through the site


def test_one_gets_from_the_first_page_to_a_submission_and_back(visit, boards):
    page = visit(at(boards, "index.html"))
    page.get_by_role("link", name="Harbour talks, sample").click()
    page.locator("#retrieval-table").get_by_role("link", name="Anchor 7B").click()
    assert page.locator("h1").inner_text() == "Anchor 7B"
    assert page.locator("svg.chart").first.is_visible()
    assert page.get_by_role("link", name="paper").get_attribute("rel") == "nofollow noopener"
    page.get_by_role("navigation").get_by_role("link", name="harbour", exact=True).click()
    assert page.locator("h1").inner_text() == "harbour"
    page.get_by_role("link", name="Leaderboards").click()
    assert page.locator("h1").inner_text() == "Conversational search leaderboards"


def test_a_flag_leads_to_the_finding(visit, boards):
    page = visit(at(boards))
    page.get_by_role("link", name="1 flag").first.click()
    assert page.url.endswith("buoy.html#findings")
    assert page.get_by_text("claimed 0.420, measured 0.396").is_visible()


def test_what_papers_report_stands_in_a_frame_of_its_own(visit, boards):
    page = visit(at(boards, "track/harbour.html"))
    frame = page.locator("section.reported")
    assert frame.evaluate("frame => getComputedStyle(frame).borderStyle") == "dashed"
    assert page.get_by_text("Pilot").count() == frame.get_by_text("Pilot").count() == 2


def test_the_site_works_from_the_local_server(visit, boards):
    with site_server(boards) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        page = visit(f"http://127.0.0.1:{server.server_address[1]}/{TRACK}")
        assert press(page, "R@10") == "descending"
        assert names(page)[0] == "Buoy (rewriter + dense)"
        page.get_by_role("link", name="Leaderboards").click()
        assert page.locator("h1").inner_text() == "Conversational search leaderboards"
        page.wait_for_load_state("networkidle")  # what a page asks for after its headline is reset where the server ends first
        server.shutdown()
        thread.join()


# ---- without scripts, on small screens, for everybody


def test_without_scripts_every_row_and_column_is_there_and_marked(visit, boards):
    page = visit(at(boards), java_script_enabled=False)
    assert names(page) == [*COMPETING, "Eddy 3B", "Oracle"]
    assert page.locator("#retrieval-table tbody.contaminated .badge").first.inner_text() == "trained on test conversations"
    assert page.locator("#retrieval-table tbody .g-slices").first.is_visible()
    assert not page.locator("form").first.is_visible()
    assert page.locator("#retrieval-table button").count() == 0
    assert page.locator("svg.chart").first.is_visible()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("path", ["index.html", TRACK, "track/harbour.html", "submission/harbour-sample/buoy.html"])
def test_nothing_sticks_out(visit, boards, path, width):
    page = visit(at(boards, path), viewport={"width": width, "height": 800})
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
@pytest.mark.parametrize(
    "path", ["index.html", TRACK, "dataset/harbour.html", "submission/harbour-sample/anchor.html", "submission/harbour-sample/leak.html"]
)
def test_axe_finds_nothing_serious(visit, boards, axe, path, scheme, width):
    page = visit(at(boards, path), color_scheme=scheme, viewport={"width": width, "height": 900})
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    for switch in page.locator("[name=columns], [name=contaminated]").all():
        switch.check()
    page.evaluate(axe)
    assert violations(page) == []


def test_dark_and_light_follow_the_reader(visit, boards):
    papers = {
        scheme: visit(at(boards), color_scheme=scheme).evaluate("getComputedStyle(document.body).backgroundColor")
        for scheme in ("light", "dark")
    }
    assert papers == {"light": "rgb(255, 255, 255)", "dark": "rgb(21, 23, 27)"}


@pytest.mark.parametrize("width", [1280, 375])
def test_no_name_makes_a_page_wider(visit, tmp_path, width):
    root = write_root(tmp_path / "boards")
    heaps = {
        "enclosed": "x" + "\u20dd" * 180,
        "marked": "x" + "\u0489" * 180,
        "vowels": "\u0995" + "\u09be" * 180,
        "am": "\u0e01" + "\u0e33" * 180,
    }
    for place, (id_, name) in enumerate(heaps.items()):
        write_submission(root, "harbour-sample", id_, {"nDCG@3": 0.99 - 0.01 * place}, card={"name": name, "description": name * 4})
    build(root)
    for path in (TRACK, "index.html", *(f"submission/harbour-sample/{id_}.html" for id_ in heaps)):
        if (root / "site" / path).exists():
            page = visit(at(root, path), viewport={"width": width, "height": 800})
            page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path


# ---- what nobody may do


def test_hostile_texts_are_only_texts(visit, hostile_boards):
    page = visit(at(hostile_boards))
    assert "<script>window.broken = 1</script>" in names(page)
    press(page, "System")
    page.locator("#retrieval-table").get_by_role("link", name="window.broken = 1</script>").click()
    assert page.locator("h1").inner_text() == "<script>window.broken = 1</script>"
    for path in ("index.html", "dataset/harbour.html"):
        page.goto(at(hostile_boards, path))
    assert page.evaluate("window.broken") is None
    assert page.locator("img").count() == 0


def test_the_policy_lets_no_other_script_and_no_request_out(chromium, hostile_boards):
    context = chromium.new_context()
    page = context.new_page()
    stopped: dict[str, str | None] = {}
    page.on("requestfailed", lambda request: stopped.update({request.url: request.failure}))
    page.on("response", lambda response: stopped.update({response.url: "answered"}) if response.url.startswith("https:") else None)
    page.goto(at(hostile_boards))
    page.evaluate("const s = document.createElement('script'); s.textContent = 'window.broken = 1'; document.body.append(s)")
    page.evaluate("const i = new Image(); i.src = 'https://example.org/x.png'; document.body.append(i)")
    assert page.evaluate("fetch('https://example.org/').then(() => 'sent', () => 'stopped')") == "stopped"
    assert page.evaluate("window.broken") is None
    page.wait_for_timeout(200)
    assert set(stopped.values()) == {"csp"}, "stopped by the policy, before any network"
    context.close()


def violations(page: Page) -> list[str]:
    found = page.evaluate("axe.run({preload: false})")["violations"]  # it would ask for the style sheet, which the policy does not allow
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found if one["impact"] in ("serious", "critical")]
