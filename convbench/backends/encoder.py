"""A text encoder on any ``AutoModel`` checkpoint: pooling, normalisation, prefixes and lengths are its profile."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
from pydantic import Field

from convbench.backends.base import Vectors
from convbench.backends.locate import LocatedModel, locate_model
from convbench.config import Config


class EncoderProfile(Config):
    """How a checkpoint wants to be used as an encoder."""

    model: str
    revision: str | None = None
    pooling: Literal["mean", "cls", "last"] = "mean"
    normalize: bool = True
    max_length: int = Field(default=256, ge=1)
    query_prefix: str = ""
    passage_prefix: str = ""
    batch_size: int = Field(default=32, ge=1)


class HFEncoder:
    """Encodes with transformers, in fp32 whatever the checkpoint is stored in; nothing is loaded before the first text.

    Args:
        profile: The checkpoint and how to use it.
        offline: Refuse the network.
    """

    def __init__(self, profile: EncoderProfile, *, offline: bool = False) -> None:
        self.profile = profile
        self._offline = offline

    @cached_property
    def located(self) -> LocatedModel:
        """The checkpoint on this machine."""
        return locate_model(self.profile.model, offline=self._offline, revision=self.profile.revision)

    def describe(self) -> dict[str, Any]:
        """The profile, the weights' digest and the versions that change vectors."""
        import torch
        import transformers

        profile = self.profile.model_dump(exclude={"model", "revision"})
        versions = {"torch": torch.__version__, "transformers": transformers.__version__}
        device = self._device
        return {"model": self.located.label, "revision": self.located.revision, **profile, **versions, "device": device, "dtype": "float32"}

    @cached_property
    def _device(self) -> str:
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"

    @cached_property
    def _model(self) -> Any:
        import torch
        from transformers import AutoModel
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # loading takes a second; the bars that matter are ours
        path = str(self.located.path)
        model = AutoModel.from_pretrained(path, use_safetensors=True, trust_remote_code=False, dtype=torch.float32)
        return model.to(self._device).eval()

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        # Models that count positions from the left would see every shorter text of a batch shifted by padding on that side.
        return AutoTokenizer.from_pretrained(str(self.located.path), trust_remote_code=False, padding_side="right")

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self._model.config.hidden_size)

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of queries, shape (len(texts), dim), float32."""
        return self._encode([self.profile.query_prefix + text for text in texts])

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """Vectors of passages, shape (len(texts), dim), float32."""
        return self._encode([self.profile.passage_prefix + text for text in texts])

    def _encode(self, texts: list[str]) -> Vectors:
        """Encodes batches of like length (padding is what costs time) and puts the vectors back in order."""
        import torch

        tokens = self._tokenizer(texts, truncation=True, max_length=self.profile.max_length)["input_ids"] if texts else []
        order = sorted(range(len(texts)), key=lambda index: (-len(tokens[index]), index))
        vectors = np.empty((len(texts), self.dim), dtype=np.float32)
        for start in range(0, len(order), self.profile.batch_size):
            chosen = order[start : start + self.profile.batch_size]
            batch = self._tokenizer.pad({"input_ids": [tokens[index] for index in chosen]}, return_tensors="pt").to(self._device)
            with torch.inference_mode():
                hidden = self._model(**batch).last_hidden_state
                pooled = _pool(hidden, batch["attention_mask"], self.profile.pooling)
                if self.profile.normalize:
                    pooled = torch.nn.functional.normalize(pooled, dim=-1)
            vectors[chosen] = pooled.float().cpu().numpy()
        return vectors


def _pool(hidden: Any, mask: Any, pooling: str) -> Any:
    """Pools (batch, length, dim) hidden states into (batch, dim); ``last`` is the last attended position under either padding."""
    import torch

    if pooling == "cls":
        return hidden[:, 0]
    if pooling == "last":
        positions = torch.arange(mask.shape[1], device=mask.device)
        last = (mask * positions).argmax(dim=1)
        return hidden[torch.arange(hidden.shape[0], device=hidden.device), last]
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1e-9)
