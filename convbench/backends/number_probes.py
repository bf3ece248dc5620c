"""Probes of what a model computes: attention, batches, pooling, sharing, writing. Each is a few forward passes over short texts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from convbench.backends.base import Vectors
from convbench.backends.decoder import Reading, forward
from convbench.backends.encode import encode_batch, finished, hidden_states, padded
from convbench.backends.finding import Finding, failed, ok, skipped
from convbench.backends.inputs import branch_ids, session_text, tokens_of, unpooled
from convbench.backends.loaded import Loaded, can_respond
from convbench.backends.sessions import can_share, encode_apart, encode_together, stacked
from convbench.backends.token_probes import EARLIER, PASSAGE, QUESTION, sent
from convbench.backends.trunk import EMPTY, Trunk
from convbench.meter import Meter
from convbench.views.session import Utterance

EQUAL = {"float32": 1e-5, "float16": 2e-3, "bfloat16": 1e-2}
"""Elements of vectors of length 1 that are called equal, by precision: batches of other shapes round differently."""

_MOVED = 1e-5
"""Hidden states that attention moves move by more of their length than this; in one batch the others do not move at all."""

_WRITTEN = 4


def attention(loaded: Loaded) -> Finding:
    """Does an earlier token's hidden state move when a later token changes?"""
    import torch

    name, wanted = "attention", loaded.profile.attention
    ids = sent(loaded)["session"]
    other = next(token for token in ids[len(loaded.form.opening) :] if token != ids[-1])
    with torch.inference_mode():
        hidden = hidden_states(loaded, *padded(loaded, [ids, (*ids[:-1], other)], "right"))[:, :-1].float()
    if not bool(hidden.isfinite().all()):
        return failed(name, "hidden states are not finite", "numbers", f"compute in another precision than {loaded.dtype}, or save it anew")
    moved = float(((hidden[0] - hidden[1]).norm(dim=-1) / hidden[0].norm(dim=-1).clamp(min=1e-9)).max())
    found = "bidirectional" if moved > _MOVED else "causal"
    if found != wanted:
        seen = "an earlier token moves" if found == "bidirectional" else "no earlier token moves"
        do = f"set attention: {found} if it was trained so; {loaded.checkpoint.model_type} models cannot be made {wanted} here"
        return failed(name, f"{seen} when the last one changes, so it is {found}", f"{wanted}, as the profile says", do)
    return ok(name, found)


def batches(loaded: Loaded) -> Finding:
    """Is a text's vector the same alone and in a batch, padded on either side?"""
    name, inputs = "batches", _inputs(loaded)
    alone = np.concatenate([encode_batch(loaded, [ids], skip=0, padding="right") for ids in inputs])
    largest = 0.0
    for padding in ("right", "left") if loaded.takes_positions else (loaded.profile.padding,):
        differences = _differences(encode_batch(loaded, inputs, skip=0, padding=padding), alone)
        row = int(differences.argmax())
        if not differences[row] <= EQUAL[loaded.dtype]:
            longest, changes = max(map(len, inputs)), f"changes by {differences[row]:.1e}"
            found = f"a text of {len(inputs[row])} tokens padded on the {padding} to {longest} {changes}"
            pad = repr(loaded.tokenizer.pad_token)
            do = f"see that {pad} pads by both tokenizer and config.json, and that positions depend on no padding"
            return failed(name, found, _equal(loaded), do)
        largest = max(largest, float(differences[row]))
    sides = "padded on the left, padded on the right" if loaded.takes_positions else f"padded on the {loaded.profile.padding}"
    return ok(name, f"alone, {sides}: within {largest:.0e} ({_equal(loaded)})")


