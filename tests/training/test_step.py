from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from training.joint import ALL, configured, examples, only, precise, settings, stepped, trainable

from convbench.backends.encoder import HFEncoder
from convbench.backends.inputs import session_text
from convbench.backends.trunk import EMPTY
from convbench.errors import UsageError
from convbench.meter import Meter
from convbench.systems.one_model import OneModel
from convbench.training.batch import assemble
from convbench.training.data.examples import Example, passage_key
from convbench.training.objectives.weighted import Weights
from convbench.training.passes import whole_batch
from convbench.training.reading import ChunkReader, vectors_of
from convbench.training.step import JointStep, StepSettings
from convbench.training.trainable import Trainable
from convbench.training.turn_rows import TurnRows, end_token
from convbench.types import Passage
from convbench.views.passages import passage_text
from convbench.writing.decoding import DecodingConfig
from convbench.writing.likelihood import Continuation

pytestmark = pytest.mark.slow  # they train, some of them in several processes

KINDS = ("llama", "bert")
OBJECTIVES = ("retrieval", "response", "identification", "grounded")


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest) -> Trainable:
    return trainable(request.param)


@pytest.fixture(scope="module")
def bert() -> Trainable:
    return trainable("bert")


@pytest.fixture(scope="module")
def both_ways() -> Trainable:
    return trainable("llama", attention="bidirectional", pooling="mean")


def vectors(model: Trainable, kind: str, *, packed: bool, batch: tuple[Example, ...]) -> np.ndarray[Any, Any]:
    writer = TurnRows(model.loaded, 30, "say")
    read = assemble(writer, ALL, batch, {}, most_negatives=2, earlier_responses=2)
    chunks = whole_batch(*(read.packed(4096) if packed else read.plain()))
    with torch.no_grad():
        found = ChunkReader(model, {}, {}, 0.0).encode(chunks[0]).vectors[kind]
    return found[torch.tensor(vectors_of(chunks, kind)).argsort()].numpy()


def rows_read(model: Trainable, chosen: StepSettings) -> list[int]:
    # a model that is read by blocks pads nothing: a row is what begins at the first position
    counted: list[int] = []

    def count(_: Any, __: Any, given: dict[str, Any]) -> None:
        counted.append(int((given["position_ids"] == model.loaded.first_position).sum()))

    hook = model.loaded.body.register_forward_pre_hook(count, with_kwargs=True)
    try:
        stepped(model, chosen)
    finally:
        hook.remove()
    return counted


@pytest.mark.parametrize("objective", [*OBJECTIVES, "all"])
def test_packed_conversations_give_the_losses_and_gradients_of_plain_rows(model: Trainable, objective: str) -> None:
    weights = ALL if objective == "all" else only(objective)
    plain, wanted = stepped(model, settings(weights))
    packed, found = stepped(model, settings(weights, packed=True))
    assert list(plain.losses) == [*(OBJECTIVES if objective == "all" else [objective]), "total"]
    assert packed.losses == pytest.approx(plain.losses, rel=1e-5)
    assert wanted.abs().max() > 0.05
    assert (found - wanted).abs().max() <= 1e-5 * max(1.0, float(wanted.abs().max()))
    assert packed.tokens < plain.tokens


def test_packed_conversations_and_plain_rows_differ_by_rounding_alone(model: Trainable) -> None:
    double = precise(model)
    _, wanted = stepped(double, settings())
    _, found = stepped(double, settings(packed=True, row_tokens=500))
    assert (found - wanted).norm() <= 1e-6 * wanted.norm()


