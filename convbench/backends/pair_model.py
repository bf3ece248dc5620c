"""A sequence-classification checkpoint that is given pairs of texts: its tokenizer, its limits, its logits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from convbench.backends.batches import length_batches
from convbench.backends.calls import calling_transformers
from convbench.backends.families import COUNT_POSITIONS_FROM_PADDING
from convbench.backends.load import SAFELY
from convbench.backends.locate import LocatedModel, locate_model
from convbench.backends.placement import ModelConfig, resolve_device, resolve_dtype
from convbench.backends.tokens import InputForm
from convbench.backends.vocabulary import check_vocabulary, read_tokenizer, tokenizer_folder
from convbench.backends.weights import stored_tensors
from convbench.errors import ResourceError

Row = dict[str, list[int]]
"""One pair as the model is given it: token ids, attention mask and, where it knows them, which text a token is of."""

_DEFAULT_LIMIT = 512
_UNBOUNDED = 1_000_000
"""transformers writes "no maximum length" as 1e30."""


class PairModel:
    """A classifier of pairs; nothing is loaded before it is needed.

    Weights are read from safetensors files, and no code of a checkpoint is run.

    Args:
        config: The checkpoint and how to run it.
        offline: Refuse the network.
    """

    def __init__(self, config: ModelConfig, *, offline: bool = False) -> None:
        self.config = config
        self._offline = offline

    @cached_property
    def _located(self) -> LocatedModel:
        return locate_model(self.config.model, offline=self._offline, revision=self.config.revision)

    @property
    def label(self) -> str:
        """``name@digest``."""
        return self._located.label

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The labels' names in the order of their ids.

        Raises:
            ResourceError: The checkpoint cannot be had, or is no classifier.
        """
        kinds = getattr(self.settings, "architectures", None) or ()
        if not any(str(kind).endswith("ForSequenceClassification") for kind in kinds):
            raise ResourceError(
                f"{self.label}: its config.json names {', '.join(map(str, kinds)) or 'no class'}, expected one that ends with "
                "ForSequenceClassification; give a checkpoint that was trained to classify"
            )
        names = self.settings.id2label
        return tuple(str(names.get(number, f"LABEL_{number}")) for number in range(len(names)))

    @cached_property
    def max_tokens(self) -> int:
        """The longest pair in tokens, special ones included: the least of what tokenizer and model allow."""
        settings = self.settings
        positions = getattr(settings, "max_position_embeddings", None) or 0
        if settings.model_type in COUNT_POSITIONS_FROM_PADDING:
            positions -= (settings.pad_token_id or 0) + 1
        stated = [limit for limit in (self.tokenizer.model_max_length, positions) if 0 < limit < _UNBOUNDED]
        return int(min(stated, default=_DEFAULT_LIMIT))

    @property
    def added(self) -> int:
        """Tokens that the tokenizer puts around and between the two texts."""
        return int(self.tokenizer.num_special_tokens_to_add(pair=True))

    def plain(self, text: str) -> str:
        """The text as the tokenizer can read it: no halves of characters, no control tokens."""
        return self.form.plain(text.encode(errors="replace").decode())

    def rows(self, encoded: Mapping[str, Any]) -> list[Row]:
        """What the tokenizer made of several pairs, each for itself."""
        return [{name: encoded[name][number] for name in self._inputs} for number in range(len(encoded["input_ids"]))]

    def logits(self, rows: Sequence[Row]) -> Iterator[tuple[list[int], Any]]:
        """Computes the logits of all labels, in batches of like length.

        Yields:
            Indexes into ``rows``, and their logits in float32, shape (rows, labels).
        """
        import torch

        for batch in length_batches([len(row["input_ids"]) for row in rows], self.config.batch_tokens):
            padded = self.tokenizer.pad({name: [rows[index][name] for index in batch] for name in self._inputs}, return_tensors="pt")
            with torch.inference_mode():
                yield batch, self.model(**padded.to(self.model.device)).logits.float()

    @cached_property
    def settings(self) -> Any:
        """config.json as transformers reads it."""
        from transformers import AutoConfig

        with calling_transformers(f"{self.label}: config.json does not describe a model"):
            return AutoConfig.from_pretrained(self._located.path, trust_remote_code=False, local_files_only=True)

    @cached_property
    def tokenizer(self) -> Any:
        """The checkpoint's, which must be able to cut pairs and to pad them."""
        path, label = self._located.path, self.label
        tokenizer = read_tokenizer(label, tokenizer_folder(label, [path]), path, padding_side="right")
        check_vocabulary(label, tokenizer, getattr(self.settings, "vocab_size", None), stored_tensors(label, path))
        if not tokenizer.is_fast or tokenizer.pad_token_id is None:
            raise ResourceError(f"{label}: its tokenizer cannot cut texts into windows or pad them; save it anew with a tokenizer.json")
        if tokenizer.num_special_tokens_to_add(pair=True) <= tokenizer.num_special_tokens_to_add(pair=False):
            raise ResourceError(f"{label}: its tokenizer puts nothing between two texts; expected a classifier of pairs of texts")
        return tokenizer

    @cached_property
    def form(self) -> InputForm:
        """How texts are written as token ids."""
        return InputForm(self.tokenizer, None, self.label)

    @cached_property
    def _inputs(self) -> tuple[str, ...]:
        """What the model is given; RoBERTa knows one kind of text only, whatever its tokenizer thinks."""
        one_kind = getattr(self.settings, "type_vocab_size", 2) < 2
        return tuple(name for name in self.tokenizer.model_input_names if not (name == "token_type_ids" and one_kind))

    @cached_property
    def model(self) -> Any:
        """The classifier, ready to compute."""
        import torch
        from transformers import AutoModelForSequenceClassification

        device = resolve_device(self.config.device)
        dtype = resolve_dtype(self.config.dtype, device, str(self.settings.dtype).removeprefix("torch."))
        with calling_transformers(f"{self.label}: the classifier cannot be loaded"):
            model, info = AutoModelForSequenceClassification.from_pretrained(
                self._located.path,
                dtype=getattr(torch, dtype),
                **SAFELY,
            )
        if unfit := sorted([*info["missing_keys"], *(name for name, *_ in info["mismatched_keys"])]):
            raise ResourceError(
                f"{self.label}: the files lack tensors of {type(model).__name__}, or have them in another shape: "
                f"{', '.join(unfit[:3])} ({len(unfit)} in all); save the checkpoint anew"
            )
        model.config.pad_token_id = self.tokenizer.pad_token_id  # a decoder that classifies reads the last token that is none
        return model.to(device).eval()
