"""Sentences as the page shows them: what stands between backticks is a command."""

from __future__ import annotations

from markupsafe import Markup, escape


def prose(text: str) -> Markup:
    """A sentence with its commands as code; everything in it is escaped. An odd backtick stays as it is."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    return Markup().join(Markup("<code>{}</code>").format(part) if place % 2 else escape(part) for place, part in enumerate(parts))
