"""A report opened in a browser, with what the browser complains of and asks for written down."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page


def sort(table: Locator, measure: str) -> str:
    """Asks for the other order of a table by a column and waits for it; returns the direction."""
    heading = table.locator("thead tr").last.locator("th", has_text=measure)
    before = heading.get_attribute("aria-sort")
    heading.locator("[role=button]").press("Enter")
    table.page.wait_for_function(  # rows are put in order a moment later
        "([heading, before]) => heading.getAttribute('aria-sort') !== before", arg=[heading.element_handle(), before]
    )
    return heading.get_attribute("aria-sort") or ""


def values(table: Locator, place: int) -> list[float]:
    """What a column is sorted by, in the order shown."""
    shown = table.locator("tbody tr").evaluate_all("(rows, place) => rows.map(row => row.cells[place].dataset.order)", place)
    return [float(value) for value in shown]


@dataclass
class Opened:
    """An open report."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    def table(self, ending: str) -> Locator:
        """The table whose id ends so, brought into sight and made sortable."""
        holder = self.page.locator(f"[data-table$='{ending}']").first
        holder.scroll_into_view_if_needed()
        self.page.wait_for_selector(f"[data-table$='{ending}'].sorts")
        return holder

    def choose(self, name: str, label: str) -> None:
        """An option of the turn browser's form."""
        self.page.locator(f"#turns-choices [name={name}]").select_option(label=label)

    def listed(self) -> list[list[str]]:
        """The cells of the list of turns."""
        return self.page.locator("#turns-list tbody tr").evaluate_all(
            "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
        )

    def open_turn(self, number: int) -> Locator:
        """Opens a turn of the list, counted from 0."""
        self.page.locator("#turns-list tbody a").nth(number).click()
        return self.dialog()

    def dialog(self) -> Locator:
        dialog = self.page.locator("dialog[open]")
        dialog.locator("h2").wait_for()
        return dialog


def opened(browser: Browser, path: Path, fragment: str = "", settings: dict[str, Any] | None = None) -> Opened:
    """Opens a file and waits until the list of turns is there."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | (settings or {}))
    page = context.new_page()
    found = Opened(page)
    page.on("console", lambda message: found.complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: found.complaints.append(f"error: {error}"))
    page.on(
        "request", lambda request: found.outside.append(request.url) if not request.url.startswith(("file:", "data:", "blob:")) else None
    )
    page.goto(f"{path.resolve().as_uri()}{fragment}")
    page.wait_for_selector("html[data-ready=yes]")
    return found
