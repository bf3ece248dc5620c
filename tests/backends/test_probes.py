"""Every probe passes on what is in order and fails on what is broken in its way; the decisive ones stop a model from loading."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from backends.checkpoints import change_json, change_tensors, make_adapter, make_causal, make_encoder, make_tokenizer
from backends.small import DECODERS, decoder
from safetensors.torch import load_file
from transformers import DistilBertConfig, DistilBertModel

from convbench.backends import config_files, number_probes, token_probes
from convbench.backends.examine import examine
from convbench.backends.finding import Finding
from convbench.backends.loaded import Loaded, assemble, load
from convbench.backends.placement import ModelConfig
from convbench.backends.probes import PROBES, probe_all, verify
from convbench.errors import ResourceError

LAST = {"pooling": "last", "attention": "causal", "closing": ["</s>"]}
MEAN = {"pooling": "mean", "attention": "bidirectional"}


def loaded(folder: Path, kind: str = "encoder", **profile: Any) -> Loaded:
    return assemble(ModelConfig(model=str(folder), device="cpu", profile=profile), kind, offline=True)  # type: ignore[arg-type]


def refusal(folder: Path, **profile: Any) -> str:
    with pytest.raises(ResourceError) as caught:
        load(ModelConfig(model=str(folder), device="cpu", profile=profile), "encoder", offline=True)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{folder.name}@")
    return message


def fails(finding: Finding, found: str) -> Finding:
    assert finding.status == "failed", finding
    assert found in finding.found, finding
    assert finding.expected
    assert finding.do
    return finding


def change_tokenizer(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture
def llama(tmp_path: Path) -> Path:
    return make_causal(tmp_path / "llama", "llama")


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    return make_encoder(tmp_path / "bert", "bert")


class TestInOrder:
    @pytest.mark.parametrize("architecture", DECODERS)
    def test_decoders(self, architecture: str) -> None:
        findings = probe_all(decoder(architecture))
        assert len(findings) == len({finding.name for finding in findings}) == len(PROBES)
        assert [finding for finding in findings if finding.status == "failed"] == []
        passed = {finding.name: finding.found for finding in findings if finding.status == "ok"}
        assert passed["attention"] == "causal"
        assert passed["sharing"].startswith("3 sessions in one pass: vectors within ")
        assert passed["sharing"].endswith(", the same first 4 words")
        assert passed["writing"].startswith("with ")

    @pytest.mark.parametrize("architecture", ["bert", "roberta"])
    def test_encoders(self, tmp_path: Path, architecture: str) -> None:
        findings = {finding.name: finding for finding in probe_all(loaded(make_encoder(tmp_path / "e", architecture), **MEAN))}
        assert {name for name, finding in findings.items() if finding.status == "skipped"} == {"head after pooling", "sharing", "writing"}
        assert not [finding for finding in findings.values() if finding.status == "failed"]
        assert findings["attention"].found == "bidirectional"
        assert findings["pooled tokens"].found.startswith("the mean of ")

    @pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
    def test_half_precisions_have_a_tolerance_and_it_is_said(self, llama: Path, dtype: str) -> None:
        half = assemble(ModelConfig(model=str(llama), device="cpu", dtype=dtype, profile=LAST), "decoder", offline=True)  # type: ignore[arg-type]
        findings = {finding.name: finding for finding in probe_all(half)}
        assert not [finding for finding in findings.values() if finding.status == "failed"]
        assert f"is equal in {dtype}" in findings["batches"].found
        assert f"is equal in {dtype}" in findings["sharing"].found

    def test_a_decoder_whose_attention_is_opened(self) -> None:
        findings = {
            finding.name: finding for finding in probe_all(decoder("mistral", pooling="mean", attention="bidirectional", closing=()))
        }
        assert findings["attention"].found == "bidirectional"
        assert findings["closing tokens"] == Finding("closing tokens", "ok", "none")
        assert findings["writing"].status == "ok"


class TestHead:
    def test_trained_and_not(self, tmp_path: Path) -> None:
        profile = {"pooling": "cls", "attention": "bidirectional", "normalize": False, "head": "ance"}
        folder = make_encoder(tmp_path / "ance", "roberta", ance=True)
        assert token_probes.head(loaded(folder, **profile)).found == "ance: 64 to 64, then LayerNorm"
        change_tensors(folder / "model.safetensors", **{"norm.weight": torch.ones(64), "norm.bias": torch.zeros(64)})
        fails(token_probes.head(loaded(folder, **profile)), "its LayerNorm is as initialised")


class TestTokens:
    def test_which_token_pads(self, llama: Path, bert: Path) -> None:
        finding = token_probes.pad_token(loaded(llama, **LAST))
        assert (finding.status, finding.do) == ("repaired", "'<unk>' is used, and masked")
        assert token_probes.pad_token(loaded(bert, **MEAN)) == Finding("pad token", "ok", "'[PAD]'")

    def test_a_tokenizer_that_closes_too_closes_once(self, llama: Path) -> None:
        def close(tokenizer: dict[str, Any]) -> None:
            tokenizer["post_processor"]["single"].append({"SpecialToken": {"id": "</s>", "type_id": 0}})

        change_tokenizer(llama, close)
        found = loaded(llama, **LAST)
        assert found.tokenizer("why")["input_ids"][-1] == 2
        assert token_probes.sent(found)["passage"].count(2) == 1
        assert token_probes.closing_tokens(found).status == "ok"

    def test_a_form_that_closes_too_closes_twice(self, llama: Path) -> None:
        fails(token_probes.closing_tokens(loaded(llama, **LAST, query_suffix="</s>")), "a session ends with ['</s>', '</s>']")
        fails(token_probes.closing_tokens(loaded(llama, **LAST, passage_suffix="</s>")), "a passage ends with ['</s>', '</s>']")

    def test_closing_tokens_that_nobody_names(self, llama: Path) -> None:
        finding = token_probes.closing_tokens(loaded(llama, pooling="last", attention="causal"))
        assert (finding.status, finding.do) == ("repaired", "['</s>'] is appended")
        said = "pooling: last would read the text's last word, as nothing closes an input; name closing tokens"
        assert said in refusal(llama, pooling="last", attention="causal", closing=[])
        change_json(llama / "tokenizer_config.json", eos_token=None)
        assert said in refusal(llama, pooling="last", attention="causal")

    def test_an_opening_token_twice_by_the_form(self, llama: Path) -> None:
        finding = fails(token_probes.one_opening(loaded(llama, **LAST, query_prefix="<s>query: ")), "a session begins with ['<s>', '<s>']")
        assert "the session's form: the tokenizer writes it" in finding.do
        fails(token_probes.one_opening(loaded(llama, **LAST, passage_prefix="<s>")), "a passage begins with")
        fails(token_probes.one_opening(loaded(llama, "decoder", **LAST, prompt={"start": "<s>user"})), "a prompt begins with")

    def test_an_opening_token_twice_by_the_tokenizer(self, llama: Path) -> None:
        def open_twice(tokenizer: dict[str, Any]) -> None:
            tokenizer["post_processor"]["single"].insert(0, {"SpecialToken": {"id": "<s>", "type_id": 0}})

        change_tokenizer(llama, open_twice)
        finding = fails(token_probes.one_opening(loaded(llama, **LAST)), "a session begins with ['<s>', '<s>']")
        assert "the tokenizer's own template" in finding.do
        assert "opening token: a session begins with ['<s>', '<s>']; expected one '<s>'" in refusal(llama, **LAST)

    def test_a_turn_that_opens_within_a_session_is_no_opening_twice(self, llama: Path) -> None:
        session = {"order": "oldest-first", "agent": "{text}</s><s>"}
        assert token_probes.one_opening(loaded(llama, **LAST, session=session)).status == "ok"

    def test_a_text_that_becomes_a_control_token(self, llama: Path) -> None:
        assert token_probes.control_tokens(loaded(llama, **LAST)).found == "2 are broken up into letters"

        def take_blanks_out(tokenizer: dict[str, Any]) -> None:
            tokenizer["normalizer"] = {"type": "Replace", "pattern": {"String": " "}, "content": ""}
            for token in tokenizer["added_tokens"]:
                token["normalized"] = True

        change_tokenizer(llama, take_blanks_out)
        change_json(llama / "tokenizer_config.json", eos_token=None)  # transformers itself never normalizes tokens that have a part to play
        fails(token_probes.control_tokens(loaded(llama, **LAST)), "'</s>' in a text becomes the token")

    def test_lengths_and_positions(self, llama: Path, bert: Path) -> None:
        assert token_probes.room(loaded(bert, **MEAN, lengths={"session": 256})).found == "session 256, passage 384 of 512 positions"
        finding = token_probes.room(loaded(llama, "decoder", **LAST))
        assert (finding.status, finding.do) == ("repaired", "lowered: session 1024 to 512, prompt 3072 to 512")
        long = {"query_prefix": "Find what answers the question of the last one who spoke: ", "lengths": {"session": 24}}
        finding = fails(token_probes.room(loaded(llama, **LAST, **long)), "a session of 24 tokens has 0 for its text")
        assert "raise lengths.session" in finding.do


class TestAttention:
    def test_an_encoder_that_is_not_causal(self, tmp_path: Path) -> None:

        torch.manual_seed(1)
        config = DistilBertConfig(vocab_size=600, dim=64, n_layers=2, n_heads=4, hidden_dim=128, initializer_range=0.2)
        DistilBertModel(config).save_pretrained(tmp_path / "distilbert")
        make_tokenizer("bert", tmp_path / "distilbert")
        wrong = {"pooling": "last", "attention": "causal"}
        finding = fails(number_probes.attention(loaded(tmp_path / "distilbert", **wrong)), "so it is bidirectional")
        assert finding.expected == "causal, as the profile says"
        said = "attention: an earlier token moves when the last one changes, so it is bidirectional; expected causal, as the profile says; "
        assert said in refusal(tmp_path / "distilbert", **wrong)
        verify(loaded(tmp_path / "distilbert", **MEAN))

    def test_a_decoder_that_stays_causal(self, llama: Path) -> None:
        """As where a model ignores the mask that it is given."""
        stubborn = loaded(llama, **MEAN)
        forward = stubborn.body.forward

        def without_mask(*arguments: Any, **given: Any) -> Any:
            return forward(*arguments, **{**given, "attention_mask": None})

        stubborn.body_arguments  # noqa: B018 - read from the signature before it is replaced
        stubborn.body.forward = without_mask
        fails(number_probes.attention(stubborn), "no earlier token moves when the last one changes, so it is causal")

    def test_numbers_that_are_none(self, bert: Path) -> None:
        weight = "embeddings.LayerNorm.weight"
        change_tensors(bert / "model.safetensors", **{weight: torch.full((64,), float("nan"))})
        fails(number_probes.attention(loaded(bert, **MEAN)), "hidden states are not finite")
        assert "attention: hidden states are not finite" in refusal(bert, **MEAN)


class TestBatches:
    def test_positions_are_told_and_not_counted_from_padding(self, tmp_path: Path) -> None:
        """RoBERTa counts its positions from config.json's padding token; a tokenizer may pad with another one."""
        folder = make_encoder(tmp_path / "roberta", "roberta")
        change_json(folder / "tokenizer_config.json", pad_token="<mask>")
        assert number_probes.batches(loaded(folder, **MEAN)).status == "ok"

    def test_frequencies_that_depend_on_the_longest_text(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(config_files, "_positions_at_first", lambda settings: [])  # they are kept from growing so long
        folder = long_rope(tmp_path, 20)
        fails(number_probes.batches(loaded(folder, **LAST)), "changes by ")
        assert "batches: a text of " in refusal(folder, **LAST)


def long_rope(tmp_path: Path, tokens: int) -> Path:
    """A decoder that turns to other rotary frequencies once a batch holds more than some tokens."""
    factors = {"short_factor": [1.0] * 8, "long_factor": [8.0] * 8}
    rope = {"rope_type": "longrope", "rope_theta": 10000.0, "original_max_position_embeddings": tokens, "factor": 2.0, **factors}
    return make_causal(tmp_path / "longrope", "llama", rope_parameters=rope)


class TestPooledTokens:
    def test_what_is_read(self, llama: Path) -> None:
        assert number_probes.pooled_tokens(loaded(llama, **LAST)).found.startswith("'</s>', token ")
        first = loaded(llama, pooling="cls", attention="bidirectional")
        assert number_probes.pooled_tokens(first).found.startswith("'<s>', token 1 of ")

    def test_a_word_of_the_text(self, tmp_path: Path) -> None:
        qwen = make_causal(tmp_path / "qwen", "qwen3")
        finding = number_probes.pooled_tokens(loaded(qwen, pooling="cls", attention="bidirectional"))
        assert fails(finding, "the text's first token").expected == "an opening token"

    def test_an_instruction_that_takes_a_word_of_the_text_with_it(self, llama: Path) -> None:
        profile = {"pooling": "mean", "attention": "bidirectional", "pool_prefix": False}
        assert number_probes.pooled_tokens(loaded(llama, **profile, query_prefix="find:\n")).status == "ok"
        finding = fails(number_probes.pooled_tokens(loaded(llama, **profile, query_prefix="find: ")), "'find: ' and the first word")
        assert "end the prefix with a line break" in finding.do


class TestVectors:
    def test_in_order(self, bert: Path) -> None:
        assert number_probes.vectors(loaded(bert, **MEAN)).found == "64 numbers, length 1"
        assert number_probes.vectors(loaded(bert, **MEAN, normalize=False)).found.startswith("64 numbers, length ")
        assert "length 1" not in number_probes.vectors(loaded(bert, **MEAN, normalize=False)).found.replace("length 1 ", "")

    def test_nothing_comes_out(self, llama: Path) -> None:
        change_tensors(llama / "model.safetensors", **{"model.norm.weight": torch.zeros(64)})
        fails(number_probes.vectors(loaded(llama, **LAST)), "of length 0")

    def test_no_numbers(self, bert: Path) -> None:
        change_tensors(bert / "model.safetensors", **{"embeddings.LayerNorm.weight": torch.full((64,), float("inf"))})
        fails(number_probes.vectors(loaded(bert, **MEAN)), "not finite")

    def test_the_first_token_of_a_causal_model_sees_no_text(self, llama: Path) -> None:
        finding = fails(number_probes.vectors(loaded(llama, pooling="cls", attention="causal")), "two texts have the same one")
        assert "pooling cls of causal attention sees nothing of the text" in finding.do


class TestSharing:
    def test_why_not(self, llama: Path) -> None:
        for profile, reason in (
            (MEAN, "pooling mean reads tokens within the session"),
            (
                {"pooling": "last", "attention": "bidirectional", "closing": ["</s>"]},
                "its tokens see what follows them, or nothing tells that they do not",
            ),
            ({**LAST, "session": {"order": "newest-first"}}, "a turn's session does not begin with the session before it"),
        ):
            finding = number_probes.sharing(loaded(llama, "decoder", **profile))
            assert (finding.status, finding.found) == ("skipped", f"sessions are read one by one: {reason}")

    def test_a_model_that_remembers_otherwise_than_it_reads(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(config_files, "_positions_at_first", lambda settings: [])  # they are kept from growing so long
        session = {"order": "oldest-first", "user": "user: {text}\n", "agent": "agent: {text}\n", "separator": ""}
        finding = number_probes.sharing(loaded(long_rope(tmp_path, 60), "decoder", **LAST, session=session))
        fails(finding, "a conversation read once gives vectors that differ by ")


class TestWriting:
    def test_who_does_not(self, llama: Path, bert: Path) -> None:
        assert number_probes.writing(loaded(bert, **MEAN)).found == "no head that writes: it is a retriever"
        assert number_probes.writing(loaded(llama, **LAST, responds=False)).found == "the profile says responds: false"

    def test_a_head_of_nothing(self, llama: Path) -> None:
        assert number_probes.writing(loaded(llama, "decoder", **LAST)).status == "ok"
        head = load_file(llama / "model.safetensors")["lm_head.weight"]
        change_tensors(llama / "model.safetensors", **{"lm_head.weight": torch.zeros_like(head)})
        fails(number_probes.writing(loaded(llama, "decoder", **LAST)), "its scores of next words are all alike")


class TestExamine:
    def test_an_adapter(self, llama: Path, tmp_path: Path) -> None:
        adapter = make_adapter(tmp_path / "repllama-v1-7b-lora-passage", llama, headless=True)
        examined = examine(ModelConfig(model=str(adapter), device="cpu"), offline=True)
        assert examined.failure is None
        assert examined.profile == "the built-in profile 'repllama'"
        assert ", adapter of 8 tensors on " in examined.findings[0].found
        assert examined.sent.keys() == {"session", "passage"}
        assert examined.sent["session"].tokens[-1] == "</s>"

    def test_two_encoders_must_fit_each_other(self, tmp_path: Path) -> None:
        for name, size in (("query", 64), ("passages", 64), ("smaller", 32)):
            make_encoder(tmp_path / name, "bert", hidden_size=size)
        for other, status in (("passages", "ok"), ("smaller", "failed")):
            profile = {**MEAN, "passage_model": f"../{other}"}
            examined = examine(ModelConfig(model=str(tmp_path / "query"), device="cpu", profile=profile), offline=True)
            (finding,) = (finding for finding in examined.findings if finding.name == "other encoder")
            assert finding.status == status
            assert f"{other}@" in finding.found

    def test_a_turn_that_has_no_room(self, llama: Path) -> None:
        config = ModelConfig(model=str(llama), device="cpu", profile={**LAST, "lengths": {"session": 12}})
        examined = examine(config, offline=True)
        assert examined.sent == {}
        assert "the question alone has " in examined.findings[-1].found
        assert examined.findings[-1].status == "failed"
