"""The random numbers to come, in a form that is safe to read back."""

from __future__ import annotations

import random
from typing import Any

State = dict[str, Any]


def random_state() -> State:
    """The states of this process's generators, of Python, numpy, torch and its CUDA device: numbers, strings and tensors only."""
    import numpy as np
    import torch

    numpy: Any = np.random.get_state()  # noqa: NPY002 - libraries draw from the global generator
    name, words, *rest = numpy
    return {
        "python": random.getstate(),
        "numpy": (name, words.tolist(), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    }


def set_random_state(state: State) -> None:
    """Goes on where ``random_state`` was asked. A CUDA state is passed over where there is no such device."""
    import numpy as np
    import torch

    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    np.random.set_state(tuple(state["numpy"]))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
