from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convbench.generation.sentences import split_sentences


@pytest.mark.parametrize(
    "sentences",
    [
        ["The lamp was lit in 1851.", "Nobody saw it!", "Why not?", "There was fog."],
        ["One sentence without an end"],
        ["Is it late?!", "It is."],
        ["It was lit...", "Then it went out."],
        ["The tower has 96 steps.", "45 of them are iron."],
    ],
    ids=lambda sentences: sentences[0],
)
def test_plain_sentences(sentences: list[str]) -> None:
    assert split_sentences(" ".join(sentences)) == sentences
    assert split_sentences("\n  " + " \n\n".join(sentences) + "\t") == sentences


@pytest.mark.parametrize(
    "text",
    [
        "Mr. Ames and Mrs. Dunn met Dr. Field and Prof. Orr.",
        "The mill on St. Anne Street belongs to Hart and Co. Ltd. Owners.",
        "It flew to the U.S. Coast Guard and the U.K. Navy.",
        "Bring tools, e.g. Hammers or i.e. Mallets.",
        "See cf. Orr 1851 and vs. Ames, approx. 40 pages, ca. 1851, No. 5.",
        "It opened on Sept. 3 and closed on Dec. 24 in that year.",
        'The paper called him "Mr. Light" (Dr. Ames did not).',
    ],
)
def test_an_abbreviation_does_not_end_a_sentence(text: str) -> None:
    assert split_sentences(text) == [text]


@pytest.mark.parametrize("text", ["A book by J. R. Dunn was found.", "E. Ames and (J. Orr) rowed.", "John F. Hart came."])
def test_an_initial_does_not_end_a_sentence(text: str) -> None:
    assert split_sentences(text) == [text]


@pytest.mark.parametrize(
    "text", ["It cost 3.5 million in 1.5 years.", "Version 2.0.1 of example.org is v. old.", "The rope.of hemp broke."]
)
def test_a_point_inside_does_not_end_a_sentence(text: str) -> None:
    assert split_sentences(text) == [text]


@pytest.mark.parametrize(
    "sentences",
    [
        ['He said "Stop."', "Then he left."],
        ["He said “Stop.”", "“Why?”", "“Go.”"],
        ["He left (at last.)", "(Nobody minded.)", "[It was late.]", "Good."],
        ["She called it 'the end.'", "'So be it.'"],
    ],
    ids=lambda sentences: sentences[0],
)
def test_quotes_and_brackets_stay_with_their_sentence(sentences: list[str]) -> None:
    assert split_sentences(" ".join(sentences)) == sentences


def test_what_follows_in_lower_case_goes_on() -> None:
    assert split_sentences("The firm Lamps! was sold. what a pity.") == ["The firm Lamps! was sold. what a pity."]


@pytest.mark.parametrize("text", ["", " ", "\n\t"])
def test_no_text_has_no_sentences(text: str) -> None:
    assert split_sentences(text) == []


@given(st.text(st.sampled_from("ab A1.!?\"'()”\nMr."), max_size=60))
def test_nothing_is_lost_or_added(text: str) -> None:
    sentences = split_sentences(text)
    assert "".join("".join(sentences).split()) == "".join(text.split())
    assert all(sentence and sentence == sentence.strip() for sentence in sentences)
