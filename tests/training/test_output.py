from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from backends.checkpoints import make_adapter, make_causal, make_encoder
from backends.small import CLOSING, folder_of
from command_line import succeed
from training.facts import facts

from convbench.backends.loaded import load
from convbench.backends.placement import ModelConfig
from convbench.backends.profile import Profile
from convbench.backends.tokens import InputForm
from convbench.errors import InvariantError, ResourceError, StorageError, UsageError
from convbench.training.output import write_adapter, write_checkpoint, write_merged

pytestmark = pytest.mark.slow  # they train, some of them in several processes

TEXTS = ("who built the bridge", "agent: it was built in 1933, by many")


def profile(kind: str, **values: Any) -> Profile:
    return Profile(
        **{
            "pooling": "last",
            "attention": "causal",
            "closing": CLOSING.get(kind, ("</s>",)),
            "session": {"order": "oldest-first", "user": "user: {text}\n", "agent": "agent: {text}\n", "separator": ""},
            "lengths": {"session": 128, "passage": 96, "evidence": 96, "prompt": 256},
            **values,
        }
    )


@cache
def plain(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)


def trained(model: Any, tokenizer: Any) -> Any:
    import torch

    rates = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(rates, lr=0.5)
    for _ in range(2):
        ids = tokenizer(TEXTS[1], return_tensors="pt").input_ids
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval()


