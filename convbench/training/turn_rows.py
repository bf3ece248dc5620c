"""From examples to what is read of them: the inputs are those of inference, written by the same code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from convbench.backends.inputs import passage_ids, passage_text, unpooled
from convbench.backends.loaded import Loaded
from convbench.backends.profile import Lengths
from convbench.backends.turn_inputs import Session, TurnInputs
from convbench.errors import UsageError
from convbench.training.data.examples import Example
from convbench.training.rows import Branch, Said, Stem, Text, Tokens, Vector
from convbench.types import Passage
from convbench.views.passages import passage_text as written
from convbench.views.prompt import fit_evidence
from convbench.writing.likelihood import response_tokens

INSTRUCTION = "Find the response that answers the last question of the conversation and keeps to the passage.\n"
"""Before the session of ``L_CII``; our own words, as the paper's are not public."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one example's rows are to be read for; each is the number of the vector in the batch, or whether the response is predicted.

    Attributes:
        session: Number of its session; None: not encoded.
        context: Number of its instruction, session and passage; None: not encoded.
        response: Whether its response is predicted behind the session mask.
        grounded: Whether its response is predicted from session and passage.
    """

    session: int | None
    context: int | None
    response: bool
    grounded: bool


class TurnRows:
    """Writes the rows of examples for one checkpoint.

    Args:
        loaded: The checkpoint.
        new_tokens: Longest response, its end included; room for it is kept as at inference.
        instruction: What stands before the session where context identification is learned.

    Raises:
        UsageError: No token ends a response.
    """

    def __init__(self, loaded: Loaded, new_tokens: int, instruction: str) -> None:
        self._loaded, self._new_tokens = loaded, new_tokens
        self._instruction = loaded.form.ids(instruction)
        self.inputs = TurnInputs(loaded, new_tokens if loaded.has_head else None)

    def stems(self, example: Example, wanted: Wanted) -> list[Stem]:
        """What is read of an example but its passages and responses as they are encoded: the session's stem, then others.

        Args:
            example: The example, with what is wanted of it.
            wanted: What to read.

        Raises:
            UsageError: The question alone is too long, or nothing closes a session that a masked response could see.
        """
        session = self.inputs.session(example.turn, example.history)
        said = self.response(example.response) if example.response is not None and (wanted.response or wanted.grounded) else ()
        branches, others = self._encoded(session, wanted, said), []
        if wanted.grounded and said and example.positive is not None:
            prompt, tail = self.inputs.prompt(session, [example.positive])
            head = prompt[: len(prompt) - len(tail.tokens)]
            grounded = Branch((*tail.tokens, *said[:-1]), Said("grounded", said))
            if head == session.tokens:
                branches.append(grounded)
            else:
                others.append(Stem(head, (grounded,)))
        if wanted.context is not None and example.positive is not None:
            others.append(self._context(session, example.positive, wanted.context))
        skip = unpooled(self._loaded, self._loaded.profile.query_prefix)
        return [Stem(session.tokens, tuple(branches), skip), *others]

    def response(self, text: str) -> Tokens:
        """The tokens of a response, then what ends it; one that is cut has no end, as it does not end there. Empty for an empty text."""
        tokens = response_tokens(self._loaded, text, self._new_tokens)
        return (*tokens, end_token(self._loaded)) if 0 < len(tokens) < self._new_tokens else tokens

    def passage(self, passage: Passage) -> Tokens:
        """A passage as it is encoded for the index."""
        return self.text(written(passage))

    def text(self, text: str) -> Tokens:
        """A response (or any text) as passages are encoded."""
        return passage_ids(self._loaded, passage_text(self._loaded, text))

    def texts(self, kind: str, inputs: Sequence[Tokens]) -> list[Text]:
        """Passages or responses, numbered in the order given.

        Args:
            kind: ``passages`` or ``responses``.
            inputs: Their tokens.
        """
        skip = unpooled(self._loaded, self._loaded.profile.passage_prefix)
        return [Text(tokens, Vector(kind, number), skip) for number, tokens in enumerate(inputs)]

    def _encoded(self, session: Session, wanted: Wanted, said: Tokens) -> list[Branch]:
        """The closing tokens, and behind them the response that sees nothing else."""
        masked = wanted.response and bool(said)
        if masked and not session.branch:
            raise UsageError(
                f"{self._loaded.checkpoint.label}: nothing closes a session, so a response behind the session mask would see nothing: "
                "name closing tokens in the profile, or give the objective 'response' the weight 0"
            )
        if wanted.session is None and not masked:
            return []
        closing = Branch(session.branch, None if wanted.session is None else Vector("sessions", wanted.session))
        return [closing, Branch(said[:-1], Said("response", said), leaves=0)] if masked else [closing]

    def _context(self, session: Session, passage: Passage, number: int) -> Stem:
        """Instruction, session and gold passage, closed as a session is (UniConv, Mo et al. 2025)."""
        loaded, lengths = self._loaded, self.inputs.lengths
        form, opening = loaded.form, len(loaded.form.opening)
        trunk = (*session.tokens[:opening], *self._instruction, *session.tokens[opening:])
        plain = Passage(passage.id, form.plain(passage.text), form.plain(passage.title))
        room = lengths.prompt - len(trunk) - len(session.branch)
        evidence = fit_evidence(loaded.profile.prompt.evidence, "", [plain], form.ids, room, lengths.evidence, session.turn.id)
        if not evidence.passages:
            raise UsageError(f"turn {session.turn.id}: no token of the passage of 'identification' is left: {_too_little(room, lengths)}")
        skip = unpooled(loaded, loaded.profile.query_prefix)
        closed = Branch((*evidence.tokens, *session.branch), Vector("contexts", number))
        return Stem(trunk, (closed,), skip + len(self._instruction) if skip else 0)


def _too_little(room: int, lengths: Lengths) -> str:
    """What leaves no room for a passage, and what in the profile gives it some."""
    if lengths.evidence <= room:
        return f"lengths.evidence is {lengths.evidence}; raise it in the profile"
    return (
        f"session and instruction leave {room} of the {lengths.prompt} tokens of lengths.prompt; "
        "raise it, or lower lengths.session, in the profile"
    )


def end_token(loaded: Loaded) -> int:
    """The token that ends a response: one at which ``generation.writer`` stops.

    Raises:
        UsageError: There is none.
    """
    own = (loaded.tokenizer.eos_token_id, loaded.tokenizer.sep_token_id, *loaded.form.closing[-1:])
    ends = [int(token) for token in own if token is not None]
    if not ends:
        raise UsageError(f"{loaded.checkpoint.label}: no token ends a response: name an eos_token in tokenizer_config.json")
    return ends[0]
