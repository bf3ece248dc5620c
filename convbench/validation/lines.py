"""Lines of a file, read so that a bad one does not end the reading; the bounds are those of ``convbench.io.bounds``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from convbench.errors import DataError
from convbench.io.bounds import MAX_LINE, MIB, read_blocks
from convbench.validation.problems import Findings

# The C0 and C1 control characters and Unicode's own line and paragraph separators, as in convbench.datasets.corpora; tabs end columns.
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")


def scan_lines(path: Path, findings: Findings) -> Iterator[tuple[int, str]]:
    """Yields (1-based line number, line without its end), gunzipped by name.

    Bytes that are not UTF-8 come as U+FFFD, lines that are too long are left out, and a gzip stream that is broken, or gives more than it
    may, ends the file; each is a finding.

    Raises:
        MissingFileError: The file is not there or cannot be read.
    """
    number = 0
    try:
        for number, line in enumerate(_raw_lines(path), 1):
            if line is None:
                findings.add("long-lines", "", number, limit=MAX_LINE // MIB)
            else:
                yield number, _decoded(line, number, findings)
    except DataError as error:
        findings.add("gzip", re.sub(r"^.*?:[0-9]+: ", "", str(error)), number + 1)


def control_character(text: str) -> str | None:
    """The first control character or line separator of a text, named, or None; a tab is none here."""
    found = None if text.isprintable() else _CONTROL.search(text)
    return f"U+{ord(found[0]):04X} at character {found.start() + 1}" if found else None


def is_number(text: str) -> bool:
    """Whether a column is a number, be it a finite one or not."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _raw_lines(path: Path) -> Iterator[bytes | None]:
    """The lines without their ends; None for one that is too long, of which no more than that is held."""
    begun: list[bytes] = []
    length = 0
    for block in read_blocks(path):
        first, end, rest = block.partition(b"\n")
        length += len(first)
        if length > MAX_LINE:
            begun.clear()
        else:
            begun.append(first)
        if end:
            yield b"".join(begun) if length <= MAX_LINE else None
            *lines, last = rest.split(b"\n")
            yield from lines
            begun, length = [last], len(last)
    if length:
        yield b"".join(begun) if length <= MAX_LINE else None


def _decoded(raw: bytes, number: int, findings: Findings) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        findings.add("encoding", f"{error.reason} at byte {error.start + 1}", number)
        text = raw.decode(errors="replace")
    text = text.rstrip("\r")
    return text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}") if number == 1 else text
