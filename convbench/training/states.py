"""The hidden states of rows: by one mask over each row, or block by block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from convbench.backends.loaded import Loaded
from convbench.backends.masks import by_kind
from convbench.training.blocks import side_by_side, visible
from convbench.training.rows import Row
from convbench.training.session_mask import positions, visibility

if TYPE_CHECKING:
    from torch import Tensor


def masked_states(loaded: Loaded, rows: Sequence[Row], dtype: Any) -> Tensor:
    """Rows padded on the right, each with a mask of all its tokens.

    Args:
        loaded: The model.
        rows: At least one.
        dtype: The precision of attention, which masks must have too: a lowest number of another one overflows.

    Returns:
        Shape (rows, longest, dim).
    """
    import torch

    width = max(len(row.tokens) for row in rows)
    ids = torch.full((len(rows), width), loaded.tokenizer.pad_token_id)
    places = torch.zeros_like(ids)
    seen = torch.eye(width, dtype=torch.bool).repeat(len(rows), 1, 1)  # padding sees itself, as seeing nothing would give NaN
    for index, row in enumerate(rows):
        size = len(row.tokens)
        ids[index, :size] = torch.tensor(row.tokens)
        places[index, :size] = torch.tensor(positions(row.parts))
        seen[index, :size, :size] = visibility(row.parts)
    places = places.to(loaded.device)
    distances = places.unsqueeze(2) - places.unsqueeze(1)
    states: Tensor = loaded.body(
        input_ids=ids.to(loaded.device),
        position_ids=places + loaded.first_position,
        attention_mask=by_kind(seen.to(loaded.device), distances, loaded.windows, dtype),
        use_cache=False,
    ).last_hidden_state
    return states


def block_states(loaded: Loaded, rows: Sequence[Row], dtype: Any) -> Tensor:
    """The same of a model that ``block_attention.reads_blocks``: rows side by side, so that only the result is padded.

    Args:
        loaded: The model.
        rows: At least one.
        dtype: The precision of attention.

    Returns:
        Shape (rows, longest, dim); 0 after a row's end.
    """
    import torch

    parts = side_by_side(row.parts for row in rows)
    places = torch.tensor(positions(parts))
    blocks, masks = [], []
    for block, keys, seen in visible(parts):
        distances = places[slice(*block.own)].unsqueeze(1) - places[keys]
        own = by_kind(seen.unsqueeze(0), distances.unsqueeze(0), loaded.windows, dtype)
        blocks.append(block)
        masks.append(own if len(loaded.windows) > 1 else dict.fromkeys(loaded.windows, own))
    flat = {kind: torch.cat([own[kind].flatten() for own in masks]).view(1, 1, 1, -1).to(loaded.device) for kind in loaded.windows}
    states: Tensor = loaded.body(
        input_ids=torch.tensor([[token for row in rows for token in row.tokens]], device=loaded.device),
        position_ids=places.unsqueeze(0).to(loaded.device) + loaded.first_position,
        attention_mask=flat if len(flat) > 1 else next(iter(flat.values())),
        use_cache=False,
        blocks=blocks,
    ).last_hidden_state
    return torch.nn.utils.rnn.pad_sequence(list(torch.split(states[0], [len(row.tokens) for row in rows])), batch_first=True)
