"""The model card of a trained checkpoint: what it was made from and how well it does, as ``README.md`` and as ``training.json``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import yaml

from convbench.backends.checkpoint import Checkpoint
from convbench.backends.locate import is_hub_id
from convbench.backends.profile import Profile
from convbench.errors import UsageError
from convbench.harness.provenance import package_versions
from convbench.harness.results import Results
from convbench.io.atomic import write_text
from convbench.io.cache import remembered_sha256
from convbench.report.markdown import Markdown, aligned_table, escape
from convbench.report.numbers import between, per_cent
from convbench.training.licences import Inherited, inherited
from convbench.training.rendering import rendered

CARD, FACTS = "README.md", "training.json"
SCHEMA = "convbench.training/1"

Form = Literal["whole", "adapter", "merged"]

_DESCRIBED = ("*.safetensors", "*.safetensors.index.json", "config.json", "adapter_config.json", "tokenizer*.json", "vocab*", "*.model")


@dataclass(frozen=True, slots=True)
class Base:
    """The checkpoint that training began with.

    Attributes:
        name: Its hub id, or the last part of its folder's name.
        revision: The hub commit, where it came from the hub.
        files: File name -> sha256.
        licence: Its terms, in any words; empty where nothing is stated.
    """

    name: str
    revision: str | None
    files: Mapping[str, str]
    licence: str

    @property
    def hub_id(self) -> str | None:
        """The name, where it is one of the hub."""
        return self.name if is_hub_id(self.name) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """What a card states. All values are plain: text, numbers, lists and mappings.

    Attributes:
        name: What the checkpoint is called.
        base: What training began with.
        sources: Of each source of the mixture what ``Source.as_json`` says.
        contamination: Evaluation set -> ``contamination.as_json``; empty where nothing was compared.
        objectives: Objective -> the weight of its loss.
        settings: How it was trained, by name; mappings within are shown with dotted names.
        seeds: What was random -> its seed.
        steps: Optimizer steps up to these weights.
        examples: Examples seen in them.
        tokens: Tokens read in them.
        seconds: How long that took.
        machine: What it took that time on.
        scores: Results of ``convbench run`` with these weights.
        limitations: Sentences about what it cannot do.
        languages: Codes of the languages of the data.
    """

    name: str
    base: Base
    sources: Sequence[Mapping[str, Any]]
    contamination: Mapping[str, Sequence[Mapping[str, Any]]]
    objectives: Mapping[str, float]
    settings: Mapping[str, Any]
    seeds: Mapping[str, int]
    steps: int
    examples: int
    tokens: int
    seconds: float
    machine: Mapping[str, Any]
    scores: Sequence[Results] = ()
    limitations: Sequence[str] = ()
    languages: Sequence[str] = ("en",)

    @property
    def licence(self) -> Inherited:
        """The licence that it inherits."""
        data = {f"the source {source['name']}": str(source["licence"]) for source in self.sources}
        return inherited({f"the base {self.base.name}": self.base.licence, **data})


def base_of(checkpoint: Checkpoint, licence: str, cache: Path) -> Base:
    """A checkpoint as the base of another one.

    Args:
        checkpoint: Its files; of an adapter those of its own base are listed too.
        licence: Its terms.
        cache: Where digests of files are remembered.
    """
    located, folders = checkpoint.located, {checkpoint.located.path: "", checkpoint.model.path: "base/" if checkpoint.base else ""}
    files = {
        f"{prefix}{path.name}": remembered_sha256(path, cache)
        for folder, prefix in folders.items()
        for path in sorted({path for pattern in _DESCRIBED for path in folder.glob(pattern)})
    }
    name = located.path.resolve().name if Path(located.name).is_dir() else located.name
    return Base(name, located.revision, files, licence)


def write_card(facts: CardFacts, profile: Profile, form: Form, folder: Path) -> None:
    """Writes ``README.md`` and ``training.json`` into a checkpoint's folder, in place of what is there.

    Neither changes what the checkpoint computes, nor its label, so scores can be added once it was evaluated.

    Args:
        facts: What to state.
        profile: How it is used.
        form: Whether the folder holds a whole model, an adapter, or a base with the adapter merged into it.
        folder: The checkpoint.

    Raises:
        UsageError: A fact is no plain value.
        StorageError: The disk is full or the folder cannot be written to.
    """
    facts_text = _facts_text(facts, form)
    write_text(folder / CARD, render_card(facts, profile, form))
    write_text(folder / FACTS, facts_text)


def render_card(facts: CardFacts, profile: Profile, form: Form) -> str:
    """The card as Markdown with the front matter that the model hub reads. Every fact is escaped."""
    values = {
        "facts": facts,
        "profile": profile,
        "form": form,
        "front_matter": Markdown(_front_matter(facts, form)),
        "settings": list(_flat(facts.settings)),
        "machine": list(_flat(facts.machine)),
        "scores": [_score_table(results) for results in facts.scores],
        "minutes": f"{facts.seconds / 60:.1f}",
        "compact": _compact,
    }
    return rendered("model_card.md.j2", values)


def _front_matter(facts: CardFacts, form: Form) -> str:
    """The hub refuses a ``base_model`` that is no hub id."""
    values: dict[str, Any] = {"language": list(facts.languages), "license": facts.licence.hub_id}
    if facts.licence.hub_id == "other":
        values["license_name"] = facts.licence.text
    values["library_name"] = "peft" if form == "adapter" else "transformers"
    if facts.base.hub_id:
        values |= {"base_model": facts.base.hub_id, "base_model_relation": "adapter" if form == "adapter" else "finetune"}
    values["datasets"] = list(dict.fromkeys(_data_name(source) for source in facts.sources))
    values["tags"] = ["convbench", "conversational-search", "retrieval", "text-generation"]
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=1000).rstrip()


def _data_name(source: Mapping[str, Any]) -> str:
    """The dataset's own name; a file has only the source's. On one line, as a line of its own could end the front matter."""
    return " ".join(str(source["data"].get("name", source["name"])).split())


def _score_table(results: Results) -> dict[str, Any]:
    computed = [metric for metric in results.metrics if metric.value is not None]
    header = ["Measure", "Value", "95 % interval", "Turns"]
    rows = [[escape(metric.key), _value(metric.value, metric.scale), _interval(metric), str(metric.n_turns)] for metric in computed]
    return {
        "results": results,
        "table": aligned_table(header, rows),
        "signatures": [(metric.key, metric.signature) for metric in computed],
    }


def _value(value: float | None, scale: str) -> str:
    return "" if value is None else per_cent(value) if scale == "unit" else f"{value:.2f}"


def _interval(metric: Any) -> str:
    if metric.ci is None or metric.scale == "unit":
        return between(metric.ci)
    return f"[{metric.ci[0]:.2f}, {metric.ci[1]:.2f}]"


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """``{"a": {"b": 1}}`` as ``a.b`` and ``1``."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else _compact(value)


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _facts_text(facts: CardFacts, form: Form) -> str:
    stated = {"dataset", "conditions", "seed", "run_sha256", "metrics", "statistics", "warnings"}  # the system names a place
    scores = [results.model_dump(mode="json", include=stated) for results in facts.scores]
    values = {
        "schema": SCHEMA,
        "form": form,
        **{each.name: getattr(facts, each.name) for each in fields(facts) if each.name not in ("base", "scores")},
        "base": {**asdict(facts.base), "files": dict(facts.base.files)},
        "licence": asdict(facts.licence),
        "packages": package_versions(),
        "scores": scores,
    }
    try:
        return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"model card of {facts.name}: a fact is no plain value ({error}); give text, finite numbers, lists and mappings"
        ) from None
