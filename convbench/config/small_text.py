"""Reading a text file that should be small, and may be anything."""

from __future__ import annotations

from pathlib import Path

from convbench.errors import DataError, reading_error


def small_text(path: Path, most: int, too_large: str) -> str:
    """The text of a UTF-8 file.

    Args:
        path: The file.
        most: Bytes that it may have; of a larger one no more than this is read.
        too_large: What the message says of a larger one.

    Raises:
        MissingFileError: There is no such file, or it cannot be read.
        DataError: It is larger, or not UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise reading_error(error, path) or error from None
    if len(data) > most:
        raise DataError(path, too_large)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise DataError(path, f"not UTF-8 ({error.reason} at byte {error.start})") from None
