"""Likelihoods of responses: those of a plain forward pass over one sequence, however they are batched and whatever was read before."""

from __future__ import annotations

import random

import pytest
import torch
from backends.small import DECODERS, conversation, decoder

from convbench.backends.loaded import Loaded
from convbench.backends.sessions import encode_together
from convbench.backends.trunk import EMPTY
from convbench.meter import Meter
from convbench.writing.likelihood import Continuation, mean_log_likelihoods, response_tokens


@pytest.fixture(scope="module", params=DECODERS)
def loaded(request: pytest.FixtureRequest) -> Loaded:
    return decoder(request.param)


def continuations(loaded: Loaded, *, read: bool) -> list[Continuation]:
    """Responses of 1 to 12 tokens to prompts of two conversations; some sessions have been read."""
    chance = random.Random(7)
    made = [conversation(loaded, 4, seed=1), conversation(loaded, 3, seed=2)]
    encoded = encode_together(loaded, made, loaded.form.closing, Meter(), batch_tokens=500, known=[EMPTY] * 2, keep=True)
    result = []
    for sessions, trunks in zip(made, encoded, strict=True):
        for number, (session, trunk) in enumerate(zip(sessions, trunks, strict=True)):
            tail, response = (tuple(chance.randrange(10, 590) for _ in range(size)) for size in (chance.randrange(1, 20), 1 + 4 * number))
            result.append(Continuation((*session, *tail), response, trunk.trunk if read and number != 1 else EMPTY))
    return result


def plain(loaded: Loaded, asked: Continuation) -> float:
    """One whole forward pass over one sequence."""
    whole = torch.tensor([[*asked.prompt, *asked.response]], device=loaded.device)
    with torch.inference_mode():
        logits = loaded.model(input_ids=whole, attention_mask=torch.ones_like(whole)).logits[0].float()
    chances = torch.log_softmax(logits, dim=-1)
    start = len(asked.prompt)
    return sum(float(chances[start + place - 1, token]) for place, token in enumerate(asked.response)) / len(asked.response)


@pytest.mark.parametrize("read", [False, True])
@pytest.mark.parametrize("batch_tokens", [1, 150, 5000])
def test_they_are_those_of_a_plain_forward_pass(loaded: Loaded, read: bool, batch_tokens: int) -> None:
    asked = continuations(loaded, read=read)
    found = mean_log_likelihoods(loaded, asked, Meter(), batch_tokens=batch_tokens)
    assert found == pytest.approx([plain(loaded, each) for each in asked], abs=1e-4)
    assert len({round(value, 3) for value in found}) == len(found)


def test_equal_ones_are_computed_once_and_get_equal_values(loaded: Loaded) -> None:
    asked = continuations(loaded, read=False)
    meter, twice = Meter(), Meter()
    for counted, given in ((meter, asked), (twice, [*asked, *asked[::-1]])):
        with counted.phase("likelihood"):
            found = mean_log_likelihoods(loaded, given, counted, batch_tokens=400)
    assert found == [*found[: len(asked)], *found[: len(asked)][::-1]]
    assert meter.take()["phases"]["likelihood"]["tokens_in"] == twice.take()["phases"]["likelihood"]["tokens_in"]


def test_what_was_read_is_not_read_again(loaded: Loaded) -> None:
    counts = []
    for read in (False, True):
        meter, asked = Meter(), continuations(loaded, read=read)
        with meter.phase("likelihood"):
            mean_log_likelihoods(loaded, asked, meter, batch_tokens=400)
        counts.append(meter.take()["phases"]["likelihood"]["tokens_in"])
    reused = sum(each.known.shared(each.prompt) for each in continuations(loaded, read=True))
    assert counts[0] - counts[1] == reused > 0


def test_nothing_asked_nothing_read(loaded: Loaded) -> None:
    assert mean_log_likelihoods(loaded, [], Meter(), batch_tokens=10) == []


def test_a_response_follows_the_cue_as_one_text(loaded: Loaded) -> None:
    cue = loaded.form.ids(loaded.profile.prompt.cue)
    tokens = response_tokens(loaded, " in the tower\n", 100)
    whole = loaded.form.ids(f"{loaded.profile.prompt.cue} in the tower")
    assert [*cue, *tokens] == whole
    assert response_tokens(loaded, "in the tower", 2) == tokens[:2]
    assert response_tokens(loaded, " \n", 5) == ()
    assert len(response_tokens(loaded, loaded.tokenizer.all_special_tokens[0], 100)) > 1, "a control token was let through"
