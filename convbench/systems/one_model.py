"""One checkpoint doing both jobs: sessions and passages in, vectors and responses out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from convbench.backends.base import Encoded
from convbench.backends.checkpoint import Checkpoint, open_checkpoint
from convbench.backends.encoder import describe_model, encode_passages, encode_queries
from convbench.backends.known import profile_of
from convbench.backends.loaded import Loaded, fitted, load
from convbench.backends.placement import ModelConfig
from convbench.backends.profile import Lengths, Profile
from convbench.backends.sessions import EncodedSession, can_share, encode_apart, encode_together
from convbench.backends.trunk import Trunk
from convbench.errors import UsageError
from convbench.generation.decoding import DecodingConfig
from convbench.generation.writer import Prompt, Written, write_responses
from convbench.meter import Meter
from convbench.types import Passage, Turn
from convbench.views.history import REWRITE, history_view
from convbench.views.prompt import FittedEvidence, FittedSession, fit_evidence, fit_session
from convbench.views.session import Utterance

VERSION = 1


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

    Args:
        config: The checkpoint and how to run it.
        decoding: How responses are decoded.
        reuse: Whether what was read of a conversation is gone on from.
        offline: Refuse the network.
        seed: Of sampling.
    """

    def __init__(self, config: ModelConfig, decoding: DecodingConfig, *, reuse: bool, offline: bool, seed: int) -> None:
        self._config, self._decoding = config, decoding
        self._reuse, self._offline, self._seed = reuse, offline, seed

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint's files."""
        return open_checkpoint(self._config.model, offline=self._offline, revision=self._config.revision)

    @cached_property
    def profile(self) -> Profile:
        """How it is used."""
        return profile_of(self.checkpoint, self._config.profile)[0]

    @property
    def responds(self) -> bool:
        """Whether it writes responses; one that does not is a retriever."""
        can = self.checkpoint.writes or self.profile.lm_head == "embeddings"
        return can if self.profile.responds is None else self.profile.responds

    @cached_property
    def _loaded(self) -> Loaded:
        return load(self._config, "decoder" if self.responds else "encoder", offline=self._offline)

    @cached_property
    def _shares(self) -> bool:
        return self._reuse and can_share(self._loaded)

    @cached_property
    def lengths(self) -> Lengths:
        """The profile's, lowered to the model's positions: prompts leave room for the response, sessions for a passage and the cue."""
        lengths = fitted(self.profile.lengths, self.checkpoint.max_positions)
        if not self.responds:
            return lengths
        positions = self.checkpoint.max_positions
        prompt = lengths.prompt if positions is None else min(lengths.prompt, positions - self._decoding.max_new_tokens)
        session = min(lengths.session, prompt - min(lengths.evidence, prompt // 2))
        if session < 8:
            raise UsageError(
                f"{self.checkpoint.label}: {positions} positions leave {prompt} tokens for a prompt beside a response of "
                f"{self._decoding.max_new_tokens}: lower it with --set decoding.max_new_tokens=N"
            )
        return lengths.model_copy(update={"prompt": prompt, "session": session})

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self._loaded.model.config.get_text_config().hidden_size)

    @property
    def parameters(self) -> dict[str, int]:
        """Parameters of the checkpoint, by its label."""
        return {self.checkpoint.label: self.checkpoint.parameters}

    def describe(self) -> dict[str, Any]:
        """Everything that changes a passage's vector."""
        return describe_model(self._config, self.checkpoint, self.profile, version=VERSION)

    def describe_responses(self) -> dict[str, Any]:
        """What changes sessions and responses besides; the same passages serve whatever is asked of them."""
        return {"decoding": self._decoding.model_dump(), "seed": self._seed, "reuse": self._reuse, "responds": self.responds}

    def encode_passages(self, texts: Sequence[str], meter: Meter) -> Encoded:
        """Encodes passages."""
        return encode_passages(self._loaded, texts, self._config.batch_tokens, meter)

    def encode_queries(self, texts: Sequence[str], meter: Meter) -> Encoded:
        """Encodes texts as they are sent to the model as sessions."""
        return encode_queries(self._loaded, texts, self._config.batch_tokens, meter)

    def session(self, turn: Turn, view: str) -> Session:
        """Writes a turn's session, oldest exchanges dropped until it fits.

        Raises:
            UsageError: The question alone is too long.
        """
        question = (turn.rewrite or "") if view == REWRITE else turn.query
        shown = history_view("query" if view == REWRITE else view, turn)
        budget = self.lengths.session - len(self._loaded.form.opening) - len(self._branch)
        done = fit_session(shown, question, self._written, self._loaded.form.ids, budget, turn.id)
        tokens = (*self._loaded.form.opening, *done.tokens)
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
        loaded, size = self._loaded, self._config.batch_tokens
        if self._shares:
            return encode_together(loaded, tokens, self._branch, meter, batch_tokens=size, known=known, keep=self.responds)
        vectors = iter(
            encode_apart(loaded, [ids for each in tokens for ids in each], self._branch, meter, batch_tokens=size, skip=self._skip)
        )
        return [[EncodedSession(next(vectors)) for _ in each] for each in tokens]

    def evidence(self, session: Session, passages: Sequence[Passage]) -> tuple[tuple[int, ...], FittedEvidence]:
        """The prompt of a turn: its session, the passages that fit, and the cue."""
        form, template = self._loaded.form, self.profile.prompt
        head = session.tokens if template.start is None else (*form.opening, *form.ids(template.start + self._said(session)))
        plain = [Passage(passage.id, form.plain(passage.text), form.plain(passage.title)) for passage in passages]
        room = self.lengths.prompt - len(head)
        tail = fit_evidence(template.evidence, template.cue, plain, form.ids, room, self.lengths.evidence, session.turn.id)
        return (*head, *tail.tokens), tail

    def respond(self, prompts: Sequence[Prompt], meter: Meter) -> list[Written]:
        """Writes a response to each prompt."""
        size = self._config.batch_tokens
        return write_responses(self._loaded, prompts, self._decoding, meter, seed=self._seed, batch_tokens=size)

    @cached_property
    def _branch(self) -> tuple[int, ...]:
        """What closes a session for retrieval."""
        form, suffix = self._loaded.form, self.profile.query_suffix
        return (*(form.ids(suffix) if suffix else ()), *form.closing)

    @cached_property
    def _skip(self) -> int:
        """Tokens at the start of a session that mean pooling leaves out."""
        form = self._loaded.form
        return 0 if self.profile.pool_prefix else len(form.opening) + len(form.ids(self.profile.query_prefix))

    def _written(self, question: str, earlier: Sequence[Utterance]) -> str:
        plain = self._loaded.form.plain
        said = [Utterance(utterance.role, plain(utterance.text)) for utterance in earlier]
        return self.profile.query_prefix + self.profile.session.write(plain(question), said)

    def _said(self, session: Session) -> str:
        return session.fitted.text.removeprefix(self.profile.query_prefix)
