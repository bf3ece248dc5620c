"""A sequence-classification checkpoint that judges pairs of texts: natural language inference, FaithCritic and their kin."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from convbench.errors import ResourceError, UsageError

POSITIVE = ("entailment", "entailed", "entail", "entails", "faithful", "supported", "supports", "support", "consistent")
"""Names of the label that says that the first text supports the second, but for case and punctuation."""

OVERLAP = 4
"""Neighbouring windows share one part in so many."""

_FEWEST = 8
"""With fewer tokens of a long premise in a window there is nothing to judge by."""

_DEFAULT_LIMIT = 512
_UNBOUNDED = 1_000_000
"""transformers writes "no maximum length" as 1e30."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What the classifier makes of a pair.

    Attributes:
        value: Probability of the label, the largest over the windows; None where the hypothesis leaves no room for a premise.
        reason: What did not fit, where something did not.
    """

    value: float | None
    reason: str | None = None


class PairClassifier:
    """Probabilities of a label for (premise, hypothesis) pairs; nothing is loaded before the first pair.

    Weights are read from safetensors files, and no code of a checkpoint is run. A hypothesis is never cut. A premise that is too long is
    read in windows.

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
        kinds = getattr(self._settings, "architectures", None) or ()
        if not any(str(kind).endswith("ForSequenceClassification") for kind in kinds):
            raise ResourceError(
                f"{self.label}: its config.json names {', '.join(map(str, kinds)) or 'no class'}, expected one that ends with "
                "ForSequenceClassification; give a checkpoint that was trained to classify"
            )
        names = self._settings.id2label
        return tuple(str(names.get(number, f"LABEL_{number}")) for number in range(len(names)))

    def find_label(self, wanted: str | int | None) -> int:
        """The id of a label.

        Args:
            wanted: Its name (case and punctuation do not count) or id; None: the one whose name is in ``POSITIVE``.

        Raises:
            UsageError: There is no such label, or more than one; the message lists them.
        """
        listed = ", ".join(f"{number}: {name}" for number, name in enumerate(self.labels))
        if isinstance(wanted, int) or (isinstance(wanted, str) and wanted.isdecimal()):
            if 0 <= int(wanted) < len(self.labels):
                return int(wanted)
            found = []
        else:
            names = POSITIVE if wanted is None else (_bare(wanted),)
            found = [number for number, name in enumerate(self.labels) if _bare(name) in names]
        if len(found) == 1:
            return found[0]
        asked = "none of its labels says by its name that a text is supported" if wanted is None else f"no single label {wanted!r}"
        raise UsageError(f"{self.label}: {asked}; its labels are {listed}; give the name or the number of the positive one")

    @cached_property
    def max_tokens(self) -> int:
        """The longest pair in tokens, special ones included: the least of what tokenizer and model allow."""
        settings = self._settings
        positions = getattr(settings, "max_position_embeddings", None) or 0
        if settings.model_type in COUNT_POSITIONS_FROM_PADDING:
            positions -= (settings.pad_token_id or 0) + 1
        stated = [limit for limit in (self._tokenizer.model_max_length, positions) if 0 < limit < _UNBOUNDED]
        return int(min(stated, default=_DEFAULT_LIMIT))

    def judge(self, pairs: Sequence[tuple[str, str]], label: int, windows: int) -> list[Judged]:
        """Judges (premise, hypothesis) pairs; equal ones are computed once.

        Args:
            pairs: The pairs.
            label: The label whose probability is wanted.
            windows: A premise is read in at most so many windows; what lies behind them is left out, and said so.
        """
        plain = [(self._plain(premise), self._plain(hypothesis)) for premise, hypothesis in pairs]
        texts = list(dict.fromkeys(text for pair in plain for text in pair))
        lengths = dict(zip(texts, map(len, self._form.all_ids(texts)), strict=True))
        read = {pair: self._windows(*pair, lengths, windows) for pair in dict.fromkeys(plain)}
        values = iter(self._probabilities([row for rows, _ in read.values() for row in rows], label))
        judged = {pair: Judged(max((next(values) for _ in rows), default=None), reason) for pair, (rows, reason) in read.items()}
        return [judged[pair] for pair in plain]

    def _plain(self, text: str) -> str:
        """The text as the tokenizer can read it: no halves of characters, no control tokens."""
        return self._form.plain(text.encode(errors="replace").decode())

    def _windows(
        self, premise: str, hypothesis: str, lengths: Mapping[str, int], most: int
    ) -> tuple[list[dict[str, list[int]]], str | None]:
        """The inputs of a pair, none of them longer than the model takes, and what did not fit."""
        needed, fixed = lengths[premise], lengths[hypothesis]
        room = self.max_tokens - self._tokenizer.num_special_tokens_to_add(pair=True) - fixed
        if room < min(_FEWEST, needed):
            return [], f"too long to be judged: {fixed} tokens, and the model takes {self.max_tokens} with the premise"
        shared = room // OVERLAP
        encoded = self._tokenizer(
            premise,
            hypothesis,
            truncation="only_first",
            max_length=self.max_tokens,
            stride=shared,
            return_overflowing_tokens=True,
        )
        rows = [{name: encoded[name][number] for name in self._inputs} for number in range(len(encoded["input_ids"]))][:most]
        reached = min(room + (len(rows) - 1) * (room - shared), needed)
        return rows, None if reached == needed else f"the premise was read up to token {reached} of {needed}"

    def _probabilities(self, rows: Sequence[Mapping[str, list[int]]], label: int) -> list[float]:
        import torch

        values = [0.0] * len(rows)
        for batch in length_batches([len(row["input_ids"]) for row in rows], self.config.batch_tokens):
            padded = self._tokenizer.pad({name: [rows[index][name] for index in batch] for name in self._inputs}, return_tensors="pt")
            with torch.inference_mode():
                logits = self._model(**padded.to(self._model.device)).logits.float()
            for index, value in zip(batch, self._normalised(logits)[:, label].tolist(), strict=True):
                values[index] = value
        return values

    def _normalised(self, logits: Any) -> Any:
        """Probabilities, as the checkpoint was trained: of one label, or of labels that do not exclude one another, each for itself."""
        alone = len(self.labels) == 1 or self._settings.problem_type == "multi_label_classification"
        return logits.sigmoid() if alone else logits.softmax(-1)

    @cached_property
    def _settings(self) -> Any:
        from transformers import AutoConfig

        with calling_transformers(f"{self.label}: config.json does not describe a model"):
            settings = AutoConfig.from_pretrained(self._located.path, trust_remote_code=False, local_files_only=True)
        if settings.problem_type == "regression":
            raise ResourceError(f"{self.label}: it gives a number and no label (problem_type regression); expected a classifier")
        return settings

    @cached_property
    def _tokenizer(self) -> Any:
        path, label = self._located.path, self.label
        tokenizer = read_tokenizer(label, tokenizer_folder(label, [path]), path, padding_side="right")
        check_vocabulary(label, tokenizer, getattr(self._settings, "vocab_size", None), stored_tensors(label, path))
        if not tokenizer.is_fast or tokenizer.pad_token_id is None:
            raise ResourceError(f"{label}: its tokenizer cannot cut texts into windows or pad them; save it anew with a tokenizer.json")
        if tokenizer.num_special_tokens_to_add(pair=True) <= tokenizer.num_special_tokens_to_add(pair=False):
            raise ResourceError(f"{label}: its tokenizer puts nothing between two texts; expected a classifier of pairs of texts")
        return tokenizer

    @cached_property
    def _form(self) -> InputForm:
        return InputForm(self._tokenizer, None, self.label)

    @cached_property
    def _inputs(self) -> tuple[str, ...]:
        """What the model is given; RoBERTa knows one kind of text only, whatever its tokenizer thinks."""
        one_kind = getattr(self._settings, "type_vocab_size", 2) < 2
        return tuple(name for name in self._tokenizer.model_input_names if not (name == "token_type_ids" and one_kind))

    @cached_property
    def _model(self) -> Any:
        import torch
        from transformers import AutoModelForSequenceClassification

        device = resolve_device(self.config.device)
        dtype = resolve_dtype(self.config.dtype, device, str(self._settings.dtype).removeprefix("torch."))
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
        model.config.pad_token_id = self._tokenizer.pad_token_id  # a decoder that classifies reads the last token that is none
        return model.to(device).eval()


def _bare(name: str) -> str:
    return re.sub(r"[\W_]", "", name).casefold()
