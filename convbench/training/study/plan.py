"""The study file: which variants of a recipe are trained, from which seeds, and what is claimed of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from convbench.config import Config, load_config
from convbench.errors import DataError, UsageError
from convbench.registry import did_you_mean
from convbench.systems.unified import UnifiedConfig
from convbench.training.evaluating import set_names
from convbench.training.places import datasets_of, with_places
from convbench.training.recipe import Recipe, build_recipe, read_values, recipe_path, with_absolute_paths, with_changes
from convbench.views.evidence import EvidenceName

ENOUGH = 3
"""With fewer seeds the report says that the spread over seeds is hardly known."""

_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


class Arm(Config):
    """One variant.

    Attributes:
        set: The recipe's values that are changed, by dotted key; none: the recipe itself.
        retriever: Or nothing is trained: the rankings of this arm
        generator: are what the checkpoint of this arm answers from.
    """

    set: dict[str, Any] = {}  # noqa: RUF012 - pydantic copies defaults
    retriever: str | None = None
    generator: str | None = None

    @property
    def trained(self) -> bool:
        """Whether it is trained; else it is put together from two that are."""
        return self.retriever is None

    @property
    def parts(self) -> tuple[str, ...]:
        """The arms that it is put together from."""
        return tuple(name for name in (self.retriever, self.generator) if name is not None)

    @model_validator(mode="after")
    def _one_kind(self) -> Arm:
        if len(self.parts) == 1:
            raise ValueError("expected both a retriever and a generator, or neither")
        if self.parts and self.set:
            raise ValueError("an arm of a retriever and a generator is not trained, so nothing can be set")
        return self


class Claim(Config):
    """Something that is thought to be so: that one arm is better than another under a measure.

    Attributes:
        text: The claim in words; the report repeats it.
        arm: Which ought to be better.
        against: Than which.
        measure: By which measure.
        evidence: Show the other one this evidence in place of its own.
        on: On which test set; None: on each of them.
    """

    text: str = Field(min_length=1)
    arm: str
    against: str
    measure: str
    evidence: EvidenceName | None = None
    on: str | None = None


class Study(Config):
    """A study.

    Attributes:
        name: What it is called.
        recipe: A recipe's name, or the path of its file.
        seeds: Every arm is trained from each.
        arms: Name -> variant. The others are compared with the first.
        evidence: Evidence conditions that every responding arm is run under besides its own.
        agreement: Whose responses self-agreement is computed of, as by ``convbench agree``.
        measures: What arms are compared by.
        hit_depth: k of "gold among the first k"; None: as many passages as the responder is shown.
        good: A response is good from this value of the runs' declared response measure on.
        claims: What is checked.
    """

    name: str = Field(pattern=_NAME)
    recipe: str
    seeds: list[Annotated[int, Field(ge=0, lt=2**31)]] = Field(min_length=1)
    arms: dict[Annotated[str, Field(pattern=_NAME)], Arm] = Field(min_length=1)
    evidence: list[EvidenceName] = []  # noqa: RUF012 - pydantic copies defaults
    agreement: list[Literal["own", "gold"]] = []  # noqa: RUF012
    measures: list[str] = Field(min_length=1)
    hit_depth: int | None = Field(default=None, ge=1)
    good: float = Field(default=0.5, allow_inf_nan=False)
    claims: list[Claim] = []  # noqa: RUF012

    @model_validator(mode="after")
    def _fits_together(self) -> Study:
        for key in ("seeds", "evidence", "agreement", "measures"):
            values = getattr(self, key)
            if len(set(values)) < len(values):
                raise ValueError(f"{key}: one of them comes twice")
        for name, arm in self.arms.items():
            for part in arm.parts:
                if part not in self.arms or not self.arms[part].trained:
                    known = [other for other, each in self.arms.items() if each.trained]
                    raise ValueError(f"arms.{name}: {part!r} is no arm that is trained; those are {', '.join(known) or 'none'}")
        for number, claim in enumerate(self.claims, 1):
            self._check_claim(claim, f"claim {number}")
        return self

    def _check_claim(self, claim: Claim, where: str) -> None:
        for name in (claim.arm, claim.against):
            if name not in self.arms:
                raise ValueError(f"{where}: no arm is called {name!r}; arms: {', '.join(self.arms)}")
        if claim.evidence is not None and claim.evidence not in self.evidence:
            raise ValueError(f"{where}: {claim.evidence!r} is not among the evidence conditions that are run; add it to 'evidence'")
        if claim.arm == claim.against and claim.evidence is None:
            raise ValueError(f"{where}: {claim.arm!r} against itself; name another arm, or an evidence condition")

    @property
    def all_measures(self) -> list[str]:
        """The measures of tables and claims, each once."""
        return list(dict.fromkeys([*self.measures, *(claim.measure for claim in self.claims)]))


@dataclass(frozen=True, slots=True)
class Cell:
    """One arm from one seed."""

    arm: str
    seed: int

    def folder(self, out: Path) -> Path:
        """Where it is."""
        return out / "arms" / self.arm / f"seed-{self.seed}"

    def __str__(self) -> str:
        return f"{self.arm}, seed {self.seed}"


def load_study(path: Path) -> Study:
    """Reads a study file; a recipe's path in it begins at the file's folder.

    Raises:
        MissingFileError: There is no such file.
        DataError: An unknown key, a wrong value or a contradiction.
    """
    study = load_config(Study, path)
    recipe = Path(study.recipe)
    return study if recipe.suffix not in (".yaml", ".yml") else study.model_copy(update={"recipe": str(path.parent.resolve() / recipe)})


def cells_of(study: Study, arms: Sequence[str] = (), seeds: Sequence[int] = ()) -> list[Cell]:
    """What is to be done, seed by seed, so that a study that is stopped has whole seeds; within a seed trained arms come first.

    Args:
        study: The study.
        arms: Only these; none: all.
        seeds: Only these; none: all.

    Raises:
        UsageError: The study has no such arm or seed.
    """
    for name in arms:
        if name not in study.arms:
            raise UsageError(f"--arm {name}: the study has no such arm.{did_you_mean(name, study.arms)} Arms: {', '.join(study.arms)}")
    for seed in seeds:
        if seed not in study.seeds:
            raise UsageError(f"--seed {seed}: the study has the seeds {', '.join(map(str, study.seeds))}; add it there")
    order = sorted(study.arms, key=lambda name: not study.arms[name].trained)
    return [Cell(arm, seed) for seed in study.seeds for arm in order if (not arms or arm in arms) and (not seeds or seed in seeds)]


def recipes_of(study: Study, places: Mapping[str, Mapping[str, str]], origin: Path) -> dict[Cell, Recipe]:
    """The recipe of every cell that is trained, all of them checked before any work.

    Args:
        study: The study.
        places: ``data``, ``corpus`` or ``rewrites`` -> dataset -> folder or file.
        origin: The study's file: relative paths that an arm sets begin at its folder, and messages name it.

    Raises:
        UsageError: A change does not fit the recipe, an arm changes what it is evaluated on, or a further evidence condition is its own.
        DataError: The recipe is evaluated on nothing, or is malformed.
    """
    path = recipe_path(study.recipe)
    values = read_values(path)
    plain = build_recipe(with_places(values, places), path)
    if not plain.evaluation.test:
        raise DataError(path, "evaluation.test is empty, and a study compares arms on its sets; name one at least")
    found = {}
    for name, arm in study.arms.items():
        for seed in study.seeds if arm.trained else ():
            if "training.seed" in arm.set:
                raise UsageError(f"{origin}: arms.{name}: sets training.seed, which 'seeds' decides")
            changed = with_absolute_paths(with_changes(values, {**arm.set, "training.seed": seed}), origin.parent.resolve())
            recipe = build_recipe(with_places(changed, _used(places, datasets_of(changed))), f"{origin}: arms.{name}")
            if recipe.evaluation.test != plain.evaluation.test:
                raise UsageError(f"{origin}: arms.{name}: changes evaluation.test, and arms are compared on the same turns")
            found[Cell(name, seed)] = recipe
    _check_sets(study, set_names(plain.evaluation.test), origin)
    _check_evidence(study, found, origin)
    return found


def _used(places: Mapping[str, Mapping[str, str]], datasets: Sequence[str]) -> dict[str, dict[str, str]]:
    """The places of some datasets: an arm need not use all that the recipe does."""
    return {key: {name: place for name, place in by_name.items() if name in datasets} for key, by_name in places.items()}


def _check_sets(study: Study, names: Sequence[str], origin: Path) -> None:
    for claim in study.claims:
        if claim.on is not None and claim.on not in names:
            raise UsageError(f"{origin}: a claim is on the test set {claim.on!r}, and the recipe has {', '.join(names)}")


def _check_evidence(study: Study, recipes: Mapping[Cell, Recipe], origin: Path) -> None:
    """An arm's own evidence is no further condition: it would give the same run again, which no table could show beside the first."""
    for cell, recipe in recipes.items():
        system = recipe.evaluation.system
        own = system.get("evidence", UnifiedConfig.model_fields["evidence"].default)
        if own in study.evidence and system.get("decoding", {}) is not None:
            raise UsageError(f"{origin}: evidence: {own!r} is what the arm {cell.arm} is shown anyway; take it out of 'evidence'")
