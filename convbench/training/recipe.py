"""The recipe: everything that one training is, from the checkpoint it begins with to the sets it is evaluated on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidatorFunctionWrapHandler, field_validator, model_validator

from convbench.backends.placement import ModelConfig
from convbench.config import Config, build_config, read_yaml
from convbench.errors import DataError, UsageError
from convbench.harness.spec import DatasetSpec
from convbench.registry import did_you_mean
from convbench.systems.catalog import shipped
from convbench.training.data.mixture import Mixture, check_mixture
from convbench.training.places import OF_DATASET, OF_SOURCE
from convbench.training.step import StepSettings
from convbench.training.train_settings import TrainSettings
from convbench.training.trainable import TrainableSettings

RECIPE = "train.yaml"
"""The recipe of a shipped baseline, beside its ``system.yaml``."""


class Evaluation(Config):
    """What the model is evaluated on, by ``convbench run``'s own harness.

    Attributes:
        system: Values of the unified system (``passages``, ``decoding`` ...), as in a ``system.yaml``; the model is the one in training.
        metrics: Metric families; None: those of each dataset's protocols.
        dev: Sets that are looked at while training goes on, as often as ``training.evaluate_every`` says. ``training.metric`` names one
            of their measures as ``DATASET/MEASURE``, or ``DATASET/PROTOCOL/MEASURE`` where several protocols have it.
        test: Sets that the finished checkpoint is evaluated on; the card shows the scores.
    """

    system: dict[str, Any] = {}  # noqa: RUF012 - pydantic copies defaults
    metrics: list[str] | None = None
    dev: list[DatasetSpec] = []  # noqa: RUF012
    test: list[DatasetSpec] = []  # noqa: RUF012

    @model_validator(mode="after")
    def _of_the_model_in_training(self) -> Evaluation:
        if taken := sorted({"kind", "model", "name"} & self.system.keys()):
            raise ValueError(f"system: {taken[0]!r} is that of the model in training; leave it out")
        return self


class Recipe(Config):
    """A training.

    Attributes:
        name: What the checkpoint will be called.
        description: One sentence.
        model: The checkpoint that training begins with, and how it is used; the trained one is used in the same way.
        base_licence: The terms of that checkpoint, which the trained one inherits.
        tuning: What of it is tuned.
        mixture: What it is trained on.
        negatives: Source -> file of hard negatives (``convbench train mine``).
        objectives: What is computed of a batch.
        training: How long, how fast, what is kept.
        output: With LoRA: the ``adapter`` alone, or a whole model with it ``merged`` in. Without LoRA the whole model is written.
        evaluation: What it is evaluated on.
        limitations: Sentences for the card.
        memory_of: A config.json: ``--dry-run`` also estimates the memory for the model that it describes; a small one may stand in for it.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    description: str = ""
    model: ModelConfig
    base_licence: str = ""
    tuning: TrainableSettings = TrainableSettings()
    mixture: Mixture
    negatives: dict[str, Path] = {}  # noqa: RUF012 - pydantic copies defaults
    objectives: StepSettings
    training: TrainSettings
    output: Literal["adapter", "merged"] = "adapter"
    evaluation: Evaluation = Evaluation()
    limitations: list[str] = []  # noqa: RUF012
    memory_of: Path | None = None

    @field_validator("model")
    @classmethod
    def _trainable(cls, model: ModelConfig) -> ModelConfig:
        if model.dtype == "int8":
            raise ValueError("dtype: int8 only encodes and has no gradients; expected auto, float32, float16 or bfloat16")
        return model

    @field_validator("*", mode="wrap")
    @classmethod
    def _named(cls, value: Any, check: ValidatorFunctionWrapHandler) -> Any:
        """What a part of the recipe refuses itself is refused as all else is: with the recipe's and the key's name."""
        try:
            return check(value)
        except UsageError as error:
            raise ValueError(str(error)) from None

    @model_validator(mode="after")
    def _fits_together(self) -> Recipe:
        if (self.training.evaluate_every is None) != (not self.evaluation.dev):
            raise ValueError("training.evaluate_every and evaluation.dev go together: give both or neither")
        if self.tuning.lora is not None and self.tuning.new_head:
            raise ValueError("tuning: low-rank matrices leave the weights alone, and a new head must be learnt: drop lora or new_head")
        sources = [source.name for source in self.mixture.sources]
        for name in self.negatives:
            if name not in sources:
                raise ValueError(f"negatives: no source is called {name!r}; sources: {', '.join(sources) or 'none'}")
        return self