def fresh(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    return trained(AutoModelForCausalLM.from_pretrained(folder), tokenizer), tokenizer


def logits(model: Any, tokenizer: Any) -> list[Any]:
    import torch

    with torch.no_grad():
        return [model(**tokenizer(text, return_tensors="pt")).logits for text in TEXTS]


def assert_same(one: list[Any], other: list[Any], within: float = 1e-6) -> None:
    for first, second in zip(one, other, strict=True):
        assert (first - second).abs().max() <= within


def runs(folder: Path, out: Path) -> dict[str, Any]:
    found = succeed("check", folder, "--offline", "--json").json
    states = {each["name"]: each["status"] for each in found["findings"]}
    assert "failed" not in states.values()
    succeed("run", folder, "-d", "topiocqa", "--limit", 2, "--offline", "--out", out)
    _header, *turns = [json.loads(line) for line in (out / "turns.jsonl").read_text(encoding="utf-8").splitlines()]
    assert all(turn["passages"] for turn in turns)
    return {"states": states, "turns": turns}


@pytest.mark.parametrize("kind", ["llama", "bert", "qwen3"])
def test_a_trained_model_comes_back_as_it_was(kind: str, tmp_path: Path) -> None:
    model, tokenizer = fresh(folder_of(kind))
    before = logits(model, tokenizer)
    folder = tmp_path / "trained"
    write_checkpoint(model, tokenizer, profile(kind), facts(), folder)
    assert_same(before, logits(*plain(folder)))
    here = load(ModelConfig(model=str(folder)), "decoder", offline=True)
    assert_same(before, logits(here.model, here.tokenizer))
    found = runs(folder, tmp_path / "run")
    assert found["states"]["writing"] == "ok"
    assert all(turn["response"] is not None for turn in found["turns"])  # random weights may end a response at once


def test_a_trained_bert_decoder_is_causal_for_plain_transformers(tmp_path: Path) -> None:
    model, tokenizer = fresh(folder_of("bert"))
    before = logits(model, tokenizer)
    model.config.is_decoder = False  # as after encoding in both directions
    write_checkpoint(model, tokenizer, profile("bert", pooling="mean", attention="bidirectional"), facts(), tmp_path / "trained")
    assert plain(tmp_path / "trained")[0].config.is_decoder
    assert_same(before, logits(*plain(tmp_path / "trained")))
    assert runs(tmp_path / "trained", tmp_path / "run")["states"]["attention"] == "ok"


def test_what_encodes_and_responds_here_gives_the_vectors_it_gave_before(tmp_path: Path) -> None:
    import torch

    from convbench.backends.encode import encode_batch

    values = profile("llama").model_dump(mode="json")
    before = load(ModelConfig(model=str(folder_of("llama")), profile=values), "decoder", offline=True)
    with torch.no_grad():
        for weight in before.model.parameters():
            weight.add_(0.01 * torch.randn_like(weight))
    write_checkpoint(before.model, before.tokenizer, before.profile, facts(), tmp_path / "trained")
    after = load(ModelConfig(model=str(tmp_path / "trained")), "decoder", offline=True)
    assert after.profile == before.profile
    assert isinstance(after.form, InputForm)
    inputs = [[*before.form.opening, 50, 51, 52, *before.form.closing], [*before.form.opening, 70, *before.form.closing]]
    same = encode_batch(after, inputs, skip=0, padding="right") - encode_batch(before, inputs, skip=0, padding="right")
    assert abs(same).max() <= 1e-6


def test_a_head_that_is_the_embeddings_is_not_written_and_still_writes(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModel

    encoder = make_encoder(tmp_path / "encoder", "bert")
    values = profile("bert", lm_head="embeddings").model_dump(mode="json")
    before = load(ModelConfig(model=str(encoder), profile=values), "decoder", offline=True)
    trained(before.model, before.tokenizer)
    ids = before.tokenizer(TEXTS[0], return_tensors="pt").input_ids
    folder = tmp_path / "trained"
    with torch.no_grad():
        expected = before.model(input_ids=ids).logits
        write_checkpoint(before.model, before.tokenizer, before.profile, facts(), folder)
        here = load(ModelConfig(model=str(folder)), "decoder", offline=True).model(input_ids=ids).logits
        body = AutoModel.from_pretrained(folder, add_pooling_layer=False).eval()
        elsewhere = body(input_ids=ids).last_hidden_state @ body.get_input_embeddings().weight.T
    assert_same([expected, expected], [here, elsewhere])
    runs(folder, tmp_path / "run")
    assert "would add a head with random weights" in (folder / "README.md").read_text(encoding="utf-8")


def test_weights_are_sharded_above_a_size(tmp_path: Path) -> None:
    model, tokenizer = fresh(folder_of("llama"))
    write_checkpoint(model, tokenizer, profile("llama"), facts(), tmp_path / "trained", shard_size="100KB")
    files = sorted(path.name for path in (tmp_path / "trained").glob("model*"))
    assert "model.safetensors.index.json" in files
    assert len(files) > 2
    assert_same(logits(model, tokenizer), logits(*plain(tmp_path / "trained")))


def test_gathered_weights_are_written_in_place_of_the_models_own(tmp_path: Path) -> None:
    import torch

    model, tokenizer = fresh(folder_of("llama"))
    gathered = {name: weight.clone() for name, weight in model.state_dict().items()}
    before = logits(model, tokenizer)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    write_checkpoint(model, tokenizer, profile("llama"), facts(), tmp_path / "trained", weights=gathered)
    assert_same(before, logits(*plain(tmp_path / "trained")))


def adapted(folder: Path) -> tuple[Any, Any, Path]:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = make_causal(folder / "base", "llama", seed=7)
    adapter = make_adapter(folder / "made", base)
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(adapter), is_trainable=True)
    return trained(model, tokenizer), tokenizer, base


def test_an_adapter_comes_back_alone(tmp_path: Path) -> None:
    from safetensors import safe_open

    model, tokenizer, base = adapted(tmp_path)
    before, folder = logits(model, tokenizer), tmp_path / "trained"
    write_adapter(model, tokenizer, profile("llama"), facts(), str(base), folder)
    assert_same(before, logits(*plain(folder)))
    assert not list(folder.glob("model*"))
    with safe_open(folder / "adapter_model.safetensors", "pt") as file:
        assert all("lora_" in name for name in file.keys())  # noqa: SIM118 - it is no mapping
    assert json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))["base_model_name_or_path"] == str(base.resolve())
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "library_name: peft" in text
    assert "is a LoRA adapter" in text
    runs(folder, tmp_path / "run")


