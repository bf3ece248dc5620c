"""Responses: equal to transformers' own greedy decoding, to themselves in any batch, and to prompts that are read from the beginning."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
import torch
from backends.small import DECODERS, conversation, decoder

from convbench.backends.loaded import Loaded
from convbench.backends.sessions import encode_together
from convbench.backends.trunk import EMPTY
from convbench.meter import Meter
from convbench.writing.decoding import DecodingConfig
from convbench.writing.writer import Prompt, Written, end_tokens, write_responses

GREEDY = DecodingConfig(max_new_tokens=16, batch_rows=4)


@pytest.fixture(scope="module", params=DECODERS)
def loaded(request: pytest.FixtureRequest) -> Loaded:
    return decoder(request.param)


def prompts(loaded: Loaded, *, read: bool) -> list[Prompt]:
    """Prompts of two conversations, some read up to where the evidence begins."""
    tails = random.Random(4)
    made = [conversation(loaded, 5, seed=1), conversation(loaded, 3, seed=2)]
    encoded = encode_together(loaded, made, loaded.form.closing, Meter(), batch_tokens=500, known=[EMPTY] * 2, keep=True)
    result = []
    for number, (sessions, trunks) in enumerate(zip(made, encoded, strict=True)):
        for turn, (session, encoded_session) in enumerate(zip(sessions, trunks, strict=True), 1):
            tail = tuple(tails.randrange(10, 590) for _ in range(tails.randrange(1, 30)))
            result.append(Prompt(f"{number}_{turn}", (*session, *tail), encoded_session.trunk if read else EMPTY))
    return result


def write(loaded: Loaded, asked: list[Prompt], config: DecodingConfig = GREEDY, seed: int = 0, meter: Meter | None = None) -> list[Written]:
    return write_responses(loaded, asked, config, meter or Meter(), seed=seed, batch_tokens=2000)


def test_greedy_is_the_greedy_decoding_of_transformers(loaded: Loaded) -> None:
    asked = prompts(loaded, read=False)
    ends = sorted(end_tokens(loaded))
    for prompt, written in zip(asked, write(loaded, asked), strict=True):
        ids = torch.tensor([prompt.tokens], device=loaded.device)
        whole = loaded.model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=16, do_sample=False, pad_token_id=0, eos_token_id=ends
        )
        expected = loaded.tokenizer.decode(whole[0, ids.shape[1] :], skip_special_tokens=True).strip()
        assert written.text == expected
        assert written.tokens == whole.shape[1] - ids.shape[1]


def test_what_was_read_before_need_not_be_read_again(loaded: Loaded) -> None:
    again, meters = [], [Meter(), Meter()]
    for read, meter in zip((False, True), meters, strict=True):
        asked = prompts(loaded, read=read)
        with meter.phase("generate"):
            again.append(write(loaded, asked, meter=meter))
    assert again[0] == again[1]
    plain, shared = (meter.take()["phases"]["generate"]["tokens_in"] for meter in meters)
    assert plain - shared == sum(prompt.reused for prompt in prompts(loaded, read=True)) > 0


@pytest.mark.parametrize(
    "config",
    [
        GREEDY,
        DecodingConfig(max_new_tokens=16, temperature=1.2, top_p=0.9, top_k=50),
        DecodingConfig(max_new_tokens=16, repetition_penalty=1.3, no_repeat_ngram=2, batch_rows=3),
    ],
    ids=["greedy", "sampling", "without repetition"],
)
def test_a_response_does_not_depend_on_its_batch(loaded: Loaded, config: DecodingConfig) -> None:
    asked = prompts(loaded, read=True)
    assert [write(loaded, [prompt], config)[0] for prompt in asked] == write(loaded, asked, config)


def test_what_was_written_gets_less_likely_and_no_pair_of_tokens_comes_twice() -> None:
    loaded = decoder("llama")
    config = DecodingConfig(max_new_tokens=16, repetition_penalty=1.5, no_repeat_ngram=2)
    for prompt, written in zip(prompts(loaded, read=False), write(loaded, prompts(loaded, read=True), config), strict=True):
        said: list[int] = []
        for _ in range(written.tokens):
            with torch.inference_mode():
                scores = loaded.model(input_ids=torch.tensor([[*prompt.tokens, *said]], device=loaded.device)).logits[0, -1].tolist()
            for token in set(said):
                scores[token] = scores[token] / 1.5 if scores[token] > 0 else scores[token] * 1.5
            pairs = set(pairwise(said))
            allowed = [token for token in range(len(scores)) if not said or (said[-1], token) not in pairs]
            said.append(max(allowed, key=scores.__getitem__))
        assert loaded.tokenizer.decode(said, skip_special_tokens=True).strip() == written.text


def test_a_seed_decides_what_is_sampled() -> None:
    loaded, config = decoder("llama"), DecodingConfig(max_new_tokens=16, temperature=1.0)
    asked = prompts(loaded, read=False)
    assert write(loaded, asked, config, seed=1) == write(loaded, asked, config, seed=1)
    assert write(loaded, asked, config, seed=1) != write(loaded, asked, config, seed=2)
    assert write(loaded, asked, DecodingConfig(max_new_tokens=16, temperature=1.0, top_k=1), seed=1) == write(loaded, asked)


def test_a_response_ends_before_a_stop_string_and_at_its_longest() -> None:
    asked = prompts(decoder("llama"), read=False)[:1]
    (whole,) = write(decoder("llama"), asked)
    assert (whole.finish_reason, whole.tokens) == ("length", 16)
    stop = whole.text[4:7]
    (cut,) = write(decoder("llama", prompt={"stop": [stop]}), asked)
    assert (cut.text, cut.finish_reason) == (whole.text[: whole.text.index(stop)].strip(), "stop")
    assert cut.tokens < 16


def test_a_response_without_text_is_called_empty() -> None:
    loaded = decoder("llama")
    asked = prompts(loaded, read=False)[:1]
    first = write(loaded, asked, DecodingConfig(max_new_tokens=1))[0].text
    (empty,) = write(decoder("llama", prompt={"stop": [first]}), asked)
    assert (empty.text, empty.finish_reason) == ("", "empty")
