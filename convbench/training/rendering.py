"""Documents that training writes: templates of Markdown, filled in with what is escaped on the way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from convbench.report.environment import markdown_environment
from convbench.report.markdown import code


def rendered(template: str, values: Mapping[str, Any]) -> str:
    """A template of ``convbench/training/templates`` with its values.

    Args:
        template: The file's name.
        values: What it names. Text is escaped, ``Markdown`` is taken as it is, and the filter ``code`` makes code of a value.
    """
    environment = markdown_environment("convbench.training")
    environment.filters["code"] = lambda value: code(str(value))
    return environment.get_template(template).render(values)