def recipe_path(name: str) -> Path:
    """The recipe file that a name or a path stands for.

    Raises:
        UsageError: It is neither a file nor a baseline that has a recipe.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        return path
    known = sorted(found.parent.name for found in shipped("baselines").glob(f"*/{RECIPE}"))
    if name not in known:
        raise UsageError(f"unknown recipe {name!r}.{did_you_mean(name, known)} Known: {', '.join(known)}; or the path of a train.yaml")
    return shipped("baselines") / name / RECIPE


def read_values(path: Path) -> dict[str, Any]:
    """The content of a recipe file, paths in it made absolute: they begin at its folder, those of a mixture file at that one's.

    Raises:
        MissingFileError: There is no such file.
        DataError: It is no mapping.
    """
    return with_absolute_paths(_mapping(path), path.parent.resolve())


def with_absolute_paths(values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The recipe with its mixture read, where that is a file of its own, and with absolute paths.

    Args:
        values: The recipe's.
        folder: Where relative paths begin, but for those of a mixture file, which begin at its own folder.

    Raises:
        MissingFileError: There is no such mixture file.
        DataError: It is no mapping.
    """
    changed: dict[str, Any] = _placed(dict(values), ("memory_of",), folder)
    if isinstance(named := values.get("mixture"), str):
        changed["mixture"] = _placed_mixture(_mapping(folder / named), (folder / named).resolve().parent)
    elif "mixture" in values:
        changed["mixture"] = _placed_mixture(named, folder)
    if isinstance(evaluation := values.get("evaluation"), dict):
        sets = {part: each for part in ("dev", "test") if isinstance(each := evaluation.get(part), list)}
        placed = {part: [_placed(dataset, OF_DATASET, folder) for dataset in each] for part, each in sets.items()}
        changed["evaluation"] = {**evaluation, **placed}
    if isinstance(negatives := values.get("negatives"), dict):
        changed["negatives"] = _placed(negatives, tuple(negatives), folder)
    if isinstance(model := values.get("model"), dict) and isinstance(own := model.get("model"), str) and (folder / own).is_dir():
        changed["model"] = {**model, "model": str(folder / own)}
    return changed


def _mapping(path: Path) -> dict[str, Any]:
    if isinstance(values := read_yaml(path), dict):
        return values
    raise DataError(path, f"expected a mapping, found {type(values).__name__}")


def build_recipe(values: Mapping[str, Any], origin: str | Path) -> Recipe:
    """Checks the values of a recipe.

    Args:
        values: As ``read_values`` gives them, changed or not.
        origin: What messages name as their place.

    Raises:
        UsageError: An unknown key, a wrong value or a contradiction.
        DataError: The mixture contradicts itself.
    """
    mixture = values.get("mixture")
    recipe = build_config(Recipe, dict(values), str(origin))
    check_mixture(recipe.mixture, origin if isinstance(mixture, dict) else "mixture")
    return recipe


def with_changes(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe with other values.

    Args:
        values: The recipe's.
        changes: Dotted key -> value: ``training.seed``; in a list the name of an entry, or ``*`` for all of them:
            ``mixture.sources.topiocqa.weight``, ``mixture.sources.*.passage``.

    Raises:
        UsageError: A list has no entry of that name.
    """
    changed: Any = dict(values)
    for key, value in changes.items():
        changed = _changed(changed, key.split("."), value, key)
    return dict(changed)


def _changed(inner: Any, path: list[str], value: Any, key: str) -> Any:
    if not path:
        return value
    if not isinstance(inner, list):
        own = inner if isinstance(inner, Mapping) else {}
        return {**own, path[0]: _changed(own.get(path[0]), path[1:], value, key)}
    names = [str(entry.get("name")) if isinstance(entry, Mapping) else str(entry) for entry in inner]
    if path[0] != "*" and path[0] not in names:
        raise UsageError(
            f"{key}: nothing there is called {path[0]!r}.{did_you_mean(path[0], names)} Known: {', '.join(names) or 'nothing'}"
        )
    fits = [path[0] in ("*", name) for name in names]
    return [_changed(entry, path[1:], value, key) if fit else entry for entry, fit in zip(inner, fits, strict=True)]


def _placed(entry: Any, keys: tuple[str, ...], folder: Path) -> Any:
    """An entry whose relative paths, under these keys, begin at a folder; what is no mapping is left to be refused."""
    if not isinstance(entry, dict):
        return entry
    return {key: str(folder / value) if key in keys and isinstance(value, str) else value for key, value in entry.items()}


def _placed_mixture(mixture: Any, folder: Path) -> Any:
    if not (isinstance(mixture, dict) and isinstance(mixture.get("sources"), list)):
        return mixture
    return {**mixture, "sources": [_placed(source, OF_SOURCE, folder) for source in mixture["sources"]]}
