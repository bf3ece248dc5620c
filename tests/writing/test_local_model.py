from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from backends.checkpoints import change_json, make_encoder
from writing.writing_models import DATED, DEAF_TO_SYSTEM, WITHOUT_SYSTEM, chat_folder

from convbench.errors import ResourceError, UsageError
from convbench.meter import Meter
from convbench.writing.base import LanguageModel, Request, Text
from convbench.writing.local import LocalConfig, LocalModel
from convbench.writing.open import open_language_model
from convbench.writing.writer import end_tokens

SYSTEM = ("system", "Write a short answer.")
QUESTIONS = ("Who keeps the lighthouse?", "When did the mill burn down, and who built it again?", "Why?", "Which river is the longest one?")


def model(folder: Path, *, seed: int = 0, **settings: Any) -> LocalModel:
    values = {"device": "cpu", "decoding": {"max_new_tokens": 12}, **settings}
    return LocalModel(LocalConfig(model=str(folder), **values), offline=True, seed=seed)


def requests(samples: int = 1, *, system: bool = True) -> list[Request]:
    said = [SYSTEM] if system else []
    return [Request(f"c_{number}", (*said, ("user", text)), samples) for number, text in enumerate(QUESTIONS, 1)]


def write(of: LocalModel, asked: list[Request], meter: Meter | None = None) -> list[tuple[Text, ...]]:
    return of.write(asked, meter or Meter())


def parts(of: LocalModel) -> tuple[Any, Any]:
    return of._loaded.model, of._loaded.tokenizer


@pytest.mark.parametrize("architecture", ["llama", "mistral", "qwen3"])
def test_greedy_texts_are_those_of_transformers(architecture: str) -> None:
    writer = model(chat_folder(architecture))
    assert isinstance(writer, LanguageModel)
    network, tokenizer = parts(writer)
    ends = {tokenizer.eos_token_id, *(tokenizer.convert_tokens_to_ids(token) for token in ("<|im_end|>", "<|endoftext|>"))} - {None, 0}
    for request, (text,) in zip(requests(), write(writer, requests()), strict=True):
        chat = [{"role": role, "content": said} for role, said in request.messages]
        prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        assert prompt.endswith("<|im_start|>assistant\n")
        ids = tokenizer(prompt, add_special_tokens=False, return_tensors="pt")["input_ids"]
        given = {"max_new_tokens": 12, "do_sample": False, "pad_token_id": 0, "eos_token_id": sorted(ends)}
        whole = network.generate(ids, attention_mask=torch.ones_like(ids), **given)
        said = whole[0, ids.shape[1] :]
        assert text.text == tokenizer.decode(said, skip_special_tokens=True).strip()
        assert (text.tokens_in, text.tokens_out) == (ids.shape[1], len(said))
        with torch.inference_mode():
            chances = network(whole).logits[0].log_softmax(-1)
        by_hand = sum(float(chances[ids.shape[1] + place - 1, token]) for place, token in enumerate(said))
        assert text.log_probability == pytest.approx(by_hand, abs=1e-3)


@pytest.mark.parametrize("settings", [{}, {"temperature": 1.0, "top_p": 0.9}])
def test_a_text_does_not_depend_on_its_batch(settings: dict[str, Any]) -> None:
    writer = model(chat_folder("llama"), decoding={"max_new_tokens": 12, "batch_rows": 3, **settings})
    together = write(writer, requests(2))
    for request, texts in zip(requests(2), together, strict=True):
        (alone,) = write(writer, [request])
        assert [text.text for text in alone] == [text.text for text in texts]
        assert [text.log_probability for text in alone] == pytest.approx([text.log_probability for text in texts], abs=1e-3)


def test_samples_differ_and_come_again() -> None:
    settings = {"decoding": {"max_new_tokens": 12, "temperature": 1.0}}
    first = write(model(chat_folder("llama"), **settings), requests(3))
    assert [len({text.text for text in texts}) for texts in first] == [3] * 4
    assert write(model(chat_folder("llama"), **settings), requests(3)) == first
    assert write(model(chat_folder("llama"), **settings, seed=1), requests(3)) != first
    one = write(model(chat_folder("llama"), **settings), requests(1))
    assert [texts[0].text for texts in first] == [text.text for (text,) in one]
    renamed = [Request(f"d_{number}", each.messages, 3) for number, each in enumerate(requests())]
    assert write(model(chat_folder("llama"), **settings), renamed) != first


def test_a_greedy_text_is_written_once_and_repeated() -> None:
    meter = Meter()
    with meter.phase("rewrite"):
        (texts,) = write(model(chat_folder("llama")), requests(5)[:1], meter)
    assert len(texts) == 5
    assert len(set(texts)) == 1
    counts = meter.take()["phases"]["rewrite"]
    assert (counts["tokens_in"], counts["tokens_out"]) == (texts[0].tokens_in, texts[0].tokens_out)


def test_a_request_asked_twice_over_is_a_fault() -> None:
    with pytest.raises(ValueError, match="1 keys name several requests"):
        write(model(chat_folder("llama")), requests()[:1] * 2)


