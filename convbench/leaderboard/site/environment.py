"""How pages are written: every text is escaped, and becomes one that turns no direction around; what the browser may do is little."""

from __future__ import annotations

from importlib import resources
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from convbench.leaderboard.wording import line, reason_text
from convbench.report.environment import html_environment

_LONGEST = 2000

POLICY = (
    "default-src 'none'; script-src 'self' file:; style-src 'self' file:; img-src data:; "
    "base-uri 'none'; form-action 'none'; object-src 'none'"
)
"""What pages may load: the site's own script and style. Opened as files, not every browser takes ``'self'`` for the folder they are in;
``file:`` says so, and means nothing on a server."""


def environment() -> Environment:
    """The templates, with every value printed as an inert line of text."""
    made = html_environment("convbench.leaderboard", "convbench.report", finalize=_printable)
    made.filters["outside"] = outside
    made.filters["reason_text"] = reason_text
    return made


def asset(name: str) -> str:
    """The text of a file beside the templates."""
    return (resources.files("convbench.leaderboard") / "templates" / name).read_text(encoding="utf-8")


def outside(address: str) -> str:
    """An address that a link may have: on another server, by https. Anything else, a script above all, leads nowhere."""
    return address if address.startswith("https://") else "#"


def _printable(value: Any) -> Any:
    return line(value, _LONGEST) if isinstance(value, str) and not isinstance(value, Markup) else value
