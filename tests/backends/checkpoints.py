"""Builders of tiny checkpoints with random weights, each in the form in which its architecture is published."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convbench.datasets.loading import DatasetRequest, open_dataset

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

VOCABULARY = 600
HIDDEN = 64
POSITIONS = 512
CAUSAL = ("llama", "mistral", "qwen3", "gpt-neox", "bert")
ENCODERS = ("bert", "roberta")

_MINI = ("topiocqa", "inscit", "faithdial", "qrecc", "orquac")

# Special tokens of each kind in the order of their ids, what is put around a text, and the parts they play.
_LLAMA = (["<unk>", "<s>", "</s>"], "<s> $A", {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"})
_SPECIAL: dict[str, tuple[list[str], str | None, dict[str, str]]] = {
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen3": (["<|endoftext|>", "<|im_start|>", "<|im_end|>"], None, {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}),
    "gpt-neox": (["<|endoftext|>"], None, dict.fromkeys(("bos_token", "eos_token", "unk_token"), "<|endoftext|>")),
    "bert": (
        ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
        "[CLS] $A [SEP]",
        {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"},
    ),
    "roberta": (
        ["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        "<s> $A </s>",
        {"bos_token": "<s>", "cls_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "sep_token": "</s>", "unk_token": "<unk>"},
    ),
}


@cache
def mini_texts() -> tuple[str, ...]:
    """What is said in the bundled mini sets."""
    return tuple(_mini_texts())


def _mini_texts() -> Iterator[str]:
    for name in _MINI:
        dataset = open_dataset(DatasetRequest(name))
        for turn in dataset.turns:
            yield turn.query
            yield from (reference.text for reference in turn.references)


@cache
def _trained(kind: str) -> str:
    """A tokenizer as JSON, the same in every process: WordPiece for BERT, byte-level BPE for the others."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    special, around, _ = _SPECIAL[kind]
    if kind == "bert":
        tokenizer = Tokenizer(models.WordPiece(_word_pieces(special), unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.WordPiece()
        tokenizer.add_special_tokens(special)
    else:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
        tokenizer.train_from_iterator(mini_texts(), trainer)
    if around:
        ids = [(token, tokenizer.token_to_id(token)) for token in special]
        tokenizer.post_processor = processors.TemplateProcessing(single=around, special_tokens=ids)
    return tokenizer.to_str()


def _word_pieces(special: list[str]) -> dict[str, int]:
    """The special tokens, every character, and the commonest words; the library's trainer breaks ties otherwise in every process."""
    words = Counter(word for text in mini_texts() for word in re.findall(r"\w+|[^\w\s]", text.lower()))
    characters = sorted({character for word in words for character in word})
    common = [word for word, _ in sorted(words.items(), key=lambda each: (-each[1], each[0])) if len(word) > 1]
    pieces = [*special, *characters, *(f"##{character}" for character in characters), *common]
    return {piece: number for number, piece in enumerate(pieces[:VOCABULARY])}


def make_tokenizer(kind: str, folder: Path | None = None) -> PreTrainedTokenizerFast:
    """A tokenizer of 600 tokens, trained on the mini sets and saved to ``folder``.

    Args:
        kind: ``llama`` and ``mistral`` (``<s>`` before the text, no padding token), ``qwen3`` (nothing around it), ``gpt-neox`` (one
            ``<|endoftext|>`` for everything), ``bert`` (``[CLS]`` and ``[SEP]``), ``roberta`` (``<s>`` and ``</s>``).
        folder: Where to save it.
    """
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_trained(kind)), model_max_length=POSITIONS, **_SPECIAL[kind][2]
    )
    if folder is not None:
        tokenizer.save_pretrained(folder)
    return tokenizer


