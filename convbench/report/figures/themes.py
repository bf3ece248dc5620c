"""Colours: one set for light paper, one for dark, and one that the page's own style decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Theme:
    """What is drawn in which colour, as ``#rrggbb``.

    Attributes:
        name: ``light``, ``dark`` or ``page``.
        ink: Text, axes and what does not compete.
        paper: The background.
        series: Of systems, in order; neighbours differ for colour-blind readers too. Marks, lines and hatches differ besides.
    """

    name: str
    ink: str
    paper: str
    series: tuple[str, ...]


LIGHT = Theme(
    "light", "#1b1c1f", "#ffffff", ("#0072b2", "#d55e00", "#00855f", "#b5528c", "#9a6b00", "#3d8fc4", "#7466c0", "#6f7784")
)  # from Okabe and Ito (2008), darkened: each is visible on the dark page too, should that not say its own colours
DARK = Theme("dark", "#e4e6ea", "#15171b", ("#56b4e9", "#f0762b", "#1fb58f", "#df93bd", "#e6a817", "#8fd0f7", "#a797ec", "#b4bac4"))
PAGE = Theme("page", "#000001", "#000002", tuple(f"#0000{10 + place}" for place in range(len(LIGHT.series))))
"""Stand-ins, which ``svg.inline_svg`` replaces by ``PAGE_COLOURS``; nothing else is drawn in them."""

PAGE_COLOURS: Mapping[str, str] = {PAGE.ink: "currentColor", PAGE.paper: "var(--paper, Canvas)"} | {
    stand_in: f"var(--series-{number}, {colour})"
    for number, (stand_in, colour) in enumerate(zip(PAGE.series, LIGHT.series, strict=True), start=1)
}


def series_css(theme: Theme) -> str:
    """The custom properties that give pictures on a page the series colours of a theme: declarations for ``:root``."""
    return " ".join(f"--series-{number}: {colour};" for number, colour in enumerate(theme.series, start=1))
