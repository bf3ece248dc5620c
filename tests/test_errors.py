from __future__ import annotations

import errno

import pytest

from convbench import errors
from convbench.errors import ConvbenchError, DataError, StorageError, reading_error, storage_error, storage_errors


def test_exit_codes_are_distinct_and_documented() -> None:
    kinds = {kind.__name__: kind.exit_code for kind in ConvbenchError.__subclasses__()}
    assert kinds == {
        "UsageError": 2,
        "DataError": 3,
        "MissingFileError": 3,
        "RunFileError": 4,
        "ResourceError": 5,
        "StorageError": 6,
        "InvariantError": 7,
    }
    assert ConvbenchError.exit_code == 1
    assert 0 not in kinds.values()


@pytest.mark.parametrize(
    ("line", "where", "expected"),
    [
        (None, None, "f.json: odd"),
        (7, None, "f.json:7: odd"),
        (None, "record 3.Answer", "f.json [record 3.Answer]: odd"),
        (7, "key", "f.json:7 [key]: odd"),
    ],
)
def test_data_errors_name_the_place(line: int | None, where: str | None, expected: str) -> None:
    assert str(DataError("f.json", "odd", line=line, where=where)) == expected


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "disk is full: free some space"),
        (errno.EDQUOT, "quota is used up"),
        (errno.EROFS, "read-only: choose another place"),
        (errno.EACCES, "permission denied"),
        (errno.EPERM, "not permitted"),
        (errno.ENOTDIR, "a file stands where a folder is needed"),
    ],
)
def test_storage_errors_say_what_to_do(number: int, advice: str) -> None:
    error = storage_error(OSError(number, "as the system says it", "out/file"))
    assert isinstance(error, errors.StorageError)
    assert advice in str(error)
    assert str(error).startswith("out/file: cannot write: ")
    assert "\n" not in str(error)


def test_other_os_errors_are_not_about_storage() -> None:
    assert storage_error(FileNotFoundError(errno.ENOENT, "no such file")) is None
    assert storage_error(OSError("without a number")) is None


def test_storage_error_prefers_the_name_it_is_given() -> None:
    full = OSError(errno.ENOSPC, "full", ".file.123.tmp")
    assert str(storage_error(full, "file")).startswith("file: ")
    assert str(storage_error(OSError(errno.ENOSPC, "full"))).startswith("output: ")


def test_a_block_reports_what_is_about_storage_and_lets_the_rest_pass() -> None:
    with pytest.raises(StorageError, match=r"^folder: cannot write: "), storage_errors("folder"):
        raise OSError(errno.ENOSPC, "full", ".file.123.tmp")
    with pytest.raises(FileNotFoundError), storage_errors("folder"):
        raise FileNotFoundError(errno.ENOENT, "no such file")
    with pytest.raises(ValueError, match=r"^no storage$"), storage_errors("folder"):
        raise ValueError("no storage")


@pytest.mark.parametrize(
    ("number", "found"),
    [
        (errno.ENOENT, "no such file"),
        (errno.ENOTDIR, "no such file"),
        (errno.EISDIR, "is a folder, expected a file"),
        (errno.EACCES, "cannot be read: permission denied"),
    ],
)
def test_a_file_that_cannot_be_opened(number: int, found: str) -> None:
    error = reading_error(OSError(number, "as the system says it"), "in/file")
    assert isinstance(error, errors.MissingFileError)
    assert str(error) == f"in/file: {found}"


def test_a_failing_disk_is_no_missing_file() -> None:
    assert reading_error(OSError(errno.EIO, "broken"), "in/file") is None
