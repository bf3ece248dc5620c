from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convbench.io.sealed import BrokenSealError, sealed, unsealed

VALUES = st.dictionaries(
    st.text("abcé", max_size=5),
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text("xyé", max_size=9),
    max_size=5,
)


@given(VALUES)
def test_what_was_sealed_comes_back(values: dict[str, Any]) -> None:
    assert unsealed(json.loads(json.dumps(sealed(values)))) == values


@given(st.integers(0, 10_000), st.integers(0, 7))
def test_no_changed_byte_passes(place: int, bit: int) -> None:
    content = bytearray(json.dumps(sealed({"state": [1, 2.5, "é"], "sha256": "0123"})).encode())
    content[place % len(content)] ^= 1 << bit
    try:
        changed = json.loads(bytes(content))
    except ValueError:
        return
    if changed != sealed({"state": [1, 2.5, "é"], "sha256": "0123"}):  # another white space, or escaped otherwise
        with pytest.raises((BrokenSealError, KeyError)):
            unsealed(changed)


@pytest.mark.parametrize(
    "values", [[], None, "text", {"check": "0"}, {"value": float("nan"), "check": "0"}, {"value": "\ud800", "check": "0"}]
)
def test_what_is_no_sealed_object(values: Any) -> None:
    with pytest.raises(BrokenSealError):
        unsealed(values)


def test_older_versions_wrote_no_seal() -> None:
    with pytest.raises(KeyError):
        unsealed({"value": 1})