def test_a_batch_has_sessions_that_nest_and_sessions_that_do_not(model: Trainable) -> None:
    read = assemble(TurnRows(model.loaded, 30, "say"), only("retrieval"), examples()[:8], {}, most_negatives=0, earlier_responses=0)
    sizes = sorted(len(row.vectors()) for row in read.packed(4096)[1])
    assert sum(sizes) == 8
    assert 2 < len(sizes) < 8
    every = assemble(TurnRows(model.loaded, 30, "say"), ALL, examples()[:8], {}, most_negatives=0, earlier_responses=0)
    assert len(every.packed(4096)[1]) == 2 * len(sizes)  # sessions with all that follows them, and contexts


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("tokens", [1, 400])
def test_chunks_give_the_losses_and_gradients_of_the_whole_batch(model: Trainable, packed: bool, tokens: int) -> None:
    double = precise(model)
    whole, wanted = stepped(double, settings(packed=packed))
    chunked, found = stepped(double, settings(packed=packed, chunk_tokens=tokens))
    assert chunked.losses == pytest.approx(whole.losses, rel=1e-6)
    assert (found - wanted).norm() <= 1e-6 * wanted.norm()
    assert chunked.tokens == whole.tokens


@pytest.mark.parametrize("packed", [False, True])
def test_sessions_have_the_vectors_of_inference(model: Trainable, packed: bool) -> None:
    one = OneModel(configured(model.loaded.checkpoint.model_type), DecodingConfig(max_new_tokens=30), reuse=True, offline=True, seed=0)
    turns = [example.turn for example in examples()[:6]]
    wanted = one.encode_sessions([[one.inputs.session(turn, "full") for turn in turns]], [EMPTY], Meter())[0]
    model.module.eval()
    found = vectors(model, "sessions", packed=packed, batch=examples()[:6])
    model.module.train()
    np.testing.assert_allclose(found, np.stack([each.vector for each in wanted]), atol=1e-5)


def test_texts_have_the_vectors_of_inference(model: Trainable) -> None:
    check_texts(model)


def test_texts_have_the_vectors_of_inference_where_attention_is_bidirectional(both_ways: Trainable) -> None:
    check_texts(both_ways)


def check_texts(model: Trainable) -> None:
    profile = model.loaded.profile
    encoder = HFEncoder(configured(model.loaded.checkpoint.model_type, attention=profile.attention, pooling=profile.pooling), offline=True)
    batch = (examples()[0], examples()[6])
    passages = [example.positive for example in batch if example.positive is not None]
    found = vectors(model, "passages", packed=False, batch=batch)
    np.testing.assert_allclose(found, encoder.encode_passages([passage_text(each) for each in passages], Meter()).vectors, atol=1e-5)
    said = encoder.encode_passages([example.response or "" for example in batch], Meter()).vectors
    np.testing.assert_allclose(vectors(model, "responses", packed=False, batch=batch), said, atol=1e-5)
    questions = [session_text(model.loaded, example.turn.query) for example in batch]
    assert not any(example.turn.history for example in batch)
    asked = encoder.encode_queries([text.removeprefix(profile.query_prefix) for text in questions], Meter()).vectors
    np.testing.assert_allclose(vectors(model, "sessions", packed=False, batch=batch), asked, atol=1e-5)


@pytest.mark.parametrize("packed", [False, True])
def test_the_evidence_visible_loss_is_the_likelihood_of_inference(model: Trainable, packed: bool) -> None:
    one = OneModel(configured(model.loaded.checkpoint.model_type), DecodingConfig(max_new_tokens=30), reuse=False, offline=True, seed=0)
    batch = examples()[:6]
    continuations = []
    for example in batch:
        assert example.positive is not None
        prompt, _ = one.inputs.prompt(one.inputs.session(example.turn, "full"), [example.positive])
        said = one.response_tokens(example.response or "")
        continuations.append(Continuation(prompt, said if len(said) == 30 else (*said, end_token(model.loaded))))
    lengths = [len(each.response) for each in continuations]
    means = one.log_likelihoods(continuations, Meter())
    wanted = -sum(mean * length for mean, length in zip(means, lengths, strict=True)) / sum(lengths)
    found = JointStep(model, settings(only("grounded"), packed=packed, label_smoothing=0.0)).evaluate(batch, {})
    assert found["grounded"] == pytest.approx(wanted, rel=1e-5)
    assert max(lengths) == 30 > min(lengths)


