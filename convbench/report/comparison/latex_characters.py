"""Text as LaTeX shows it."""

from __future__ import annotations

import re
import unicodedata

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\`{}",
    '"': "''",
    "↓": r"$\downarrow$",
    "×": r"$\times$",
    "−": "$-$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "†": r"$\dagger$",
    "“": "``",
    "”": "''",
    "–": "--",
    "→": r"$\rightarrow$",
}
"""Characters that mean something to LaTeX, and those of ours that its standard fonts lack."""

_ESCAPES = re.compile("|".join(map(re.escape, _SPECIAL)) + r"|--+|(?<![\w.])-(?=\d)")


def escape(text: str) -> str:
    """Text that LaTeX shows as it is; a minus before a number becomes a real one. Control characters are left out."""
    shown = "".join(character for character in " ".join(text.split()) if unicodedata.category(character) != "Cc")
    return _ESCAPES.sub(_escaped, shown)


def _escaped(match: re.Match[str]) -> str:
    found = match[0]
    if found == "-":
        return "$-$"
    return "-{}" * (len(found) - 1) + "-" if found.startswith("--") else _SPECIAL[found]
