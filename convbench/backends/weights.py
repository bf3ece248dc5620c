"""What safetensors files say before a weight is read: which tensors there are, their shapes, and that none is cut or missing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from convbench.errors import ConvbenchError, ResourceError
from convbench.io.jsonl import read_json


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor in a file.

    Attributes:
        file: The safetensors file.
        dtype: As safetensors names it: ``F32``, ``BF16``, ``I64`` ...
        shape: Its shape.
    """

    file: Path
    dtype: str
    shape: tuple[int, ...]

    @property
    def parameters(self) -> int:
        """How many numbers it holds; buffers of integers (positions, masks) are no parameters."""
        return math.prod(self.shape) if self.dtype.startswith(("F", "BF")) else 0


def stored_tensors(name: str, folder: Path, stem: str = "model") -> dict[str, Stored]:
    """The tensors of a checkpoint by name: those of ``model.safetensors``, else of the files that its index names.

    Args:
        name: The checkpoint, for messages.
        folder: Where its files are.
        stem: ``adapter_model`` for a PEFT adapter.

    Raises:
        ResourceError: A file is missing or damaged, or lacks a tensor that the index puts there.
    """
    whole, index = folder / f"{stem}.safetensors", folder / f"{stem}.safetensors.index.json"
    if whole.exists():
        return dict(_header(name, whole))
    if not index.exists():
        found = ", ".join(sorted(path.name for path in folder.glob("*.safetensors"))) or "no safetensors file"
        raise ResourceError(f"{name}: found {found}, expected {whole.name} or {index.name} with the files it names; save it anew")
    places = shard_places(index)
    missing = sorted({shard for shard in places.values() if not (folder / shard).is_file()})
    if missing:
        raise ResourceError(f"{name}: {index.name} names {_first(missing, 'file')} that the folder lacks; copy or fetch what is missing")
    tensors = {tensor: stored for shard in sorted(set(places.values())) for tensor, stored in _header(name, folder / shard)}
    lacking = sorted(tensor for tensor, shard in places.items() if tensor not in tensors or tensors[tensor].file.name != shard)
    if lacking:
        raise ResourceError(
            f"{name}: {index.name} names {_first(lacking, 'tensor')} that {places[lacking[0]]} lacks; fetch or save it anew"
        )
    return tensors


def shard_places(index: Path) -> Mapping[str, str]:
    """Tensor -> file name, as an index of safetensors files says.

    Raises:
        ResourceError: It is not such an index.
    """
    try:
        document = read_json(index)
    except ConvbenchError as error:
        raise ResourceError(str(error)) from None
    places = document.get("weight_map") if isinstance(document, dict) else None
    if not isinstance(places, dict) or not all(isinstance(shard, str) and Path(shard).name == shard for shard in places.values()):
        raise ResourceError(
            f"{index}: expected an object 'weight_map' of tensor names and file names of this folder; fetch or save it anew"
        )
    return places


def _header(name: str, path: Path) -> Iterator[tuple[str, Stored]]:
    """The tensors of one file; safetensors itself checks that the header and the file's size agree."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            for tensor in file.keys():  # noqa: SIM118 - it is no mapping
                part = file.get_slice(tensor)
                yield tensor, Stored(path, part.get_dtype(), tuple(part.get_shape()))
    except (SafetensorError, OSError) as error:
        reason = str(error).removeprefix("Error while deserializing header: ")
        raise ResourceError(
            f"{name}: {path.name} ({path.stat().st_size} bytes) is cut, damaged or no safetensors file: {reason}; copy or fetch it again"
        ) from None


def _first(names: list[str], kind: str) -> str:
    return f"the {kind} {names[0]}" if len(names) == 1 else f"{len(names)} {kind}s (first: {names[0]})"
