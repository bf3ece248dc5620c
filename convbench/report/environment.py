"""How documents are written from templates: every value is escaped, and a name that is not there is an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from convbench.report.markdown import escape


def html_environment(*packages: str, finalize: Callable[[Any], Any] | None = None) -> Environment:
    """For pages.

    Args:
        packages: A template is looked for in the folder ``templates`` of each, in order.
        finalize: What is done to every value before it is escaped.
    """
    return _environment(packages, autoescape=True, finalize=finalize)


def markdown_environment(package: str) -> Environment:
    """For Markdown; text is escaped, ``Markdown`` is taken as it is.

    Args:
        package: Its folder ``templates`` has the templates.
    """
    return _environment((package,), autoescape=False, finalize=escape)


def _environment(packages: tuple[str, ...], **escaping: Any) -> Environment:
    return Environment(  # noqa: S701 - either it escapes, or ``finalize`` does
        loader=ChoiceLoader([PackageLoader(package) for package in packages]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        **escaping,
    )
