"""A recipe of a few steps on parts of the mini sets, and its training in a process that can be killed at a chosen moment."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import command_line
import yaml
from training.joint import configured
from training.tiny_training import kill_when_opened

from convbench.io.cache import cache_root
from convbench.training.fine_tune import FineTuned, fine_tune
from convbench.training.recipe import Recipe, build_recipe, with_changes

LENGTHS = {"session": 64, "passage": 48, "evidence": 48, "prompt": 160}
OBJECTIVES = ["retrieval", "response", "identification"]
HELD_OUT = {"hold_out": {"count": 2, "salt": "tiny"}, "part": "held-out"}


def values(architecture: str = "llama", **changes: Any) -> dict[str, Any]:
    """The recipe's values; ``changes`` are dotted keys with ``__`` for a dot."""
    source = {"name": "topi", "dataset": "topiocqa", "objectives": OBJECTIVES, "conversations": {**HELD_OUT, "part": "kept"}, "limit": 2}
    found = {
        "name": "tiny",
        "model": configured(architecture, lengths=LENGTHS).model_dump(mode="json"),
        "base_licence": "Apache-2.0",
        "mixture": {"sources": [source]},
        "objectives": {
            "weights": {"retrieval": 1.0, "response": 0.3, "identification": 0.2, "grounded": 0.2},
            "temperature": 0.05,
            "new_tokens": 12,
            "negatives": 2,
            "earlier_responses": 1,
        },
        "training": {"steps": 4, "batch_size": 3, "learning_rate": 1e-3, "device": "cpu", "save_every": 2, "seed": 3},
        "evaluation": {
            "system": {"passages": 1, "k": 5, "decoding": {"max_new_tokens": 3}},
            "metrics": ["retrieval", "token-f1"],
            "test": [{"name": "topiocqa", "conversations": HELD_OUT}],
        },
        "limitations": ["It was tuned for four steps."],
    }
    return with_changes(found, {key.replace("__", "."): value for key, value in changes.items()})


def recipe(architecture: str = "llama", **changes: Any) -> Recipe:
    return build_recipe(values(architecture, **changes), "tiny.yaml")


def tuned(out: Path, chosen: Recipe | None = None, **changes: Any) -> FineTuned:
    return fine_tune(chosen or recipe(**changes), out, cache=cache_root(), offline=True)


def written(folder: Path, content: dict[str, Any]) -> Path:
    """A recipe's file."""
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(json.loads(json.dumps(content))), encoding="utf-8")  # what stands there twice is written twice
    return path


def killed(log: Path, path: Path, out: Path, name: str, time: int) -> int | None:
    """Trains in a process of its own that ends, as by kill -9, when it opens a file of that name for the given time."""
    arguments = ["train", str(path), "--out", str(out), "--cache", str(cache_root()), "--offline"]
    process = command_line._FORKS.Process(target=_train_until, args=(str(log), arguments, name, time), daemon=True)
    process.start()
    process.join(120)
    return process.exitcode


def _train_until(log: str, arguments: list[str], name: str, time: int) -> None:
    import torch

    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    torch.set_num_threads(1)
    kill_when_opened(name, time)
    command_line._forked(log, arguments)