def test_the_masked_response_is_what_a_loop_over_rows_and_columns_finds(bert: Trainable) -> None:
    example, loaded = examples()[2], bert.loaded
    writer = TurnRows(loaded, 30, "")
    session, said = writer.inputs.session(example.turn, "full"), writer.response(example.response or "")
    row = (*session.ids, *said[:-1])
    mask = torch.full((1, 1, len(row), len(row)), torch.finfo(torch.float32).min)
    for query in range(len(row)):
        for key in range(query + 1):
            if query < len(session.ids) or key >= len(session.tokens):
                mask[0, 0, query, key] = 0
    bert.module.eval()
    with torch.no_grad():
        ids, positions = torch.tensor([row]), torch.arange(len(row)).unsqueeze(0)
        logits = loaded.model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False).logits[0]
    bert.module.train()
    wanted = float(torch.nn.functional.cross_entropy(logits[len(session.ids) - 1 :], torch.tensor(said)))
    found, _ = stepped(bert, settings(only("response"), label_smoothing=0.0), (example,))
    assert found.losses["response"] == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("packed", [False, True])
def test_a_few_steps_lower_every_loss(packed: bool) -> None:
    model = trainable("bert")
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    step = JointStep(model, settings(packed=packed))
    batch = examples()[:6]
    before = step.evaluate(batch, {})
    for _ in range(8):
        optimizer.zero_grad()
        step.backward(batch, {}, torch.Tensor.backward)
        optimizer.step()
    after = step.evaluate(batch, {})
    assert all(after[name] < 0.9 * before[name] for name in (*OBJECTIVES, "total"))


def test_objectives_without_weight_are_not_computed(bert: Trainable) -> None:
    read = assemble(TurnRows(bert.loaded, 30, ""), ALL, examples()[:8], {}, most_negatives=2, earlier_responses=2)
    passages, candidates = len(read.passages.names), len(read.responses.names)
    responses = 16  # behind the session mask, and with the passage in sight
    assert sum(rows_read(bert, settings(only("retrieval")))) == passages + 8
    assert sum(rows_read(bert, settings(only("response")))) == 8
    assert sum(rows_read(bert, settings(only("grounded")))) == 8
    assert sum(rows_read(bert, settings(only("identification")))) == 8 + candidates
    assert sum(rows_read(bert, settings())) == (8 + passages) + (8 + candidates) + responses


def test_examples_feed_only_their_objectives(bert: Trainable) -> None:
    one, two = examples()[:2]
    silent = replace(one, objectives=frozenset({"retrieval"}))
    talks = replace(two, objectives=frozenset({"response"}), gold=())
    assert list(stepped(bert, settings(), (silent,))[0].losses) == ["retrieval", "total"]
    assert list(stepped(bert, settings(), (talks,))[0].losses) == ["response", "total"]
    mixed = stepped(bert, settings(), (silent, talks))[0]
    assert list(mixed.losses) == ["retrieval", "response", "total"]
    assert mixed.ids == (one.id, two.id)
    with pytest.raises(UsageError, match=r"1 examples \(first: t/1_1\) feeds none of the objectives that have a weight: response"):
        stepped(bert, settings(only("response")), (silent,))


def test_hard_negatives_count_and_gold_passages_and_their_copies_do_not(bert: Trainable) -> None:
    batch = examples()[:1]
    step = JointStep(bert, settings(only("retrieval")))
    gold = batch[0].positive
    assert gold is not None
    copy, other = Passage("copy", gold.text.upper() + " !", "Another title"), Passage("other", "Something else.")
    assert passage_key(copy) in batch[0].gold_keys
    assert step.evaluate(batch, {})["retrieval"] == pytest.approx(0, abs=1e-6)
    assert step.evaluate(batch, {batch[0].id: [copy]})["retrieval"] == pytest.approx(0, abs=1e-6)
    assert step.evaluate(batch, {batch[0].id: [copy, other]})["retrieval"] > 1e-4
    assert step.evaluate((replace(batch[0], negatives=(other,)),), {}) == step.evaluate(batch, {batch[0].id: [other]})
    crossed = (batch[0], replace(examples()[6], negatives=(copy,)))  # a copy of one turn's gold is a negative of the other alone
    writer = TurnRows(bert.loaded, 30, "")
    read = assemble(writer, ALL, crossed, {}, most_negatives=2, earlier_responses=0)
    assert [name in read.sessions.right[0] for name in read.passages.names] == [True, False, True]


