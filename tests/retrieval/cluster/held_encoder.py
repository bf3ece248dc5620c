"""Encoders whose work can be met in the middle: they run in workers, which tests cannot reach otherwise."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from retrieval.small_index import WordEncoder

from convbench.backends.base import Encoded
from convbench.meter import Meter

_LONGEST = 120
"""Seconds after which nobody will remove the file any more: a test that failed must not wait for ever."""


class HeldEncoder(WordEncoder):
    """Where a text holds a word, says which process has it, and waits as long as a file is there.

    Args:
        folder: Where ``hold`` is, and where ``begun-<pid>`` goes.
        word: The word.
        once: Wait in the first process only.
    """

    def __init__(self, folder: Path, word: str, *, once: bool = False) -> None:
        super().__init__()
        self._folder, self._word, self._once = folder, word, once

    def encode_passages(self, texts: Sequence[str], meter: Meter) -> Encoded:
        if any(self._word in text for text in texts):
            first = not list(self._folder.glob("begun-*"))
            (self._folder / f"begun-{os.getpid()}").touch()
            end = time.monotonic() + _LONGEST
            while (first or not self._once) and (self._folder / "hold").exists() and time.monotonic() < end:
                time.sleep(0.02)
        return super().encode_passages(texts, meter)


class DyingEncoder(WordEncoder):
    """Its process ends over one text."""

    def encode_passages(self, texts: Sequence[str], meter: Meter) -> Encoded:
        if any("1507" in text for text in texts):
            os._exit(1)
        return super().encode_passages(texts, meter)


class BrokenEncoder(WordEncoder):
    """Gives one passage a vector that is not finite."""

    def encode_passages(self, texts: Sequence[str], meter: Meter) -> Encoded:
        encoded = super().encode_passages(texts, meter)
        for row, text in enumerate(texts):
            if "1507" in text:
                encoded.vectors[row, 3] = np.nan
        return encoded


class OtherEncoder(WordEncoder):
    """Says something else of itself in every process."""

    def describe(self) -> dict[str, object]:
        return {**super().describe(), "device": f"of {os.getpid()}"}
