"""Small JSON objects that hold a digest of themselves, so that one in which a byte was changed is known for what it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from convbench.io.digests import value_sha256

SEAL = "check"
"""The key of the digest."""


class BrokenSealError(ValueError):
    """An object is no longer what was written."""


def sealed(values: Mapping[str, Any]) -> dict[str, Any]:
    """An object with the digest of its other values."""
    return {**values, SEAL: value_sha256(values)}


def unsealed(values: Any) -> dict[str, Any]:
    """The values of an object that was sealed, without the digest.

    Raises:
        KeyError: It has no digest, as what older versions wrote.
        BrokenSealError: It is no object, or the digest is not that of the values.
    """
    if not isinstance(values, dict):
        raise BrokenSealError("not an object")
    rest = {key: value for key, value in values.items() if key != SEAL}
    try:
        found = value_sha256(rest)
    except ValueError as error:  # what JSON of Python's takes and ours does not: NaN, half a character
        raise BrokenSealError(str(error)) from None
    if values[SEAL] != found:
        raise BrokenSealError("its digest is not that of its content")
    return rest
