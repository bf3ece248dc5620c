"""What a loaded model lacks of its weights, by what transformers tells: a weight that is not in the files is never made up."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

from convbench.errors import ResourceError

log = logging.getLogger(__name__)

NO_WRITING_HEAD = "it holds no head that writes: give a checkpoint that does, or set lm_head: embeddings in its profile"

_LAYER = re.compile(r"[^0-9]*?\.\d+(?=\.)")


def refuse_gaps(label: str, model: Any, info: Mapping[str, Any], *, unused: tuple[str, ...], headless: str = NO_WRITING_HEAD) -> None:
    """Refuses a model with random weights in a part that is used, or without layers that are stored; stray tensors are only noted.

    Args:
        label: The checkpoint, for messages.
        model: As it was loaded.
        info: The loading information of transformers.
        unused: What the names of tensors begin with that are not used.
        headless: What to say where only the head is missing.

    Raises:
        ResourceError: Tensors are missing, of another shape, or left over as a whole layer.
    """
    kind = type(model).__name__
    if wrong := sorted(info["mismatched_keys"]):
        tensor, stored, expected = wrong[0]
        raise ResourceError(
            f"{label}: {tensor} has the shape {list(stored)}, and config.json says {list(expected)} ({len(wrong)} such tensors); "
            "give the config.json saved with the weights"
        )
    missing = sorted(name for name in info["missing_keys"] if not name.startswith(unused))
    if missing:
        raise ResourceError(f"{label}: the files lack tensors of {kind}: {listed(missing)}; {_advice(model, missing, headless)}")
    parts = dict(model.base_model.named_children())
    prefix = f"{model.base_model_prefix}."
    left = sorted(name for name in info["unexpected_keys"] if name.removeprefix(prefix).partition(".")[0] in parts)
    spare = _spare_layers(model, left)
    if len(spare) > getattr(model.config, "num_nextn_predict_layers", 0):  # DeepSeek and GLM store what drafts tokens as a last layer
        raise ResourceError(
            f"{label}: the files hold {listed(spare)}, and {kind} by config.json has no such layer; "
            "give the config.json saved with the weights"
        )
    if left:
        log.info("%s: stored tensors that %s has no place for are not used: %s", label, kind, listed(left))


def _spare_layers(model: Any, left: Sequence[str]) -> list[str]:
    """Layers of which all tensors are left, beside others of their row that are used: ``layers.2`` where there are two."""
    body = model.base_model
    used = {match[0] for name in body.state_dict() for match in [_LAYER.match(name)] if match}
    rows = {layer.rpartition(".")[0] for layer in used}
    found = {match[0] for name in left for match in [_LAYER.match(name.removeprefix(f"{model.base_model_prefix}."))] if match}
    return sorted(layer for layer in found - used if layer.rpartition(".")[0] in rows)


def _advice(model: Any, missing: Sequence[str], headless: str) -> str:
    if all(name.startswith(tuple(f"{head}." for head in heads(model))) for name in missing):
        return headless
    return "weights and config.json do not belong together, or were not saved whole"


def listed(names: Sequence[str]) -> str:
    """The first three names, and how many more there are."""
    more = len(names) - 3
    return ", ".join(names[:3]) + (f" and {more} more" if more > 0 else "")


def heads(model: Any) -> list[str]:
    """Names of the parts beside the body; a model without a head is its own body."""
    return [name for name, part in model.named_children() if part is not model.base_model and model.base_model is not model]
