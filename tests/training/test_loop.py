from __future__ import annotations

import json
import math
import os
import signal
import socket
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from backends.small import folder_of
from small_disk import small_disk
from training.comparing import lines, same
from training.tiny_training import SETTINGS, TinyStep, Values, pools, run

from convbench.errors import DataError, StorageError, UsageError
from convbench.io.lock import acquire
from convbench.training.checkpoints import load_weights
from convbench.training.loop import DivergedError, Trained, train
from convbench.training.processes import open_accelerator
from convbench.training.train_settings import TrainSettings

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]  # they train, some of them in several processes

TESTS = Path(__file__).parents[1]


def started(folder: Path, told: dict[str, Any], **environment: str) -> subprocess.Popen[str]:
    told = {**told, "step": {"checkpoint": str(folder_of("bert")), **told.get("step", {})}}
    command = [sys.executable, str(TESTS / "training" / "tiny_training.py"), str(folder), json.dumps(told)]
    own = {"PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.Popen(command, env=os.environ | own | environment, stderr=subprocess.PIPE, text=True)


def program(folder: Path, **told: Any) -> tuple[int, str]:
    with started(folder, told) as process:
        _, error = process.communicate(timeout=120)
    return process.returncode, error


def two_programs(folder: Path, **told: Any) -> list[tuple[int, str]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}  # as torchrun sets them
    processes = [started(folder, told, RANK=rank, LOCAL_RANK=rank, **shared) for rank in "01"]
    try:
        return [(process.wait(120), process.stderr.read() if process.stderr else "") for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def steps_kept(folder: Path) -> list[int]:
    return sorted(int(path.name[5:]) for path in (folder / "checkpoints").iterdir())


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


EVALUATED = {"evaluate_every": 2, "metric": "likelihood", "higher_is_better": False}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> tuple[Path, dict[str, torch.Tensor]]:
    folder, step = tmp_path_factory.mktemp("undisturbed"), TinyStep()
    run(folder, step, gradient_accumulation=2, warmup_steps=2, **EVALUATED)
    return folder, weights(step.model)


def test_what_a_training_writes(undisturbed: tuple[Path, dict[str, torch.Tensor]]) -> None:
    folder, _ = undisturbed
    updates = [line for line in lines(folder) if "losses" in line]
    assert [line["step"] for line in updates] == list(range(1, 9))
    assert [line["step"] for line in lines(folder) if "metrics" in line] == [2, 4, 6, 8]
    for line in updates:
        assert line["total"] == pytest.approx(line["losses"]["retrieval"] + 0.3 * line["losses"]["response"])
        assert line["tokens"] > 0
        assert math.isfinite(line["gradient_norm"])
    assert updates[-1]["total"] < updates[0]["total"]
    assert [line["learning_rate"] for line in updates][:3] == [0.0, 0.0005, 0.001]
    assert all(one["learning_rate"] > two["learning_rate"] for one, two in pairwise(updates[2:]))
    assert (folder / "loss.svg").read_text(encoding="utf-8").count("retrieval") >= 1
    assert (folder / "loss.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("told", [{"step": {"kill_at": 15}}, {"kill_when_opened": ["training.pt", 3]}], ids=["in a batch", "in a save"])
def test_a_killed_training_goes_on_as_if_nothing_had_happened(
    tmp_path: Path, undisturbed: tuple[Path, dict[str, torch.Tensor]], told: dict[str, Any]
) -> None:
    settings = {"gradient_accumulation": 2, "warmup_steps": 2, **EVALUATED}
    code, error = program(tmp_path, settings=settings, **told)
    assert code == -signal.SIGKILL, error
    last = whole_checkpoints(tmp_path)[-1]
    assert 0 < last < lines(tmp_path)[-1]["step"] < 8  # there are lines to cut
    assert len(list((tmp_path / "checkpoints").glob(".step-*.tmp"))) == ("kill_when_opened" in told)
    with (tmp_path / "train.jsonl").open("a") as log:
        log.write('{"step":9,"lo')  # as a kill in the middle of a line leaves it
    step = TinyStep()
    run(tmp_path, step, **settings)
    assert lines(tmp_path) == lines(undisturbed[0])
    assert same(weights(step.model), undisturbed[1])
    assert len(step.seen) == 2 * (8 - last)
    assert not list((tmp_path / "checkpoints").glob(".*"))


def whole_checkpoints(folder: Path) -> list[int]:
    return sorted(int(path.parent.name[5:]) for path in (folder / "checkpoints").glob("step-*/state.json"))


def test_two_processes_learn_what_one_does(tmp_path: Path) -> None:
    told = {"settings": {"steps": 5, "save_every": 2, **EVALUATED}, "step": {"dropout": False}}
    for code, error in two_programs(tmp_path / "two", **told):
        assert code == 0, error[-3000:]
    run(tmp_path / "one", TinyStep(dropout=False), steps=5, save_every=2, **EVALUATED)
    assert len(lines(tmp_path / "two")) == len(lines(tmp_path / "one")) == 8
    for two, one in zip(lines(tmp_path / "two"), lines(tmp_path / "one"), strict=True):
        assert two.keys() == one.keys()
        assert two["step"] == one["step"]
        for name in one:
            assert two[name] == pytest.approx(one[name], rel=1e-4), name
    state = torch.load(tmp_path / "two" / "checkpoints" / "step-00000005" / "training.pt", weights_only=True)
    assert len(state["random"]) == 2
    assert not torch.equal(state["random"][0]["torch"], state["random"][1]["torch"])


def test_a_finished_training_is_not_trained_again(tmp_path: Path) -> None:
    run(tmp_path, steps=3)
    log = (tmp_path / "train.jsonl").read_bytes()
    step = TinyStep()
    done = run(tmp_path, step, steps=3)
    assert step.seen == []
    assert (tmp_path / "train.jsonl").read_bytes() == log
    assert (done.steps, done.stopped_early, done.best, done.checkpoint.name) == (3, False, None, "step-00000003")


def measured(folder: Path, values: list[float], **changes: Any) -> tuple[TinyStep, Trained]:
    step = TinyStep()
    told = {"steps": len(values), "evaluate_every": 1, "metric": "score", "save_every": 100, "keep": 1} | changes
    settings = TrainSettings.model_validate(SETTINGS | told)
    return step, train(
        step.model,
        step,
        pools(),
        folder,
        settings,
        open_accelerator(settings),
        evaluate=lambda number, _: {"score": values[number - 1]},
    )


@pytest.mark.parametrize(("higher", "values", "best"), [(True, [1, 3, math.nan, 2, 2.5], 2), (False, [3, 1, 2, 2, 1], 2)])
def test_the_best_checkpoint_stays_and_holds_its_weights(tmp_path: Path, higher: bool, values: list[float], best: int) -> None:
    step, found = measured(tmp_path, values, higher_is_better=higher)
    assert (found.checkpoint.name, found.best) == (f"step-{best:08d}", values[best - 1])
    assert steps_kept(tmp_path) == [best, 5]
    last = weights(step.model)
    load_weights(step.model, found.checkpoint)
    assert not same(weights(step.model), last)
    again = TinyStep()
    trained_until = TrainSettings.model_validate(SETTINGS | {"steps": 5})
    stopping = StoppedAfter(again, best)
    with pytest.raises(KeyboardInterrupt):
        train(again.model, stopping, pools(), tmp_path / "again", trained_until, open_accelerator(trained_until))
    assert same(weights(step.model), weights(again.model))


class StoppedAfter:
    def __init__(self, step: TinyStep, updates: int) -> None:
        self.step, self.updates = step, updates

    def backward(self, units: Any, backward: Any) -> Values:
        if len(self.step.seen) == self.updates:
            raise KeyboardInterrupt
        return self.step.backward(units, backward)


def test_patience(tmp_path: Path) -> None:
    _, found = measured(tmp_path, [1, 2, 1.5, 2, 3, 4], patience=2)
    assert (found.steps, found.stopped_early, found.best, found.checkpoint.name) == (4, True, 2, "step-00000002")
    step, found = measured(tmp_path, [1, 2, 1.5, 2, 3, 4], patience=2)  # the same again
    assert (found.steps, found.stopped_early, step.seen) == (4, True, [])


def test_only_the_newest_checkpoints_stay(tmp_path: Path) -> None:
    run(tmp_path, steps=8, save_every=2, keep=2)
    assert steps_kept(tmp_path) == [6, 8]


def test_a_loss_that_is_nan_stops_before_it_moves_the_weights(tmp_path: Path) -> None:
    clean = TinyStep()
    run(tmp_path / "clean", clean, steps=4)
    poison = next(id_ for ids in clean.seen[3:] for id_ in ids if not any(id_ in before for before in clean.seen[:3]))
    step = TinyStep(poison=poison)
    with pytest.raises(
        DivergedError, match=r"nan-batch\.json: the response loss is nan in step 4.* the last checkpoint is of step 3"
    ) as error:
        run(tmp_path / "poisoned", step, steps=4)
    assert error.value.exit_code == 7
    said = json.loads((tmp_path / "poisoned" / "nan-batch.json").read_text())
    assert (said["step"], tuple(said["ids"])) == (4, clean.seen[3])
    assert all(weight.isfinite().all() for weight in step.model.parameters())
    assert [line["step"] for line in lines(tmp_path / "poisoned")] == [1, 2, 3]
    run(tmp_path / "poisoned", TinyStep(), steps=4)  # with the example repaired
    assert lines(tmp_path / "poisoned") == lines(tmp_path / "clean")
    assert not (tmp_path / "poisoned" / "nan-batch.json").exists()


def test_a_full_disk_leaves_the_last_good_checkpoint(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", kib=3 << 10) as disk:  # each takes 1.8 MB
        with pytest.raises(StorageError, match=r"step-00000004: cannot write: the disk is full.* run the same command again"):
            run(disk.folder / "run", steps=4, save_every=2)
        assert [path.name for path in (disk.folder / "run" / "checkpoints").iterdir()] == ["step-00000002"]
        disk.resize(20 << 10)
        run(disk.folder / "run", steps=4, save_every=2)
        run(tmp_path / "whole", steps=4, save_every=2)
        assert lines(disk.folder / "run") == lines(tmp_path / "whole")


def test_a_second_training_in_the_folder_is_refused(tmp_path: Path) -> None:
    def busy(_: str) -> None:
        raise AssertionError

    with acquire(tmp_path / ".lock", busy), pytest.raises(UsageError, match=r"another process \(pid \d+\) is training in this folder"):
        run(tmp_path)
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(UsageError, match="is a file"):
        run(file)


@pytest.mark.parametrize(
    ("changes", "message"), [({"learning_rate": 2e-3}, "settings: learning_rate was 0.001, is 0.002"), ({"keep": 5, "save_every": 1}, None)]
)
def test_another_training_does_not_go_on(tmp_path: Path, changes: dict[str, Any], message: str | None) -> None:
    run(tmp_path, steps=2)
    if message is None:
        assert run(tmp_path, steps=2, **changes).steps == 2
    else:
        with pytest.raises(UsageError, match=message):
            run(tmp_path, steps=2, **changes)


@pytest.mark.parametrize("name", ["weights.safetensors", "training.pt", "state.json"])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, name: str) -> None:
    run(tmp_path, steps=2, save_every=1)
    path = tmp_path / "checkpoints" / "step-00000002" / name
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=f"step-00000002/{name}"):
        run(tmp_path, steps=2, save_every=1)


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


def test_a_checkpoint_runs_no_code(tmp_path: Path) -> None:
    run(tmp_path, steps=2)
    path, trace = tmp_path / "checkpoints" / "step-00000002" / "training.pt", tmp_path / "trace"
    content = torch.load(path, weights_only=True)
    torch.save(content | {"more": Evil(trace)}, path)
    with pytest.raises(DataError, match="cannot be read"):
        run(tmp_path, steps=2)
    assert not trace.exists()


def test_bf16_learns_and_keeps_its_weights(tmp_path: Path) -> None:
    step = TinyStep(dropout=False)
    told = {"settings": {"precision": "bf16"}, "step": {"dropout": False}}
    code, error = program(tmp_path / "bf16", **told)  # accelerate has one precision a process
    assert code == 0, error[-2000:]
    run(tmp_path / "fp32", step)
    half, full = ([line["total"] for line in lines(tmp_path / name)] for name in ("bf16", "fp32"))
    assert half != full
    assert half == pytest.approx(full, rel=0.03)
    load_weights(step.model, tmp_path / "bf16" / "checkpoints" / "step-00000008")
    assert {weight.dtype for weight in step.model.parameters()} == {torch.float32}


def test_accumulated_gradients_are_the_mean_of_the_batches(tmp_path: Path) -> None:
    class Likelihood(TinyStep):
        def backward(self, units: Any, backward: Any) -> Values:
            response = self.likelihood([unit[0].response or "" for unit in units])
            backward(response)
            return Values({"response": response.item(), "total": response.item()}, 1, tuple(unit[0].id for unit in units))

    for name, size, accumulated in (("whole", 4, 1), ("parts", 2, 2)):
        step = Likelihood(dropout=False)
        settings = TrainSettings.model_validate(SETTINGS | {"steps": 4, "batch_size": size, "gradient_accumulation": accumulated})
        train(step.model, step, pools(), tmp_path / name, settings, open_accelerator(settings))
    whole, parts = ([(line["total"], line["gradient_norm"]) for line in lines(tmp_path / name)] for name in ("whole", "parts"))
    assert [pytest.approx(pair, rel=1e-4) for pair in whole] == parts


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metric": "nDCG", "evaluate_every": 1}, "the metric 'nDCG' .* measured: likelihood"),
        ({"warmup_steps": 8}, "warmup_steps 8 of 8 steps"),
    ],
)
def test_settings_that_do_not_fit_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run(tmp_path, **changes)


def test_a_frozen_model_is_refused(tmp_path: Path) -> None:
    step = TinyStep()
    step.model.requires_grad_(False)
    with pytest.raises(UsageError, match="nothing to learn"):
        run(tmp_path, step)
