"""Tiny models that write: chat models with a template, and encoder-decoder models, all with random weights."""

from __future__ import annotations

import atexit
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from backends.checkpoints import POSITIONS, VOCABULARY, make_causal, make_tokenizer, mini_texts

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WITHOUT_SYSTEM = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role here') }}{% endif %}" + TEMPLATE
DEAF_TO_SYSTEM = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] != 'system' %}"
    "[{{ message['role'] }}] {{ message['content'] }} {% endif %}{% endfor %}"
)
DATED = "{{ strftime_now('%d %b %Y') }} {{ strftime_now('%Y-%m-%d') }} thinking {{ enable_thinking }} " + TEMPLATE


def made(prefix: str) -> Path:
    folder = Path(mkdtemp(prefix=f"convbench-test-{prefix}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def chat_folder(architecture: str, template: str | None = TEMPLATE) -> Path:
    """A causal model whose tokenizer has a chat template."""
    folder = make_causal(made(architecture), architecture)
    if template is not None:
        tokenizer = make_tokenizer(architecture)
        tokenizer.chat_template = template
        tokenizer.save_pretrained(folder)
    return folder


@cache
def seq2seq_folder(architecture: str) -> Path:
    """A T5 or BART model of two layers a side."""
    import torch
    from transformers import AutoConfig, AutoModelForSeq2SeqLM

    folder = made(architecture)
    tokenizer = _tokenizer(architecture, folder)
    ids: dict[str, Any] = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id, "vocab_size": VOCABULARY}
    if architecture == "t5":
        sizes = {"d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_heads": 4, "initializer_factor": 3.0}
        ids["decoder_start_token_id"] = tokenizer.pad_token_id
    else:
        sides = {f"{side}_{part}": size for side in ("encoder", "decoder") for part, size in _SIDE.items()}
        sizes = {"d_model": 64, **sides, "max_position_embeddings": POSITIONS, "init_std": 0.2}
        ids |= {"decoder_start_token_id": tokenizer.eos_token_id, "bos_token_id": tokenizer.bos_token_id}
        ids["forced_eos_token_id"] = tokenizer.eos_token_id
    torch.manual_seed(3)
    model = AutoModelForSeq2SeqLM.from_config(AutoConfig.for_model(architecture, **(ids | sizes)))
    if architecture == "bart":
        model.generation_config.forced_bos_token_id = tokenizer.bos_token_id
    model.save_pretrained(folder)
    return folder


_SIDE = {"layers": 2, "attention_heads": 4, "ffn_dim": 128}
_SPECIAL = {
    "t5": (["<pad>", "</s>", "<unk>"], "$A </s>", {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}),
    "bart": (
        ["<s>", "<pad>", "</s>", "<unk>"],
        "<s> $A </s>",
        {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"},
    ),
}


def _tokenizer(architecture: str, folder: Path) -> Any:
    """Unigram pieces for T5, byte-level BPE for BART, as they are published."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special, around, parts = _SPECIAL[architecture]
    if architecture == "t5":
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
        trainer: Any = trainers.UnigramTrainer(vocab_size=VOCABULARY, special_tokens=special, unk_token="<unk>", show_progress=False)
    else:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(mini_texts(), trainer)
    ids = [(token, tokenizer.token_to_id(token)) for token in special]
    tokenizer.post_processor = processors.TemplateProcessing(single=around, special_tokens=ids)
    whole = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=POSITIONS, **parts)
    whole.save_pretrained(folder)
    return whole
