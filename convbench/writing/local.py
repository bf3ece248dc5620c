"""A causal language model on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from pydantic import Field

from convbench.backends.checkpoint import Checkpoint, open_checkpoint
from convbench.backends.encoder import describe_model
from convbench.backends.load import load_causal, load_tokenizer
from convbench.backends.loaded import Loaded, fitted, resolved
from convbench.backends.placement import Device, Dtype, ModelConfig
from convbench.backends.probes import verify
from convbench.backends.profile import Profile, PromptTemplate
from convbench.backends.tokens import InputForm
from convbench.config import Config
from convbench.errors import ResourceError, UsageError
from convbench.io.digests import value_sha256
from convbench.meter import Meter
from convbench.writing.base import Request, Text
from convbench.writing.chat_form import ChatForm
from convbench.writing.decoding import DecodingConfig
from convbench.writing.samples import check_keys, sample_key, written_texts
from convbench.writing.writer import Prompt, Written, write_responses

VERSION = 1

_FEWEST = 16
"""Positions that must be left for a prompt."""


class LocalConfig(Config):
    """A causal language model and how it writes.

    Attributes:
        type: ``transformers``.
        model: Folder or hub id.
        revision: Hub commit, tag or branch.
        device: ``auto``: the first of cuda, mps, cpu that is there.
        dtype: ``auto``: float32 on the CPU, elsewhere what the checkpoint is stored in.
        batch_tokens: Most tokens in a batch, padding and new tokens included.
        chat_template_kwargs: What its chat template is told beside the messages, such as ``enable_thinking: false``.
        decoding: How it writes.
    """

    type: Literal["transformers"] = "transformers"
    model: str = Field(min_length=1)
    revision: str | None = None
    device: Device = "auto"
    dtype: Dtype = "auto"
    batch_tokens: int = Field(default=8192, ge=1)
    chat_template_kwargs: dict[str, bool | int | float | str] = Field(default_factory=dict)
    decoding: DecodingConfig = DecodingConfig()

    @property
    def placed(self) -> ModelConfig:
        """The checkpoint and where it computes."""
        return ModelConfig(**self.model_dump(include={"model", "revision", "device", "dtype", "batch_tokens"}))


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request as tokens, and where its texts are among those that are written."""

    request: Request
    tokens: tuple[int, ...]
    first: int
    count: int


