"""Encoding the sessions of conversations, each conversation read once.

Where every turn's session begins with the session before it, token by token, one forward pass over the longest reads them all: the closing
tokens of each turn branch off where its session ends. What was read of a conversation before is gone on from. Whether sessions allow it is
seen from their tokens, so that no template has to promise it; those that do not are read one by one, and the vectors are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from convbench.backends.base import Vectors
from convbench.backends.batches import batch_limit, length_batches
from convbench.backends.decoder import Reading, read
from convbench.backends.encode import encode_inputs, finished
from convbench.backends.loaded import Loaded
from convbench.backends.trunk import EMPTY, Trunk
from convbench.meter import Meter

Tokens = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class EncodedSession:
    """A turn's session, encoded.

    Attributes:
        vector: Shape (dim,), float32.
        trunk: What the decoder remembers of the session; empty where it was not kept.
    """

    vector: Vectors
    trunk: Trunk = EMPTY


def can_share(loaded: Loaded) -> bool:
    """Whether a session's tokens look the same to the model whatever follows, and its vector is read after them."""
    profile = loaded.profile
    causal = profile.attention == "causal" and loaded.is_causal
    cached = {"past_key_values", "use_cache"} <= loaded.body_arguments and not loaded.masks_by_place
    return profile.pooling == "last" and causal and cached and loaded.takes_positions and not loaded.is_int8


def encode_apart(loaded: Loaded, sessions: Sequence[Tokens], branch: Tokens, meter: Meter, *, batch_tokens: int, skip: int = 0) -> Vectors:
    """The plain way: every session on its own.

    Args:
        loaded: The model.
        sessions: Opening and text of each.
        branch: What closes each.
        meter: Where costs are counted.
        batch_tokens: Most tokens in a batch.
        skip: Tokens at the start that are not pooled.

    Returns:
        Shape (sessions, dim).
    """
    return encode_inputs(loaded, [(*session, *branch) for session in sessions], meter, batch_tokens=batch_tokens, skip=skip)


def encode_together(
    loaded: Loaded,
    conversations: Sequence[Sequence[Tokens]],
    branch: Tokens,
    meter: Meter,
    *,
    batch_tokens: int,
    known: Sequence[Trunk],
    keep: bool,
) -> list[list[EncodedSession]]:
    """Every conversation once.

    Args:
        loaded: A decoder that ``can_share``.
        conversations: For each the sessions of its turns, in order: opening and text.
        branch: What closes each session.
        meter: Where costs are counted.
        batch_tokens: Most tokens in a batch.
        known: What was read of each conversation before.
        keep: Whether trunks are wanted, to respond from or to go on from.

    Returns:
        For each conversation its sessions, in order.
    """
    import torch

    runs = [_chains(sessions, branch, trunk) for sessions, trunk in zip(conversations, known, strict=True)]
    chains = [chain for run in runs for chain in run]
    encoded: list[list[EncodedSession]] = [[]] * len(chains)
    for batch in length_batches([len(chain.new) for chain in chains], batch_limit(loaded.device, batch_tokens)):
        rows = [chains[index] for index in batch]
        with torch.inference_mode():
            states, trunks = read(loaded, rows, meter, keep=keep)
            for index, row, hidden, trunk in zip(batch, rows, states, trunks, strict=True):
                vectors = finished(loaded, torch.stack(hidden))
                encoded[index] = [EncodedSession(v, trunk.cut(end) if keep else EMPTY) for v, end in zip(vectors, row.ends, strict=True)]
    read_chains = iter(encoded)
    return [[session for _ in run for session in next(read_chains)] for run in runs]


def _chains(sessions: Sequence[Tokens], branch: Tokens, known: Trunk) -> list[Reading]:
    """Runs of sessions that each begin with the one before; the first goes on from what is known of it."""
    runs: list[list[Tokens]] = []
    for session in sessions:
        if runs and session[: len(runs[-1][-1])] == runs[-1][-1]:
            runs[-1].append(session)
        else:
            runs.append([session])
    return [
        Reading(run[-1], tuple(map(len, run)), branch, known.cut(known.shared(run[0])) if number == 0 else EMPTY)
        for number, run in enumerate(runs)
    ]


def stacked(sessions: Sequence[EncodedSession]) -> Vectors:
    """The vectors of sessions, shape (sessions, dim)."""
    return np.stack([session.vector for session in sessions])