def test_a_merged_adapter_needs_no_base_and_leaves_training_undisturbed(tmp_path: Path) -> None:
    model, tokenizer, base = adapted(tmp_path)
    before = logits(model, tokenizer)
    weights = {name: weight.clone() for name, weight in model.state_dict().items()}
    write_merged(model, tokenizer, profile("llama"), facts(), tmp_path / "trained")
    after = model.state_dict()
    assert all((after[name] == weight).all() for name, weight in weights.items())
    base.rename(tmp_path / "gone")
    assert_same(before, logits(*plain(tmp_path / "trained")), within=1e-4)  # merging rounds
    runs(tmp_path / "trained", tmp_path / "run")


def test_an_adapter_does_not_take_its_bases_place(tmp_path: Path) -> None:
    model, tokenizer, base = adapted(tmp_path)
    with pytest.raises(UsageError, match="is the base model's folder"):
        write_adapter(model, tokenizer, profile("llama"), facts(), str(base), base)


def test_an_adapter_that_is_no_numbers_is_not_written(tmp_path: Path) -> None:
    import torch

    model, tokenizer, base = adapted(tmp_path)
    with torch.no_grad():
        next(weight for name, weight in model.named_parameters() if "lora_B" in name)[0, 0] = float("inf")
    with pytest.raises(InvariantError, match="lora_B"):
        write_adapter(model, tokenizer, profile("llama"), facts(), str(base), tmp_path / "trained")
    with pytest.raises(InvariantError, match="q_proj"):
        write_merged(model, tokenizer, profile("llama"), facts(), tmp_path / "trained")
    assert not (tmp_path / "trained").exists()


def state_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_newer_checkpoint_replaces_the_earlier_one(tmp_path: Path) -> None:
    model, tokenizer = fresh(folder_of("llama"))
    folder = tmp_path / "best"
    write_checkpoint(model, tokenizer, profile("llama"), facts(), folder, shard_size="100KB")
    trained(model, tokenizer)
    write_checkpoint(model, tokenizer, profile("llama"), facts(steps=77), folder)
    assert_same(logits(model, tokenizer), logits(*plain(folder)))
    assert [path.name for path in folder.glob("model*")] == ["model.safetensors"]
    assert json.loads((folder / "training.json").read_text(encoding="utf-8"))["steps"] == 77
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


def test_what_a_crash_between_the_renames_left_is_put_back(tmp_path: Path) -> None:
    model, tokenizer = fresh(folder_of("llama"))
    folder = tmp_path / "best"
    write_checkpoint(model, tokenizer, profile("llama"), facts(), folder)
    kept = state_of(folder)
    folder.rename(tmp_path / ".best.earlier")
    tokenizer.add_tokens(["<extra>"])
    with pytest.raises(ResourceError, match="embeddings for 600"):
        write_checkpoint(model, tokenizer, profile("llama"), facts(), folder)
    assert state_of(folder) == kept


