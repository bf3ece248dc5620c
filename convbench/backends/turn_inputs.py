"""A turn's inputs: its session as it is encoded, its prompt as it is responded to, both within their budgets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import NamedTuple

from convbench.backends.checkpoint import Checkpoint
from convbench.backends.inputs import branch_ids, session_text
from convbench.backends.loaded import Loaded
from convbench.backends.profile import Lengths
from convbench.errors import UsageError
from convbench.types import Exchange, Passage, Turn
from convbench.views.history import REWRITE, HistoryView, history_view
from convbench.views.prompt import FittedEvidence, FittedSession, fit_evidence, fit_session
from convbench.views.session import Utterance

NEW_TOKENS = 128
"""Longest response that a prompt leaves room for, unless a run says otherwise."""


@dataclass(frozen=True, slots=True)
class Session:
    """A turn's session as it is sent to the model.

    Attributes:
        turn: The turn.
        fitted: What was kept of it, as text and tokens, prefix included.
        tokens: Opening and text; the branch leaves at its end.
        branch: What closes it for retrieval.
        hidden: Earlier turns that the history view does not show.
    """

    turn: Turn
    fitted: FittedSession
    tokens: tuple[int, ...]
    branch: tuple[int, ...]
    hidden: tuple[str, ...]

    @property
    def ids(self) -> tuple[int, ...]:
        """The input that its embedding is read from."""
        return (*self.tokens, *self.branch)


class WrittenSession(NamedTuple):
    """A session of given utterances as it is sent to the model.

    Attributes:
        ids: The input that its embedding is read from.
        cut: Tokens of the utterances that had no room.
    """

    ids: tuple[int, ...]
    cut: int


def turn_lengths(lengths: Lengths, checkpoint: Checkpoint, new_tokens: int | None) -> Lengths:
    """The longest inputs of a turn: prompts leave room for the response, sessions for a passage and the cue.

    Args:
        lengths: The profile's, lowered to the model's positions.
        checkpoint: The checkpoint.
        new_tokens: Longest response; None: there is none.

    Raises:
        UsageError: The model has too few positions.
    """
    if new_tokens is None:
        return lengths
    positions = checkpoint.max_positions
    prompt = lengths.prompt if positions is None else min(lengths.prompt, positions - new_tokens)
    session = min(lengths.session, prompt - min(lengths.evidence, prompt // 2))
    if session < 8:
        raise UsageError(
            f"{checkpoint.label}: {positions} positions leave {max(prompt, 0)} tokens for a prompt beside a response of {new_tokens}: "
            "lower it with --set decoding.max_new_tokens=N"
        )
    return lengths.model_copy(update={"prompt": prompt, "session": session})


class TurnInputs:
    """Writes the inputs of turns for one checkpoint.

    Args:
        loaded: The checkpoint.
        new_tokens: Longest response; None: there is none.
    """

    def __init__(self, loaded: Loaded, new_tokens: int | None) -> None:
        self._loaded, self._new_tokens = loaded, new_tokens

    @cached_property
    def lengths(self) -> Lengths:
        """The longest inputs."""
        return turn_lengths(self._loaded.lengths, self._loaded.checkpoint, self._new_tokens)

    @cached_property
    def branch(self) -> tuple[int, ...]:
        """What closes a session for retrieval."""
        return branch_ids(self._loaded)

    def session(self, turn: Turn, view: str) -> Session:
        """Writes a turn's session, oldest exchanges dropped until it fits.

        Args:
            turn: The turn.
            view: The history view; ``rewrite`` is the human rewrite alone.

        Raises:
            UsageError: The question alone is too long.
        """
        question = (turn.rewrite or "") if view == REWRITE else turn.query
        shown = history_view("query" if view == REWRITE else view, turn)
        fitted = self._fitted(turn.id, question, shown)
        return Session(turn, fitted, (*self._loaded.form.opening, *fitted.tokens), self.branch, shown.dropped)

    def written(self, turn_id: str, question: str, earlier: Sequence[Utterance]) -> WrittenSession:
        """Writes a question and what was said before it, oldest exchanges dropped until it fits.

        Args:
            turn_id: The turn, for errors.
            question: The current question.
            earlier: The earlier utterances, oldest first.

        Raises:
            UsageError: The question alone is too long.
        """
        form = self._loaded.form
        fitted = self._fitted(turn_id, question, HistoryView("given", _exchanges(earlier), ()))
        whole = form.ids(session_text(self._loaded, question, earlier)) if fitted.dropped else fitted.tokens
        return WrittenSession((*form.opening, *fitted.tokens, *self.branch), len(whole) - len(fitted.tokens))

    def _fitted(self, turn_id: str, question: str, shown: HistoryView) -> FittedSession:
        form = self._loaded.form
        budget = self.lengths.session - len(form.opening) - len(self.branch)
        return fit_session(shown, question, partial(session_text, self._loaded), form.ids, budget, turn_id)

    def prompt(self, session: Session, passages: Sequence[Passage]) -> tuple[tuple[int, ...], FittedEvidence]:
        """The prompt of a turn, and what of it follows the session: the passages that fit, and the cue.

        Args:
            session: The session.
            passages: The passages, best first.
        """
        form, template = self._loaded.form, self._loaded.profile.prompt
        head = session.tokens
        if template.start is not None:
            said = session.fitted.text.removeprefix(self._loaded.profile.query_prefix)
            head = (*form.opening, *form.ids(template.start + said))
        plain = [Passage(passage.id, form.plain(passage.text), form.plain(passage.title)) for passage in passages]
        room = self.lengths.prompt - len(head)
        tail = fit_evidence(template.evidence, template.cue, plain, form.ids, room, self.lengths.evidence, session.turn.id)
        return (*head, *tail.tokens), tail


def _exchanges(said: Sequence[Utterance]) -> tuple[Exchange, ...]:
    """Utterances as exchanges: each begins with what the user said, or with the system where it spoke twice or first."""
    exchanges: list[Exchange] = []
    for role, text in said:
        if role == "user":
            exchanges.append(Exchange(str(len(exchanges)), text))
        elif exchanges and exchanges[-1].response is None:
            exchanges[-1] = replace(exchanges[-1], response=text)
        else:
            exchanges.append(Exchange(str(len(exchanges)), "", text))
    return tuple(exchanges)
