"""What is scored: the options, and the selection they stand for."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from convbench.cli.option_values import parse_options, read_value
from convbench.errors import UsageError

if TYPE_CHECKING:
    from convbench.metrics.selection import Selection

_SELECTION = (
    "protocols", "metrics", "bertscore_model", "bertscore_layer", "bertscore_idf", "bertscore_rescale", "reference",
    "metric_settings",
)  # fmt: skip


def metric_options(function: Callable[..., None]) -> Callable[..., None]:
    """What is scored; the command gets one ``selection``."""
    decorators = [
        click.option(
            "--protocol",
            "protocols",
            multiple=True,
            metavar="NAME",
            help="Protocol (see `convbench protocols`). Default: the dataset's.",
        ),
        click.option("--metrics", metavar="FAMILY,...", help="Only these metric families of the protocols. Default: all."),
        click.option(
            "--bertscore-model", default="auto", show_default=True, help="Folder or hub id; 'auto' takes one already on this machine."
        ),
        click.option(
            "--bertscore-layer", type=click.IntRange(min=1), help="Layer of the BERTScore model. Default: bert-score's, or by a rule."
        ),
        click.option("--bertscore-idf", is_flag=True, help="Weigh tokens by how rare they are in the references."),
        click.option("--bertscore-rescale", is_flag=True, help="Rescale BERTScore with bert-score's English baseline of the model."),
        click.option(
            "--reference",
            is_flag=True,
            help="Compute retrieval measures with ir_measures instead of our faster way; the values are the same.",
        ),
        click.option(
            "--metric-set",
            "metric_settings",
            multiple=True,
            metavar="FAMILY.KEY=VALUE",
            help="Change a setting of a family (judge.model=NAME ...).",
        ),
    ]

    @functools.wraps(function)
    def with_selection(*arguments: Any, offline: bool, **given: Any) -> None:
        own = {name: given.pop(name) for name in _SELECTION} | {"cache": given.get("cache")}
        function(*arguments, selection=_selection(**own, offline=offline), offline=offline, **given)

    command: Callable[..., None] = with_selection
    for decorator in reversed(decorators):
        command = decorator(command)
    return command


def _selection(
    *,
    protocols: tuple[str, ...],
    metrics: str | None,
    bertscore_model: str,
    bertscore_layer: int | None,
    bertscore_idf: bool,
    bertscore_rescale: bool,
    reference: bool,
    metric_settings: tuple[str, ...],
    cache: Path | None,
    offline: bool,
) -> Selection:
    from convbench.metrics import METRICS
    from convbench.metrics.selection import BY_REFERENCE, Selection

    families = [part.strip() for part in metrics.split(",")] if metrics is not None else None
    for name in families or ():
        METRICS.get(name)  # an unknown one is refused before anything is read
    settings: dict[str, dict[str, Any]] = {"bertscore": {"model": bertscore_model, "num_layers": bertscore_layer, "offline": offline}}
    settings |= {"entailment": {"offline": offline}, "judge": {"offline": offline, **({"cache": cache / "chat"} if cache else {})}}
    settings["bertscore"] |= {key: True for key, on in (("idf", bertscore_idf), ("rescale", bertscore_rescale)) if on}
    if reference:
        settings |= {family: dict(chosen) for family, chosen in BY_REFERENCE.items()}
    for key, value in parse_options(metric_settings, "--metric-set", "FAMILY.KEY=VALUE").items():
        family, dot, setting = key.partition(".")
        if not dot:
            raise UsageError(f"--metric-set {key!r}: expected FAMILY.KEY=VALUE")
        METRICS.get(family)
        settings.setdefault(family, {})[setting] = read_value(value)
    return Selection(protocols or None, families, settings)
