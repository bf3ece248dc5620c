from __future__ import annotations

from typing import Literal

import pytest
from pydantic import ValidationError

from convbench.views.words import Analyzer, AnalyzerConfig

TEXT = "The KEEPERS of the lighthouse: rowing 2 boats, and naïve über-sailors in 1851!"


@pytest.mark.parametrize(
    ("stemmer", "stopwords", "expected"),
    [
        ("english", "english", "keeper lighthous row boat naïv über sailor 1851"),
        ("none", "english", "keepers lighthouse rowing boats naïve über sailors 1851"),
        ("english", "none", "the keeper of the lighthous row boat and naïv über sailor in 1851"),
        ("none", "none", "the keepers of the lighthouse rowing boats and naïve über sailors in 1851"),
    ],
)
def test_words(stemmer: Literal["english", "none"], stopwords: Literal["english", "none"], expected: str) -> None:
    analyzer = Analyzer(AnalyzerConfig(stemmer=stemmer, stopwords=stopwords))
    assert analyzer.words([TEXT]) == [expected.split()]


@pytest.mark.parametrize("config", [AnalyzerConfig(), AnalyzerConfig(stemmer="none"), AnalyzerConfig(stopwords="none")])
def test_the_streaming_tokenizer_sees_the_same_words(config: AnalyzerConfig) -> None:
    analyzer = Analyzer(config)
    texts = [TEXT, "", "the of", "Boats row; the boat rows."]
    tokenizer = analyzer.tokenizer()
    ids = tokenizer.tokenize(texts, update_vocab=True, allow_empty=False, show_progress=False)
    names = {number: word for word, number in tokenizer.get_vocab_dict().items()}
    assert [[names[number] for number in words] for words in ids] == analyzer.words(texts)


def test_texts_without_words() -> None:
    assert Analyzer(AnalyzerConfig()).words(["", "the of and", "? !", "a b"]) == [[], [], [], []]
    assert Analyzer(AnalyzerConfig()).words([]) == []


def test_the_pattern_is_a_setting() -> None:
    assert Analyzer(AnalyzerConfig(pattern=r"[a-z]+", stopwords="none")).words(["a1b 2c"]) == [["a", "b", "c"]]


def test_a_tokenizer_is_fresh_every_time() -> None:
    analyzer = Analyzer(AnalyzerConfig())
    analyzer.tokenizer().tokenize(["boat"], update_vocab=True, show_progress=False)
    assert "boat" not in analyzer.tokenizer().get_vocab_dict()


def test_the_description_names_settings_and_versions() -> None:
    described = Analyzer(AnalyzerConfig(stemmer="none")).describe()
    assert described["stemmer"] == "none"
    assert {"stopwords", "pattern", "bm25s", "pystemmer"} <= set(described)


def test_a_pattern_must_be_a_regular_expression() -> None:
    with pytest.raises(ValidationError, match="not a regular expression: missing \\)"):
        AnalyzerConfig(pattern="(a")