def test_what_a_killed_writer_left_is_cleared_away(tmp_path: Path) -> None:
    model, tokenizer = fresh(folder_of("llama"))
    for name in (".best.new", "..best.new.123.tmp"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(b"half")
    write_checkpoint(model, tokenizer, profile("llama"), facts(), tmp_path / "best")
    assert [path.name for path in tmp_path.iterdir()] == ["best"]
    assert_same(logits(model, tokenizer), logits(*plain(tmp_path / "best")))


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """As a quota does, writing more to a file fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# Files of weights have up to 19,712 bytes here, and the tokenizer has more than 25,000.
@pytest.mark.parametrize(("size", "written"), [(500, "nothing"), (10_000, "config.json"), (25_000, "weights")])
def test_where_writing_fails_the_last_good_checkpoint_stays(size: int, written: str, tmp_path: Path) -> None:
    narrow = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8, "num_hidden_layers": 1}
    model, tokenizer = fresh(make_causal(tmp_path / "narrow", "llama", **narrow))
    folder = tmp_path / "out" / "best"
    write_checkpoint(model, tokenizer, profile("llama"), facts(steps=1), folder, shard_size="20KB")
    kept = state_of(folder)
    sizes = {name: len(content) for name, content in kept.items()}
    whole = {"nothing": 0, "config.json": sizes["config.json"], "weights": max(sizes[name] for name in sizes if name.startswith("model"))}
    assert whole[written] < size < sizes["tokenizer.json"]
    with largest_file(size), pytest.raises(StorageError, match="cannot write: a file would be larger than is allowed here"):
        write_checkpoint(model, tokenizer, profile("llama"), facts(steps=2), folder, shard_size="20KB")
    assert state_of(folder) == kept
    assert [path.name for path in folder.parent.iterdir()] == ["best"]
    write_checkpoint(model, tokenizer, profile("llama"), facts(steps=2), folder, shard_size="20KB")
    assert state_of(folder) != kept


def test_a_card_that_cannot_be_written_keeps_the_checkpoint_away(tmp_path: Path) -> None:
    model, tokenizer = fresh(folder_of("llama"))
    folder = tmp_path / "out" / "best"
    with pytest.raises(UsageError, match="a fact is no plain value"):
        write_checkpoint(model, tokenizer, profile("llama"), facts(settings={"rate": float("nan")}), folder)
    assert list(folder.parent.iterdir()) == []


def test_a_folder_that_cannot_be_written_to_is_a_storage_error(tmp_path: Path) -> None:
    model, tokenizer = fresh(folder_of("llama"))
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="a file stands where a folder is needed"):
        write_checkpoint(model, tokenizer, profile("llama"), facts(), tmp_path / "file" / "best")
    with pytest.raises(UsageError, match="is a file"):
        write_checkpoint(model, tokenizer, profile("llama"), facts(), tmp_path / "file")


@pytest.mark.parametrize("name", ["log.jsonl", "config.json", "run/results.json"])
def test_what_training_did_not_write_is_never_replaced(name: str, tmp_path: Path) -> None:
    model, tokenizer = fresh(folder_of("llama"))
    folder = tmp_path / "mine"
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_text("{}")
    with pytest.raises(UsageError, match="would be lost"):
        write_checkpoint(model, tokenizer, profile("llama"), facts(), folder)
    assert (folder / name).read_text() == "{}"


def test_weights_that_are_no_numbers_are_not_written(tmp_path: Path) -> None:
    import torch

    model, tokenizer = fresh(folder_of("llama"))
    folder = tmp_path / "best"
    write_checkpoint(model, tokenizer, profile("llama"), facts(), folder)
    kept = state_of(folder)
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight[3, 4] = float("nan")
    with pytest.raises(InvariantError, match=r"layers\.1\.mlp\.up_proj\.weight"):
        write_checkpoint(model, tokenizer, profile("llama"), facts(), folder)
    assert state_of(folder) == kept


def test_a_profile_that_the_model_does_not_have_the_parts_for_is_refused(tmp_path: Path) -> None:
    from transformers import AutoModel, AutoTokenizer

    encoder = make_encoder(tmp_path / "encoder", "bert")
    model, tokenizer = AutoModel.from_pretrained(encoder), AutoTokenizer.from_pretrained(encoder)
    with pytest.raises(UsageError, match="has no head that writes"):
        write_checkpoint(model, tokenizer, profile("bert", responds=True), facts(), tmp_path / "trained")
    with pytest.raises(UsageError, match="head 'ance'"):
        write_checkpoint(model, tokenizer, profile("bert", head="ance"), facts(), tmp_path / "trained")
    assert not (tmp_path / "trained").exists()


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    small = make_causal(tmp_path / "small", "llama", vocab_size=600)
    model, tokenizer = fresh(small)
    tokenizer.add_tokens(["<extra>"])
    with pytest.raises(ResourceError, match="embeddings for 600"):
        write_checkpoint(model, tokenizer, profile("llama"), facts(), tmp_path / "trained")
    assert not (tmp_path / "trained").exists()


def test_no_place_on_this_machine_is_in_what_is_written(tmp_path: Path) -> None:
    values = profile("llama").model_dump(mode="json")
    loaded = load(ModelConfig(model=str(folder_of("llama")), profile=values), "decoder", offline=True)
    folder = tmp_path / "trained"
    write_checkpoint(loaded.model, loaded.tokenizer, loaded.profile, facts(), folder)
    for path in folder.iterdir():
        assert str(tmp_path).encode() not in path.read_bytes(), path.name
        assert str(folder_of("llama")).encode() not in path.read_bytes(), path.name
    assert "local_files_only" not in (folder / "tokenizer_config.json").read_text(encoding="utf-8")
