"""Tiny random checkpoints that BERTScore runs on in milliseconds."""

from __future__ import annotations

from pathlib import Path

import pytest

SENTENCES = [
    "The keeper of the lighthouse rowed across the cold harbour before dawn.",
    "Old letters about trade and music were found under the red boat.",
    "Nobody knows who built the stone bridge over the northern river.",
]


@pytest.fixture(scope="session")
def tiny_roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three layers, room for 32 tokens, a byte-level tokenizer that puts no space before the first word."""
    import torch
    from tokenizers import ByteLevelBPETokenizer
    from transformers import RobertaConfig, RobertaModel, RobertaTokenizer

    folder = tmp_path_factory.mktemp("tiny") / "roberta"
    folder.mkdir()
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(SENTENCES * 9, vocab_size=400, special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    trained.save_model(str(folder))
    tokenizer = RobertaTokenizer.from_pretrained(str(folder), model_max_length=32)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(5)
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=34,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        initializer_range=0.5,
    )
    RobertaModel(config).save_pretrained(folder)
    return folder
