from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from backends.checkpoints import change_json, change_tensors
from writing.writing_models import chat_folder, seq2seq_folder

from convbench.errors import ResourceError, UsageError
from convbench.meter import Meter
from convbench.writing.base import LanguageModel, Request, Text
from convbench.writing.open import open_language_model
from convbench.writing.seq2seq import Seq2SeqConfig, Seq2SeqModel

KINDS = ("t5", "bart")
SOURCES = (
    "Who keeps the lighthouse?",
    "Who keeps it? ||| A volunteer from the village. ||| Since when does she do that, and who did it before?",
    "Why?",
    "Which river is the longest one, and where does it begin?",
)


def model(folder: Path, *, seed: int = 0, decoding: dict[str, Any] | None = None, **settings: Any) -> Seq2SeqModel:
    values = {"device": "cpu", "decoding": {"max_new_tokens": 12, **(decoding or {})}, **settings}
    return Seq2SeqModel(Seq2SeqConfig(model=str(folder), **values), offline=True, seed=seed)


def requests(samples: int = 1) -> list[Request]:
    return [Request(f"c_{number}", (("user", text),), samples) for number, text in enumerate(SOURCES, 1)]


def write(of: Seq2SeqModel, asked: list[Request], meter: Meter | None = None) -> list[tuple[Text, ...]]:
    return of.write(asked, meter or Meter())


def same(found: tuple[Text, ...], expected: tuple[Text, ...]) -> bool:
    close = [one.log_probability == pytest.approx(other.log_probability, abs=1e-3) for one, other in zip(found, expected, strict=True)]
    return [text.text for text in found] == [text.text for text in expected] and all(close)


