"""A decoder of about 30 million parameters with random weights, for the scripts that read conversations and write responses."""

from __future__ import annotations

import random
from pathlib import Path

import torch

from convbench.backends.loaded import Loaded, load
from convbench.backends.placement import ModelConfig

VOCABULARY = 8000
_FIRST_WORD = 3


def make_decoder(folder: Path, *, device: str = "cpu", small: bool = False) -> Loaded:
    """A Mistral, and a tokenizer that knows its vocabulary by number.

    Args:
        folder: Where it is saved.
        device: Where it computes.
        small: Two narrow layers, for tests.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import MistralConfig, MistralForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(0)
    size = (64, 176, 2) if small else (512, 1408, 8)
    config = MistralConfig(
        vocab_size=VOCABULARY,
        **dict(zip(("hidden_size", "intermediate_size", "num_hidden_layers"), size, strict=True)),
        num_attention_heads=8,
        num_key_value_heads=8,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
    )
    MistralForCausalLM(config).save_pretrained(folder)
    words = {"<unk>": 0, "<s>": 1, "</s>": 2, **{f"w{number}": number for number in range(_FIRST_WORD, VOCABULARY)}}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>").save_pretrained(folder)
    profile = {"pooling": "last", "attention": "causal", "closing": ["</s>"]}
    return load(ModelConfig(model=str(folder), profile=profile, device=device, dtype="float32"), "decoder", offline=True)


def make_sessions(turns: int, query: int, response: int, seed: int = 0) -> list[tuple[int, ...]]:
    """The sessions of a conversation's turns as tokens; each begins with the one before.

    Args:
        turns: How many.
        query: Tokens of a query.
        response: Tokens of a response in the history.
        seed: Of the words.
    """
    words, tokens, sessions = random.Random(seed), [1], []
    for _ in range(turns):
        tokens += some_words(query, words)
        sessions.append(tuple(tokens))
        tokens += some_words(response, words)
    return sessions


def some_words(count: int, words: random.Random) -> list[int]:
    """Random words, as tokens."""
    return [words.randrange(_FIRST_WORD, VOCABULARY) for _ in range(count)]
