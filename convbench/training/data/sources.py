"""Opening the sources of a mixture: from datasets and files to examples, with a record of what was taken and what was left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from convbench.datasets.loading import Dataset, DatasetRequest, open_dataset
from convbench.datasets.selection import select
from convbench.errors import DataError, MissingFileError, UsageError
from convbench.io.cache import remembered_sha256
from convbench.training.data.chat import read_chat
from convbench.training.data.examples import OBJECTIVES, Example, Objective, possible
from convbench.training.data.material import Material, dataset_material
from convbench.training.data.mixture import Mixture, SourceSpec, check_mixture
from convbench.training.data.pairs import read_pairs
from convbench.types import Passage, Turn
from convbench.views.history import REWRITE

_LACKS: dict[Objective, str] = {
    "retrieval": "no turn has a gold passage whose text is at hand",
    "response": "no turn has a response",
    "identification": "no turn has both a gold passage and a response",
}


@dataclass(frozen=True, slots=True)
class Source:
    """A source that was opened.

    Attributes:
        spec: What was asked for.
        material: The selected conversations with their passages.
        examples: What there is to learn from, in the order of the conversations: every one feeds an objective.
        dataset: The dataset, as opened; None for a file.
        total: Conversations before the selection.
    """

    spec: SourceSpec
    material: Material
    examples: tuple[Example, ...]
    dataset: Dataset | None
    total: int

    @property
    def feeds(self) -> dict[Objective, int]:
        """Objective -> the number of examples that feed it, for the objectives of the source."""
        counts = Counter(objective for example in self.examples for objective in example.objectives)
        return {objective: counts[objective] for objective in OBJECTIVES if objective in self.spec.objectives}

    def as_json(self) -> dict[str, Any]:
        """What a model card says of the source, in plain values."""
        spec = self.spec
        return {
            "name": spec.name,
            "weight": spec.weight,
            "data": dict(self.material.identity),
            "licence": self.material.licence,
            "selection": spec.conversations.describe() if spec.conversations else "all conversations",
            "limit": spec.limit,
            "history": spec.history,
            "passage": spec.passage,
            "response": spec.response,
            "derived_from": list(spec.derived_from),
            "complete": spec.complete,
            "conversations": len(self.material.conversations),
            "conversations_in_all": self.total,
            "turns": len(self.material.turns),
            "examples": len(self.examples),
            "feeds": dict(self.feeds),
            "notes": list(self.material.notes),
        }


def open_mixture(mixture: Mixture, folder: Path, cache: Path) -> list[Source]:
    """Opens every source that has a weight.

    Args:
        mixture: The mixture.
        folder: Where relative paths begin: the folder of the mixture's file.
        cache: Folder for derived files.

    Raises:
        DataError: The mixture contradicts itself, or a record of a source is malformed.
        UsageError: A selection leaves nothing, or a source has nothing for an objective that it is to feed.
        MissingFileError: A file is not there.
    """
    check_mixture(mixture, "mixture")
    return [open_source(spec, folder, cache) for spec in mixture.sources if spec.weight]


def open_source(spec: SourceSpec, folder: Path, cache: Path) -> Source:
    """Opens one source; as ``open_mixture``."""
    dataset = open_dataset(_request(spec, folder)) if spec.dataset is not None else None
    whole = dataset.conversations if dataset is not None else ()
    if dataset is not None:
        material = _dataset_material(spec, _selected_dataset(spec, dataset), cache)
    else:
        file = _file_material(spec, folder, cache)
        whole = file.conversations
        material = replace(file, conversations=_selected(spec, file))
    _refuse_repeated_ids(spec, material)
    examples = tuple(_examples(spec, material))
    left = len(material.turns) - len(examples)
    notes = (*material.notes, f"{left} turns feed no objective") if left else material.notes
    source = Source(spec, replace(material, notes=notes), examples, dataset, len(whole))
    for objective, count in source.feeds.items():
        if not count:
            raise UsageError(f"source {spec.name}: feeds {objective}, but {_LACKS[objective]}: drop the objective or name other data")
    return source


def check_fed(sources: Sequence[Source], weights: Mapping[Objective, float]) -> None:
    """Checks that the sources and the weights of the losses want the same.

    Args:
        sources: The opened sources.
        weights: Objective -> the weight of its loss; an objective that is not there has weight 0.

    Raises:
        UsageError: All weights are 0, no source feeds an objective that has a weight, or a source feeds none of those.
    """
    weighted = [objective for objective in OBJECTIVES if weights.get(objective, 0)]
    if not weighted:
        raise UsageError("every objective has weight 0: there is nothing to learn; give one a weight above 0")
    for objective in weighted:
        if not any(source.feeds.get(objective) for source in sources):
            names = ", ".join(source.spec.name for source in sources)
            raise UsageError(f"{objective} has weight {weights[objective]:g}, and no source feeds it (sources: {names}); list it, or set 0")
    for source in sources:
        if not source.feeds.keys() & set(weighted):
            fed = ", ".join(source.feeds)
            raise UsageError(f"source {source.spec.name} feeds only {fed}, which has weight 0: it would teach nothing; drop it")


def _request(spec: SourceSpec, folder: Path) -> DatasetRequest:
    """Without the limit: a hold-out rule needs all conversations."""
    data, corpus, rewrites = (None if path is None else folder / path for path in (spec.data, spec.corpus, spec.rewrites))
    return DatasetRequest(spec.dataset or "", data, spec.split, corpus, rewrites, spec.options)


def _selected_dataset(spec: SourceSpec, dataset: Dataset) -> Dataset:
    chosen = select(dataset.conversations, spec.conversations) if spec.conversations else dataset.conversations
    _refuse_nothing(spec, len(chosen), len(dataset.conversations))
    return replace(dataset, conversations=chosen[: spec.limit])


def _selected(spec: SourceSpec, material: Material) -> tuple[Any, ...]:
    chosen = select(material.conversations, spec.conversations) if spec.conversations else material.conversations
    _refuse_nothing(spec, len(chosen), len(material.conversations))
    return chosen[: spec.limit]


def _refuse_nothing(spec: SourceSpec, left: int, total: int) -> None:
    if not left and spec.conversations:
        raise UsageError(f"source {spec.name}: nothing is left of {total} conversations: {spec.conversations.describe()}")


def _refuse_repeated_ids(spec: SourceSpec, material: Material) -> None:
    repeated = [id_ for id_, times in Counter(turn.id for turn in material.turns).items() if times > 1]
    if repeated:
        raise DataError(f"source {spec.name}", f"turn {repeated[0]!r} appears twice; examples are told apart by id")


def _dataset_material(spec: SourceSpec, dataset: Dataset, cache: Path) -> Material:
    wanted = spec.passage == "own" and ({"retrieval", "identification"} & {*spec.objectives} or spec.response == "passage")
    try:
        return dataset_material(dataset, cache, passages_required=bool(wanted))
    except MissingFileError as error:
        needs = ", ".join(spec.objectives)
        raise MissingFileError(f"source {spec.name} ({needs}) needs passages: {error}") from None


def _file_material(spec: SourceSpec, folder: Path, cache: Path) -> Material:
    if spec.file is None:
        raise UsageError(f"source {spec.name}: expected either 'dataset' or 'file' with 'format'")
    path = folder / spec.file
    licence = spec.licence or "not stated"
    if spec.format == "chat":
        chat = read_chat(path, spec.name)
        notes = (f"{chat.system_messages} system messages were left out",) if chat.system_messages else ()
        return Material(chat.conversations, {}, _file_identity(path, spec, cache), licence, notes)
    pairs = read_pairs(path, spec.name)
    return Material(pairs.conversations, pairs.positives, _file_identity(path, spec, cache), licence, negatives=pairs.negatives)


def _file_identity(path: Path, spec: SourceSpec, cache: Path) -> dict[str, Any]:
    return {"file": path.name, "format": spec.format, "sha256": remembered_sha256(path, cache)}


def _examples(spec: SourceSpec, material: Material) -> Iterator[Example]:
    """The turns that feed an objective; of the history ``rewrite`` only those that have one."""
    for turn in material.turns:
        if spec.history == REWRITE and not (turn.rewrite or "").strip():
            continue
        gold, response = _targets(spec, turn, material.gold.get(turn.id, ()))
        objectives = possible(spec.objectives, gold, response)
        if objectives and not (spec.complete and len(objectives) < len(spec.objectives)):
            negatives = material.negatives.get(turn.id, ())
            yield Example(f"{spec.name}/{turn.id}", spec.name, turn, spec.history, gold, response, negatives, objectives)


def _targets(spec: SourceSpec, turn: Turn, gold: tuple[Passage, ...]) -> tuple[tuple[Passage, ...], str | None]:
    """What the session should retrieve and what should be said; with -DDM one text is both."""
    response = next((reference.text for reference in turn.references if reference.kind == "response" and reference.text.strip()), None)
    if spec.passage == "response":
        return ((Passage(f"{turn.id}#response", response),) if response is not None else ()), response
    if spec.response == "passage":
        return gold, gold[0].text if gold else None
    return gold, response
