"""Words of a text for lexical matching: lower-cased, stop words out, stemmed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from importlib import metadata
from typing import Any, Literal

from pydantic import field_validator

from convbench.config import Config


class AnalyzerConfig(Config):
    """How text becomes words. The token pattern is scikit-learn's: two or more word characters."""

    stemmer: Literal["english", "none"] = "english"
    stopwords: Literal["english", "none"] = "english"
    pattern: str = r"(?u)\b\w\w+\b"

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        if groups > 1:
            raise ValueError(f"it has {groups} groups, and a word is one piece: expected one group at most; write the others as (?:...)")
        return pattern


class Analyzer:
    """bm25s' tokenizer under an ``AnalyzerConfig``, with the Snowball stemmer of PyStemmer."""

    def __init__(self, config: AnalyzerConfig) -> None:
        self.config = config

    def describe(self) -> dict[str, Any]:
        """The settings and the versions that change words."""
        versions = {"bm25s": metadata.version("bm25s"), "pystemmer": metadata.version("PyStemmer")}
        return {**self.config.model_dump(), **versions}

    @cached_property
    def _stemmer(self) -> Any:
        import Stemmer

        return Stemmer.Stemmer("english") if self.config.stemmer == "english" else None

    def tokenizer(self) -> Any:
        """A fresh ``bm25s`` tokenizer (it learns its vocabulary as it reads)."""
        from bm25s.tokenization import Tokenizer

        stopwords = "english" if self.config.stopwords == "english" else []
        return Tokenizer(lower=True, splitter=self.config.pattern, stopwords=stopwords, stemmer=self._stemmer)

    def words(self, texts: Sequence[str]) -> list[list[str]]:
        """The words of each text."""
        import bm25s

        tokens: list[list[str]] = bm25s.tokenize(
            list(texts),
            token_pattern=self.config.pattern,
            stopwords="english" if self.config.stopwords == "english" else [],
            stemmer=self._stemmer,
            return_ids=False,
            show_progress=False,
        )
        return tokens
