"""Writing responses with a decoder, from prompts whose beginning it may have read already."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from convbench.backends.batches import length_batches
from convbench.backends.decoder import Reading, forward
from convbench.backends.loaded import Loaded
from convbench.backends.masks import by_kind
from convbench.backends.trunk import EMPTY, Trunk
from convbench.meter import Meter
from convbench.writing.decoding import Chooser, DecodingConfig


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a response is written from.

    Attributes:
        turn_id: The turn.
        tokens: The whole prompt.
        known: What the decoder has read before; as much of it as begins the prompt is gone on from.
    """

    turn_id: str
    tokens: tuple[int, ...]
    known: Trunk = EMPTY

    @property
    def reused(self) -> int:
        """How many tokens need not be read again; the last one always is, as the response begins with what it says comes next."""
        return min(self.known.shared(self.tokens), len(self.tokens) - 1)


@dataclass(frozen=True, slots=True)
class Written:
    """A response as it was written.

    Attributes:
        text: Without stop strings and white space around it.
        tokens: How many were written, the one that ended it included.
        finish_reason: ``stop`` (end-of-sequence token or stop string), ``length``, or ``empty`` where no text came out.
        log_probability: Sum of the logarithms of these tokens' probabilities under the model itself, whatever settings chose them. Its last
            digits depend on the batch, so that responses are equal without it.
    """

    text: str
    tokens: int
    finish_reason: str
    log_probability: float = field(default=0.0, compare=False)


@dataclass(slots=True)
class _Row:
    """A response being written."""

    prompt: Prompt
    tokens: list[int] = field(default_factory=list)
    finish_reason: str = ""
    log_probability: float = 0.0


def write_responses(
    loaded: Loaded,
    prompts: Sequence[Prompt],
    config: DecodingConfig,
    meter: Meter,
    *,
    seed: int,
    batch_tokens: int,
    ends: Collection[int] = (),
) -> list[Written]:
    """Writes a response to each prompt.

    Args:
        loaded: The decoder.
        prompts: What to respond to.
        config: How to decode.
        meter: Where costs are counted.
        seed: Of sampling.
        batch_tokens: Most tokens in a batch, prompt and response.
        ends: Tokens that end a response beside ``end_tokens``.
    """
    import torch

    ends = end_tokens(loaded).union(ends)
    written: dict[int, Written] = {}
    lengths = [len(prompt.tokens) + config.max_new_tokens for prompt in prompts]
    for batch in length_batches(lengths, batch_tokens, config.batch_rows):
        rows = [_Row(prompts[index]) for index in batch]
        with torch.inference_mode():
            _write(loaded, rows, config, Chooser(config, seed, [row.prompt.turn_id for row in rows]), meter, ends)
        for index, row in zip(batch, rows, strict=True):
            written[index] = _finished(loaded, row)
    return [written[index] for index in range(len(prompts))]


def _write(loaded: Loaded, rows: list[_Row], config: DecodingConfig, chooser: Chooser, meter: Meter, ends: frozenset[int]) -> None:
    """Writes a batch, token by token; rows that are finished leave it."""
    import torch

    prompts = [row.prompt for row in rows]
    readings = [Reading(p.tokens, known=p.known.cut(p.reused)) for p in prompts]
    cache, output = forward(loaded, readings, meter, body=False, cached=True)
    prefix, width = (max(len(part) for part in parts) for parts in ([r.known for r in readings], [r.new for r in readings]))
    keys = _key_positions(readings, prefix, width)
    sees_all = bool((keys >= 0).all()) and not loaded.masks_by_place and list(loaded.windows.values()) == [None]
    keys = keys.to(loaded.device)
    while rows:
        chosen = chooser.choose([row.prompt.turn_id for row in rows], output.logits[:, -1], [row.tokens for row in rows])
        meter.count(tokens_out=len(rows))
        for row, token, value in zip(rows, chosen, _log_probabilities(output.logits[:, -1], chosen), strict=True):
            row.tokens.append(token)
            row.log_probability += value
            row.finish_reason = _reason(loaded, row, ends, config.max_new_tokens)
        going = [index for index, row in enumerate(rows) if not row.finish_reason]
        if len(going) < len(rows):
            rows = [rows[index] for index in going]
            if not rows:
                return
            kept = torch.tensor(going, device=loaded.device)
            cache.batch_select_indices(kept)
            keys = keys[kept]
        positions = torch.tensor([[len(row.prompt.tokens) + len(row.tokens) - 1] for row in rows], device=loaded.device)
        keys = torch.cat([keys, positions], dim=1)
        output = loaded.model(
            input_ids=torch.tensor([[row.tokens[-1]] for row in rows], device=loaded.device),
            position_ids=positions + loaded.first_position,
            # Without a mask, attention runs in its fastest kernels and keys need not be repeated for every head that shares them.
            attention_mask=None if sees_all else _step_masks(loaded, keys, positions),
            past_key_values=cache,
            use_cache=True,
        )
        meter.count(forward_passes=1)


def _log_probabilities(logits: Any, chosen: Sequence[int]) -> list[float]:
    """The natural logarithm of each chosen token's probability, from logits of shape (rows, vocabulary)."""
    import torch

    targets = torch.tensor(chosen, device=logits.device)
    values: list[float] = torch.nn.functional.cross_entropy(logits.float(), targets, reduction="none").neg().tolist()
    return values


def _key_positions(readings: Sequence[Reading], prefix: int, width: int) -> Any:
    """Where each cached token stands, shape (rows, prefix and width); -1 for padding."""
    import torch

    keys = torch.full((len(readings), prefix + width), -1)
    for index, reading in enumerate(readings):
        known, new = len(reading.known), len(reading.new)
        keys[index, prefix - known : prefix] = torch.arange(known)
        keys[index, prefix + width - new :] = torch.arange(known, known + new)
    return keys


def _step_masks(loaded: Loaded, keys: Any, positions: Any) -> Any:
    """The newest token's mask; a mapping by kind of layer where there are several."""
    visible = (keys >= 0).unsqueeze(1)
    return by_kind(visible, (positions - keys).unsqueeze(1), loaded.windows, loaded.torch_dtype)


def end_tokens(loaded: Loaded) -> frozenset[int]:
    """Tokens that end a response: those of the generation settings and of the tokenizer, and what closes an encoded text."""
    configured = getattr(loaded.model.generation_config, "eos_token_id", None)
    listed = configured if isinstance(configured, list) else [configured]
    own = [loaded.tokenizer.eos_token_id, loaded.tokenizer.sep_token_id, *loaded.form.closing[-1:]]
    return frozenset(token for token in (*listed, *own) if token is not None)


def _reason(loaded: Loaded, row: _Row, ends: frozenset[int], longest: int) -> str:
    """Why the response ends here; empty while it goes on."""
    if row.tokens[-1] in ends or _before_stop(loaded, row)[1]:
        return "stop"
    return "length" if len(row.tokens) == longest else ""


def _before_stop(loaded: Loaded, row: _Row) -> tuple[str, bool]:
    """The text up to the first stop string, and whether there is one."""
    text = loaded.tokenizer.decode(row.tokens, skip_special_tokens=True)
    found = [at for stop in loaded.profile.prompt.stop if (at := text.find(stop)) >= 0]
    return (text[: min(found)], True) if found else (text, False)


def _finished(loaded: Loaded, row: _Row) -> Written:
    text = _before_stop(loaded, row)[0].strip()
    return Written(text, len(row.tokens), row.finish_reason if text else "empty", row.log_probability)
