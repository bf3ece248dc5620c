"""One checkpoint doing both jobs: sessions and passages in, vectors and responses out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from convbench.backends.encoder import HFEncoder
from convbench.backends.inputs import unpooled
from convbench.backends.loaded import Loaded, fitted
from convbench.backends.number_probes import sharing
from convbench.backends.placement import ModelConfig
from convbench.backends.sessions import EncodedSession, can_share, encode_apart, encode_together
from convbench.backends.trunk import EMPTY, Trunk
from convbench.backends.turn_inputs import Session, TurnInputs, turn_lengths
from convbench.errors import UsageError
from convbench.meter import Meter
from convbench.writing.decoding import DecodingConfig
from convbench.writing.likelihood import Continuation, mean_log_likelihoods, response_tokens
from convbench.writing.writer import Prompt, Written, write_responses

log = logging.getLogger(__name__)


class OneModel:
    """A checkpoint as retriever and responder; its weights are loaded on first use.

    One that is not to respond is a retriever, and may have another checkpoint for its queries.

    Args:
        config: The checkpoint and how to run it.
        decoding: How responses are decoded; None: it does not respond.
        reuse: Whether what was read of a conversation is gone on from.
        offline: Refuse the network.
        seed: Of sampling.
    """

    def __init__(self, config: ModelConfig, decoding: DecodingConfig | None, *, reuse: bool, offline: bool, seed: int) -> None:
        self.encoder = HFEncoder(config, offline=offline, to_respond=decoding is not None)
        self._batch_tokens, self._decoding, self._reuse, self._seed = config.batch_tokens, decoding, reuse, seed

    @property
    def responds(self) -> bool:
        """Whether it writes responses."""
        return self._decoding is not None

    def check(self) -> None:
        """Raises ``UsageError`` where it is to respond and cannot, or has no room for a prompt and its response."""
        if self._decoding is None:
            return
        checkpoint, profile = self.encoder.checkpoint, self.encoder.profile
        if self.encoder.kind == "encoder":
            why = "its profile says responds: false" if profile.responds is False else "it has no head that writes"
            raise UsageError(f"{checkpoint.label}: {why}, so nothing is decoded: leave out decoding settings, or set decoding=null")
        turn_lengths(fitted(profile.lengths, checkpoint.max_positions), checkpoint, self._decoding.max_new_tokens)

    @property
    def _loaded(self) -> Loaded:
        """What reads sessions, and writes."""
        return self.encoder.queries

    @cached_property
    def _shares(self) -> bool:
        """Whether conversations are read once; tried out, as an architecture may keep its cache in a way of its own."""
        if not (self._reuse and can_share(self._loaded)):
            return False
        finding = sharing(self._loaded)
        if finding.status == "failed":
            log.warning("%s: conversations are read turn by turn: %s", self._loaded.checkpoint.label, finding.line)
        return finding.status != "failed"

    @cached_property
    def inputs(self) -> TurnInputs:
        """What writes the inputs of turns."""
        return TurnInputs(self._loaded, self._decoding.max_new_tokens if self._decoding else None)

    def describe(self) -> dict[str, Any]:
        """Everything that changes a vector or a response."""
        decoding = self._decoding.model_dump() if self._decoding else None
        return {**self.encoder.describe(), "decoding": decoding, "seed": self._seed, "reuse": self._reuse}

    def encode_sessions(
        self, conversations: Sequence[Sequence[Session]], known: Sequence[Trunk], meter: Meter
    ) -> list[list[EncodedSession]]:
        """Encodes the sessions of conversations, in turn order.

        Args:
            conversations: For each the sessions of its turns.
            known: What was read of each before.
            meter: Where costs are counted.
        """
        tokens = [[session.tokens for session in sessions] for sessions in conversations]
        loaded, branch, size = self._loaded, self.inputs.branch, self._batch_tokens
        if self._shares:
            return encode_together(loaded, tokens, branch, meter, batch_tokens=size, known=known, keep=self.responds)
        flat = [ids for each in tokens for ids in each]
        skip = unpooled(loaded, loaded.profile.query_prefix)
        vectors = iter(encode_apart(loaded, flat, branch, meter, batch_tokens=size, skip=skip))
        return [[EncodedSession(next(vectors)) for _ in each] for each in tokens]

    def trunks(self, conversations: Sequence[Sequence[Session]], meter: Meter) -> list[list[Trunk]]:
        """What reading the sessions of conversations leaves to go on from; empty ones where conversations are read turn by turn."""
        if not self._shares:
            return [[EMPTY for _ in sessions] for sessions in conversations]
        encoded = self.encode_sessions(conversations, [EMPTY] * len(conversations), meter)
        return [[session.trunk for session in sessions] for sessions in encoded]

    def response_tokens(self, text: str) -> tuple[int, ...]:
        """A response as it follows a prompt, cut where the model would have to stop writing.

        Raises:
            ValueError: It is not to respond.
        """
        if self._decoding is None:
            raise ValueError("a retriever does not respond")
        return response_tokens(self._loaded, text, self._decoding.max_new_tokens)

    def log_likelihoods(self, continuations: Sequence[Continuation], meter: Meter) -> list[float]:
        """Mean token log-probability of each response, given its prompt."""
        return mean_log_likelihoods(self._loaded, continuations, meter, batch_tokens=self._batch_tokens)

    def respond(self, prompts: Sequence[Prompt], meter: Meter) -> list[Written]:
        """Writes a response to each prompt.

        Raises:
            ValueError: It is not to respond.
        """
        if self._decoding is None:
            raise ValueError("a retriever does not respond")
        return write_responses(self._loaded, prompts, self._decoding, meter, seed=self._seed, batch_tokens=self._batch_tokens)
