"""YAML configuration checked by pydantic: unknown keys are errors, messages are one line with file, line and key."""

from convbench.config.build import build_config, load_config
from convbench.config.model import Config
from convbench.config.origin import Origin
from convbench.config.yaml_file import (
    MAX_YAML,
    MAX_YAML_DEPTH,
    Document,
    parse_document,
    parse_yaml,
    read_document,
    read_mapping,
    read_yaml,
)

__all__ = [
    "MAX_YAML",
    "MAX_YAML_DEPTH",
    "Config",
    "Document",
    "Origin",
    "build_config",
    "load_config",
    "parse_document",
    "parse_yaml",
    "read_document",
    "read_mapping",
    "read_yaml",
]
