"""How text becomes words in a Lucene index: by Lucene's own analyzers, or by the words that ``bm25`` compares."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

from convbench.retrieval.lucene_java import Java
from convbench.views.words import Analyzer, AnalyzerConfig

LuceneAnalyzer = Literal["english", "standard"] | AnalyzerConfig
"""``english`` is Lucene's EnglishAnalyzer, the chain that Pyserini's indexes use: words of Unicode's rules, lower-cased, possessives off,
33 stop words out, stemmed by Porter. ``standard`` neither stems nor leaves words out. The settings of ``bm25`` give the words of ``bm25``.
"""

_LONGEST = 8192
"""Longer words than this are cut in pieces."""
_BLANK = "\N{OPEN BOX}"


class LuceneWords:
    """Prepares texts for Lucene's analyzer.

    Args:
        config: How text becomes words.
    """

    def __init__(self, config: LuceneAnalyzer) -> None:
        self._name = config if isinstance(config, str) else None
        self._own = None if isinstance(config, str) else Analyzer(config)

    def describe(self) -> Any:
        """The setting and, where the words are ours, the versions that change them."""
        return self._own.describe() if self._own else self._name

    def analyzer(self, java: Java) -> Any:
        """The analyzer that reads the prepared texts."""
        if self._own:
            return java("org.apache.lucene.analysis.core.WhitespaceAnalyzer")(_LONGEST)
        english = "org.apache.lucene.analysis.en.EnglishAnalyzer"
        return java(english if self._name == "english" else "org.apache.lucene.analysis.standard.StandardAnalyzer")()

    def prepare(self, texts: Sequence[str]) -> list[str]:
        """Texts as Lucene can take them: half a surrogate pair becomes U+FFFD; words of ours are set apart by blanks."""
        if self._own:
            texts = [" ".join(re.sub(r"\s", _BLANK, word) for word in words if word) for words in self._own.words(texts)]
        return [text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for text in texts]
