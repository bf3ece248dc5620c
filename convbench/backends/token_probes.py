"""Probes of what is sent to a model: they look at tokens and compute nothing."""

from __future__ import annotations

from itertools import takewhile

from convbench.backends.finding import Finding, failed, ok, repaired, skipped
from convbench.backends.inputs import passage_ids, passage_text, session_ids, session_text, tokens_of
from convbench.backends.loaded import Loaded, can_respond
from convbench.views.session import Utterance

QUESTION = "Who paid for it?"
EARLIER = (
    Utterance("user", "Who keeps the old lighthouse at the river's mouth?"),
    Utterance("agent", "A volunteer from the village has kept it since the spring flood."),
    Utterance("user", "And its lamp, is it still the first one?"),
    Utterance("agent", "No, the lamp was replaced twice."),
)
PASSAGE = "The third lamp of the lighthouse was paid for by the harbour guild, in two parts."

_FEWEST = 8
"""Tokens of its own that a text must have room for."""


def sent(loaded: Loaded) -> dict[str, tuple[int, ...]]:
    """A session and a passage as they are sent."""
    session = session_text(loaded, QUESTION, EARLIER)
    return {"session": session_ids(loaded, session), "passage": passage_ids(loaded, passage_text(loaded, PASSAGE))}


def pad_token(loaded: Loaded) -> Finding:
    """Batches need a token to pad with; which one changes no vector, as it is masked."""
    name, token = "pad token", loaded.tokenizer.pad_token
    if loaded.pads_with_another:
        return repaired(name, "the tokenizer has none", "one", f"{token!r} is used, and masked")
    return ok(name, repr(token))


def closing_tokens(loaded: Loaded) -> Finding:
    """Every input ends with the closing tokens, once."""
    name, form = "closing tokens", loaded.form
    wanted = f"{tokens_of(loaded, form.closing)}" if form.closing else "none"
    for side, ids in sent(loaded).items():
        own = set(form.closing)
        run = len(list(takewhile(own.__contains__, reversed(ids))))
        if run != len(form.closing):
            found = f"a {side} ends with {tokens_of(loaded, ids[len(ids) - run :])}"
            return failed(name, found, f"{wanted} once", f"take them out of the {side}'s form: they are appended to it")
    if form.borrowed_closing:
        return repaired(name, "neither profile nor tokenizer has one", "one to read the text at", f"{wanted} is appended")
    return ok(name, f"{wanted}, once" if form.closing else wanted)


def one_opening(loaded: Loaded) -> Finding:
    """Models are trained with one token that begins a text; a template and a tokenizer that both write it give two."""
    name, form = "opening token", loaded.form
    begins = {loaded.tokenizer.bos_token_id, loaded.tokenizer.cls_token_id} - {None}
    inputs = sent(loaded)
    if can_respond(loaded.checkpoint, loaded.profile):
        inputs["prompt"] = (*form.opening, *form.ids(loaded.profile.prompt.start or session_text(loaded, QUESTION)))
    for kind, ids in inputs.items():
        run = tokens_of(loaded, list(takewhile(begins.__contains__, ids)))
        if len(run) > 1:
            who = "the tokenizer's own template" if len(form.opening) > 1 else f"the {kind}'s form: the tokenizer writes it"
            return failed(name, f"a {kind} begins with {run}", f"one {run[0]!r}", f"take the others out of {who}")
    return ok(name, f"one {tokens_of(loaded, form.opening)[0]!r}" if form.opening else "none: the tokenizer writes none")


def control_tokens(loaded: Loaded) -> Finding:
    """A text that spells out a control token must not become one."""
    name, form, tokenizer = "control tokens in texts", loaded.form, loaded.tokenizer
    unknown = {tokenizer.unk_token} - {tokenizer.bos_token, tokenizer.eos_token}  # stands for letters too
    tokens = [token for token in form.control_tokens if token not in unknown]
    written = form.all_ids([form.plain(f"before {token} between {token}{token} after") for token in tokens])
    for token, ids in zip(tokens, written, strict=True):
        if tokenizer.convert_tokens_to_ids(token) in ids:
            do = "its tokenizer takes blanks out before it looks for control tokens: mark them as not normalized in tokenizer.json"
            return failed(name, f"{token!r} in a text becomes the token", "letters", do)
    return ok(name, f"{len(tokens)} are broken up into letters")


def room(loaded: Loaded) -> Finding:
    """Positions of the model against lengths of the profile, and what they leave for a text."""
    name, lengths, form = "lengths", loaded.lengths, loaded.form
    around = {
        "session": (lengths.session, loaded.profile.query_prefix, loaded.profile.query_suffix),
        "passage": (lengths.passage, loaded.profile.passage_prefix, loaded.profile.passage_suffix),
    }
    for side, (length, *parts) in around.items():
        left = length - len(form.opening) - len(form.closing) - sum(len(form.ids(part)) for part in parts if part)
        if left < _FEWEST:
            found = f"a {side} of {length} tokens has {max(left, 0)} for its text"
            do = f"raise lengths.{side}, as far as the model has positions, or shorten its form"
            return failed(name, found, f"{_FEWEST} or more", do)
    asked = loaded.profile.lengths.model_dump()
    if not can_respond(loaded.checkpoint, loaded.profile):
        asked = {key: asked[key] for key in around}
    lowered = [f"{key} {value} to {getattr(lengths, key)}" for key, value in asked.items() if value > getattr(lengths, key)]
    positions = loaded.checkpoint.max_positions
    if lowered:
        return repaired(name, f"{positions} positions", f"{max(asked.values())} for the profile", f"lowered: {', '.join(lowered)}")
    return ok(name, f"{', '.join(f'{key} {value}' for key, value in asked.items())} of {positions or 'any number of'} positions")


def head(loaded: Loaded) -> Finding:
    """A head after pooling that nobody trained gives vectors that mean nothing; loading refuses one that is not in the files."""
    name = "head after pooling"
    if loaded.head is None:
        return skipped(name, "the profile has none")
    linear, norm = loaded.head
    if bool((norm.weight == 1).all()) and bool((norm.bias == 0).all()):
        return failed(name, "its LayerNorm is as initialised, ones and zeros", "trained weights", "save the head with the checkpoint")
    return ok(name, f"{loaded.profile.head}: {linear.in_features} to {linear.out_features}, then LayerNorm")