class LocalModel:
    """Writes with transformers, token by token; nothing is loaded before ``load`` or the first request.

    Args:
        config: Which model, and how it writes.
        offline: Refuse the network.
        seed: Of sampling.
    """

    def __init__(self, config: LocalConfig, *, offline: bool, seed: int) -> None:
        self._config, self._offline, self._seed = config, offline, seed

    def describe(self) -> dict[str, Any]:
        """The checkpoint's files and chat template, how it writes, and the versions that change what it computes."""
        described = describe_model(self._config.placed, self._checkpoint, self._profile, version=VERSION)
        template = self._tokenizer.chat_template
        return {
            "type": "transformers",
            **{key: value for key, value in described.items() if key != "profile"},
            "chat_template": value_sha256(template) if template else None,
            "chat_template_kwargs": dict(self._config.chat_template_kwargs),
            "decoding": self._config.decoding.model_dump(),
            "seed": self._seed,
        }

    def check(self) -> None:
        """Reads what the files say of the model; loads no weights.

        Raises:
            ResourceError: The checkpoint cannot be had, is broken, or does not write.
            UsageError: ``max_new_tokens`` leaves no room for a prompt.
        """
        if not self._checkpoint.writes:
            raise ResourceError(f"{self._checkpoint.label}: it has no head that writes; give a causal language model")
        longest = self._longest_prompt
        if longest is not None and longest < _FEWEST:
            new, positions = self._config.decoding.max_new_tokens, self._checkpoint.max_positions
            raise UsageError(
                f"{self._checkpoint.label}: max_new_tokens {new} leaves {max(longest, 0)} of the model's {positions} positions "
                f"for a prompt; lower it to {(positions or 0) - _FEWEST} or less"
            )

    def load(self, meter: Meter) -> None:
        """Loads the weights, and refuses a model that does not compute as decoders do here."""
        _ = self._loaded
        meter.model(self._checkpoint.label, self._checkpoint.parameters_of("decoder"))

    def write(self, requests: Sequence[Request], meter: Meter) -> list[tuple[Text, ...]]:
        """Writes the texts. Sampling hangs on a request's key and the number of its sample; greedy texts are written once and repeated.

        Raises:
            ResourceError: The chat template does not take the messages.
            ValueError: Two requests have the same key.
        """
        check_keys(requests)
        decoding = self._config.decoding
        prompts: list[Prompt] = []
        asked: list[_Asked] = []
        for request in requests:
            tokens = self._form.tokens(request.messages)
            count = written_texts(request, greedy=decoding.temperature == 0) if self._fits(tokens) else 0
            asked.append(_Asked(request, tokens, len(prompts), count))
            prompts += [Prompt(sample_key(request.key, sample), tokens) for sample in range(count)]
        written = write_responses(
            *(self._loaded, prompts, decoding, meter),
            seed=self._seed,
            batch_tokens=self._config.batch_tokens,
            ends=self._form.ends,
        )
        return [self._texts(each, written[each.first : each.first + each.count]) for each in asked]

    def _texts(self, asked: _Asked, written: Sequence[Written]) -> tuple[Text, ...]:
        size, samples = len(asked.tokens), asked.request.samples
        if not written:
            allowed, new = self._longest_prompt, self._config.decoding.max_new_tokens
            failure = f"the prompt has {size} tokens, and {allowed} fit beside {new} new ones: shorten it, or lower max_new_tokens"
            return (Text("", "empty", tokens_in=size, failure=failure),) * samples
        texts = tuple(Text(each.text, each.finish_reason, size, each.tokens, round(each.log_probability, 4)) for each in written)
        return texts if len(texts) == samples else texts * samples

    def _fits(self, tokens: Sequence[int]) -> bool:
        return self._longest_prompt is None or len(tokens) <= self._longest_prompt

    @property
    def _longest_prompt(self) -> int | None:
        """Tokens that a prompt may have; None where the architecture sets no limit."""
        positions = self._checkpoint.max_positions
        return None if positions is None else positions - self._config.decoding.max_new_tokens

    @cached_property
    def _checkpoint(self) -> Checkpoint:
        return open_checkpoint(self._config.model, offline=self._offline, revision=self._config.revision)

    @cached_property
    def _tokenizer(self) -> Any:
        return load_tokenizer(self._checkpoint, padding_side="left")

    @cached_property
    def _inputs(self) -> InputForm:
        return InputForm(self._tokenizer, (), self._checkpoint.label)

    @cached_property
    def _form(self) -> ChatForm:
        return ChatForm(self._tokenizer, self._inputs, self._checkpoint.label, self._config.chat_template_kwargs)

    @property
    def _profile(self) -> Profile:
        """What writing needs of a profile. The checkpoint's own, if it has one, says how it encodes, and is not used."""
        return Profile(pooling="last", attention="causal", closing=(), responds=True, prompt=PromptTemplate(stop=self._form.stop))

    @cached_property
    def _loaded(self) -> Loaded:
        checkpoint, profile = self._checkpoint, self._profile
        device, dtype = resolved(self._config.placed, checkpoint)
        loaded = Loaded(
            checkpoint=checkpoint,
            profile=profile,
            tokenizer=self._tokenizer,
            form=self._inputs,
            model=load_causal(checkpoint, profile, device=device, dtype=dtype),
            head=None,
            device=device,
            dtype=dtype,
            lengths=fitted(profile.lengths, checkpoint.max_positions),
        )
        verify(loaded)
        return loaded
