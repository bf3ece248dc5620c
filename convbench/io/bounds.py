"""How much is taken from one file. What goes beyond is refused by name, so that no file can fill the memory (``docs/limits.md``).

The bounds lie far above the files of the field, where the longest lines have a few MiB and the largest documents about 100 MiB, gzip makes
text 3 to 30 times smaller, and records nest less than a dozen levels deep.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any

from convbench.errors import DataError, reading_error

MIB = 1 << 20

MAX_LINE = 64 * MIB
"""Bytes of a line, without its end."""
MAX_DOCUMENT = 512 * MIB
"""Bytes of a file that is read whole: a JSON document."""
MAX_DEPTH = 64
"""Levels of lists and objects within each other in JSON."""
MAX_EXPANSION = 200
"""How many times its own size a gzip file may give; DEFLATE can give 1,032 times."""
FREE_EXPANSION = 64 * MIB
"""What every gzip file may give, however small it is."""

_BOMB = (
    f"a gzip file that gives more than {FREE_EXPANSION // MIB} MiB and {MAX_EXPANSION} times its own size is refused; "
    "if it is what it should be, unpack it first"
)
_CONTAINERS = frozenset((dict, list))
_BLOCK = 1 << 16  # lines are split fastest where a block fits the processor's cache


def read_blocks(path: Path) -> Iterator[bytes]:
    """The bytes of a file in blocks, gunzipped by name (``.gz``).

    Raises:
        MissingFileError: There is no such file.
        DataError: A broken gzip file, or one that gives more than it may; the first line that is not whole is named.
    """
    packed = path.suffix == ".gz"
    whole_lines = given = 0
    with _opened(path, packed) as file:
        most = max(FREE_EXPANSION, MAX_EXPANSION * path.stat().st_size)
        try:
            while block := file.read1(_BLOCK):  # no more than one read, so that all that stands before a break is given
                yield block
                if packed:
                    given += len(block)
                    whole_lines += block.count(b"\n")
                    if given > most:
                        raise DataError(path, _BOMB, line=whole_lines + 1)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DataError(path, f"broken gzip file ({error}): download it again", line=whole_lines + 1) from None


def _opened(path: Path, packed: bool) -> BufferedReader | gzip.GzipFile:
    try:
        return gzip.open(path) if packed else path.open("rb")
    except OSError as error:
        raise reading_error(error, path) or error from None


def too_deep(value: Any) -> bool:
    """Whether lists and objects of parsed JSON stand more than ``MAX_DEPTH`` deep in each other; looks level by level, never recurses."""
    level: list[Any] = [[value]]
    for _ in range(MAX_DEPTH + 1):
        level = [item for outer in level for item in (outer.values() if type(outer) is dict else outer) if type(item) in _CONTAINERS]
    return bool(level)
