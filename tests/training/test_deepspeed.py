from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils.launch import prepare_deepspeed_cmd_env
from backends.small import folder_of
from training.comparing import lines
from training.joint import trainable
from training.launched import TORCHRUN, assert_same_losses, assert_same_weights, children, finished, start, trained, updates, wait_for
from training.tiny_recipe import values, written

from convbench.errors import ResourceError, UsageError
from convbench.systems.catalog import shipped
from convbench.training.adapting import LoraSettings
from convbench.training.memory import Chunk, bare_model, estimate_memory
from convbench.training.plan import Plan
from convbench.training.processes import open_accelerator
from convbench.training.schedule import learner
from convbench.training.train_settings import TrainSettings
from convbench.training.trainable import TrainableSettings
from convbench.training.zero import with_zero
from convbench.training.zero_asked import ASKED, check_plugin, zero_stage

CONFIGURATION = shipped("baselines") / "unified-paper" / "accelerate-deepspeed.yaml"
INSTALLED = importlib.util.find_spec("deepspeed") is not None


def environment() -> dict[str, str]:
    """What accelerate's launcher tells the processes that it starts with the shipped configuration."""
    told, read, _ = _validate_launch_command(launch_command_parser().parse_args(["--config_file", str(CONFIGURATION), "script.py"]))
    assert (told.use_deepspeed, told.num_processes) == (True, 8)
    told.deepspeed_fields_from_accelerate_config = ",".join(read.deepspeed_config)  # as `accelerate launch` does
    own = prepare_deepspeed_cmd_env(told)[1]
    return {name: value for name, value in own.items() if name not in os.environ and name != "PYTHONPATH"}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment().items():
        monkeypatch.setenv(name, value)


def test_without_the_launcher_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ASKED, raising=False)
    assert zero_stage() is None


def test_the_shipped_configuration_is_understood(asked: None) -> None:
    assert zero_stage() == 2


@pytest.mark.parametrize("stage", [0, 3])
def test_stages_that_are_not_done_are_refused_before_anything_is_opened(asked: None, monkeypatch: pytest.MonkeyPatch, stage: int) -> None:
    monkeypatch.setenv("ACCELERATE_DEEPSPEED_ZERO_STAGE", str(stage))
    settings = TrainSettings.model_validate({"steps": 2, "batch_size": 2, "learning_rate": 1e-3, "device": "cpu"})
    with pytest.raises(UsageError, match=f"accelerate is set to ZeRO stage {stage}"):
        open_accelerator(settings)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"zero_optimization": {"stage": 2, "offload_optimizer": {"device": "cpu"}}}, r"offload_optimizer \(cpu\)"),
    ({"zero_optimization": {"stage": 2, "offload_param": {"device": "nvme"}}}, r"offload_param \(nvme\)"),
    ({"zero_optimization": {"stage": 2, "round_robin_gradients": True}}, "sets round_robin_gradients of ZeRO"),
    ({"gradient_clipping": 1.0}, r"gradient_clipping \(1.0\): leave it out, as max_gradient_norm"),
    ({"gradient_accumulation_steps": 4}, r"gradient_accumulation_steps \(4\)"),
    ({"fp16": {"enabled": True}}, "precision of the training is fp32 or bf16"),
    ({"optimizer": {"type": "Lamb"}}, "sets optimizer: the training's settings say that"),
]


@pytest.mark.parametrize(("changes", "said"), REFUSED)
def test_what_would_not_be_done_is_refused(changes: dict[str, Any], said: str) -> None:
    check_plugin({"zero_optimization": {"stage": 1}, "gradient_clipping": "auto", "gradient_accumulation_steps": 1})
    with pytest.raises(UsageError, match=said):
        check_plugin({"zero_optimization": {"stage": 1}, **changes})


def test_a_process_alone_has_nobody_to_share_with(asked: None) -> None:
    model = trainable("llama").module
    made = learner(model, TrainSettings.model_validate({"steps": 2, "batch_size": 2, "learning_rate": 1e-3}), 2)
    with pytest.raises(UsageError, match="several processes, and there is one"):
        with_zero(made)


