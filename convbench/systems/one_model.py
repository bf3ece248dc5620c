"""One checkpoint doing both jobs: sessions and passages in, vectors and responses out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from convbench.backends.encoder import HFEncoder
from convbench.backends.inputs import branch_ids, session_text, unpooled
from convbench.backends.loaded import Loaded
from convbench.backends.placement import ModelConfig
from convbench.backends.profile import Lengths
from convbench.backends.sessions import EncodedSession, can_share, encode_apart, encode_together
from convbench.backends.trunk import Trunk
from convbench.errors import UsageError
from convbench.generation.decoding import DecodingConfig
from convbench.generation.writer import Prompt, Written, write_responses
from convbench.meter import Meter
from convbench.types import Passage, Turn
from convbench.views.history import REWRITE, history_view
from convbench.views.prompt import FittedEvidence, FittedSession, fit_evidence, fit_session


@dataclass(frozen=True, slots=True)
class Session:
    """A turn's session as it is sent to the model.

    Attributes:
        turn: The turn.
        fitted: What was kept of it, as text and tokens, prefix included.
        tokens: Opening and text; closing tokens branch off at its end.
        sent: How many tokens are read for retrieval, closing tokens included.
        hidden: Earlier turns that the history view does not show.
    """

    turn: Turn
    fitted: FittedSession
    tokens: tuple[int, ...]
    sent: int
    hidden: tuple[str, ...]


class OneModel:
    """A checkpoint as retriever and responder; its weights are loaded on first use.

    One that cannot write is a retriever, and may have another checkpoint for its queries.

    Args:
        config: The checkpoint and how to run it.
        decoding: How responses are decoded.
        reuse: Whether what was read of a conversation is gone on from.
        offline: Refuse the network.
        seed: Of sampling.
    """

    def __init__(self, config: ModelConfig, decoding: DecodingConfig, *, reuse: bool, offline: bool, seed: int) -> None:
        self.encoder = HFEncoder(config, offline=offline, to_respond=True)
        self._batch_tokens, self._decoding, self._reuse, self._seed = config.batch_tokens, decoding, reuse, seed

    @property
    def responds(self) -> bool:
        """Whether it writes responses."""
        return self.encoder.kind == "decoder"

    @property
    def _loaded(self) -> Loaded:
        """What reads sessions, and writes."""
        return self.encoder.queries

    @cached_property
    def _shares(self) -> bool:
        return self._reuse and can_share(self._loaded)

    @cached_property
    def lengths(self) -> Lengths:
        """The profile's, lowered to the model's positions: prompts leave room for the response, sessions for a passage and the cue."""
        lengths, checkpoint = self._loaded.lengths, self._loaded.checkpoint
        if not self.responds:
            return lengths
        positions = checkpoint.max_positions
        prompt = lengths.prompt if positions is None else min(lengths.prompt, positions - self._decoding.max_new_tokens)
        session = min(lengths.session, prompt - min(lengths.evidence, prompt // 2))
        if session < 8:
            raise UsageError(
                f"{checkpoint.label}: {positions} positions leave {prompt} tokens for a prompt beside a response of "
                f"{self._decoding.max_new_tokens}: lower it with --set decoding.max_new_tokens=N"
            )
        return lengths.model_copy(update={"prompt": prompt, "session": session})

    def describe(self) -> dict[str, Any]:
        """Everything that changes a vector or a response."""
        return {**self.encoder.describe(), "decoding": self._decoding.model_dump(), "seed": self._seed, "reuse": self._reuse}

    def session(self, turn: Turn, view: str) -> Session:
        """Writes a turn's session, oldest exchanges dropped until it fits.

        Raises:
            UsageError: The question alone is too long.
        """
        question = (turn.rewrite or "") if view == REWRITE else turn.query
        shown = history_view("query" if view == REWRITE else view, turn)
        form = self._loaded.form
        budget = self.lengths.session - len(form.opening) - len(self._branch)
        done = fit_session(shown, question, partial(session_text, self._loaded), form.ids, budget, turn.id)
        tokens = (*form.opening, *done.tokens)
        return Session(turn, done, tokens, len(tokens) + len(self._branch), shown.dropped)

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
        loaded, size = self._loaded, self._batch_tokens
        if self._shares:
            return encode_together(loaded, tokens, self._branch, meter, batch_tokens=size, known=known, keep=self.responds)
        flat = [ids for each in tokens for ids in each]
        vectors = iter(encode_apart(loaded, flat, self._branch, meter, batch_tokens=size, skip=self._skip))
        return [[EncodedSession(next(vectors)) for _ in each] for each in tokens]

    def evidence(self, session: Session, passages: Sequence[Passage]) -> tuple[tuple[int, ...], FittedEvidence]:
        """The prompt of a turn: its session, the passages that fit, and the cue."""
        form, template = self._loaded.form, self._loaded.profile.prompt
        head = session.tokens if template.start is None else (*form.opening, *form.ids(template.start + self._said(session)))
        plain = [Passage(passage.id, form.plain(passage.text), form.plain(passage.title)) for passage in passages]
        room = self.lengths.prompt - len(head)
        tail = fit_evidence(template.evidence, template.cue, plain, form.ids, room, self.lengths.evidence, session.turn.id)
        return (*head, *tail.tokens), tail

    def respond(self, prompts: Sequence[Prompt], meter: Meter) -> list[Written]:
        """Writes a response to each prompt."""
        return write_responses(self._loaded, prompts, self._decoding, meter, seed=self._seed, batch_tokens=self._batch_tokens)

    @cached_property
    def _branch(self) -> tuple[int, ...]:
        """What closes a session for retrieval."""
        return branch_ids(self._loaded)

    @cached_property
    def _skip(self) -> int:
        """Tokens at the start of a session that mean pooling leaves out."""
        return unpooled(self._loaded, self._loaded.profile.query_prefix)

    def _said(self, session: Session) -> str:
        return session.fitted.text.removeprefix(self._loaded.profile.query_prefix)
