"""An encoder-decoder model on this machine: one text in, one text out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import islice
from typing import Any, Literal

from pydantic import Field

from convbench.backends.batches import length_batches
from convbench.backends.placement import Device, Dtype, resolve_device, resolve_dtype
from convbench.backends.tokens import InputForm
from convbench.config import Config
from convbench.errors import UsageError
from convbench.meter import Meter
from convbench.writing.base import Request, Text
from convbench.writing.samples import check_keys, sample_key, written_texts
from convbench.writing.seq2seq_checkpoint import Seq2SeqCheckpoint, load_seq2seq, open_seq2seq
from convbench.writing.seq2seq_writing import Seq2SeqDecoding, Source, generation_settings, write_batch

VERSION = 1

_FEWEST = 8


class Seq2SeqConfig(Config):
    """An encoder-decoder model and how it writes.

    Attributes:
        type: ``seq2seq``.
        model: Folder or hub id.
        revision: Hub commit, tag or branch.
        device: ``auto``: the first of cuda, mps, cpu that is there.
        dtype: ``auto``: float32 on the CPU, elsewhere what the checkpoint is stored in.
        batch_tokens: Most tokens in a batch, padding, new tokens and beams included.
        max_source_tokens: Longest source in tokens, opening and closing tokens included; a model with fewer positions lowers it.
        cut: The side on which a longer source is cut.
        separator: Text that stands for the end-of-sequence token within a source, for models trained with it between utterances.
        decoding: How it writes.
    """

    type: Literal["seq2seq"] = "seq2seq"
    model: str = Field(min_length=1)
    revision: str | None = None
    device: Device = "auto"
    dtype: Dtype = "auto"
    batch_tokens: int = Field(default=16384, ge=1)
    max_source_tokens: int = Field(default=512, ge=_FEWEST)
    cut: Literal["right", "left"] = "right"
    separator: str | None = Field(default=None, min_length=1)
    decoding: Seq2SeqDecoding = Seq2SeqDecoding()


class Seq2SeqModel:
    """Writes with transformers' ``generate``; the source is a request's one user message, and what does not fit is cut and counted.

    Args:
        config: Which model, and how it writes.
        offline: Refuse the network.
        seed: Of sampling.
    """

    def __init__(self, config: Seq2SeqConfig, *, offline: bool, seed: int) -> None:
        self._config, self._offline, self._seed = config, offline, seed

    def describe(self) -> dict[str, Any]:
        """The checkpoint's files, the tokens that they force, how it writes, and the versions that change what it computes."""
        import torch
        import transformers

        device, dtype = self._place
        settings = self._config.model_dump(include={"type", "batch_tokens", "cut", "separator", "decoding"})
        described = {**settings, **self._checkpoint.describe(), "max_source_tokens": self._longest_source, "seed": self._seed}
        versions = {"version": VERSION, "torch": torch.__version__, "transformers": transformers.__version__}
        return {**described, "device": device, "dtype": dtype, **versions}

    def check(self) -> None:
        """Reads what the files say of the model; loads no weights.

        Raises:
            ResourceError: The checkpoint cannot be had, is broken, or is no encoder-decoder model.
            UsageError: ``max_new_tokens`` is more than the model has positions for.
        """
        positions, new = self._checkpoint.max_positions, self._config.decoding.max_new_tokens
        if positions is not None and new >= positions:
            raise UsageError(f"{self._checkpoint.label}: max_new_tokens {new}, and the model has {positions} positions; lower it")

    def load(self, meter: Meter) -> None:
        """Loads the weights."""
        _ = self._model
        meter.model(self._checkpoint.label, self._checkpoint.parameters)

    def write(self, requests: Sequence[Request], meter: Meter) -> list[tuple[Text, ...]]:
        """Writes the texts, and counts tokens, forward passes, and ``tokens_cut`` of the sources.

        Each sample is drawn by itself, so that it hangs on its request's key and its number alone; a text that nothing is drawn for is
        written once and repeated.

        Raises:
            UsageError: A request is not one user message.
            ValueError: Two requests have the same key.
        """
        check_keys(requests)
        decoding = self._config.decoding
        greedy = decoding.temperature == 0
        counts = [written_texts(request, greedy=greedy) for request in requests]
        sources: list[Source] = []
        for request, count in zip(requests, counts, strict=True):
            tokens, dropped = self._fitted(_source_text(request))
            sources += [Source(sample_key(request.key, sample), tokens) for sample in range(count)]
            meter.count(tokens_cut=dropped)
        lengths = [(len(source.tokens) + decoding.max_new_tokens) * decoding.beams for source in sources]
        written: dict[int, Text] = {}
        for batch in length_batches(lengths, self._config.batch_tokens, decoding.batch_rows if greedy else 1):
            texts = write_batch(self._model, self._checkpoint, [sources[index] for index in batch], meter, seed=self._seed)
            written |= dict(zip(batch, texts, strict=True))
        ordered = (written[index] for index in range(len(sources)))
        found = [tuple(islice(ordered, count)) for count in counts]
        return [texts * request.samples if greedy else texts for request, texts in zip(requests, found, strict=True)]

    def _fitted(self, text: str) -> tuple[tuple[int, ...], int]:
        """A source's tokens, and how many were cut. Control tokens that are spelled out in it are broken up into letters."""
        form, tokenizer, separator = self._form, self._checkpoint.tokenizer, self._config.separator
        parts = text.split(separator) if separator else [text]
        ids = form.ids(tokenizer.eos_token.join(form.plain(part) for part in parts))
        room = self._longest_source - len(form.opening) - len(form.closing)
        dropped = max(len(ids) - room, 0)
        kept = ids[:room] if self._config.cut == "right" else ids[dropped:]
        return (*form.opening, *kept, *form.closing), dropped

    @property
    def _longest_source(self) -> int:
        asked, positions = self._config.max_source_tokens, self._checkpoint.max_positions
        return asked if positions is None else min(asked, positions)

    @property
    def _place(self) -> tuple[str, str]:
        device = resolve_device(self._config.device)
        stored = getattr(self._checkpoint.config, "dtype", None)
        return device, resolve_dtype(self._config.dtype, device, str(stored).removeprefix("torch.") if stored else None)

    @cached_property
    def _checkpoint(self) -> Seq2SeqCheckpoint:
        return open_seq2seq(self._config.model, offline=self._offline, revision=self._config.revision)

    @cached_property
    def _form(self) -> InputForm:
        return InputForm(self._checkpoint.tokenizer, None, self._checkpoint.label)

    @cached_property
    def _model(self) -> Any:
        device, dtype = self._place
        model = load_seq2seq(self._checkpoint, device=device, dtype=dtype)
        # generate() fills gaps from the model's own settings, which may hold another task's beams and lengths.
        model.generation_config = generation_settings(self._config.decoding, self._checkpoint)
        return model


def _source_text(request: Request) -> str:
    if len(request.messages) != 1 or request.messages[0][0] != "user":
        roles = ", ".join(role for role, _ in request.messages) or "none"
        raise UsageError(
            f"{request.key.splitlines()[0]}: an encoder-decoder model reads one user message, found {roles}; "
            "choose a prompt without system message and examples"
        )
    return request.messages[0][1]
