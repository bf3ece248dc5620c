"""Which checkpoint to load, where it computes and in which precision."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from convbench.config import Config
from convbench.errors import ResourceError, UsageError

Device = Literal["auto", "cpu", "cuda", "mps"]
Dtype = Literal["auto", "float32", "float16", "bfloat16"]
EncoderDtype = Dtype | Literal["int8"]
"""``int8``: linear layers in 8-bit integers, the rest in float32; only to encode, on the CPU."""


class ModelConfig(Config):
    """A checkpoint and how to run it.

    Attributes:
        model: Folder or hub id; empty in a system whose users bring their own weights.
        revision: Hub commit, tag or branch.
        profile: Name of a built-in profile, or values that change the checkpoint's own; None: the checkpoint's own.
        device: ``auto``: the first of cuda, mps, cpu that is there.
        dtype: ``auto``: float32 on the CPU, elsewhere what the checkpoint is stored in. ``int8`` encodes on the CPU with linear layers in
            8-bit integers.
        batch_tokens: Most tokens in a batch, padding included.
    """

    model: str = ""
    revision: str | None = None
    profile: str | dict[str, Any] | None = None
    device: Device = "auto"
    dtype: EncoderDtype = "auto"
    batch_tokens: int = Field(default=8192, ge=1)


def resolve_device(device: Device) -> str:
    """The device to compute on.

    Raises:
        ResourceError: It was asked for and is not there.
    """
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        return next(name for name, available in there.items() if available)
    if not there[device]:
        raise ResourceError(f"device {device!r} is not available here; choose --device cpu or auto")
    return device


def resolve_dtype(dtype: EncoderDtype, device: str, stored: str | None) -> str:
    """The precision to compute in.

    Args:
        dtype: What was asked for.
        device: As resolved.
        stored: What the checkpoint's configuration names.

    Raises:
        UsageError: 8-bit integers elsewhere than on the CPU.
    """
    if dtype == "int8" and device != "cpu":
        raise UsageError(f"dtype int8 computes on the CPU only, found device {device!r}; set device: cpu, or dtype: bfloat16")
    if dtype != "auto":
        return dtype
    return stored if device != "cpu" and stored in ("float16", "bfloat16") else "float32"
