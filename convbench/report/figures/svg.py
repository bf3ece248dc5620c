"""Pictures as SVG: one for a page, which follows its light and dark mode, and one that stands alone."""

from __future__ import annotations

import re
from io import StringIO
from typing import TYPE_CHECKING
from xml.etree import ElementTree as etree

from convbench.report.figures.canvas import house_style
from convbench.report.figures.picture import Picture
from convbench.report.figures.svg_slimming import slimmed
from convbench.report.figures.themes import PAGE, PAGE_COLOURS, Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SVG = "http://www.w3.org/2000/svg"
_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}
_STAND_IN = re.compile("|".join(PAGE_COLOURS))
_LARGER = 1.5
"""How much larger than on paper pictures may get on a page, where text is larger too."""


def inline_svg(picture: Picture) -> str:
    """A picture as one ``<svg>`` element for an HTML page.

    Text and axes have the colour of the text around them, hollow marks are filled with the page's background (``--paper``), systems have
    the colours ``--series-1``, ``--series-2`` and so on (``themes.series_css`` defines them; where nothing does, colours that both modes
    can show). All ids begin with the picture's name; nothing is loaded from elsewhere. The same picture gives the same bytes.
    """
    root = _described(picture, picture.draw(PAGE), PAGE)
    width = float(root.attrib.pop("width"))
    del root.attrib["height"]
    root.set("width", "100%")
    root.set("style", f"display:block;max-width:{_LARGER * width / 72:.2f}in;height:auto;font-family:inherit")
    root.remove(root[2])  # the background: the page has its own
    return _STAND_IN.sub(lambda match: PAGE_COLOURS[match[0]], etree.tostring(root, encoding="unicode"))


def standalone_svg(picture: Picture, figure: Figure, theme: Theme) -> str:
    """A picture as an SVG file with a background and colours of its own. Its text stays text, in the reader's fonts.

    Args:
        picture: The picture.
        figure: The same, drawn.
        theme: In which colours.
    """
    root = _described(picture, figure, theme)
    for side in ("width", "height"):
        root.set(side, f"{root.get(side)}pt")
    root.set("style", "font-family:'DejaVu Sans',Verdana,Arial,sans-serif")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{etree.tostring(root, encoding="unicode")}\n'


def _described(picture: Picture, figure: Figure, theme: Theme) -> etree.Element:
    """What matplotlib draws, less what is not needed: title, description, background, then the rest."""
    written = StringIO()
    with house_style(theme):
        figure.savefig(written, format="svg", metadata=_NO_METADATA)
    drawn = etree.fromstring(written.getvalue())  # noqa: S314
    words = {"title": picture.title, "desc": picture.alt}
    box = drawn.get("viewBox", "")
    _, _, width, height = box.split()
    root = etree.Element(
        "svg",
        {
            "xmlns": _SVG,
            "viewBox": box,
            "width": width,
            "height": height,
            "role": "img",
            "aria-labelledby": " ".join(f"{picture.name}-{kind}" for kind in words),
            "stroke-linejoin": "round",  # matplotlib says so in a style sheet, which would hold for the whole page
        },
    )
    for kind, text in words.items():
        etree.SubElement(root, kind, {"id": f"{picture.name}-{kind}"}).text = text
    root.extend(slimmed(drawn, prefix=f"{picture.name}-"))
    return root
