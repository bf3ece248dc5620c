"""The row of one turn alone, by definition: what a turn is in a packed conversation must equal it."""

from __future__ import annotations

from convbench.training.session_mask import Part


def session_masked(session: int, closing: int, response: int) -> tuple[Part, ...]:
    """A row for ``L_G`` with the session mask: ``[session][closing tokens][response]``.

    Args:
        session: Tokens of the session.
        closing: Tokens that close it, at least one; they see all of it, and the last of them predicts the response's first token.
        response: Tokens of the response that are read: all but the last, which predicts nothing. A cue before it counts with them.
    """
    return Part(session), Part(closing, ((0, session),)), Part(response, ((1, closing),))


def evidence_visible(session: int, passages: int, cue: int, response: int) -> tuple[Part, ...]:
    """A row for ``L_G`` as responses are written at inference: ``[session][passages][cue][response]``, everything before is seen.

    Args:
        session: Tokens of the session, without those that close it.
        passages: Tokens of all passages.
        cue: Tokens of the cue.
        response: Tokens of the response that are read: all but the last.
    """
    lengths = (session, passages, cue, response)
    return tuple(Part(length, tuple(enumerate(lengths[:number]))) for number, length in enumerate(lengths))
