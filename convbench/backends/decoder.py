"""A decoder that goes on from what it has read: one forward pass over new tokens, cached prefixes and branches.

A row of a batch is ``[cached prefix][new tokens]``, both padded on the left. Some of the new tokens may be branches: side paths from a
point of the trunk that no later token sees, such as the closing tokens that read a turn's embedding. Masks and positions are computed from
where a token stands in its own conversation, so a batch gives what each row would give alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from convbench.backends.loaded import Loaded
from convbench.backends.masks import by_kind
from convbench.backends.trunk import EMPTY, Trunk, gathered, taken
from convbench.meter import Meter


@dataclass(frozen=True, slots=True)
class Reading:
    """What one row is to read.

    Attributes:
        tokens: The trunk, from the opening on.
        ends: Where branches leave it: each sees ``tokens[:end]`` and itself.
        branch: The tokens of every branch.
        known: What was read before; a prefix of ``tokens``, at most to the first end.
    """

    tokens: tuple[int, ...]
    ends: tuple[int, ...] = ()
    branch: tuple[int, ...] = ()
    known: Trunk = EMPTY

    @property
    def new(self) -> tuple[int, ...]:
        """The tokens to compute: the rest of the trunk, then the branches."""
        return (*self.tokens[len(self.known) :], *self.branch * len(self.ends))

    def positions(self) -> list[int]:
        """Where each new token stands."""
        trunk = range(len(self.known), len(self.tokens))
        return [*trunk, *(end + step for end in self.ends for step in range(len(self.branch)))]

    def __len__(self) -> int:
        return len(self.known) + len(self.new)


def read(loaded: Loaded, readings: Sequence[Reading], meter: Meter, *, keep: bool) -> tuple[list[list[Any]], list[Trunk]]:
    """Reads a batch.

    Args:
        loaded: The decoder.
        readings: A row each.
        meter: Where the forward pass and its tokens are counted.
        keep: Whether the trunks are wanted.

    Returns:
        For each row the hidden state of each branch's last token, shape (dim,); and the trunks (``EMPTY`` where not wanted).
    """
    cache, output = forward(loaded, readings, meter, body=True, cached=keep or any(len(row.known) for row in readings))
    hidden, width = output.last_hidden_state, max(len(row.new) for row in readings)
    prefix = max(len(row.known) for row in readings)
    states, trunks = [], []
    for index, row in enumerate(readings):
        first = width - len(row.new)
        trunk_end = first + len(row.tokens) - len(row.known)
        states.append([hidden[index, trunk_end + (number + 1) * len(row.branch) - 1] for number in range(len(row.ends))])
        trunks.append(_grown(row, cache, index, prefix + first, prefix + trunk_end) if keep else EMPTY)
    return states, trunks


def forward(loaded: Loaded, readings: Sequence[Reading], meter: Meter, *, body: bool, cached: bool, logits: int = 1) -> tuple[Any, Any]:
    """One forward pass over the new tokens of a batch.

    Args:
        loaded: The decoder.
        readings: A row each.
        meter: Where the pass is counted.
        body: Hidden states only; else the logits after each row's last tokens.
        cached: Whether the cache is kept.
        logits: After how many of each row's last tokens logits are computed.

    Returns:
        The cache (prefix and new tokens, padding included) and the model's output.
    """
    import torch

    width = max(len(row.new) for row in readings)
    ids = torch.full((len(readings), width), loaded.tokenizer.pad_token_id)
    positions = torch.zeros_like(ids)
    for index, row in enumerate(readings):
        ids[index, width - len(row.new) :] = torch.tensor(row.new)
        positions[index, width - len(row.new) :] = torch.tensor(row.positions())
    cache = gathered([row.known for row in readings]) if cached else None
    given: dict[str, Any] = {"past_key_values": cache} if cached else {}
    if not body:
        given["logits_to_keep"] = logits
    output = (loaded.body if body else loaded.model)(
        input_ids=ids.to(loaded.device),
        position_ids=positions.to(loaded.device) + loaded.first_position,
        attention_mask=_masks(loaded, readings, positions),
        use_cache=cached,
        **given,
    )
    meter.count(forward_passes=1, tokens_in=sum(len(row.new) for row in readings))
    return cache, output


def _masks(loaded: Loaded, readings: Sequence[Reading], positions: Any) -> Any:
    """The attention mask; a mapping by kind of layer where a model has several that see differently."""
    import torch

    visible = visible_keys(readings)
    prefix = visible.shape[2] - visible.shape[1]
    known = torch.tensor([len(row.known) for row in readings])
    before = torch.arange(prefix).unsqueeze(0) - (prefix - known).unsqueeze(1)
    distances = positions.unsqueeze(2) - torch.cat([before, positions], dim=1).unsqueeze(1)
    return by_kind(visible.to(loaded.device), distances.to(loaded.device), loaded.windows, loaded.torch_dtype)


def visible_keys(readings: Sequence[Reading]) -> Any:
    """Which key each new token sees: booleans of shape (rows, new tokens, prefix and new tokens)."""
    import torch

    width, prefix = max(len(row.new) for row in readings), max(len(row.known) for row in readings)
    visible = torch.zeros(len(readings), width, prefix + width, dtype=torch.bool)
    for index, row in enumerate(readings):
        known, size = len(row.known), len(row.tokens) - len(row.known)
        first = width - len(row.new)
        start = prefix + first  # column of the first new token
        visible[index, first:, prefix - known : prefix] = True
        visible[index, first : first + size, start : start + size] = torch.ones(size, size, dtype=torch.bool).tril()
        own = torch.ones(len(row.branch), len(row.branch), dtype=torch.bool).tril()
        for number, end in enumerate(row.ends):
            at = size + number * len(row.branch)
            rows = slice(first + at, first + at + len(row.branch))
            visible[index, rows, start : start + end - known] = True
            visible[index, rows, start + at : start + at + len(row.branch)] = own
    return visible


def _grown(row: Reading, cache: Any, index: int, start: int, stop: int) -> Trunk:
    """The row's known trunk and what was read after it."""
    import torch

    new = taken(cache, index, start, stop)
    if not len(row.known):
        return Trunk(row.tokens, new)
    layers = zip(row.known.layers, new, strict=True)
    joined = tuple(
        (torch.cat([keys, more_keys], dim=1), torch.cat([values, more_values], dim=1))
        for (keys, values), (more_keys, more_values) in layers
    )
    return Trunk(row.tokens, joined)
