"""Whole inputs as they are sent to a model: a session and a passage in the forms of its profile."""

from __future__ import annotations

from collections.abc import Sequence

from convbench.backends.loaded import Loaded
from convbench.views.session import Utterance

Ids = tuple[int, ...]


def session_text(loaded: Loaded, question: str, earlier: Sequence[Utterance] = ()) -> str:
    """A session, its prefix included; control tokens that somebody spelled out in an utterance are broken up."""
    plain = loaded.form.plain
    said = [Utterance(utterance.role, plain(utterance.text)) for utterance in earlier]
    return loaded.profile.query_prefix + loaded.profile.session.write(plain(question), said)


def session_ids(loaded: Loaded, text: str) -> Ids:
    """A written session as its embedding is read from it."""
    return _fitted(loaded, text, loaded.profile.query_suffix, loaded.lengths.session)


def passage_text(loaded: Loaded, text: str) -> str:
    """A passage, its prefix included."""
    return loaded.profile.passage_prefix + loaded.form.plain(text)


def passage_ids(loaded: Loaded, text: str) -> Ids:
    """A written passage as its embedding is read from it."""
    return _fitted(loaded, text, loaded.profile.passage_suffix, loaded.lengths.passage)


def branch_ids(loaded: Loaded) -> Ids:
    """What closes a session for retrieval."""
    suffix = loaded.profile.query_suffix
    return (*(loaded.form.ids(suffix) if suffix else ()), *loaded.form.closing)


def unpooled(loaded: Loaded, prefix: str) -> int:
    """How many tokens at the start of an input with this prefix are not pooled."""
    form = loaded.form
    return 0 if loaded.profile.pool_prefix else len(form.opening) + len(form.ids(prefix))


def tokens_of(loaded: Loaded, ids: Sequence[int]) -> list[str]:
    """The tokens behind ids, control tokens spelled out."""
    tokens: list[str] = loaded.tokenizer.convert_ids_to_tokens(list(ids))
    return tokens


def _fitted(loaded: Loaded, text: str, suffix: str, length: int) -> Ids:
    form = loaded.form
    return form.fit(form.ids(text), form.ids(suffix) if suffix else (), length).ids