def make_config(architecture: str, **changes: Any) -> Any:
    """The configuration of a small model: hidden size 64, two layers, four heads, 512 positions."""
    from transformers import AutoConfig

    tokenizer = make_tokenizer(architecture)
    settings: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": HIDDEN,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 128,
        "max_position_embeddings": POSITIONS,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "initializer_range": 0.2,  # wide enough for the vectors of different texts to differ
    }
    if architecture in {"llama", "mistral", "qwen3"}:
        settings["num_key_value_heads"] = 2
    if architecture == "qwen3":
        settings |= {"head_dim": 16, "tie_word_embeddings": True}
    if architecture == "bert":
        settings["is_decoder"] = True
    if architecture == "roberta":
        settings["max_position_embeddings"] = POSITIONS + 2  # its positions start after the padding id, which is 1
    return AutoConfig.for_model(architecture.replace("-", "_"), **(settings | changes))


def make_causal(folder: Path, architecture: str, *, seed: int = 1, **changes: Any) -> Path:
    """A decoder with its language-model head and its tokenizer, saved to ``folder``.

    Args:
        folder: Where to save it.
        architecture: One of ``CAUSAL``.
        seed: Of the weights.
        changes: Settings of the configuration in place of ``make_config``'s.
    """
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(make_config(architecture, **changes))
    return _save(model, folder, architecture)


def make_encoder(folder: Path, architecture: str, *, seed: int = 1, ance: bool = False, **changes: Any) -> Path:
    """An encoder without a language-model head and its tokenizer, saved to ``folder``.

    Args:
        folder: Where to save it.
        architecture: ``bert``, ``roberta``, or any of ``CAUSAL`` for a decoder that is published without its head.
        seed: Of the weights.
        ance: Whether ANCE's projection, a linear layer and a LayerNorm, stands beside the body, as in its published checkpoint.
        changes: Settings of the configuration in place of ``make_config``'s.
    """
    import torch
    from transformers import AutoModel

    torch.manual_seed(seed)
    model = AutoModel.from_config(make_config(architecture, **({"is_decoder": False} if architecture == "bert" else {}), **changes))
    _save(model, folder, architecture)
    if ance:
        _add_ance_head(folder)
    return folder


def make_adapter(folder: Path, base: Path, *, seed: int = 2, headless: bool = False) -> Path:
    """A LoRA adapter with random weights for the decoder in ``base``, saved to ``folder``.

    Args:
        folder: Where to save it.
        base: The model that it changes.
        seed: Of the weights.
        headless: Whether it is made for the model without the language-model head, as RepLLaMA's is.
    """
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModel, AutoModelForCausalLM

    torch.manual_seed(seed)
    model = (AutoModel if headless else AutoModelForCausalLM).from_pretrained(base)
    task = "FEATURE_EXTRACTION" if headless else "CAUSAL_LM"
    adapted = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], task_type=task))
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:  # starts at zero, where an adapter changes nothing
            torch.nn.init.normal_(weight, std=0.2)
    adapted.save_pretrained(folder)
    return folder


def change_json(path: Path, **changes: Any) -> None:
    """Puts other values into a JSON object on disk; None takes a key out."""
    content = json.loads(path.read_text(encoding="utf-8")) | changes
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}), encoding="utf-8")


def change_tensors(path: Path, *, without: str | None = None, **added: Any) -> None:
    """Rewrites a safetensors file without the tensors whose name contains ``without`` and with those ``added``."""
    from safetensors.torch import load_file, save_file

    kept = {name: tensor for name, tensor in load_file(path).items() if without is None or without not in name}
    save_file({**kept, **added}, path, metadata={"format": "pt"})


def _save(model: Any, folder: Path, architecture: str) -> Path:
    model.save_pretrained(folder)
    make_tokenizer(architecture, folder)
    return folder


def _add_ance_head(folder: Path) -> None:
    """As in the published checkpoint: the body has a prefix and ANCE's own tensors have none."""
    import torch
    from safetensors.torch import load_file

    path = folder / "model.safetensors"
    body = {f"roberta.{name}": tensor for name, tensor in load_file(path).items()}
    head = {
        "embeddingHead.weight": torch.randn(HIDDEN, HIDDEN) / HIDDEN**0.5,
        "embeddingHead.bias": torch.randn(HIDDEN),
        "norm.weight": torch.rand(HIDDEN) + 0.5,
        "norm.bias": torch.randn(HIDDEN),
    }
    change_tensors(path, without="", **body, **head)