def test_other_right_responses_are_no_wrong_ones(bert: Trainable) -> None:
    step, twins = JointStep(bert, settings(only("identification"), earlier_responses=0)), examples()[:2]
    assert step.evaluate(twins, {})["identification"] > 1e-3
    same = tuple(replace(each, response="Yes.") for each in twins)
    assert step.evaluate(same, {})["identification"] == pytest.approx(0, abs=1e-6)
    told = JointStep(bert, settings(only("identification"))).evaluate(examples()[1:2], {})
    assert told["identification"] > 1e-4  # told from the response of the turn before, in a batch of one


def test_evaluation_is_the_step_without_gradients(bert: Trainable) -> None:
    for packed in (False, True):
        wanted, _ = stepped(bert, settings(packed=packed))
        bert.module.zero_grad()
        found = JointStep(bert, settings(packed=packed, chunk_tokens=300)).evaluate(examples()[:8], {})
        assert found == pytest.approx(wanted.losses, rel=1e-5)
    assert all(each.grad is None for each in bert.parameters())
    assert bert.module.training


def test_bidirectional_encoding_beside_causal_responses(both_ways: Trainable) -> None:
    values, gradients = stepped(both_ways, settings())
    assert list(values.losses) == [*OBJECTIVES, "total"]
    assert gradients.isfinite().all()
    causal = trainable("llama")
    for objective in ("response", "grounded"):
        weights = only(objective)
        assert stepped(both_ways, settings(weights))[0].losses == pytest.approx(stepped(causal, settings(weights))[0].losses, rel=1e-5)
    with pytest.raises(UsageError, match=r"found bidirectional attention and pooling mean in a llama model: set packed: false"):
        JointStep(both_ways, settings(packed=True))


def test_a_prompt_that_begins_otherwise_than_the_session_gets_a_row_of_its_own(bert: Trainable) -> None:
    other = trainable("bert", prompt={"start": "what does an agent say to a user who asks this? "})
    plain, wanted = stepped(other, settings())
    packed, found = stepped(other, settings(packed=True))
    assert packed.losses == pytest.approx(plain.losses, rel=1e-5)
    assert (found - wanted).abs().max() <= 1e-5
    assert plain.losses["grounded"] != pytest.approx(stepped(bert, settings())[0].losses["grounded"], rel=1e-5)


def test_lower_precision_gives_finite_losses_near_those_of_float32(model: Trainable) -> None:
    wanted, _ = stepped(model, settings(packed=True))
    with torch.autocast("cpu", torch.bfloat16):
        found, gradients = stepped(model, settings(packed=True))
    assert gradients.isfinite().all()
    assert found.losses == pytest.approx(wanted.losses, rel=0.15)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"temperature": 0.0}, "temperature: found 0.0, expected a number above 0"),
        ({"label_smoothing": 1.0}, "label_smoothing: found 1.0, expected a share from 0 up to 1"),
        ({"chunk_tokens": 0}, "chunk_tokens: found 0, expected at least 1"),
        ({"negatives": -1}, "negatives: found -1, expected at least 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        StepSettings(weights=Weights(response=1.0, identification=0.0), **values)


def test_a_retriever_is_not_asked_to_write() -> None:
    retriever = trainable("bert", responds=False)
    assert list(stepped(retriever, settings(only("retrieval")))[0].losses) == ["retrieval", "total"]
    with pytest.raises(UsageError, match="it has nothing to write responses with: give 'response' and 'grounded' the weight 0"):
        JointStep(retriever, settings())
