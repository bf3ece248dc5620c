"""Generators from their configuration."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from convbench.generation.base import Generator
from convbench.generation.extractive import ExtractiveConfig, ExtractiveGenerator
from convbench.generation.first_sentence import FirstSentenceConfig, FirstSentenceGenerator
from convbench.generation.prompted import PromptedConfig, PromptedGenerator
from convbench.writing.open import open_language_model


def _extractive_by_default(given: Any) -> Any:
    """A mapping without ``type`` sets the extractive responder."""
    return {"type": "extractive", **given} if isinstance(given, dict) else given


GeneratorConfig = Annotated[
    ExtractiveConfig | FirstSentenceConfig | PromptedConfig,
    Field(discriminator="type"),
    BeforeValidator(_extractive_by_default),
]


def open_generator(config: ExtractiveConfig | FirstSentenceConfig | PromptedConfig, *, offline: bool, seed: int) -> Generator:
    """The generator; nothing is loaded yet.

    Args:
        config: Its settings.
        offline: Refuse the network, but for a server on this machine.
        seed: Of sampling.
    """
    if isinstance(config, PromptedConfig):
        return PromptedGenerator(config, open_language_model(config.model, offline=offline, seed=seed))
    return FirstSentenceGenerator() if isinstance(config, FirstSentenceConfig) else ExtractiveGenerator(config)
