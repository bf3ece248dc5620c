"""Replacing a whole folder, so that a crash or a full disk never takes what was there before."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path

from convbench.errors import ConvbenchError, StorageError, storage_error
from convbench.io.atomic import atomic_folder

_OS_ERROR = re.compile(r"\(os error (\d+)\)")


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Yields an empty folder that takes ``folder``'s place when the block ends well, after all of it is on the disk.

    No system call that Python has swaps two folders. A crash between the two renames leaves both whole, the earlier one under the name
    ``.<folder>.earlier``, and the next call puts it back before anything else. One process at a time may write a folder.

    Raises:
        StorageError: The disk is full or the place cannot be written to; what was there before is still there.
    """
    folder = folder.resolve()
    new, earlier = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.earlier")
    with storage_errors(folder):
        if earlier.exists() and not folder.exists():
            earlier.replace(folder)
        for left in [new, *folder.parent.glob(f".{escape(new.name)}.*.tmp")]:  # by a writer that was killed
            if left.exists():
                shutil.rmtree(left)
    with atomic_folder(new) as place, storage_errors(folder):
        yield place
    with storage_errors(folder):
        shutil.rmtree(earlier, ignore_errors=True)
        if folder.exists():
            folder.replace(earlier)
        new.replace(folder)
        shutil.rmtree(earlier, ignore_errors=True)


@contextmanager
def storage_errors(folder: Path) -> Iterator[None]:
    """Turns every error of writing into one line.

    Those of safetensors and tokenizers are no ``OSError`` and tell its number in words; torch raises another one on top of it.

    Raises:
        StorageError: Writing failed.
    """
    try:
        yield
    except ConvbenchError:
        raise
    except OSError as error:
        raise _as_storage_error(error, folder) from error
    except Exception as error:
        if found := _OS_ERROR.search(str(error)):
            number = int(found[1])
            raise _as_storage_error(OSError(number, os.strerror(number)), folder) from error
        if isinstance(error, RuntimeError) and isinstance(error.__context__, OSError):
            raise _as_storage_error(error.__context__, folder) from error
        raise


def _as_storage_error(error: OSError, folder: Path) -> StorageError:
    if error.errno == errno.EFBIG:
        return StorageError(f"{folder}: cannot write: a file would be larger than is allowed here: raise the limit, or write smaller files")
    return storage_error(error, folder) or StorageError(f"{folder}: cannot write: {error.strerror or error}")
