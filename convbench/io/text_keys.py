"""Numbers for texts, all texts at once: the same for the same text, and hardly ever for another."""

from __future__ import annotations

import secrets

import numpy as np
from numpy.typing import NDArray

_WORD = 8
_MASKS = np.array([(1 << 8 * count) - 1 for count in range(_WORD + 1)], dtype=np.uint64)
"""Of the first bytes of a word (they stand lowest)."""
_TOGETHER = 1 << 14
"""Texts at a time, so that what is computed of them stays in the processor's cache."""
_SEED = np.uint64(secrets.randbits(64))  # another in every process: no file can be made to have texts of one key
_ODD = np.uint64(secrets.randbits(64) | 1)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""2^64 over the golden ratio: multiples of it lie far apart."""


def text_keys(text: bytes, ends: NDArray[np.int64], groups: NDArray[np.integer]) -> NDArray[np.uint64]:
    """A 64-bit key for each text of each group: equal for equal texts of one group, and in any n others by chance of n² / 2^65.

    Args:
        text: The texts, one after the other, without zero bytes.
        ends: Where each ends, after a first 0. Shape (texts + 1,).
        groups: The group of each. Shape (texts,).
    """
    padded = text + bytes(_WORD)
    words: NDArray[np.uint64] = np.ndarray((len(text) + 1,), "<u8", padded, strides=(1,))  # eight bytes from every byte on
    keys = np.empty(len(groups), np.uint64)
    for begin in range(0, len(groups), _TOGETHER):
        end = min(begin + _TOGETHER, len(groups))
        keys[begin:end] = _keys(words, ends[begin:end], ends[begin + 1 : end + 1], groups[begin:end])
    return keys


def _keys(words: NDArray[np.uint64], begins: NDArray[np.int64], ends: NDArray[np.int64], groups: NDArray[np.integer]) -> NDArray[np.uint64]:
    left = ends - begins
    keys = _mixed((_SEED + groups.astype(np.uint64) * _GOLDEN) ^ _first_bytes(words[begins], left))
    rows, places = np.arange(len(keys)), begins
    while len(longer := np.flatnonzero(left > _WORD)):
        rows, places, left = rows[longer], places[longer] + _WORD, left[longer] - _WORD
        keys[rows] = _mixed(keys[rows] ^ _first_bytes(words[places], left))
    return keys


def _first_bytes(words: NDArray[np.uint64], count: NDArray[np.int64]) -> NDArray[np.uint64]:
    """The words with zeros for what lies behind so many bytes."""
    masks: NDArray[np.uint64] = _MASKS[np.minimum(count, _WORD)]
    return words & masks


def _mixed(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """One to one, and every bit of the outcome depends on every bit before."""
    keys = (keys ^ (keys >> np.uint64(32))) * _ODD
    keys = (keys ^ (keys >> np.uint64(29))) * _GOLDEN
    mixed: NDArray[np.uint64] = keys ^ (keys >> np.uint64(32))
    return mixed
