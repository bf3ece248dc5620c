"""Small loaded models, and sessions to read with them."""

from __future__ import annotations

import atexit
import random
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from backends.checkpoints import make_causal

from convbench.backends.loaded import Loaded, load
from convbench.backends.placement import ModelConfig

CLOSING = {"bert": ("[SEP]",), "qwen3": ("<|endoftext|>",) * 3, "gpt-neox": ("<|endoftext|>",)}
DECODERS = ("llama", "mistral", "qwen3", "gpt-neox", "bert")


@cache
def folder_of(architecture: str) -> Path:
    """A checkpoint folder, made once for all tests of a process."""
    folder = Path(mkdtemp(prefix="convbench-test-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return make_causal(folder, architecture)


def decoder(architecture: str, **profile: Any) -> Loaded:
    """A small decoder that reads sessions at their last token, but for what ``profile`` changes."""
    values = {"pooling": "last", "attention": "causal", "closing": CLOSING.get(architecture, ("</s>",)), **profile}
    return load(ModelConfig(model=str(folder_of(architecture)), profile=values), "decoder", offline=True)


def conversation(loaded: Loaded, turns: int, seed: int) -> list[tuple[int, ...]]:
    """Sessions of random words; each begins with the one before."""
    words = random.Random(seed)
    tokens = list(loaded.form.opening)
    sessions = []
    for _ in range(turns):
        tokens += [words.randrange(10, 590) for _ in range(words.randrange(3, 20))]
        sessions.append(tuple(tokens))
    return sessions
