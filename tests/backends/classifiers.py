"""Builders of tiny classifiers of text pairs, with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SENTENCES = (
    "The keeper of the lighthouse rowed across the cold harbour before dawn.",
    "Old letters about trade and music were found under the red boat.",
    "Nobody knows who built the stone bridge over the northern river.",
)
NLI = ("contradiction", "neutral", "entailment")
WORDS = " ".join(SENTENCES).lower().replace(".", "").split()


def make_classifier(folder: Path, kind: str, labels: tuple[str, ...] = NLI, positions: int = 48, **settings: Any) -> Path:
    """A classifier of two layers.

    Args:
        folder: Where to save it.
        kind: ``bert`` or ``roberta``.
        labels: Names of its labels.
        positions: Tokens that a pair may have.
        settings: More for its configuration.
    """
    import torch
    import transformers

    folder.mkdir(parents=True)
    tokenizer = _bert_tokenizer(folder, positions) if kind == "bert" else _roberta_tokenizer(folder, positions)
    tokenizer.save_pretrained(folder)
    offset = tokenizer.pad_token_id + 1 if kind == "roberta" else 0
    form = {"bert": "Bert", "roberta": "Roberta"}[kind]
    config = getattr(transformers, f"{form}Config")(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=positions + offset,
        type_vocab_size=2 if kind == "bert" else 1,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.3,
        id2label=dict(enumerate(labels)),
        label2id={name: number for number, name in enumerate(labels)},
        **settings,
    )
    torch.manual_seed(11)
    getattr(transformers, f"{form}ForSequenceClassification")(config).eval().save_pretrained(folder)
    return folder


def _bert_tokenizer(folder: Path, positions: int) -> Any:
    from transformers import BertTokenizerFast

    letters = sorted({sign for word in WORDS for sign in (word, word[0], *(f"##{letter}" for letter in word[1:]))})
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", *letters]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    return BertTokenizerFast.from_pretrained(str(folder), model_max_length=positions)


def _roberta_tokenizer(folder: Path, positions: int) -> Any:
    from tokenizers import ByteLevelBPETokenizer
    from transformers import RobertaTokenizer

    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(SENTENCES * 9, vocab_size=400, special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    trained.save_model(str(folder))
    return RobertaTokenizer.from_pretrained(str(folder), model_max_length=positions)


def directly(folder: Path, premise: str, hypothesis: str, **settings: Any) -> Any:
    """The logits of one pair, by transformers alone."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForSequenceClassification.from_pretrained(folder)
    with torch.no_grad():
        return model(**tokenizer(premise, hypothesis, return_tensors="pt", **settings)).logits[0]
