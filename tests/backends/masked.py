"""Builder of tiny masked language models with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from backends.checkpoints import make_config, make_tokenizer


def make_masked(folder: Path, architecture: str = "bert", *, seed: int = 1, bias: float = -3.0, **changes: Any) -> Path:
    """A masked language model with its head and its tokenizer, saved to ``folder``.

    Args:
        folder: Where to save it.
        architecture: ``bert`` or ``roberta``.
        seed: Of the weights.
        bias: Added to every logit, so that most words weigh nothing.
        changes: Settings of the configuration in place of ``make_config``'s.
    """
    import torch
    from transformers import AutoModelForMaskedLM

    torch.manual_seed(seed)
    settings = {"is_decoder": False} if architecture == "bert" else {}
    model = AutoModelForMaskedLM.from_config(make_config(architecture, **settings, **changes))
    torch.nn.init.constant_(model.get_output_embeddings().bias, bias)
    model.save_pretrained(folder)
    make_tokenizer(architecture, folder)
    return folder
