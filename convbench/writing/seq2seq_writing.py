"""Texts from an encoder-decoder model: how they are decoded, and one batch of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field, model_validator

from convbench.config import Config
from convbench.meter import Meter
from convbench.writing.base import Text
from convbench.writing.decoding import seed_of
from convbench.writing.seq2seq_checkpoint import Seq2SeqCheckpoint


class Seq2SeqDecoding(Config):
    """How texts are decoded; ``transformers.GenerationConfig`` defines each of these.

    Attributes:
        max_new_tokens: Longest text in tokens.
        beams: Width of beam search; 1: none.
        length_penalty: Above 0 beam search favours longer texts: scores are divided by length to this power.
        early_stopping: Whether beam search ends with as many whole texts as beams, whatever better ones could follow.
        temperature: 0 is greedy, or beam search.
        top_k: Sample from the k likeliest tokens; 0: from all.
        top_p: Sample from the likeliest tokens that together have this probability.
        repetition_penalty: Above 1, tokens that were written before get less likely.
        no_repeat_ngram: No run of so many tokens is written twice; 0: any is.
        batch_rows: Most sources read together.
    """

    max_new_tokens: int = Field(default=64, ge=1)
    beams: int = Field(default=1, ge=1, le=100)
    length_penalty: float = Field(default=1.0, allow_inf_nan=False)
    early_stopping: bool = False
    temperature: float = Field(default=0.0, ge=0)
    top_k: int = Field(default=0, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    repetition_penalty: float = Field(default=1.0, ge=1, allow_inf_nan=False)
    no_repeat_ngram: int = Field(default=0, ge=0)
    batch_rows: int = Field(default=8, ge=1)

    @model_validator(mode="after")
    def _samples_or_searches(self) -> Seq2SeqDecoding:
        if self.beams > 1 and self.temperature > 0:
            raise ValueError("beams above 1 need temperature 0: beam search does not sample here")
        return self


@dataclass(frozen=True, slots=True)
class Source:
    """A source as it is read.

    Attributes:
        key: What sampling hangs on.
        tokens: Its tokens, opening and closing ones included.
    """

    key: str
    tokens: tuple[int, ...]


def generation_settings(decoding: Seq2SeqDecoding, checkpoint: Seq2SeqCheckpoint) -> Any:
    """The settings as ``transformers.GenerationConfig``, with the tokens that the checkpoint forces."""
    from transformers import GenerationConfig

    chosen: dict[str, Any] = {}
    if decoding.temperature > 0:
        chosen |= {"temperature": decoding.temperature, "top_k": decoding.top_k, "top_p": decoding.top_p}
    if decoding.beams > 1:
        chosen |= {"length_penalty": decoding.length_penalty, "early_stopping": decoding.early_stopping}
    return GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=decoding.max_new_tokens,
        num_beams=decoding.beams,
        do_sample=decoding.temperature > 0,
        repetition_penalty=decoding.repetition_penalty,
        no_repeat_ngram_size=decoding.no_repeat_ngram,
        **chosen,
        **checkpoint.forced,
    )


def write_batch(model: Any, checkpoint: Seq2SeqCheckpoint, sources: Sequence[Source], meter: Meter, *, seed: int) -> list[Text]:
    """Writes one batch with ``generate`` and the model's own ``generation_config``.

    Args:
        model: The model.
        checkpoint: Where it comes from.
        sources: What it reads; a single one where it samples, as the random numbers are those of the first.
        meter: Where tokens and forward passes are counted.
        seed: Of the run.
    """
    import torch

    width = max(len(source.tokens) for source in sources)
    ids = torch.full((len(sources), width), checkpoint.forced["pad_token_id"])
    mask = torch.zeros_like(ids)
    for row, source in enumerate(sources):
        ids[row, : len(source.tokens)] = torch.tensor(source.tokens)
        mask[row, : len(source.tokens)] = 1
    given = {"input_ids": ids.to(model.device), "attention_mask": mask.to(model.device)}
    with torch.inference_mode(), torch.random.fork_rng():
        torch.manual_seed(seed_of(seed, sources[0].key))
        sequences = model.generate(**given)
        values = _log_probabilities(model, given, sequences)
    longest = model.generation_config.max_new_tokens
    texts = [_text(checkpoint, *each, longest) for each in zip(sources, sequences.tolist(), values, strict=True)]
    meter.count(
        forward_passes=sequences.shape[1] + 1,  # the encoder's, one for each token but the first, and that of the probabilities
        tokens_in=sum(text.tokens_in for text in texts),
        tokens_out=sum(text.tokens_out for text in texts),
    )
    return texts


def _log_probabilities(model: Any, given: dict[str, Any], sequences: Any) -> list[list[float]]:
    """Log-probability of each written token, padding included, by one pass over the whole texts."""
    import torch

    logits = model(**given, decoder_input_ids=sequences[:, :-1]).logits.float()
    values = -torch.nn.functional.cross_entropy(logits.transpose(1, 2), sequences[:, 1:], reduction="none")
    found: list[list[float]] = values.tolist()
    return found


def _text(checkpoint: Seq2SeqCheckpoint, source: Source, sequence: Sequence[int], values: Sequence[float], longest: int) -> Text:
    """One row of what ``generate`` gives: the token to start from, the text, the end token, padding."""
    said, stated = list(sequence[1:]), checkpoint.forced["eos_token_id"]
    ends = set(stated if isinstance(stated, list) else [stated])
    end = next((place for place, token in enumerate(said) if token in ends), None)
    size = len(said) if end is None else end + 1
    is_cut = end is None or (size == longest and "forced_eos_token_id" in checkpoint.forced)  # an end that was forced
    text = checkpoint.tokenizer.decode(said[:size], skip_special_tokens=True).strip()
    return Text(
        text,
        finish_reason=("length" if is_cut else "stop") if text else "empty",
        tokens_in=len(source.tokens),
        tokens_out=size,
        log_probability=round(sum(values[:size]), 4),
    )
