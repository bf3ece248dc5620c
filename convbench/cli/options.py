"""Options that several commands share, and the objects they stand for."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from convbench.errors import DataError, UsageError

if TYPE_CHECKING:
    from convbench.datasets.loading import Dataset
    from convbench.datasets.selection import Selection as ConversationSelection
    from convbench.harness.results import Results
    from convbench.harness.spec import DatasetSpec
    from convbench.metrics.selection import Selection
    from convbench.systems.checkpoint_map import CheckpointMap

F = TypeVar("F", bound=Callable[..., Any])

DATASET_HELP = "topiocqa, qrecc, orquac, inscit, faithdial, cast, generic"


@dataclass(frozen=True, slots=True)
class Source:
    """Where datasets are read from, as the options of ``data_options`` say."""

    data: Path | None
    split: str | None
    corpus: Path | None
    rewrites: Path | None
    options: dict[str, str]
    limit: int | None
    conversations: ConversationSelection | None

    def spec(self, name: str) -> DatasetSpec:
        """The specification of one dataset read from here, with absolute paths: a run folder may be used from another place."""
        from convbench.harness.spec import DatasetSpec

        paths = {key: str(path.absolute()) for key in ("data", "corpus", "rewrites") if (path := getattr(self, key)) is not None}
        return DatasetSpec(name=name, split=self.split, options=self.options, limit=self.limit, conversations=self.conversations, **paths)

    def open(self, name: str) -> Dataset:
        """Reads one dataset from here."""
        from convbench.datasets.loading import open_dataset

        return open_dataset(self.spec(name).request())


def data_options(function: Callable[..., None]) -> Callable[..., None]:
    """Where a dataset is read from; the command gets one ``source``."""

    @functools.wraps(function)
    def with_source(*arguments: Any, options: tuple[str, ...], conversations: str | None, **given: Any) -> None:
        own = {key: given.pop(key) for key in ("data", "split", "corpus", "rewrites", "limit")}
        source = Source(options=parse_options(options), conversations=_parse_conversations(conversations), **own)
        function(*arguments, source=source, **given)

    command = with_source
    decorators = [
        click.option(
            "--data", type=click.Path(path_type=Path), help="Folder with official files, found by name at any depth. Default: mini set."
        ),
        click.option("--split", help="Split. Default: the one the field evaluates on; 'mini' without --data."),
        click.option("--corpus", type=click.Path(path_type=Path), help="Corpus file or folder, where it lies outside --data."),
        click.option("--rewrites", type=click.Path(path_type=Path), help="JSONL of {turn_id, rewrite}, for rewrites that come apart."),
        click.option(
            "--option", "options", multiple=True, metavar="NAME=VALUE", help="Reading option of the dataset (first-question=rewrite ...)."
        ),
        click.option(
            "--conversations",
            metavar="PART:SIZE:SALT",
            help="Use only the part that a rule kept or held out (held-out:40:dev, kept:1/3:dev).",
        ),
        click.option("--limit", type=click.IntRange(min=1), metavar="CONVERSATIONS", help="Use only the first so many conversations."),
    ]
    for decorator in reversed(decorators):
        command = decorator(command)
    return command


def place_options(function: Callable[..., None]) -> Callable[..., None]:
    """Where the datasets of a recipe are read from; the command gets ``places``: ``data``, ``corpus``, ``rewrites`` -> dataset -> place."""
    kinds = {
        "data": ("DIR", "Folder with a dataset's official files"),
        "corpus": ("FILE", "Its corpus"),
        "rewrites": ("FILE", "Its rewrites"),
    }

    @functools.wraps(function)
    def with_places(*arguments: Any, **given: Any) -> None:
        places = {kind: parse_options(given.pop(kind), f"--{kind}", f"DATASET={form}") for kind, (form, _) in kinds.items()}
        function(*arguments, places=places, **given)

    command: Callable[..., None] = with_places
    for kind, (form, text) in reversed(kinds.items()):
        command = click.option(f"--{kind}", multiple=True, metavar=f"DATASET={form}", help=f"{text}, in place of the recipe's.")(command)
    return command


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


def environment_options(function: F) -> F:
    """Where things are kept and whether the network may be used."""
    decorators = [
        click.option(
            "--cache",
            type=click.Path(path_type=Path),
            help="Folder for indexes and embeddings. Default: $CONVBENCH_CACHE, ~/.cache/convbench.",
        ),
        click.option("--offline", is_flag=True, envvar="CONVBENCH_OFFLINE", help="Refuse the network."),
    ]
    for decorator in reversed(decorators):
        function = decorator(function)
    return function


def map_option(function: F) -> F:
    """Local folders in place of checkpoints."""
    return click.option(
        "--checkpoint-map",
        type=click.Path(path_type=Path),
        metavar="MAP.yaml",
        help="YAML of 'owner/name: FOLDER': local folders in place of the checkpoints that systems name.",
    )(function)


def parse_options(pairs: tuple[str, ...], option: str = "--option", form: str = "NAME=VALUE") -> dict[str, str]:
    """``NAME=VALUE`` pairs as a mapping."""
    parsed = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not name:
            raise UsageError(f"{option} {pair!r}: expected {form}")
        parsed[name] = value
    return parsed


def _parse_conversations(text: str | None) -> ConversationSelection | None:
    if text is None:
        return None
    from convbench.datasets.selection import Selection as ConversationSelection

    return ConversationSelection.parse(text)


def read_map(path: Path | None) -> CheckpointMap | None:
    """The checkpoint map of ``map_option``."""
    if path is None:
        return None
    from convbench.systems.checkpoint_map import read_checkpoint_map

    return read_checkpoint_map(path)


def read_value(text: str) -> Any:
    """A value as YAML would read it: ``64``, ``false``, ``[a, b]``, ``text``."""
    from convbench.config import parse_yaml

    try:
        return parse_yaml(text, "value")
    except DataError:
        return text


def read_profile(profile: str | None) -> str | dict[str, Any] | None:
    """A profile: its name, or the content of its file (JSON is YAML)."""
    if profile is None or not profile.endswith((".json", ".yaml", ".yml")):
        return profile
    from convbench.config import read_yaml

    values = read_yaml(Path(profile))
    if not isinstance(values, dict):
        raise UsageError(f"{profile}: expected a mapping, found {type(values).__name__}")
    return values


_SELECTION = (
    "protocols", "metrics", "bertscore_model", "bertscore_layer", "bertscore_idf", "bertscore_rescale", "reference",
    "metric_settings",
)  # fmt: skip


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


def show_reports(report: Path | None, runs: Sequence[tuple[Path, Results]], *, as_json: bool) -> None:
    """Prints the results as JSON on stdout, or where the report is."""
    if as_json:
        click.echo(json.dumps([results.model_dump(mode="json") for _, results in runs], ensure_ascii=False))
    if report is not None:
        click.echo(f"report: {report}", err=as_json)
