"""A tiny checkpoint of the same architecture for every one that a shipped baseline names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from backends.checkpoints import change_json, make_adapter, make_causal, make_config, make_encoder, make_tokenizer
from backends.classifiers import make_classifier
from rewriting.tiny_t5 import make_t5

POSITIONS = 4096
"""Room for prompts with examples."""

CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def _chat(architecture: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        make_causal(folder, architecture, max_position_embeddings=POSITIONS)
        tokenizer = make_tokenizer(architecture)
        tokenizer.chat_template, tokenizer.model_max_length = CHAT, POSITIONS
        tokenizer.save_pretrained(folder)
        return folder

    return make


def _causal(architecture: str) -> Callable[[Path], Path]:
    return lambda folder: make_causal(folder, architecture)


def _encoder(architecture: str, *, ance: bool = False) -> Callable[[Path], Path]:
    return lambda folder: make_encoder(folder, architecture, ance=ance)


def _t5(seed: int) -> Callable[[Path], Path]:
    return lambda folder: make_t5(folder, seed=seed)


def _masked(folder: Path) -> Path:
    import torch
    from transformers import AutoModelForMaskedLM

    torch.manual_seed(4)
    AutoModelForMaskedLM.from_config(make_config("bert", is_decoder=False)).save_pretrained(folder)
    make_tokenizer("bert", folder)
    return folder


def _adapter(folder: Path) -> Path:
    """As RepLLaMA is published: LoRA for a Llama without its head."""
    base = make_causal(folder / "base", "llama")
    make_adapter(folder, base, headless=True)
    change_json(folder / "adapter_config.json", base_model_name_or_path=str(base))
    return folder


MAKERS: dict[str, Callable[[Path], Path]] = {
    "castorini/t5-base-canard": _t5(1),
    "my-models/t5-qrecc-rewrite": _t5(2),
    "my-models/convgqr-rewrite": _t5(3),
    "my-models/convgqr-answer": _t5(4),
    "Qwen/Qwen3-4B-Instruct-2507": _chat("qwen3"),
    "mistralai/Mistral-7B-Instruct-v0.3": _chat("mistral"),
    "meta-llama/Llama-3.1-8B-Instruct": _chat("llama"),
    "castorini/ance-msmarco-passage": _encoder("roberta", ance=True),
    "my-models/convdr": _encoder("roberta", ance=True),
    "intfloat/e5-base-v2": _encoder("bert"),
    "BAAI/bge-base-en-v1.5": _encoder("bert"),
    "nvidia/dragon-multiturn-query-encoder": _encoder("bert"),
    "nvidia/dragon-multiturn-context-encoder": _encoder("bert"),
    "Qwen/Qwen3-Embedding-0.6B": _causal("qwen3"),
    "intfloat/e5-mistral-7b-instruct": _causal("mistral"),
    "GritLM/GritLM-7B": _causal("mistral"),
    "castorini/repllama-v1-7b-lora-passage": _adapter,
    "my-models/chatretriever": _causal("qwen3"),
    "naver/splade-cocondenser-ensembledistil": _masked,
    "cross-encoder/ms-marco-MiniLM-L6-v2": lambda folder: make_classifier(folder, "bert", labels=("relevant",), positions=256),
}
