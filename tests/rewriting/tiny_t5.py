"""A tiny T5 with random weights and a SentencePiece-like tokenizer, in the form in which T5 is published."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from backends.checkpoints import mini_texts


@cache
def _trained() -> str:
    """A tokenizer as JSON; training it twice may give two vocabularies."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    special = ["<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(vocab_size=400, special_tokens=special, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(mini_texts(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return str(tokenizer.to_str())


def make_t5(folder: Path, *, seed: int = 1, silent: bool = False) -> Path:
    """Saves a model and its tokenizer to ``folder``.

    Args:
        folder: Where to save them.
        seed: Of the weights.
        silent: Whether all tokens are equally likely, so that greedy decoding takes the first one, padding, and no text comes.
    """
    import torch
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

    tokenizer = Tokenizer.from_str(_trained())
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
    torch.manual_seed(seed)
    sizes = {"vocab_size": len(fast), "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
    ids = {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}
    model = T5ForConditionalGeneration(T5Config(**sizes, **ids, initializer_factor=4.0))
    if silent:
        torch.nn.init.zeros_(model.lm_head.weight)
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder
