"""Key/value caches of conversations: what a decoder has read of each and need not read again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Trunk:
    """What a decoder remembers of the tokens it has read of one conversation, without padding.

    Attributes:
        tokens: The tokens, from the opening on.
        layers: For each layer keys and values, both of shape (heads, tokens, head dimension).
    """

    tokens: tuple[int, ...]
    layers: tuple[tuple[Any, Any], ...]

    def __len__(self) -> int:
        return len(self.tokens)

    def cut(self, length: int) -> Trunk:
        """The first ``length`` tokens; nothing is copied."""
        if length == 0:
            return EMPTY
        return Trunk(self.tokens[:length], tuple((keys[:, :length], values[:, :length]) for keys, values in self.layers))

    def shared(self, tokens: Sequence[int]) -> int:
        """How many tokens of another input begin it just as this."""
        limit = min(len(self.tokens), len(tokens))
        return next((index for index in range(limit) if self.tokens[index] != tokens[index]), limit)


EMPTY = Trunk((), ())


def gathered(trunks: Sequence[Trunk]) -> Any:
    """The trunks as the cache of one batch, a row each, padded on the left.

    ``DynamicCache.crop`` of transformers 5 takes negative lengths only and cuts all rows alike, so a trunk is cut before it is gathered.
    """
    from transformers.cache_utils import DynamicCache

    cache = DynamicCache()
    longest = max(map(len, trunks))
    for layer in range(max(len(trunk.layers) for trunk in trunks)):
        keys, values = (_padded([trunk.layers[layer][part] if len(trunk) else None for trunk in trunks], longest) for part in (0, 1))
        cache.update(keys, values, layer)
    return cache


def taken(cache: Any, row: int, start: int, stop: int) -> tuple[tuple[Any, Any], ...]:
    """Keys and values of positions ``start`` to ``stop`` of one row, layer by layer; copied, so that the batch can be freed."""
    return tuple((layer.keys[row, :, start:stop].clone(), layer.values[row, :, start:stop].clone()) for layer in cache.layers)


def _padded(parts: Sequence[Any], longest: int) -> Any:
    """Tensors of shape (heads, tokens, size) as one of shape (rows, heads, longest, size), zeros on the left."""
    like = next(part for part in parts if part is not None)
    if len(parts) == 1:
        return like.unsqueeze(0)
    whole = like.new_zeros(len(parts), like.shape[0], longest, like.shape[2])
    for row, part in enumerate(parts):
        if part is not None:
            whole[row, :, longest - part.shape[1] :] = part
    return whole
