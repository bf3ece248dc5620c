"""How likely a decoder finds a given response: teacher forcing, many prompts at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from convbench.backends.batches import length_batches
from convbench.backends.decoder import Reading, forward
from convbench.backends.loaded import Loaded
from convbench.backends.trunk import EMPTY, Trunk
from convbench.meter import Meter


@dataclass(frozen=True, slots=True)
class Continuation:
    """A response whose likelihood is asked for.

    Attributes:
        prompt: The whole prompt, at least one token.
        response: The tokens that follow it, at least one.
        known: What the decoder has read before; as much of it as begins the prompt is gone on from.
    """

    prompt: tuple[int, ...]
    response: tuple[int, ...]
    known: Trunk = EMPTY

    @property
    def reading(self) -> Reading:
        """What is read: all but the last token, which nothing follows. The prompt's last token is always read, for what comes next."""
        reused = min(self.known.shared(self.prompt), len(self.prompt) - 1)
        return Reading((*self.prompt, *self.response[:-1]), known=self.known.cut(reused))


def mean_log_likelihoods(loaded: Loaded, continuations: Sequence[Continuation], meter: Meter, *, batch_tokens: int) -> list[float]:
    """Mean log-probability of a response's tokens, given its prompt: ``1/n Σ log p(token i | prompt, tokens before i)``, natural logarithm.

    Equal continuations are computed once, so that they get equal values. Logits are computed at the places of the responses only.

    Args:
        loaded: The decoder.
        continuations: Prompts and responses.
        meter: Where costs are counted.
        batch_tokens: Most tokens in a batch, padding included.

    Returns:
        One value a continuation, in order, each at most 0.
    """
    import torch

    distinct = {(each.prompt, each.response): each for each in continuations}
    keys, rows = list(distinct), list(distinct.values())
    readings = [row.reading for row in rows]
    values: dict[tuple[tuple[int, ...], tuple[int, ...]], float] = {}
    for batch in length_batches([len(reading) for reading in readings], batch_tokens):
        with torch.inference_mode():
            found = _batch(loaded, [readings[index] for index in batch], [rows[index].response for index in batch], meter)
        values |= {keys[index]: value for index, value in zip(batch, found, strict=True)}
    return [values[each.prompt, each.response] for each in continuations]


def response_tokens(loaded: Loaded, text: str, longest: int) -> tuple[int, ...]:
    """The tokens of a response as they follow the cue that ends a prompt, a blank between where the cue has none at its end.

    Cue and response are tokenised together, so that the response begins as the model would begin it; where the cue's own tokens then
    change, the response is tokenised alone.

    Args:
        loaded: The decoder.
        text: The response.
        longest: Tokens after which it is cut.
    """
    form, cue = loaded.form, loaded.profile.prompt.cue
    said = form.plain(text.strip())
    if not said:
        return ()
    start = form.ids(cue) if cue else []
    whole = form.ids(f"{cue}{'' if not cue or cue[-1].isspace() else ' '}{said}")
    tokens = whole[len(start) :] if whole[: len(start)] == start else form.ids(said)
    return tuple(tokens[:longest])


def _batch(loaded: Loaded, readings: Sequence[Reading], responses: Sequence[tuple[int, ...]], meter: Meter) -> list[float]:
    """The values of one batch. Rows end together, so that logits have the shape (rows, longest response, vocabulary)."""
    import torch

    width = max(map(len, responses))
    cached = any(len(reading.known) for reading in readings)
    _, output = forward(loaded, readings, meter, body=False, cached=cached, logits=width)
    targets = torch.zeros(len(responses), width, dtype=torch.long)
    for index, response in enumerate(responses):
        targets[index, width - len(response) :] = torch.tensor(response)
    chosen: Any = _log_probabilities(output.logits[:, -width:], targets.to(loaded.device))
    return [float(row[width - len(response) :].double().mean()) for row, response in zip(chosen.cpu(), responses, strict=True)]


def _log_probabilities(logits: Any, targets: Any) -> Any:
    """Log-probabilities of tokens, shape (rows, tokens), row by row in float32, so that no second tensor of all logits is needed."""
    import torch

    rows = [-torch.nn.functional.cross_entropy(row.float(), wanted, reduction="none") for row, wanted in zip(logits, targets, strict=True)]
    return torch.stack(rows)
