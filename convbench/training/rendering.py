"""Documents that training writes: templates of Markdown, filled in with what is escaped on the way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from convbench.report.markdown import code, escape


def rendered(template: str, values: Mapping[str, Any]) -> str:
    """A template of ``convbench/training/templates`` with its values.

    Args:
        template: The file's name.
        values: What it names. Text is escaped, ``Markdown`` is taken as it is, and the filter ``code`` makes code of a value.
    """
    environment = Environment(  # noqa: S701 - Markdown is escaped by ``finalize``
        loader=PackageLoader("convbench.training", "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=escape,
    )
    environment.filters["code"] = lambda value: code(str(value))
    return environment.get_template(template).render(values)
