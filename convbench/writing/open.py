"""Language models from their configuration."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from convbench.writing.base import LanguageModel
from convbench.writing.local import LocalConfig, LocalModel
from convbench.writing.seq2seq import Seq2SeqConfig, Seq2SeqModel
from convbench.writing.server import ServerConfig, ServerModel

LanguageModelConfig = Annotated[LocalConfig | Seq2SeqConfig | ServerConfig, Field(discriminator="type")]


def open_language_model(config: LocalConfig | Seq2SeqConfig | ServerConfig, *, offline: bool, seed: int) -> LanguageModel:
    """The model; nothing is loaded or asked yet.

    Args:
        config: Which, and how it writes.
        offline: Refuse the network, but for a server on this machine.
        seed: Of sampling.
    """
    if isinstance(config, ServerConfig):
        return ServerModel(config, offline=offline, seed=seed)
    if isinstance(config, Seq2SeqConfig):
        return Seq2SeqModel(config, offline=offline, seed=seed)
    return LocalModel(config, offline=offline, seed=seed)