def pooled_tokens(loaded: Loaded) -> Finding:
    """Is what is read the token that should be, and its hidden state the vector?"""
    import torch

    name, profile = "pooled tokens", loaded.profile
    inputs = sent(loaded)
    prefixes = {"session": profile.query_prefix, "passage": profile.passage_prefix}
    if profile.pooling == "cls" and not loaded.form.opening:
        found = f"the text's first token {tokens_of(loaded, inputs['session'][:1])[0]!r} is read, as the tokenizer opens with none"
        return failed(name, found, "an opening token", "set pooling: last or mean, or give the tokenizer it was trained with")
    skips = {side: unpooled(loaded, prefix) for side, prefix in prefixes.items()}
    for side, prefix in prefixes.items():
        if not profile.pool_prefix and inputs[side][: skips[side]] != (*loaded.form.opening, *loaded.form.ids(prefix)):
            found = f"the {side}'s prefix {prefix!r} and the first word of its text share a token"
            return failed(name, found, "a prefix that ends with a token of its own", "end the prefix with a line break or a control token")
    for side, ids in inputs.items():
        with torch.inference_mode():
            states = hidden_states(loaded, *padded(loaded, [ids], "right"))[0]
            expected = finished(loaded, _by_hand(profile.pooling, states[skips[side] :]).unsqueeze(0))
        batch = encode_batch(loaded, [ids, *_inputs(loaded)], skip=skips[side], padding=profile.padding)
        if not _differences(batch[:1], expected)[0] <= EQUAL[loaded.dtype]:
            return failed(name, f"a {side}'s vector is not what its tokens give", _equal(loaded), "report it with the checkpoint's name")
    return ok(name, _what_is_read(loaded, inputs["session"], skips["session"]))


def vectors(loaded: Loaded) -> Finding:
    """Finite, of one length where they should be, and not all the same."""
    name = "vectors"
    first, second = encode_batch(loaded, _inputs(loaded)[:2], skip=0, padding=loaded.profile.padding)
    norms = [float(np.linalg.norm(vector)) for vector in (first, second)]
    if not np.isfinite([*first, *second]).all():
        return failed(name, "not finite", "numbers", f"compute in another precision than {loaded.dtype}, or save the checkpoint anew")
    if loaded.profile.normalize and max(abs(norm - 1) for norm in norms) > 1e-3:
        return failed(name, f"of length {norms[0]:.3g}", "length 1", "its last layer gives zeros: save the checkpoint anew")
    if float(np.abs(first - second).max()) <= EQUAL[loaded.dtype] * max(norms):
        read = f"pooling {loaded.profile.pooling} of {loaded.profile.attention} attention"
        return failed(name, "two texts have the same one", "different ones", f"{read} sees nothing of the text: change the profile")
    return ok(name, f"{loaded.dim} numbers, length {'1' if loaded.profile.normalize else ' and '.join(f'{norm:.3g}' for norm in norms)}")


def sharing(loaded: Loaded) -> Finding:
    """Can a conversation be read once, with the vectors and the words of sessions read one by one?"""
    name = "sharing"
    if reason := _why_apart(loaded):
        return skipped(name, f"sessions are read one by one: {reason}")
    branch = branch_ids(loaded)
    sessions = [session for session in _sessions(loaded) if len(session) + len(branch) <= loaded.lengths.session]
    if len(sessions) < 2:
        return skipped(name, f"sessions of at most {loaded.lengths.session} tokens hold no second turn to try it with")
    read = encode_together(loaded, [sessions], branch, Meter(), batch_tokens=10**6, known=[EMPTY], keep=True)[0]
    apart = encode_apart(loaded, sessions, branch, Meter(), batch_tokens=1)
    difference = float(_differences(stacked(read), apart).max())
    if not difference <= EQUAL[loaded.dtype]:
        found = f"a conversation read once gives vectors that differ by {difference:.1e}"
        return failed(name, found, _equal(loaded), "set reuse: false in the system")
    said = f"{len(sessions)} sessions in one pass: vectors within {difference:.0e} ({_equal(loaded)})"
    if not loaded.has_head:
        return ok(name, said)
    prompt = (*sessions[-1], *loaded.form.ids(loaded.profile.prompt.cue))
    plain, reused = (_greedy(loaded, prompt, known) for known in (EMPTY, read[-1].trunk))
    if plain != reused and loaded.dtype == "float32":  # in half precisions likely words may change places
        found = f"it goes on with {tokens_of(loaded, reused)} from a session read before"
        return failed(name, found, f"{tokens_of(loaded, plain)} as from one read again", "set reuse: false in the system")
    words = f"the same first {len(plain)} words" if plain == reused else f"other first words, as rounding in {loaded.dtype} has it"
    return ok(name, f"{said}, {words}")


