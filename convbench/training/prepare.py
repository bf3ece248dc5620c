"""From a recipe to everything that training works with, all of it checked before the first step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from convbench.datasets.comparable import store_at_hand
from convbench.errors import DataError, MissingFileError, UsageError
from convbench.io.cache import remembered_sha256
from convbench.training.card import Base, base_of
from convbench.training.data.examples import Objective
from convbench.training.data.mixture import SourceSpec
from convbench.training.data.sampling import Pool, Unit
from convbench.training.data.sources import Source, check_fed, open_mixture
from convbench.training.evaluating import check_sets
from convbench.training.negatives import check_in_collection, read_negatives
from convbench.training.recipe import Recipe
from convbench.training.sharing import shareable_pools
from convbench.training.step import JointStep, StepValues
from convbench.training.tensorboard_log import check_tensorboard
from convbench.training.trainable import Trainable, open_trainable
from convbench.types import Passage

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import Tensor

_DEFAULTS = SourceSpec.model_fields


class UnitStep:
    """The joint step over what is drawn: turns, or the turns of conversations.

    Args:
        joint: Computes the losses of examples.
        negatives: Example id -> its mined hard negatives.
    """

    def __init__(self, joint: JointStep, negatives: Mapping[str, Sequence[Passage]]) -> None:
        self.joint, self._negatives = joint, negatives

    def backward(self, units: Sequence[Unit], backward: Callable[[Tensor], Any]) -> StepValues:
        """As ``JointStep.backward``."""
        return self.joint.backward(list(chain.from_iterable(units)), self._negatives, backward)


@dataclass(frozen=True)
class Prepared:
    """What training works with.

    Attributes:
        recipe: The recipe.
        base: What it begins with, with digests.
        trainable: The checkpoint, in memory.
        sources: The opened sources.
        negatives: Example id -> its mined hard negatives.
        pools: The units of the sources.
        step: Computes losses.
        identity: What makes this training this one, beside its settings and the order of its data: JSON-like.
    """

    recipe: Recipe
    base: Base
    trainable: Trainable
    sources: list[Source]
    negatives: dict[str, tuple[Passage, ...]]
    pools: list[Pool]
    step: UnitStep
    identity: dict[str, Any]


def prepare(recipe: Recipe, accelerator: Accelerator, *, cache: Path, offline: bool) -> Prepared:
    """Opens data and model, and looks at what the model will be evaluated on.

    Args:
        recipe: The recipe, with absolute paths.
        accelerator: Says where the model computes.
        cache: Folder for derived files.
        offline: Refuse the network.

    Raises:
        ConvbenchError: The data, the model and the objectives do not fit together, or something cannot be had.
    """
    if recipe.training.tensorboard:
        check_tensorboard()
    check_sets(recipe, cache=cache, offline=offline)
    sources = open_mixture(recipe.mixture, Path(), cache)
    weights = asdict(recipe.objectives.weights)
    fed = {**weights, "response": weights["response"] + weights["grounded"]}
    check_fed(sources, cast("dict[Objective, float]", {name: fed[name] for name in ("retrieval", "response", "identification")}))
    negatives, digests = _negatives(recipe, sources, cache)
    _set_seed(recipe.training.seed)  # low-rank matrices and a new head begin with random numbers
    model = recipe.model.model_copy(update={"device": accelerator.device.type})
    trainable = open_trainable(model, recipe.tuning, offline=offline)
    joint = JointStep(trainable, recipe.objectives)
    size, packed = recipe.training.batch_size, recipe.objectives.packed
    pools = shareable_pools(sources, packed=packed, batch_size=size, processes=accelerator.num_processes)
    base = base_of(trainable.loaded.checkpoint, recipe.base_licence, cache)
    identity = {
        "base": dict(base.files),
        "profile": trainable.loaded.profile.model_dump(mode="json"),
        "objectives": asdict(recipe.objectives),
        "tuning": asdict(recipe.tuning),
        "sources": [source.as_json()["data"] for source in sources],
        "texts": {source.spec.name: texts for source in sources if (texts := _other_texts(source.spec))} or None,
        "negatives": digests,
        "chosen_on": _chosen_on(recipe),
    }
    return Prepared(recipe, base, trainable, sources, negatives, pools, UnitStep(joint, negatives), identity)


def _other_texts(spec: SourceSpec) -> dict[str, str]:
    """What the sessions, passages and responses of a source are, where they are not the usual ones: the examples' ids do not tell."""
    return {key: getattr(spec, key) for key in ("history", "passage", "response") if getattr(spec, key) != _DEFAULTS[key].default}


def _chosen_on(recipe: Recipe) -> dict[str, Any] | None:
    """What the metric of the best checkpoint is measured on, wherever it lies; None where nothing is chosen."""
    if recipe.training.metric is None:
        return None
    sets = [each.model_dump(mode="json", exclude={"data", "corpus", "rewrites"}) for each in recipe.evaluation.dev]
    return {"dev": sets, "system": recipe.evaluation.system}


def _set_seed(seed: int) -> None:
    from accelerate.utils import set_seed

    set_seed(seed)


def _negatives(recipe: Recipe, sources: Sequence[Source], cache: Path) -> tuple[dict[str, tuple[Passage, ...]], dict[str, str]]:
    """The passages of every file of hard negatives, and the files' digests."""
    found: dict[str, tuple[Passage, ...]] = {}
    digests = {}
    for source in sources:
        path = recipe.negatives.get(source.spec.name)
        if path is not None:
            found |= dict(_mined(path, source, cache))
            digests[source.spec.name] = remembered_sha256(path, cache)
    return found, digests


def _mined(path: Path, source: Source, cache: Path) -> Iterator[tuple[str, tuple[Passage, ...]]]:
    spec, dataset = source.spec, source.dataset
    if dataset is None:
        raise UsageError(f"source {spec.name}: mined negatives are for datasets; a file has its own under 'negatives'")
    header, negatives = read_negatives(path)
    if (header.dataset, header.split) != (dataset.name, dataset.split):
        raise DataError(path, f"is of {header.dataset} ({header.split}), and source {spec.name} is {dataset.name} ({dataset.split})")
    store = store_at_hand(dataset, cache, required=True)
    if store is None:
        raise MissingFileError(f"source {spec.name}: {path} names passages, and the dataset has no collection")
    wanted = {example.turn.id: example.id for example in source.examples if "retrieval" in example.objectives}
    own = {turn_id: each for turn_id, each in negatives.items() if turn_id in wanted}
    if not own:
        raise DataError(path, f"holds no turn of source {spec.name} ({_selected(spec)}); mine them from the same conversations")
    check_in_collection(path, own, store)
    ids = sorted({negative.id for each in own.values() for negative in each})
    passages = {passage.id: passage for passage in store.get(ids)}
    for turn_id, each in own.items():
        yield wanted[turn_id], tuple(passages[negative.id] for negative in each)


def _selected(spec: SourceSpec) -> str:
    return spec.conversations.describe() if spec.conversations else "all conversations"
