"""What every configuration model has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """Base of all configuration models: immutable, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)