def writing(loaded: Loaded) -> Finding:
    """Does it write?"""
    import torch

    name = "writing"
    if not can_respond(loaded.checkpoint, loaded.profile):
        said = "the profile says responds: false" if loaded.profile.responds is False else "no head that writes: it is a retriever"
        return skipped(name, said)
    if not loaded.has_head:
        return skipped(name, "loaded without its head, as a retriever")
    if not loaded.takes_positions:
        found = f"{loaded.checkpoint.model_type} models cannot be told where a token stands"
        return failed(name, found, "positions", "set decoding to null in the system, for a retriever")
    prompt = (*_sessions(loaded)[-1], *loaded.form.ids(loaded.profile.prompt.cue))
    with torch.inference_mode():
        logits = forward(loaded, [Reading(prompt)], Meter(), body=False, cached=False)[1].logits[0, -1].float()
        plain = loaded.model(input_ids=torch.tensor([prompt], device=loaded.device)).logits[0, -1].float()
    if not bool(logits.isfinite().all()) or bool((logits == logits[0]).all()):
        found = "its scores of next words are all alike or no numbers"
        return failed(name, found, "scores", "save the checkpoint with its trained head, or set responds: false")
    if float((logits - plain).abs().max()) > 100 * EQUAL[loaded.dtype] * max(float(plain.abs().max()), 1.0):
        found = "its scores of next words are others under explicit positions and masks"
        return failed(name, found, "the same", "set decoding to null in the system, for a retriever")
    where = "the input embeddings" if loaded.profile.lm_head == "embeddings" or loaded.checkpoint.tied else "a head of its own"
    return ok(name, f"with {where}: {loaded.tokenizer.decode(_greedy(loaded, prompt, EMPTY))!r} ...")


def _inputs(loaded: Loaded) -> list[tuple[int, ...]]:
    """Three inputs of different lengths."""
    form = loaded.form
    texts = [QUESTION, PASSAGE, f"{PASSAGE} {EARLIER[1].text}"]
    return [(*form.opening, *form.ids(text), *form.closing) for text in texts]


def _sessions(loaded: Loaded) -> list[tuple[int, ...]]:
    """The sessions of three turns: opening and text."""
    said = [*EARLIER, Utterance("user", QUESTION)]
    return [(*loaded.form.opening, *loaded.form.ids(session_text(loaded, said[end].text, said[:end]))) for end in (0, 2, 4)]


def _differences(found: Vectors, expected: Vectors) -> Vectors:
    """The largest difference of each row, as if the expected vectors had length 1."""
    differences: Vectors = np.abs(found - expected).max(axis=1) / np.linalg.norm(expected, axis=1).clip(min=1e-9)
    return differences


def _equal(loaded: Loaded) -> str:
    return f"up to {EQUAL[loaded.dtype]:.0e} is equal in {loaded.dtype}"


def _by_hand(pooling: str, states: Any) -> Any:
    return {"last": states[-1], "cls": states[0], "mean": states.mean(dim=0)}[pooling]


def _what_is_read(loaded: Loaded, ids: Sequence[int], skip: int) -> str:
    if loaded.profile.pooling == "mean":
        return f"the mean of {len(ids) - skip} of a session's {len(ids)} tokens"
    place = len(ids) if loaded.profile.pooling == "last" else 1
    return f"{tokens_of(loaded, [ids[place - 1]])[0]!r}, token {place} of a session's {len(ids)}"


def _why_apart(loaded: Loaded) -> str:
    """Why a conversation cannot be read once; empty where it can."""
    profile = loaded.profile
    if profile.pooling != "last":
        return f"pooling {profile.pooling} reads tokens within the session"
    if profile.attention != "causal" or not loaded.is_causal:
        return "its tokens see what follows them, or nothing tells that they do not"
    if loaded.masks_by_place:
        return f"{loaded.checkpoint.model_type} models mask by a token's place in the cache"
    if not can_share(loaded):
        return f"{loaded.checkpoint.model_type} models take no positions or keep no cache"
    sessions = _sessions(loaded)
    if any(later[: len(session)] != session for session, later in pairwise(sessions)):
        return "a turn's session does not begin with the session before it"
    return ""


def _greedy(loaded: Loaded, prompt: tuple[int, ...], known: Trunk) -> list[int]:
    """The likeliest next tokens, read without a cache of their own."""
    import torch

    known = known.cut(min(known.shared(prompt), len(prompt) - 1))
    written: list[int] = []
    with torch.inference_mode():
        for _ in range(_WRITTEN):
            reading = Reading((*prompt, *written), known=known)
            output = forward(loaded, [reading], Meter(), body=False, cached=len(known) > 0)[1]
            written.append(int(output.logits[0, -1].argmax()))
    return written
