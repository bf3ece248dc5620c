"""Texts for terminals: printable, no wider than they may be, and what changed between two of them."""

from __future__ import annotations

import json

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convbench.report.terminal import cut, filled, padded, printable, printable_json, width_of, words_of
from convbench.report.word_diff import word_diff

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


def plain(words) -> str:
    return " ".join(word for word, _ in words)


@given(TEXTS)
def test_whatever_a_text_holds_it_prints_on_one_line(text):
    assert printable(text).isprintable()


@given(TEXTS, st.integers(8, 40))
def test_no_line_is_wider_than_it_may_be_and_no_character_is_lost(text, width):
    lines = filled(words_of(text), width)
    assert all(width_of(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == printable(text).replace(" ", "")


@given(TEXTS, st.integers(4, 40))
def test_cut_and_padded_texts_fit(text, width):
    shown = printable(text)
    assert width_of(cut(shown, width)) <= width
    assert width_of(padded(shown, width)) == width


@given(st.dictionaries(TEXTS, TEXTS))
def test_json_that_prints_is_the_same_json(value):
    assert printable_json(value).isprintable()
    assert json.loads(printable_json(value)) == value


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two\nlines\tand\xa0a  gap ", "two lines and a gap"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\x9b31m", r"\x9b31m"),
        ("abc\u202edef", r"abc\u202edef"),
        ("naïve 日本", "naïve 日本"),
    ],
)
def test_what_would_be_obeyed_is_escaped(text, shown):
    assert printable(text) == shown


def test_wide_characters_take_two_columns():
    assert width_of("日本") == 4
    assert width_of("e\u0301") == 1
    assert cut("日本語の文", 7) == "日本..."
    assert filled(words_of("日本語の文"), 4) == ["日本", "語の", "文"]


def test_changed_words_are_marked():
    words = word_diff("It opened in 1887 .", "It opened first in 1890 .")
    assert plain(words) == "It opened {+first+} in [-1887-] {+1890+} ."
    assert [word for word, colour in words if colour == "red"] == ["[-1887-]"]
    lines = filled(words, 80)
    assert click.unstyle(lines[0]) == plain(words)
    assert "\x1b[31m[-1887-]" in lines[0]


def test_long_stretches_that_stay_are_shortened():
    same = " ".join(f"w{number}" for number in range(30))
    words = word_diff(f"old {same} tail", f"new {same} end")
    assert plain(words) == "[-old-] {+new+} w0 w1 w2 ... w27 w28 w29 [-tail-] {+end+}"


def test_texts_that_are_the_same_or_have_little_in_common_have_no_diff():
    assert word_diff("the same", "the  same") is None
    assert word_diff("one two three", "four five six") is None
    assert word_diff("", "something") is None
