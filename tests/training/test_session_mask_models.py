from __future__ import annotations

from typing import Any

import pytest
import torch
from backends.small import DECODERS, decoder
from torch import Tensor
from training.lone_rows import evidence_visible, session_masked

from convbench.backends.loaded import Loaded
from convbench.backends.masks import additive, by_kind
from convbench.backends.trunk import Trunk, gathered, taken
from convbench.training.objectives.response import response_loss
from convbench.training.session_mask import Part, positions, predicting, visibility

SESSION, CLOSING, RESPONSE = 12, 3, 6
ROW = session_masked(SESSION, CLOSING, RESPONSE)
FIRST = SESSION + CLOSING


@pytest.fixture(scope="module", params=DECODERS)
def loaded(request: pytest.FixtureRequest) -> Loaded:
    return decoder(request.param)


def words(seed: int) -> Tensor:
    """A row, and the last token of its response, which is not read."""
    drawn = torch.Generator().manual_seed(seed)
    return torch.randint(10, 590, (FIRST + RESPONSE + 1,), generator=drawn)


def embedded(loaded: Loaded, tokens: Tensor) -> Tensor:
    vectors: Tensor = loaded.model.get_input_embeddings()(tokens[: FIRST + RESPONSE]).detach()
    return vectors.requires_grad_()


def hidden(loaded: Loaded, vectors: Tensor, visible: Tensor, parts: tuple[Part, ...] = ROW) -> Tensor:
    places = torch.tensor(positions(parts))
    distances = places.unsqueeze(1) - places.unsqueeze(0)
    mask = by_kind(visible.unsqueeze(0), distances.unsqueeze(0), loaded.windows, loaded.torch_dtype)
    given: dict[str, Any] = {"inputs_embeds": vectors.unsqueeze(0), "position_ids": places.unsqueeze(0), "use_cache": False}
    states: Tensor = loaded.body(attention_mask=mask, **given).last_hidden_state[0]
    return states


def head(loaded: Loaded) -> Any:
    return getattr(loaded.model, "cls", None) or loaded.model.get_output_embeddings()


def loss(loaded: Loaded, vectors: Tensor, visible: Tensor, tokens: Tensor, *, skip: int = 0) -> Tensor:
    states = hidden(loaded, vectors, visible)
    return response_loss(states[predicting(ROW, 2)][skip:], tokens[FIRST:][skip:], head(loaded), chunk=3)


def closing_cut_off() -> Tensor:
    visible = visibility(ROW)
    visible[SESSION:FIRST, :SESSION] = False
    return visible


def test_the_response_reaches_the_session_through_the_closing_tokens_alone(loaded: Loaded) -> None:
    tokens = words(1)
    vectors = embedded(loaded, tokens)
    loss(loaded, vectors, visibility(ROW), tokens).backward()
    assert vectors.grad is not None
    assert vectors.grad.abs().sum(dim=1).bool().all()
    vectors = embedded(loaded, tokens)
    loss(loaded, vectors, closing_cut_off(), tokens).backward()
    assert vectors.grad is not None
    assert torch.equal(vectors.grad[:SESSION], torch.zeros_like(vectors.grad[:SESSION]))
    assert vectors.grad[SESSION:].abs().sum(dim=1).bool().all()


def test_one_row_that_sees_the_session_is_seen_by_the_gradient(loaded: Loaded) -> None:
    tokens, visible = words(1), closing_cut_off()
    visible[FIRST, :SESSION] = True  # the fault of the parent system's public code
    vectors = embedded(loaded, tokens)
    loss(loaded, vectors, visible, tokens).backward()
    assert vectors.grad is not None
    assert vectors.grad[:SESSION].any()


def test_another_session_changes_nothing_once_the_closing_tokens_do_not_see_it(loaded: Loaded) -> None:
    tokens = words(1)
    other = torch.cat([words(2)[:SESSION], tokens[SESSION:]])
    with torch.no_grad():
        found = [
            head(loaded)(hidden(loaded, embedded(loaded, each), visible)[predicting(ROW, 2)])
            for visible in (closing_cut_off(), visibility(ROW))
            for each in (tokens, other)
        ]
    assert torch.equal(found[0], found[1])
    assert ((found[2] - found[3]).abs().amax(dim=1) > 1e-3).all()


def test_a_response_needs_nothing_of_its_session_but_what_the_closing_tokens_left_in_the_cache(loaded: Loaded) -> None:
    tokens = words(1)
    with torch.no_grad():
        whole = hidden(loaded, embedded(loaded, tokens), visibility(ROW))[FIRST:]
        cache = loaded.body(input_ids=tokens[:FIRST].unsqueeze(0), use_cache=True).past_key_values
        left = Trunk(tuple(tokens[SESSION:FIRST].tolist()), taken(cache, 0, SESSION, FIRST))
        alone = loaded.body(
            input_ids=tokens[FIRST : FIRST + RESPONSE].unsqueeze(0),
            position_ids=torch.arange(FIRST, FIRST + RESPONSE).unsqueeze(0),
            attention_mask=additive(torch.ones(1, RESPONSE, CLOSING + RESPONSE, dtype=torch.bool).tril(CLOSING), torch.float32),
            past_key_values=gathered([left]),
            use_cache=True,
        ).last_hidden_state[0]
    assert torch.allclose(whole, alone, atol=1e-5)


def test_the_branch_with_evidence_is_what_the_model_does_unasked(loaded: Loaded) -> None:
    row = evidence_visible(SESSION, 4, 2, FIRST + RESPONSE - SESSION - 6)
    tokens = words(3)
    with torch.no_grad():
        found = hidden(loaded, embedded(loaded, tokens), visibility(row), row)
        plain = loaded.body(input_ids=tokens[: FIRST + RESPONSE].unsqueeze(0)).last_hidden_state[0]
    assert torch.allclose(found, plain, atol=1e-5)