def test_what_is_too_long_fails_alone_and_says_so() -> None:
    writer = model(chat_folder("llama"))
    long = Request("c_9", (("user", "the mill " * 600),), samples=2)
    before, (failed, same), after = write(writer, [requests()[0], long, requests()[1]])
    assert failed == same
    assert failed.text == ""
    assert failed.failure == (
        f"the prompt has {failed.tokens_in} tokens, and 500 fit beside 12 new ones: shorten it, or lower max_new_tokens"
    )
    assert failed.tokens_in > 500
    assert (before, after) == (write(writer, requests()[:1])[0], write(writer, requests()[1:2])[0])


@pytest.mark.parametrize("template", [WITHOUT_SYSTEM, DEAF_TO_SYSTEM])
def test_a_system_message_that_a_template_does_not_take_goes_to_the_users(template: str) -> None:
    writer = model(chat_folder("llama", template))
    prompt = writer._tokenizer.decode(writer._form.tokens(requests()[0].messages))
    assert f"{SYSTEM[1]}\n\n{QUESTIONS[0]}" in prompt
    assert prompt.count(SYSTEM[1]) == 1
    examples = [SYSTEM, ("user", "A?"), ("assistant", "B."), ("user", "C?")]
    assert writer._tokenizer.decode(writer._form.tokens(examples)).count(f"{SYSTEM[1]}\n\nA?") == 1


def test_a_template_that_takes_nothing_is_an_error_in_one_line() -> None:
    writer = model(chat_folder("llama", "{{ raise_exception('roles must\nalternate') }}"))
    with pytest.raises(ResourceError, match="its chat template does not take the messages: TemplateError: roles must alternate"):
        write(writer, requests())


def test_templates_are_told_one_date_and_what_the_settings_say() -> None:
    writer = model(chat_folder("llama", DATED), chat_template_kwargs={"enable_thinking": False})
    prompt = writer._tokenizer.decode(writer._form.tokens(requests()[0].messages))
    assert "26 Jul 2024 2024-07-26 thinking False" in prompt


def test_a_model_without_a_template_reads_plain_words_and_stops_before_the_user() -> None:
    writer = model(chat_folder("llama", None))
    tokens = writer._form.tokens([SYSTEM, ("user", "A?"), ("assistant", "B."), ("user", "C?")])
    assert tokens[0] == writer._tokenizer.bos_token_id
    assert writer._tokenizer.decode(tokens[1:]) == f"{SYSTEM[1]}\n\nUser: A?\nAssistant: B.\nUser: C?\nAssistant:"
    assert writer._loaded.profile.prompt.stop == ("\nUser:",)
    assert write(writer, requests())[0][0].text


def test_a_text_cannot_smuggle_in_control_tokens() -> None:
    writer = model(chat_folder("qwen3"))
    tokens = writer._form.tokens([("user", "a<|im_end|>b")])
    assert tokens.count(writer._tokenizer.convert_tokens_to_ids("<|im_end|>")) == 1


def test_the_end_of_a_message_ends_a_text() -> None:
    writer = model(chat_folder("qwen3"))
    network, tokenizer = parts(writer)
    end = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    assert end not in end_tokens(writer._loaded), "its settings name another one"
    ((whole,),) = write(writer, requests()[:1])
    with torch.inference_mode():
        logits = network(torch.tensor([writer._form.tokens(requests()[0].messages)])).logits[0, -1]
        likeliest = int(logits.argmax())
        assert logits[likeliest] > 0
        network.lm_head.weight[end] = 2 * network.lm_head.weight[likeliest]
    ((ended,),) = write(writer, requests()[:1])
    assert whole.tokens_out == 12
    assert (ended.text, ended.finish_reason, ended.tokens_out) == ("", "empty", 1)


def test_what_identifies_it() -> None:
    described = model(chat_folder("llama")).describe()
    assert described["model"].startswith(chat_folder("llama").name + "@")
    assert str(chat_folder("llama").parent) not in str(described)
    assert described["decoding"]["max_new_tokens"] == 12
    assert "profile" not in described
    for other in (
        model(chat_folder("llama"), seed=1),
        model(chat_folder("llama"), decoding={"max_new_tokens": 13}),
        model(chat_folder("llama", WITHOUT_SYSTEM)),
        model(chat_folder("llama"), chat_template_kwargs={"enable_thinking": False}),
    ):
        assert other.describe() != described


def test_models_that_cannot_be_used_are_refused_before_work(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="no head that writes"):
        model(make_encoder(tmp_path / "headless", "llama")).check()
    with pytest.raises(ResourceError, match="no such folder, and not a hub id"):
        model(Path("/nowhere/at/all")).check()
    with pytest.raises(UsageError, match=r"max_new_tokens 500 leaves 12 of the model's 512 positions for a prompt; lower it to 496"):
        model(chat_folder("llama"), decoding={"max_new_tokens": 500}).check()
    model(chat_folder("llama")).check()


def test_it_says_how_large_it_is_and_opens_from_its_configuration() -> None:
    meter = Meter()
    opened = open_language_model(LocalConfig(model=str(chat_folder("llama"))), offline=True, seed=0)
    opened.load(meter)
    ((name, size),) = meter.take()["models"].items()
    assert name == opened.describe()["model"]
    assert size == sum(weight.numel() for weight in opened._loaded.model.parameters())  # type: ignore[attr-defined]


def test_another_kind_of_model_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "t5"
    folder.mkdir()
    for path in chat_folder("llama").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    change_json(folder / "config.json", model_type="t5", is_encoder_decoder=True)
    with pytest.raises(ResourceError, match="encoder-decoder model here"):
        model(folder).check()
