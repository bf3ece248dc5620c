from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from importlib import metadata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer, _lcs_table, lcs_ind

from convbench.errors import ResourceError
from convbench.metrics import rouge_rust
from convbench.metrics.longest_common import longest_common, places_in_common
from convbench.metrics.rouge_python import PythonRouge
from convbench.metrics.rouge_rust import HITS, KINDS, PAIRS, RustRouge, usable
from convbench.metrics.rouge_scorer import open_scorer

TEXT = (
    "The keeper's lamps, burning brightly! generously re-lit 3.5 1887 naïve 東京 Straße İzmir \u212aelvin ſhip … 🙂 running ran U.S. "
    "relational conditional sensibilities hopefulness hopping hoped agreed feed flies dies said yes is \ud800 \x1c \u2028 ΑΣ don't __ 1e5"
)
WORDS = [*TEXT.split(" "), *["lamp", "lamps", "the", "the", "the", "a", "of", "to", "in", "keeper"]]
SCORERS = {"python": PythonRouge, "rust": RustRouge}


@pytest.fixture
def unasked() -> Iterator[None]:
    usable.cache_clear()
    yield
    usable.cache_clear()


def fuzzed(seed: int, count: int) -> tuple[list[str], list[str]]:
    choose = random.Random(seed)

    def text() -> str:
        ends = choose.choice([[" "], [" ", " ", ". ", "\n"], [" ", "\t", "\n\n", "-", "\u00a0"]])
        return "".join(word + choose.choice(ends) for word in choose.choices(WORDS, k=choose.choice([0, 1, 2, 8, 25])))

    texts = [text() for _ in range(2 * count)]
    for place in range(0, count, 5):  # some responses are much like their references
        words = texts[place].split(" ")
        texts[count + place] = " ".join(word for word in words if choose.random() < 0.7)
    return texts[:count], texts[count:]


def check_equal(engine: str, stemmer: bool, references: list[str], responses: list[str]) -> None:
    plain = RougeScorer(list(KINDS), use_stemmer=stemmer)
    found = SCORERS[engine](KINDS, stemmer).score_batch(references, responses)
    assert len(found) == len(references)
    for reference, response, scores in zip(references, responses, found, strict=True):
        expected = plain.score(reference, response)
        assert {kind: tuple(map(float, scores[kind])) for kind in KINDS} == {kind: tuple(map(float, expected[kind])) for kind in KINDS}


@pytest.mark.parametrize("engine", SCORERS)
@pytest.mark.parametrize("stemmer", [True, False])
def test_fuzzed_pairs_have_rouge_score_s_numbers_to_the_last_bit(stemmer: bool, engine: str) -> None:
    check_equal(engine, stemmer, *fuzzed(1, 600))


@pytest.mark.slow
@pytest.mark.parametrize("engine", SCORERS)
@pytest.mark.parametrize("stemmer", [True, False])
def test_twenty_thousand_fuzzed_pairs_have_rouge_score_s_numbers_to_the_last_bit(stemmer: bool, engine: str) -> None:
    check_equal(engine, stemmer, *fuzzed(2, 20_000))


@given(reference=st.text(max_size=60), response=st.text(max_size=60), stemmer=st.booleans())
def test_any_text_has_rouge_score_s_numbers(reference: str, response: str, stemmer: bool) -> None:
    for engine in SCORERS:
        check_equal(engine, stemmer, [reference, reference], [response, reference])


@pytest.mark.parametrize("engine", SCORERS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_alone_is_what_it_is_among_others(kind: str, engine: str) -> None:
    texts = fuzzed(3, 60)
    alone, together = (SCORERS[engine](kinds, True).score_batch(*texts) for kinds in ([kind], KINDS))
    assert [tuple(scores[kind]) for scores in alone] == [tuple(scores[kind]) for scores in together]


@given(first=st.lists(st.sampled_from("abcd"), max_size=90), second=st.lists(st.sampled_from("abcde"), max_size=90))
def test_the_longest_common_subsequence_is_that_of_rouge_score_s_table(first: list[str], second: list[str]) -> None:
    assert longest_common(first, second) == _lcs_table(first, second)[-1][-1]
    places = places_in_common(first, second)
    assert [place for place in range(len(first)) if places >> place & 1] == sorted(lcs_ind(first, second))


@pytest.mark.parametrize("stemmer", [True, False])
def test_the_known_hits_are_rouge_score_s(stemmer: bool) -> None:
    plain = RougeScorer(list(KINDS), use_stemmer=stemmer)
    for (reference, response), counts in zip(PAIRS, HITS[stemmer], strict=True):
        assert {kind: tuple(score) for kind, score in plain.score(reference, response).items()} == rouge_rust._known(*counts)
    assert HITS[True] != HITS[False]


@pytest.mark.usefixtures("unasked")
def test_the_package_is_used_where_it_is_installed(caplog: pytest.LogCaptureFixture) -> None:
    assert open_scorer(KINDS, stemmer=True).engine == "rust"
    assert open_scorer(KINDS, stemmer=True, engine="python").engine == "python"
    assert caplog.text == ""


@pytest.mark.usefixtures("unasked")
def test_without_the_package_python_computes_and_nothing_is_said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setitem(rouge_rust.COMPARED, "no-such-package-of-rouge", "0.2.1")
    assert open_scorer(KINDS, stemmer=True).engine == "python"
    assert caplog.text == ""
    with pytest.raises(ResourceError, match=r"the engine rust needs rouge-score-rs==0\.2\.1 beside rouge-score==0\.1\.2"):
        open_scorer(KINDS, stemmer=True, engine="rust")


@pytest.mark.usefixtures("unasked")
@pytest.mark.parametrize("package", ["rouge-score-rs", "rouge-score"])
def test_a_version_that_was_not_compared_is_not_used(
    package: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(rouge_rust.COMPARED, package, "0.0.1")
    assert open_scorer(KINDS, stemmer=True).engine == "python"
    assert open_scorer(KINDS, stemmer=False).engine == "python"
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert f"{package} {metadata.version(package)}" in record.getMessage()
    assert f"{package} 0.0.1" in record.getMessage()


@pytest.mark.usefixtures("unasked")
def test_a_package_with_other_numbers_is_not_used(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    wrong = ((12, 11, 9, 3, 6, 10), *HITS[True][1:])
    monkeypatch.setitem(HITS, True, wrong)
    assert open_scorer(KINDS, stemmer=True).engine == "python"
    assert "gives wrong numbers for known texts" in caplog.text


@pytest.mark.usefixtures("unasked")
def test_a_package_that_fails_is_not_used(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(rouge_rust, "KINDS", (*KINDS, "rouge0"))
    assert open_scorer(KINDS, stemmer=True).engine == "python"
    assert "fails (ValueError: " in caplog.text
