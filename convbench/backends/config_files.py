"""What the JSON files of a checkpoint say, config.json above all; what cannot be loaded here is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from convbench.backends.calls import calling_transformers
from convbench.backends.families import COUNT_POSITIONS_FROM_PADDING, model_types
from convbench.backends.locate import LocatedModel
from convbench.errors import ConvbenchError, ResourceError
from convbench.io.jsonl import read_json
from convbench.registry import did_you_mean

CONFIG, ADAPTER, PROFILE_FILE, GENERATION = "config.json", "adapter_config.json", "convbench.json", "generation_config.json"
_FEWEST_POSITIONS = 32
_FOLLOW_THE_LONGEST = ("dynamic", "longrope")
"""Rotary embeddings that change for a whole batch once a text in it is longer than the model was trained for at first."""


def json_object(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file, or None where there is no such file.

    Raises:
        ResourceError: The file cannot be read, or holds something else.
    """
    if not path.exists():
        return None
    try:
        document = read_json(path)
    except ConvbenchError as error:
        raise ResourceError(str(error)) from None
    if not isinstance(document, dict):
        raise ResourceError(f"{path}: expected a JSON object, found {type(document).__name__}; fetch or save it anew")
    return document


def read_config(model: LocatedModel) -> dict[str, Any]:
    """config.json, of a model type that transformers has without remote code.

    Raises:
        ResourceError: There is none, or it describes a model that cannot be loaded here.
    """
    config = json_object(model.path / CONFIG)
    if config is None:
        raise ResourceError(f"{model.name}: no {CONFIG} in the folder (nor {ADAPTER}); give a folder that save_pretrained wrote")
    found = config.get("model_type")
    if not isinstance(found, str):
        raise ResourceError(f"{model.name}: {CONFIG} has no model_type; expected one that transformers knows, such as 'llama'")
    known = model_types()
    if found not in known:
        reason = (
            "it needs remote code, which is off" if "auto_map" in config else f"transformers does not know it.{did_you_mean(found, known)}"
        )
        raise ResourceError(f"{model.name}: {CONFIG} has the model_type {found!r}: {reason}")
    if config.get("is_encoder_decoder"):
        raise ResourceError(f"{model.name}: {found} is an encoder-decoder model here; expected an encoder or a decoder")
    return config


def read_settings(model: LocatedModel) -> Any:
    """config.json as transformers reads it, defaults filled in.

    Raises:
        ResourceError: A value does not fit.
    """
    with calling_transformers(f"{model.name}: {CONFIG} does not describe a model"):
        from transformers import AutoConfig

        return AutoConfig.from_pretrained(model.path, trust_remote_code=False, local_files_only=True)


def max_positions(name: str, settings: Any) -> int | None:
    """The longest input in tokens by a configuration of ``read_settings``; None where the architecture sets no limit.

    Raises:
        ResourceError: Hardly a position is left for a text.
    """
    stated = getattr(settings, "max_position_embeddings", None)
    if stated is None or stated < 0:  # XLNet says -1
        return None
    positions = min([int(stated), *_positions_at_first(settings)])
    if settings.model_type in COUNT_POSITIONS_FROM_PADDING:
        positions -= int(settings.pad_token_id or 0) + 1
    if positions < _FEWEST_POSITIONS:
        raise ResourceError(
            f"{name}: {CONFIG} leaves {positions} positions for a text (max_position_embeddings {stated}); "
            f"expected {_FEWEST_POSITIONS} or more: give the {CONFIG} saved with the weights"
        )
    return positions


def _positions_at_first(settings: Any) -> list[int]:
    """The positions a model was trained for before they were stretched, where the stretching depends on the longest text of a batch.

    transformers turns the older spelling, ``rope_scaling``, into ``rope_parameters``, which may hold one set for each kind of layer.
    """
    rope = getattr(settings, "rope_parameters", None) or {}
    sets = [rope, *(each for each in rope.values() if isinstance(each, dict))]
    found = [each.get("original_max_position_embeddings") for each in sets if each.get("rope_type") in _FOLLOW_THE_LONGEST]
    return [int(positions) for positions in found if positions]