def copied(folder: Path, to: Path) -> Path:
    to.mkdir()
    for path in folder.iterdir():
        (to / path.name).write_bytes(path.read_bytes())
    return to


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("decoding", [{}, {"beams": 3}, {"beams": 2, "early_stopping": True, "length_penalty": 0.5, "no_repeat_ngram": 2}])
def test_texts_are_those_of_transformers(kind: str, decoding: dict[str, Any]) -> None:
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    writer = model(seq2seq_folder(kind), decoding=decoding)
    assert isinstance(writer, LanguageModel)
    network, tokenizer = (auto.from_pretrained(seq2seq_folder(kind)) for auto in (AutoModelForSeq2SeqLM, AutoTokenizer))
    search = {"length_penalty": decoding.get("length_penalty", 1.0), "early_stopping": decoding.get("early_stopping", False)}
    given = {"num_beams": decoding.get("beams", 1), "no_repeat_ngram_size": decoding.get("no_repeat_ngram", 0), "max_new_tokens": 12}
    for request, (text,) in zip(requests(), write(writer, requests()), strict=True):
        ids = tokenizer(request.messages[0][1], return_tensors="pt")
        ids.pop("token_type_ids", None)
        whole = network.generate(**ids, do_sample=False, **given, **(search if given["num_beams"] > 1 else {}))
        assert text.text == tokenizer.decode(whole[0], skip_special_tokens=True).strip()
        assert text.text
        assert (text.tokens_in, text.tokens_out) == (ids["input_ids"].shape[1], whole.shape[1] - 1)
        with torch.inference_mode():
            chances = network(**ids, decoder_input_ids=whole[:, :-1]).logits[0].log_softmax(-1)
        by_hand = sum(float(chances[place, token]) for place, token in enumerate(whole[0, 1:]))
        assert text.log_probability == pytest.approx(by_hand, abs=1e-3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("decoding", [{}, {"beams": 3}, {"temperature": 1.0, "top_p": 0.9, "top_k": 40}])
def test_a_text_does_not_depend_on_its_batch(kind: str, decoding: dict[str, Any]) -> None:
    whole = write(model(seq2seq_folder(kind), decoding={**decoding, "batch_rows": 8}), requests(2))
    pairs = write(model(seq2seq_folder(kind), decoding={**decoding, "batch_rows": 2}), requests(2))
    writer = model(seq2seq_folder(kind), decoding={**decoding, "batch_rows": 1})
    for request, first, second in zip(requests(2), whole, pairs, strict=True):
        (alone,) = write(writer, [request])
        assert same(first, alone)
        assert same(second, alone)


def test_samples_differ_and_come_again_and_leave_other_random_numbers_alone() -> None:
    decoding = {"temperature": 1.0}
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first = write(model(seq2seq_folder("t5"), decoding=decoding), requests(3))
    assert torch.rand(1) == expected
    assert [len({text.text for text in texts}) for texts in first] == [3] * 4
    assert write(model(seq2seq_folder("t5"), decoding=decoding), requests(3)) == first
    assert write(model(seq2seq_folder("t5"), decoding=decoding, seed=1), requests(3)) != first
    assert [texts[:1] for texts in first] == write(model(seq2seq_folder("t5"), decoding=decoding), requests(1))


def test_without_chance_one_text_is_written_and_repeated() -> None:
    meter = Meter()
    with meter.phase("rewrite"):
        (texts,) = write(model(seq2seq_folder("t5"), decoding={"beams": 2}), requests(4)[:1], meter)
    assert len(texts) == 4
    assert len(set(texts)) == 1
    assert meter.take()["phases"]["rewrite"]["tokens_out"] == texts[0].tokens_out


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cut", ["right", "left"])
def test_a_source_that_is_too_long_is_cut_and_counted(kind: str, cut: str) -> None:
    meter, writer = Meter(), model(seq2seq_folder(kind), max_source_tokens=16, cut=cut)
    with meter.phase("rewrite"):
        texts = write(writer, requests(), meter)
    whole = [writer._checkpoint.tokenizer(text)["input_ids"] for text in SOURCES]
    assert meter.take()["phases"]["rewrite"]["tokens_cut"] == sum(max(len(ids) - 16, 0) for ids in whole) > 0
    assert [text.tokens_in for (text,) in texts] == [min(len(ids), 16) for ids in whole]
    tokens, _ = writer._fitted(SOURCES[1])
    opening, closing = (1 if kind == "bart" else 0), 1
    kept = 16 - opening - closing
    inner = whole[1][opening:-1]
    assert list(tokens[opening:-1]) == (inner[:kept] if cut == "right" else inner[-kept:])
    assert (tokens[-1], tokens[:opening]) == (whole[1][-1], tuple(whole[1][:opening]))


def test_an_end_token_may_stand_between_utterances_but_not_be_smuggled_in() -> None:
    tokenizer = model(seq2seq_folder("t5"))._checkpoint.tokenizer
    end = tokenizer.eos_token_id
    plain, _ = model(seq2seq_folder("t5"))._fitted("first ||| second</s>third")
    assert plain.count(end) == 1
    parted, _ = model(seq2seq_folder("t5"), separator=" ||| ")._fitted("first ||| second</s>third")
    assert parted.count(end) == 2
    assert parted[: parted.index(end) + 1] == tuple(tokenizer("first")["input_ids"])


def test_what_a_checkpoint_forces_is_kept_and_recorded_and_its_other_settings_are_not(tmp_path: Path) -> None:
    folder = copied(seq2seq_folder("bart"), tmp_path / "summariser")
    change_json(folder / "generation_config.json", num_beams=4, min_length=10, length_penalty=2.0, early_stopping=True)
    plain, other = model(seq2seq_folder("bart")), model(folder)
    assert write(other, requests()) == write(plain, requests())
    forced = other.describe()["forced"]
    tokenizer = plain._checkpoint.tokenizer
    assert forced["forced_bos_token_id"] == tokenizer.bos_token_id
    assert forced["decoder_start_token_id"] == forced["forced_eos_token_id"] == tokenizer.eos_token_id
    changed = copied(seq2seq_folder("bart"), tmp_path / "forced")
    change_json(changed / "generation_config.json", forced_bos_token_id=300)
    first = tokenizer.decode([300]).strip()
    assert all(text.text.startswith(first) for (text,) in write(model(changed), requests()))


def test_older_checkpoints_force_tokens_in_config_json(tmp_path: Path) -> None:
    folder = copied(seq2seq_folder("bart"), tmp_path / "older")
    (folder / "generation_config.json").unlink()
    change_json(folder / "config.json", forced_bos_token_id=0)
    assert model(folder).describe()["forced"] == model(seq2seq_folder("bart")).describe()["forced"]
    assert write(model(folder), requests()) == write(model(seq2seq_folder("bart")), requests())


def test_a_text_that_only_a_forced_token_ended_is_cut() -> None:
    texts = write(model(seq2seq_folder("bart"), decoding={"max_new_tokens": 3}), requests())
    assert {text.finish_reason for (text,) in texts} == {"length"}


def test_a_source_is_one_user_message() -> None:
    writer = model(seq2seq_folder("t5"))
    with pytest.raises(UsageError, match="c_1: an encoder-decoder model reads one user message, found system, user"):
        write(writer, [Request("c_1", (("system", "a"), ("user", "b")))])
    with pytest.raises(ValueError, match="1 keys name several requests"):
        write(writer, requests()[:1] * 2)


def test_what_identifies_it() -> None:
    described = model(seq2seq_folder("t5")).describe()
    assert described["model"].startswith(seq2seq_folder("t5").name + "@")
    assert str(seq2seq_folder("t5").parent) not in str(described)
    assert model(seq2seq_folder("bart"), max_source_tokens=2000).describe()["max_source_tokens"] == 512
    others = [{"seed": 1}, {"decoding": {"beams": 2}}, {"max_source_tokens": 64}, {"cut": "left"}, {"separator": "|"}]
    assert all(model(seq2seq_folder("t5"), **other).describe() != described for other in others)


def test_settings_that_do_not_go_together() -> None:
    with pytest.raises(ValueError, match="beam search does not sample"):
        model(seq2seq_folder("t5"), decoding={"beams": 2, "temperature": 1.0})
    with pytest.raises(UsageError, match="max_new_tokens 512, and the model has 512 positions; lower it"):
        model(seq2seq_folder("bart"), decoding={"max_new_tokens": 512}).check()
    model(seq2seq_folder("t5"), decoding={"max_new_tokens": 512}).check()


@pytest.mark.parametrize("kind", KINDS)
def test_broken_checkpoints_are_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    lacking = copied(seq2seq_folder(kind), tmp_path / "lacking")
    change_tensors(lacking / "model.safetensors", without="encoder.block.1" if kind == "t5" else "encoder.layers.1")
    with pytest.raises(ResourceError, match=r"the files lack tensors of .*weights and config\.json do not belong together"):
        model(lacking).load(Meter())
    pickled = copied(seq2seq_folder(kind), tmp_path / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(ResourceError, match=r"pickled weights \(pytorch_model.bin\), which can run code and are not loaded"):
        model(pickled).check()
    cut = copied(seq2seq_folder(kind), tmp_path / "cut")
    (cut / "model.safetensors").write_bytes((cut / "model.safetensors").read_bytes()[:-100])
    with pytest.raises(ResourceError, match="is cut, damaged or no safetensors file"):
        model(cut).check()
    other = copied(seq2seq_folder(kind), tmp_path / "other")
    change_json(other / "config.json", d_model=32)
    with pytest.raises(ResourceError, match=r"and config\.json says"):
        model(other).load(Meter())


def test_other_kinds_of_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="llama is no encoder-decoder model here; give one such as T5 or BART"):
        model(chat_folder("llama")).check()
    odd = copied(seq2seq_folder("t5"), tmp_path / "odd")
    change_json(odd / "config.json", model_type="t55")
    with pytest.raises(ResourceError, match="transformers does not know"):
        model(odd).check()
    bare = copied(seq2seq_folder("t5"), tmp_path / "bare")
    (bare / "config.json").unlink()
    with pytest.raises(ResourceError, match=r"config\.json: no such file; give a folder that save_pretrained wrote"):
        model(bare).check()


def test_it_says_how_large_it_is_and_opens_from_its_configuration() -> None:
    meter = Meter()
    opened = open_language_model(Seq2SeqConfig(model=str(seq2seq_folder("t5"))), offline=True, seed=0)
    opened.check()
    opened.load(meter)
    ((name, size),) = meter.take()["models"].items()
    assert name == opened.describe()["model"]
    assert size == sum(weight.numel() for weight in opened._model.parameters())  # type: ignore[attr-defined]
