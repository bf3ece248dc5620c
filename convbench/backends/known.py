"""Finding a checkpoint's profile: given, beside its weights, built in, or told by its sentence-transformers files."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from convbench.backends.checkpoint import Checkpoint
from convbench.backends.config_files import PROFILE_FILE
from convbench.backends.locate import is_hub_id
from convbench.backends.profile import Profile
from convbench.config import build_config, read_yaml
from convbench.errors import ResourceError, UsageError
from convbench.registry import did_you_mean

_MODULES = "modules.json"


@dataclass(frozen=True, slots=True)
class Known:
    """A built-in profile.

    Attributes:
        name: Its name.
        matches: Hub ids (or folder names) that it is meant for, as a regular expression.
        values: The profile's values.
    """

    name: str
    matches: re.Pattern[str]
    values: Mapping[str, Any]


@cache
def known_profiles() -> Mapping[str, Known]:
    """The built-in profiles, by name."""
    profiles = {}
    for path in sorted((Path(__file__).parent / "profiles").glob("*.yaml")):
        document = read_yaml(path)
        profiles[path.stem] = Known(path.stem, re.compile(document["matches"], re.IGNORECASE), document["profile"])
    return profiles


def profile_of(checkpoint: Checkpoint, given: str | Mapping[str, Any] | None = None) -> tuple[Profile, str]:
    """The profile of a checkpoint and where it comes from.

    Args:
        checkpoint: The checkpoint.
        given: Name of a built-in profile, or values that change what the checkpoint's own profile says.

    Raises:
        UsageError: There is no such profile, a value is wrong, or nothing says how the checkpoint wants to be used.
        ResourceError: The checkpoint lacks its head or the encoder of the other side.
    """
    values, origin = (dict(_named(given).values), given) if isinstance(given, str) else _own(checkpoint)
    if given and not isinstance(given, str):
        values, origin = _changed(values, given), f"{origin}, changed"
    if not values and checkpoint.profile is None:
        known = ", ".join(known_profiles())
        raise UsageError(
            f"{checkpoint.label}: nothing says how it encodes (no {PROFILE_FILE} beside its weights, no built-in profile of its name); "
            f"choose one with --profile: {known}; or write {PROFILE_FILE}"
        )
    profile = build_config(Profile, values, f"{checkpoint.label}: profile from {origin}")
    _check_head(checkpoint, profile)
    _check_other_side(checkpoint, profile)
    return profile, origin


def _check_head(checkpoint: Checkpoint, profile: Profile) -> None:
    """A decoder that lost its head becomes a retriever only where somebody said so; sentence-transformers saves bodies alone."""
    said = profile.responds is not None or profile.lm_head == "embeddings" or (checkpoint.located.path / _MODULES).exists()
    if checkpoint.lacks_head and not said:
        raise ResourceError(
            f"{checkpoint.label}: config.json names {checkpoint.architectures[0]}, and the files hold no head that writes (such as "
            "lm_head.weight); give the whole checkpoint, or say in its profile responds: false for a retriever, or lm_head: embeddings"
        )


def _check_other_side(checkpoint: Checkpoint, profile: Profile) -> None:
    """The encoder of the other side is a folder, as seen from here or from the checkpoint, or may be on the hub."""
    for key in ("query_model", "passage_model"):
        name = getattr(profile, key)
        if name and not (is_hub_id(name) or Path(name).is_dir() or (checkpoint.located.path / name).is_dir()):
            raise ResourceError(
                f"{checkpoint.label}: {key} names {name!r}, no folder as seen from the checkpoint's, and not a hub id (owner/name); "
                f"give one of them as {key}"
            )


def _named(name: str) -> Known:
    profiles = known_profiles()
    if name not in profiles:
        raise UsageError(f"unknown profile {name!r}.{did_you_mean(name, profiles)} Known: {', '.join(profiles)}")
    return profiles[name]


def _own(checkpoint: Checkpoint) -> tuple[dict[str, Any], str]:
    """What the checkpoint itself says: its file, its name, its sentence-transformers files; any other decoder is read at its last token."""
    if checkpoint.profile is not None:
        return dict(checkpoint.profile), PROFILE_FILE
    names = (checkpoint.located.name.rstrip("/"), checkpoint.located.path.resolve().name)  # '.' is a folder with a name too
    for known in known_profiles().values():
        if any(known.matches.search(name) for name in names):
            return dict(known.values), f"the built-in profile {known.name!r}"
    is_decoder = checkpoint.writes or checkpoint.lacks_head
    if values := _sentence_transformers(checkpoint.label, checkpoint.located.path):
        return {**values, "attention": "causal" if is_decoder else "bidirectional"}, "sentence-transformers files"
    return (dict(_named("decoder").values), "the default for decoders") if is_decoder else ({}, "nowhere")


def _sentence_transformers(name: str, folder: Path) -> dict[str, Any]:
    """Pooling, normalisation, prompts and length, where the checkpoint was made with sentence-transformers."""
    pooling = _json(folder / "1_Pooling" / "config.json")
    modes = {"pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean", "pooling_mode_lasttoken": "last"}
    chosen = [mode for key, mode in modes.items() if pooling.get(key)]
    if len(chosen) != 1:
        return {}
    modules = [str(module.get("type")).rpartition(".")[2] for module in _list(folder / _MODULES)]
    if unknown := sorted(set(modules) - {"Transformer", "Pooling", "Normalize"}):
        raise UsageError(
            f"{name}: modules.json names the sentence-transformers module {unknown[0]!r}, which is not computed here; expected "
            f"Transformer, Pooling and Normalize: give a checkpoint of these, or write {PROFILE_FILE} if it does without"
        )
    values: dict[str, Any] = {"pooling": chosen[0], "normalize": "Normalize" in modules}
    if chosen[0] == "mean" and pooling.get("include_prompt") is False:
        values["pool_prefix"] = False
    prompts = _json(folder / "config_sentence_transformers.json").get("prompts") or {}
    values["query_prefix"] = prompts.get("query", "")
    values["passage_prefix"] = prompts.get("document") or prompts.get("passage") or ""
    if length := _json(folder / "sentence_bert_config.json").get("max_seq_length"):
        values["lengths"] = {"session": length, "passage": length}
    return values


def _json(path: Path) -> dict[str, Any]:
    document = _document(path)
    return document if isinstance(document, dict) else {}


def _list(path: Path) -> list[dict[str, Any]]:
    document = _document(path)
    return [item for item in document if isinstance(item, dict)] if isinstance(document, list) else []


def _document(path: Path) -> Any:
    """What a JSON file of sentence-transformers says; None where it cannot be read, as they are no part of the model itself."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _changed(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` with ``changes``; mappings within are changed key by key."""
    changed = dict(values)
    for key, value in changes.items():
        old = changed.get(key)
        changed[key] = _changed(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return changed
