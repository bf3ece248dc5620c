from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import launch_command_parser
from accelerate.utils import FullyShardedDataParallelPlugin
from backends.checkpoints import make_causal
from torch import Tensor
from training import sharded_training
from training.sharded_training import opened

from convbench.errors import UsageError
from convbench.systems.catalog import shipped
from convbench.training.adapting import LoraSettings
from convbench.training.checkpoints import load_weights
from convbench.training.log import read_log
from convbench.training.sharding import check_plugin

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]  # they train in several processes

TESTS = Path(__file__).parents[1]
CONFIGURATION = shipped("baselines") / "unified-paper" / "accelerate-fsdp.yaml"


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("checkpoints")
    return {name: str(make_causal(folder / name, name)) for name in ("qwen3", "llama")}


def launched(launcher: list[str], folder: Path, checkpoints: dict[str, str], cases: str) -> None:
    """The cases in the processes that a launcher starts."""
    told = [str(TESTS / "training" / "sharded_training.py"), str(folder), json.dumps(checkpoints), cases]
    own = {"PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", *launcher, *told]
    with subprocess.Popen(command, env=os.environ | own, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            _, error = process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # the launcher and what it started
            raise
    assert process.returncode == 0, error[-5000:]


def with_parts(folder: Path) -> list[str]:
    """accelerate's launcher with the shipped configuration, but for the machine."""
    text = CONFIGURATION.read_text(encoding="utf-8")
    for there, here in {"num_processes: 8": "num_processes: 2", "use_cpu: false": "use_cpu: true"}.items():
        assert text.count(there) == 1
        text = text.replace(there, here)
    path = folder / "accelerate.yaml"
    path.write_text(text)
    return ["accelerate.commands.launch", "--config_file", str(path), "--main_process_port", "0"]


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory, checkpoints: dict[str, str]) -> Path:
    folder = tmp_path_factory.mktemp("sharded")
    launched(with_parts(folder), folder, checkpoints, "choosing,adapter,interrupted,headless")
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, sharded: Path, checkpoints: dict[str, str]) -> Path:
    """Two processes with a whole model each."""
    folder = tmp_path_factory.mktemp("whole")
    shutil.copytree(sharded / "copied", folder / "copied")
    launched(["torch.distributed.run", "--nproc-per-node=2", "--standalone"], folder, checkpoints, "joint,copied")
    return folder


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, one_thread: None, checkpoints: dict[str, str]) -> Path:
    """One process with whole batches."""
    folder = tmp_path_factory.mktemp("alone")
    sharded_training.choosing(folder, checkpoints)
    sharded_training.adapter(folder, checkpoints)
    return folder


def updates(folder: Path) -> list[dict[str, Any]]:
    return [line for line in read_log(folder / "train.jsonl") if "losses" in line]


def assert_same_log(one: Path, other: Path) -> None:
    assert len(updates(one)) == len(updates(other)) == 4
    for left, right in zip(updates(one), updates(other), strict=True):
        assert left["losses"].keys() == right["losses"].keys()
        assert left["tokens"] == right["tokens"]
        for name in left["losses"]:
            assert left["losses"][name] == pytest.approx(right["losses"][name], rel=1e-4, abs=1e-6), name
        assert left["gradient_norm"] == pytest.approx(right["gradient_norm"], rel=1e-4)


def facts(folder: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads((folder / f"{name}-{rank}.json").read_text()) for rank in range(2)]