@pytest.mark.parametrize("lora", [None, LoraSettings(r=4)])
def test_moments_and_a_copy_of_what_is_learnt_are_shared_out_and_nothing_else(lora: LoraSettings | None) -> None:
    model = bare_model(trainable("llama").loaded.model)
    whole, zero = (
        estimate_memory(model, TrainableSettings(lora=lora), Chunk(512, 64, 20), name="x", precision="fp32", processes=over, zero=over > 1)
        for over in (1, 4)
    )
    part = -(-whole.learnt // 4) * 4
    assert (zero.weights, zero.moments) == (whole.weights + part, 2 * part)
    assert (zero.gradients, zero.computing, zero.activations) == (whole.gradients, whole.computing, whole.activations)


def test_a_plan_in_words() -> None:
    assert Plan(8, "DeepSpeed ZeRO-2", "cuda", "bf16", 64, 2).describe() == (
        "8 processes (DeepSpeed ZeRO-2) on cuda in bf16: batches of at most 64 examples, 8 for each; 2 batches an update"
    )
    assert Plan(1, "whole models", "cpu", "fp32", 6, 1).describe() == "1 process on cpu in fp32: batches of at most 6 examples"


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recipe")
    model = shutil.copytree(folder_of("llama"), folder / "llama")
    training = {"training__batch_size": 8, "training__save_every": 5, "training__steps": 12, "training__weight_decay": 0.1}
    own: dict[str, Any] = {**training, "mixture__sources__topi__limit": 4, "evaluation": {}, "tuning": {"dropout": 0.0}}
    return written(folder, values(model__model=str(model), objectives__chunk_tokens=300, **own))


@pytest.mark.slow
@pytest.mark.skipif(INSTALLED, reason="it is about a machine without DeepSpeed")
def test_without_deepspeed_one_line_says_what_to_install(recipe: Path, tmp_path: Path) -> None:
    code, _, error = finished(start(TORCHRUN, recipe, "--out", tmp_path / "out", **environment()))
    assert code == 1
    assert "error: the launcher asks for DeepSpeed, which cannot be imported (No module named 'deepspeed'): pip install deepspeed" in error
    assert ResourceError.exit_code == 5


NEEDED = [pytest.mark.slow, pytest.mark.skipif(not INSTALLED, reason="it needs pip install deepspeed")]


def needs_deepspeed(test: Any) -> Any:
    """It runs DeepSpeed in two processes."""
    for mark in NEEDED:
        test = mark(test)
    return test


@pytest.fixture(scope="module")
def told() -> dict[str, str]:
    return environment()


@pytest.fixture(scope="module")
def whole(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "out"
    trained((), recipe, folder)
    return folder


@pytest.fixture(scope="module")
def shared(recipe: Path, tmp_path_factory: pytest.TempPathFactory, told: dict[str, str]) -> Path:
    folder = tmp_path_factory.mktemp("shared") / "out"
    trained(TORCHRUN, recipe, folder, **told)
    return folder


@needs_deepspeed
def test_they_learn_what_one_process_learns_with_the_same_batches(whole: Path, shared: Path) -> None:
    assert_same_losses(whole, shared, rel=2e-5)
    assert_same_weights(whole, shared, rel=2e-5)


@needs_deepspeed
def test_a_checkpoint_has_the_moments_of_a_whole_optimizer(whole: Path, shared: Path) -> None:
    paths = (folder / "checkpoints" / "step-00000012" / "training.pt" for folder in (whole, shared))
    one, other = (torch.load(path, weights_only=True)["optimizer"] for path in paths)
    assert one["param_groups"] == other["param_groups"]
    assert one["state"].keys() == other["state"].keys()
    for number, state in one["state"].items():
        assert state["step"] == other["state"][number]["step"]
        for name in ("exp_avg", "exp_avg_sq"):
            assert (state[name] - other["state"][number][name]).norm() <= 1e-4 * state[name].norm()


@needs_deepspeed
def test_where_one_is_killed_training_goes_on_with_the_same_numbers(
    recipe: Path, shared: Path, tmp_path: Path, told: dict[str, str]
) -> None:
    out = tmp_path / "out"
    process = start(TORCHRUN, recipe, "--out", out, **told)
    wait_for(7, out)
    os.kill(children(process)["1"], signal.SIGKILL)
    assert finished(process)[0] == 1
    assert 5 <= len(updates(out)) < 12
    shutil.copytree(out, tmp_path / "other")
    trained(TORCHRUN, recipe, out, **told)
    assert lines(out) == lines(shared)
    assert_same_weights(out, shared, rel=0.0)
    trained(TORCHRUN, recipe, tmp_path / "other")  # without DeepSpeed
    assert_same_losses(out, tmp_path / "other", rel=2e-5)


@needs_deepspeed
def test_a_dry_run_shows_the_plan(recipe: Path, told: dict[str, str]) -> None:
    code, out, error = finished(start(TORCHRUN, recipe, "--dry-run", "--json", **told))
    assert code == 0, error
    found = json.loads(out.splitlines()[-1])
    assert found["plan"] == {
        "processes": 2,
        "way": "DeepSpeed ZeRO-2",
        "device": "cpu",
        "precision": "fp32",
        "batch_size": 8,
        "gradient_accumulation": 1,
    }
    assert [(each["processes"], each["zero"]) for each in found["memory"]] == [(1, False), (2, False), (2, True)]
