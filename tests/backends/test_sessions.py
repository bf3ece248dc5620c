"""Conversations read once give the vectors of conversations read turn by turn, each session on its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from backends.checkpoints import make_causal, make_tokenizer
from backends.small import DECODERS, conversation, decoder

from convbench.backends.loaded import Loaded, load
from convbench.backends.placement import ModelConfig
from convbench.backends.sessions import EncodedSession, can_share, encode_apart, encode_together, stacked
from convbench.backends.trunk import EMPTY, Trunk
from convbench.meter import Meter

EQUAL = 1e-5


@pytest.fixture(scope="module", params=DECODERS)
def loaded(request: pytest.FixtureRequest) -> Loaded:
    return decoder(request.param)


def conversations(loaded: Loaded) -> list[list[tuple[int, ...]]]:
    """Of 5, 1, 7 and 3 turns; the third loses its oldest words at its fifth turn, as one does that outgrows its budget."""
    made = [conversation(loaded, turns, seed) for seed, turns in enumerate((5, 1, 7, 3))]
    opening = loaded.form.opening
    made[2][4] = (*opening, *made[2][4][len(opening) + 9 :])
    made[2][5] = (*made[2][4], *made[2][5][-5:])
    return made


def apart(loaded: Loaded, made: list[list[tuple[int, ...]]], tokens: int = 300) -> np.ndarray:
    sessions = [session for sessions in made for session in sessions]
    return encode_apart(loaded, sessions, loaded.form.closing, Meter(), batch_tokens=tokens)


def together(loaded: Loaded, made: list[list[tuple[int, ...]]], meter: Meter | None = None) -> list[list[EncodedSession]]:
    known = [EMPTY] * len(made)
    return encode_together(loaded, made, loaded.form.closing, meter or Meter(), batch_tokens=300, known=known, keep=True)


def test_one_pass_over_a_conversation_gives_the_vectors_of_its_sessions(loaded: Loaded) -> None:
    made = conversations(loaded)
    assert can_share(loaded)
    shared = stacked([session for sessions in together(loaded, made) for session in sessions])
    plain = apart(loaded, made)
    assert np.abs(shared - plain).max() < EQUAL
    assert np.abs(plain[1:] - plain[:-1]).max(axis=1).min() > 100 * EQUAL  # sessions differ by more than what is called equal


def test_going_on_from_the_turn_before_gives_the_vectors_of_its_sessions(loaded: Loaded) -> None:
    made = conversations(loaded)
    trunks: list[Trunk] = [EMPTY] * len(made)
    found = {}
    for turn in range(max(map(len, made))):
        going = [number for number, sessions in enumerate(made) if turn < len(sessions)]
        sessions = [[made[number][turn]] for number in going]
        known = [trunks[number] for number in going]
        read = encode_together(loaded, sessions, loaded.form.closing, Meter(), batch_tokens=300, known=known, keep=True)
        for number, (session,) in zip(going, read, strict=True):
            trunks[number] = session.trunk
            found[number, turn] = session.vector
    assert np.abs(np.stack([found[key] for key in sorted(found)]) - apart(loaded, made)).max() < EQUAL


def test_a_trunk_holds_its_session_and_nothing_of_the_closing_tokens(loaded: Loaded) -> None:
    made = conversations(loaded)
    for sessions, read in zip(made, together(loaded, made), strict=True):
        for session, encoded in zip(sessions, read, strict=True):
            assert encoded.trunk.tokens == session
            assert all(keys.shape[1] == values.shape[1] == len(session) for keys, values in encoded.trunk.layers)


def test_one_pass_computes_each_token_of_a_conversation_once(loaded: Loaded) -> None:
    (sessions,) = made = [conversation(loaded, 6, seed=9)]
    meter = Meter()
    with meter.phase("encode"):
        together(loaded, made, meter)
    counts = meter.take()["phases"]["encode"]
    assert counts["forward_passes"] == 1
    assert counts["tokens_in"] == len(sessions[-1]) + 6 * len(loaded.form.closing)


def test_a_later_turn_never_changes_an_earlier_vector(loaded: Loaded) -> None:
    sessions = conversation(loaded, 4, seed=5)
    other = [*sessions[:3], (*sessions[2], 17, 18, 19)]
    one, two = (stacked(together(loaded, [each])[0]) for each in (sessions, other))
    assert np.abs(one[:3] - two[:3]).max() < EQUAL
    assert np.abs(one[3] - two[3]).max() > 100 * EQUAL


def test_what_reads_all_tokens_at_once_cannot_share() -> None:
    assert not can_share(decoder("mistral", pooling="mean"))
    assert not can_share(decoder("mistral", attention="bidirectional"))


def test_a_window_is_kept_by_position_whatever_the_padding(tmp_path: Path) -> None:
    folder = make_causal(tmp_path, "mistral", sliding_window=16)
    profile = {"pooling": "last", "attention": "causal", "closing": ["</s>"]}
    loaded = load(ModelConfig(model=str(folder), profile=profile), "decoder", offline=True)
    made = [conversation(loaded, turns, seed) for seed, turns in enumerate((6, 2, 4))]
    assert max(len(session) for sessions in made for session in sessions) > 48
    shared = stacked([session for sessions in together(loaded, made) for session in sessions])
    assert np.abs(shared - apart(loaded, made)).max() < EQUAL


def test_a_model_that_masks_by_place_reads_sessions_apart(tmp_path: Path) -> None:
    """GPT-Neo's local layers count places in the cache, where branches stand far from where they belong."""
    import torch
    from transformers import GPTNeoConfig, GPTNeoForCausalLM

    torch.manual_seed(1)
    types = [[["global", "local"], 1]]
    config = GPTNeoConfig(vocab_size=600, hidden_size=64, num_layers=2, num_heads=4, attention_types=types, window_size=12)
    GPTNeoForCausalLM(config).save_pretrained(tmp_path)
    make_tokenizer("gpt-neox", tmp_path)
    profile = {"pooling": "last", "attention": "causal", "closing": ["<|endoftext|>"]}
    assert not can_share(load(ModelConfig(model=str(tmp_path), profile=profile), "decoder", offline=True))
