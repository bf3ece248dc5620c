"""Text in pictures: names as one safe line, estimates in words, and measures as axis titles."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from textwrap import wrap

from convbench.analysis.estimates import Estimate
from convbench.comparison.task import Yardstick
from convbench.report.numbers import per_cent

_LONGEST = 44
"""Characters of a name in a legend that is as wide as one column of a paper."""

_SAID = 120
"""Characters of a name in a sentence."""

_A_LINE = 22
"""Characters over a panel, five of which stand beside one another."""

_UNPRINTABLE = {"Cc", "Cs", "Cn", "Co"}
_TURNS_AROUND = {chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}
"""Characters that change the direction of the text around them."""


def plain(text: str, longest: int = _LONGEST) -> str:
    """Any text as one printable line; of a longer one the middle is left out, as systems often differ at the end."""
    shown = " ".join("".join(_printable(character) for character in text).split())
    if len(shown) <= longest:
        return shown
    tail = longest // 2
    return f"{shown[: longest - tail - 1]}…{shown[-tail:]}"


def names_of(labels: Iterable[str]) -> Mapping[str, str]:
    """Label -> how pictures call it, no two the same."""
    names: dict[str, str] = {}
    for label in labels:
        name, number = plain(label), 1
        while name in names.values():
            number += 1
            name = f"{plain(label, _LONGEST - 4)} ({number})"
        names[label] = name
    return names


def said(label: str) -> str:
    """A label in a sentence."""
    return plain(label, _SAID)


def in_lines(name: str) -> str:
    """A name over a panel, in as many lines as it takes."""
    return "\n".join(wrap(name, _A_LINE))


def most_lines(names: Iterable[str]) -> int:
    """Lines of the name that takes most of them."""
    return max(in_lines(name).count("\n") + 1 for name in names)


def with_interval(estimate: Estimate) -> str:
    """``40.1 (35.0 to 45.2)``."""
    if estimate.value is None:
        return "no value"
    ends = f" ({per_cent(estimate.interval[0])} to {per_cent(estimate.interval[1])})" if estimate.interval else ""
    return per_cent(estimate.value) + ends


def axis_title(measure: Yardstick) -> str:
    """``nDCG@3 (%)``, with the direction where a lower value is better."""
    return f"{plain(measure.label)} (%{'' if measure.higher_is_better else ', lower is better'})"


def _printable(character: str) -> str:
    if character.isspace():
        return " "
    return "\N{REPLACEMENT CHARACTER}" if unicodedata.category(character) in _UNPRINTABLE or character in _TURNS_AROUND else character