def test_low_rank_matrices_alone_are_learnt(sharded: Path, checkpoints: dict[str, str]) -> None:
    model = opened(checkpoints["llama"], "llama", lora=LoraSettings(r=4, dropout=0.0))
    before = {name: tensor.clone() for name, tensor in model.module.state_dict().items()}
    load_weights(model.module, sharded / "adapter" / "checkpoints" / "step-00000004")
    moved = {name for name, tensor in model.module.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved == {name for name in before if ".lora_" in name}


def test_a_weight_that_nothing_reaches_stays(sharded: Path, checkpoints: dict[str, str]) -> None:
    model = opened(checkpoints["llama"], "llama")
    before = {name: tensor.clone() for name, tensor in model.module.state_dict().items()}
    load_weights(model.module, sharded / "headless" / "checkpoints" / "step-00000002")
    same = {name for name, tensor in model.module.state_dict().items() if torch.equal(tensor, before[name])}
    assert same == {"model.lm_head.weight"}


@pytest.mark.parametrize("case", ["choosing", "adapter"])
def test_two_processes_with_half_a_model_each_learn_what_one_does(sharded: Path, alone: Path, case: str) -> None:
    assert_same_log(sharded / case, alone / case)


def test_the_state_that_is_evaluated_is_that_of_a_whole_model(sharded: Path, alone: Path) -> None:
    found, expected = (torch.load(folder / "states.pt") for folder in (sharded, alone))
    assert found.keys() == expected.keys() == {2, 4}
    for step in found:
        assert found[step].keys() == expected[step].keys()
        for name, tensor in found[step].items():
            assert type(tensor) is Tensor
            assert torch.allclose(tensor, expected[step][name], rtol=0, atol=1e-4), name
    assert torch.equal(found[4]["model.lm_head.weight"], found[4]["model.model.embed_tokens.weight"])
    assert not torch.equal(found[4]["model.lm_head.weight"], found[2]["model.lm_head.weight"])


def test_what_is_evaluated_can_be_written_as_a_checkpoint(sharded: Path) -> None:
    states = torch.load(sharded / "states.pt")
    for step, state in states.items():
        written = opened(str(sharded / "choosing" / f"written-{step}"), "qwen3").module.state_dict()
        assert written.keys() == state.keys()
        assert all(torch.equal(tensor, state[name]) for name, tensor in written.items())


def test_processes_may_feed_other_objectives_in_other_numbers_of_chunks(sharded: Path, whole: Path) -> None:
    assert_same_log(sharded / "interrupted", whole / "joint")
    of_parts, of_wholes = facts(sharded, "interrupted"), facts(whole, "joint")
    assert of_parts[0]["chunks"] != of_parts[1]["chunks"]
    for part, entire in zip(of_parts, of_wholes, strict=True):
        assert (part["sharded"], entire["sharded"]) == (True, False)
        assert part["weights"] == pytest.approx(entire["weights"] / 2, rel=0.01)
        assert part["losses"] == pytest.approx(entire["losses"], rel=1e-4)
    assert [part["state"] for part in of_parts] == [of_wholes[0]["state"], 0]


def test_what_was_interrupted_with_parts_goes_on_with_wholes(sharded: Path, whole: Path) -> None:
    assert [line["step"] for line in updates(sharded / "copied")] == [1, 2, 3]
    assert_same_log(whole / "copied", whole / "joint")


def test_a_checkpoint_of_parts_is_that_of_a_whole_model(sharded: Path, whole: Path, checkpoints: dict[str, str]) -> None:
    states = []
    for folder in (sharded / "interrupted", whole / "joint"):
        model = opened(checkpoints["llama"], "llama")
        load_weights(model.module, folder / "checkpoints" / "step-00000004")
        states.append(model.module.state_dict())
    for name, tensor in states[0].items():
        assert torch.allclose(tensor, states[1][name], rtol=0, atol=1e-4), name
    moments = [
        torch.load(folder / "checkpoints" / "step-00000004" / "training.pt", weights_only=True)["optimizer"]["state"]
        for folder in (sharded / "interrupted", whole / "joint")
    ]
    assert moments[0].keys() == moments[1].keys()
    for number, values in moments[0].items():
        assert values["exp_avg"].shape == moments[1][number]["exp_avg"].shape
        assert torch.allclose(values["exp_avg"], moments[1][number]["exp_avg"], rtol=0, atol=1e-4)


def test_bf16_learns_and_keeps_its_weights(tmp_path: Path, alone: Path, checkpoints: dict[str, str]) -> None:
    launched(with_parts(tmp_path), tmp_path, checkpoints, "half")
    low, full = ([line["total"] for line in updates(folder / "choosing")] for folder in (tmp_path, alone))
    assert low != full
    assert low[:2] == pytest.approx(full[:2], rel=0.1)
    assert all(math.isfinite(total) for total in low)
    state = torch.load(tmp_path / "states.pt")[4]
    assert {tensor.dtype for tensor in state.values()} == {torch.float32}
    expected = torch.load(alone / "states.pt")[4]
    assert all(torch.allclose(tensor, expected[name], rtol=0, atol=0.01) for name, tensor in state.items())


def test_accelerate_reads_the_configuration() -> None:
    found = load_config_from_file(str(CONFIGURATION))
    assert (found.distributed_type.value, found.num_processes, found.mixed_precision, found.use_cpu) == ("FSDP", 8, "bf16", False)
    known = vars(launch_command_parser().parse_args(["program.py"]))
    assert found.fsdp_config.keys() <= known.keys()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("FSDP_VERSION", "1", "FSDP version 1: set fsdp_version: 2"),
        ("FSDP_RESHARD_AFTER_FORWARD", "true", "fsdp_reshard_after_forward is true: set it to false"),
        ("FSDP_CPU_RAM_EFFICIENT_LOADING", "true", "fsdp_cpu_ram_efficient_loading is true"),
        ("FSDP_OFFLOAD_PARAMS", "true", "fsdp_offload_params is true"),
        ("FSDP_ACTIVATION_CHECKPOINTING", "true", "fsdp_activation_checkpointing is true.* gradient_checkpointing"),
    ],
)
def test_what_the_launcher_would_not_get_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str) -> None:
    monkeypatch.setenv("FSDP_VERSION", "2")
    monkeypatch.setenv("FSDP_RESHARD_AFTER_FORWARD", "false")
    check_plugin(FullyShardedDataParallelPlugin())
    if name == "FSDP_VERSION":
        monkeypatch.setenv("FSDP_RESHARD_AFTER_FORWARD", "FULL_SHARD")
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=message):
        check_plugin(FullyShardedDataParallelPlugin())
