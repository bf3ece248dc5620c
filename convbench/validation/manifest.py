"""A submission's manifest: who made what, on which data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from convbench.config import read_yaml
from convbench.errors import DataError
from convbench.io.jsonl import read_json
from convbench.registry import did_you_mean
from convbench.validation.problems import Findings

NAMES = ("manifest.yaml", "manifest.json")
_Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=r"^[^/\\\x00-\x1f\x7f]+$")]
_Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Manifest(BaseModel):
    """What a manifest says; keys that are not known are kept.

    Attributes:
        name: The system's name.
        dataset: The dataset it ran on.
        split: The split.
        kind: The kind of system: ``two-stage``, ``unified`` ...
        turnset_sha256: Digest of the turn set, as a joint run's header has it.
        collection_sha256: Digest of the collection's content.
        description: What the system is.
        parameters: How many parameters it has.
        training_data: What it was trained on.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    name: _Name
    dataset: _Name
    split: _Name
    kind: _Name
    turnset_sha256: _Digest | None = None
    collection_sha256: _Digest | None = None
    description: str | None = None
    parameters: int | float | str | None = Field(default=None, union_mode="left_to_right")
    training_data: list[str] | str | None = None


def read_manifest(path: Path, findings: Findings) -> Manifest | None:
    """Reads a manifest; None where a key that is needed is missing or unusable. What a configuration may not hold, it may not either.

    Raises:
        DataError: Not a mapping in YAML or JSON, or beyond the bounds of those.
    """
    document = _mapping(path)
    for key in sorted(map(str, document.keys() - Manifest.model_fields.keys())):
        findings.add("manifest-keys", f"{key}{did_you_mean(key, Manifest.model_fields).replace(' Did', ': did')}")
    try:
        return Manifest.model_validate(document)
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False):
            findings.add("manifest", f"{'.'.join(map(str, problem['loc']))}: {problem['msg'].lower()}")
        return None


def _mapping(path: Path) -> dict[Any, Any]:
    document = read_json(path) if path.suffix == ".json" else read_yaml(path)
    if not isinstance(document, dict):
        raise DataError(path, f"expected a mapping, found {type(document).__name__}")
    return document
