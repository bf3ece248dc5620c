"""The scores that shipped baselines promise: ``baselines/<name>/expected.json``, measured on the sets of ``baselines/sets.yaml``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convbench.config import Config, build_config, read_mapping
from convbench.errors import MissingFileError, UsageError
from convbench.harness.provenance import package_versions
from convbench.harness.results import Results
from convbench.harness.spec import DatasetSpec
from convbench.io.atomic import write_text
from convbench.io.jsonl import read_json
from convbench.metrics.selection import Selection
from convbench.registry import did_you_mean
from convbench.systems.catalog import shipped

TOLERANCE = 0.005
"""Absolute. BM25 repeats exactly; encoders differ in the last bits between processors, which can swap near ties."""

MEASURED = Selection(families=["retrieval", "rouge", "token-f1"])
"""What is promised: the measures that need no model."""

_PATHS = ("data", "corpus", "rewrites")


class NamedSet(Config):
    """A set that scores are promised on; one with paths is a sample of real data, the others are bundled.

    Attributes:
        name: The dataset.
        split: Its split.
        data: Folder of its files, below the folder of real samples; so are ``corpus`` and ``rewrites``.
    """

    name: str
    split: str | None = None
    data: str | None = None
    corpus: str | None = None
    rewrites: str | None = None

    @property
    def bundled(self) -> bool:
        """Whether it comes with convbench."""
        return self.data is None

    def spec(self, real_data: Path | None) -> DatasetSpec:
        """The dataset, its paths made whole.

        Raises:
            MissingFileError: It is a sample of real data, and the folder of samples is not known or has not got it.
        """
        paths = {key: Path(path) for key in _PATHS if (path := getattr(self, key)) is not None}
        if paths and real_data is None:
            raise MissingFileError("a sample of real data: name the folder of samples with --real-data or $CONVBENCH_REAL_DATA")
        whole = {key: (real_data / path).absolute() for key, path in paths.items()} if real_data is not None else {}
        if missing := [path for path in whole.values() if not path.exists()]:
            raise MissingFileError(f"{missing[0]}: no such file or folder; is it a folder of the samples?")
        return DatasetSpec(name=self.name, split=self.split, **{key: str(path) for key, path in whole.items()})


class ExpectedSet(Config):
    """What a baseline is promised to get on one set.

    Attributes:
        tolerance: Greatest difference, absolute.
        metrics: Measure -> value.
        signatures: Measure -> its signature.
    """

    split: str
    turns: int
    conversations: int
    passages: int | None
    turnset_sha256: str
    collection_sha256: str | None
    tolerance: float
    metrics: dict[str, float | None]
    signatures: dict[str, str]


class Expected(Config):
    """A whole ``expected.json``.

    Attributes:
        baseline: The name.
        packages: Versions of the packages that it was measured with.
        scores: Name of a set -> what is promised on it.
    """

    baseline: str
    packages: dict[str, str]
    scores: dict[str, ExpectedSet]


def named_sets() -> dict[str, NamedSet]:
    """The sets of ``baselines/sets.yaml``, in order."""
    path = shipped("baselines") / "sets.yaml"
    return {name: build_config(NamedSet, values, f"{path}: {name}") for name, values in read_mapping(path).values.items()}


def named_set(name: str) -> NamedSet:
    """One of them.

    Raises:
        UsageError: None has that name.
    """
    sets = named_sets()
    if name not in sets:
        raise UsageError(f"unknown set {name!r}.{did_you_mean(name, sets)} Known: {', '.join(sets)}")
    return sets[name]


def read_expected(baseline: str) -> Expected | None:
    """What a baseline promises; None where it promises nothing.

    Raises:
        DataError, UsageError: The file is malformed.
    """
    path = _file(baseline)
    return build_config(Expected, read_json(path), str(path)) if path.exists() else None


def write_expected(baseline: str, scores: Mapping[str, ExpectedSet]) -> Path:
    """Writes what a baseline promises from now on, with the versions that are installed."""
    expected = Expected(baseline=baseline, packages=package_versions(), scores=dict(scores))
    path = _file(baseline)
    write_text(path, json.dumps(expected.model_dump(mode="json"), indent=2) + "\n")
    return path


def promised(results: Results) -> ExpectedSet:
    """What the results of a run are as a promise."""
    dataset = results.dataset
    values: dict[str, Any] = {"split": dataset.split, "turns": dataset.n_turns, "conversations": dataset.n_conversations}
    values |= {key: getattr(dataset, key) for key in ("passages", "turnset_sha256", "collection_sha256")}
    values["metrics"] = {metric.name: metric.value for metric in results.metrics}
    values["signatures"] = {metric.name: metric.signature for metric in results.metrics}
    return ExpectedSet(tolerance=TOLERANCE, **values)


def _file(baseline: str) -> Path:
    return shipped("baselines") / baseline / "expected.json"
