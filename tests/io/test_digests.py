from __future__ import annotations

import hashlib
import math
from pathlib import Path

import pytest

from convbench.io import digests
from convbench.io.digests import file_sha256, value_sha256


def test_published_digests(tmp_path: Path) -> None:
    """The test vectors of FIPS 180-2."""
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    assert file_sha256(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    path.write_bytes(b"")
    assert file_sha256(path) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize("size", [6, 7, 8, 14, 15])
def test_blocks_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(digests, "_BLOCK", 7)
    path = tmp_path / "file"
    path.write_bytes(bytes(range(size)))
    assert file_sha256(path) == hashlib.sha256(bytes(range(size))).hexdigest()


def test_a_value_digest_is_of_canonical_json() -> None:
    assert value_sha256({"b": [1, 0.5, None], "a": "é"}) == hashlib.sha256('{"a":"é","b":[1,0.5,null]}'.encode()).hexdigest()


def test_the_order_of_keys_does_not_count_but_that_of_lists_does() -> None:
    assert value_sha256({"a": 1, "b": {"c": 2, "d": 3}}) == value_sha256({"b": {"d": 3, "c": 2}, "a": 1})
    assert value_sha256([1, 2]) != value_sha256([2, 1])


@pytest.mark.parametrize(("one", "other"), [(1, "1"), (1, True), ("", None), ([], {}), (0.1, 0.1 + 1e-16 * 2), ("a", "A")])
def test_different_values_differ(one: object, other: object) -> None:
    assert value_sha256({"key": one}) != value_sha256({"key": other})


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_numbers_that_json_lacks_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        value_sha256({"key": value})
