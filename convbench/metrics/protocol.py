"""Named protocols: what exactly is averaged, over which turns, under which rules. They are data, one YAML file each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_type_hints

from pydantic import Field, TypeAdapter, ValidationError

from convbench.config import Config, load_config
from convbench.datasets.loading import Dataset
from convbench.errors import DataError, UsageError
from convbench.metrics import METRICS
from convbench.metrics.base import Metric
from convbench.registry import did_you_mean

_FOLDER = Path(__file__).parent / "protocols"
_OF_DATASET = "dataset"
"""Stands for the dataset's own lowest relevant grade on the split."""

Missing = Literal["zero", "skip"]


class Part(Config):
    """One metric family of a protocol.

    Attributes:
        metric: The family.
        turns: The rule that chooses the turns (``turn_rules.RULES``).
        settings: What the family is built with: measures, depth, threshold, normaliser, tokenizer ...
    """

    metric: str
    turns: str
    settings: dict[str, Any] = Field(default_factory=dict)


class Protocol(Config):
    """A protocol as its file states it.

    Attributes:
        name: Its name, that of its file.
        title: A few words.
        description: What a reader must know, and where convbench keeps to its own rules.
        sources: The papers and scripts that the rules were read from.
        datasets: The datasets that it is made for; empty for any.
        missing: What a turn of the set scores that the run lacks: ``zero``, or ``skip``, which leaves it out of the average.
        ties: How equal scores are ordered before anything is measured.
        parts: The metric families, in report order.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    title: str
    description: str
    sources: list[str]
    datasets: list[str] = Field(default_factory=list)
    missing: Missing
    ties: Literal["id-desc"]
    parts: list[Part]


@dataclass(frozen=True, slots=True)
class ScoringPart:
    """A metric that is ready to score, and the rules around it.

    Attributes:
        protocol: The protocol's name; empty for a family that stands in none.
        number: Its place within the protocol, which keeps parts of one family apart.
        turns: The turn rule.
        missing: The policy for missing turns.
        metric: The metric.
    """

    protocol: str
    number: int
    turns: str
    missing: Missing
    metric: Metric

    @property
    def label(self) -> str:
        """A file name for its rows."""
        return f"score-{self.protocol or 'plain'}.{self.number}-{self.metric.name}"


def protocol_names() -> list[str]:
    """The protocols that ship with convbench, sorted."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


@cache
def load_protocol(name: str) -> Protocol:
    """A protocol by its name.

    Raises:
        UsageError: There is none (with a suggestion).
    """
    if name not in protocol_names():
        raise UsageError(f"unknown protocol {name!r}.{did_you_mean(name, protocol_names())} Known: {', '.join(protocol_names())}")
    return load_config(Protocol, _FOLDER / f"{name}.yaml")


def read_protocol(path: Path) -> Protocol:
    """A protocol of the user's own.

    Raises:
        DataError: The file is malformed, or takes the name of a protocol that ships with convbench.
    """
    protocol = load_config(Protocol, path)
    if protocol.name in protocol_names():
        raise DataError(path, f"the name {protocol.name!r} belongs to a protocol of convbench; choose another", where="name")
    return protocol


def scoring_parts(protocol: Protocol, dataset: Dataset, settings: Mapping[str, Mapping[str, Any]]) -> list[ScoringPart]:
    """The protocol's metrics, built for a dataset.

    Args:
        protocol: The protocol.
        dataset: The dataset, whose split decides the lowest relevant grade where the protocol leaves that to it.
        settings: What the user set, by family; it goes before the protocol's own and is part of the signature.

    Raises:
        UsageError: The protocol is made for other datasets.
    """
    if protocol.datasets and dataset.adapter.name not in protocol.datasets:
        raise UsageError(f"the protocol {protocol.name} is made for {', '.join(protocol.datasets)}; {dataset.name} has other rules")
    parts = []
    for number, part in enumerate(protocol.parts, start=1):
        metric = build_metric(part.metric, {**_fitted(part, dataset), **settings.get(part.metric, {})})
        parts.append(ScoringPart(protocol.name, number, part.turns, protocol.missing, metric))
    return parts


def build_metric(family: str, settings: Mapping[str, Any]) -> Metric:
    """A metric family with its settings.

    Raises:
        UsageError: The family is unknown, does not have a setting, or a setting is not of its type.
    """
    factory = METRICS.get(family)
    try:
        metric: Metric = factory(**_typed(family, factory, settings))
    except TypeError as error:
        raise UsageError(f"the metric {family!r} cannot be built with {dict(settings)}: {error}") from None
    return metric


def _typed(family: str, factory: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings, each of the type that the constructor states for it: they come from YAML files and the command line."""
    try:
        hints = get_type_hints(factory.__init__)
    except (NameError, TypeError):  # a plug-in whose annotations cannot be read at run time
        hints = {}
    typed = {}
    for key, value in settings.items():
        try:
            typed[key] = TypeAdapter(hints.get(key, Any)).validate_python(value, strict=True)
        except ValidationError as error:
            problem = error.errors()[0]["msg"]
            raise UsageError(f"the metric {family!r}: the setting {key!r} cannot be {value!r:.80}: {problem.lower()}") from None
    return typed


def _fitted(part: Part, dataset: Dataset) -> dict[str, Any]:
    """The part's settings with the dataset's own threshold filled in."""
    grade = dataset.card.splits[dataset.split].relevant_from
    return {key: grade if value == _OF_DATASET else value for key, value in part.settings.items()}
