"""A first look at a Parquet file's footer, in a process of its own: Apache Arrow ends the process that looks at some damaged ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from convbench.errors import DataError

_SECONDS = 60

# Everything that is read of a footer later. What Arrow reports as an error is reported there, in its own words.
_LOOK = """
import sys, pyarrow, pyarrow.parquet
try:
    with pyarrow.parquet.ParquetFile(sys.argv[1]) as table:
        for column in range(len(table.schema)):
            seen = table.schema.column(column)
            seen.length, seen.path, seen.max_repetition_level
        for group in range(table.metadata.num_row_groups):
            for column in range(table.metadata.num_columns):
                chunk = table.metadata.row_group(group).column(column)
                chunk.total_uncompressed_size, chunk.num_values, chunk.has_dictionary_page
                chunk.encodings, chunk.physical_type, chunk.path_in_schema
except (OSError, ValueError, pyarrow.ArrowException):
    pass
"""


def check_footer(path: Path) -> None:
    """Looks at a footer where nothing is lost if that ends badly.

    Raises:
        DataError: It did: the process came to an end, or to none.
    """
    try:
        subprocess.run([sys.executable, "-c", _LOOK, str(path)], check=True, capture_output=True, timeout=_SECONDS)  # noqa: S603
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        raise DataError(path, "not a readable Parquet file: its footer is damaged") from None
