"""A run of a small system that has everything: BM25, vectors, a graph, a language model; and what a fault must not change."""

from __future__ import annotations

import atexit
import json
import shutil
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from backends.checkpoints import make_encoder
from command_line import content_without_cost, fork
from writing.writing_models import chat_folder

METRICS = ("--metrics", "retrieval,rouge,token-f1")
FILES = ("turns.jsonl", "retrieval.trec", "scores.jsonl", "results.json", "report.md", "report.html")


@cache
def mixed_system() -> Path:
    """The system.yaml: two retrievers fused, one of them with a graph, and responses of a tiny decoder."""
    folder = Path(mkdtemp(prefix="convbench-test-faults-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    encoder = make_encoder(folder / "encoder", "bert")
    dense = {
        "type": "dense",
        "encoder": {"model": str(encoder), "profile": "minilm"},
        "index": {"type": "hnsw", "m": 4, "ef_construction": 16},
    }
    writer = {"type": "transformers", "model": str(chat_folder("llama")), "decoding": {"max_new_tokens": 4}}
    system = {
        "kind": "two-stage",
        "name": "mixed",
        "history": {"view": "full", "order": "newest-first"},
        "retriever": {"type": "fusion", "method": "rrf", "retrievers": [{"retriever": {"type": "bm25"}}, {"retriever": dense}]},
        "k": 10,
        "generator": {"type": "prompted", "model": writer, "passages": 1, "passage_words": 10, "batch_size": 4},
    }
    (folder / "system.yaml").write_text(json.dumps(system), encoding="utf-8")
    return folder / "system.yaml"


def mixed_command(out: Path, cache_folder: Path, *more: object) -> tuple[object, ...]:
    """``convbench run`` of the system on two conversations."""
    places = ("--out", out, "--cache", cache_folder, "--offline")
    return ("run", mixed_system(), "-d", "topiocqa", "--limit", 2, *METRICS, *places, *more)


def quick_command(base: Path) -> tuple[object, ...]:
    """The same on one conversation with few measures, into ``run`` and ``cache`` in a folder."""
    places = ("--out", base / "run", "--cache", base / "cache", "--offline")
    return ("run", mixed_system(), "-d", "topiocqa", "--limit", 1, "--metrics", "retrieval", *places)


@dataclass(frozen=True)
class Undisturbed:
    """What a run gives that nothing disturbs, where it lies, and how long it took with nothing made before."""

    content: dict[str, Any]
    folder: Path
    cache: Path
    seconds: float


def undisturbed(base: Path) -> Undisturbed:
    """Runs the command in a process that has everything imported, twice: the first time, files are read that the system then has."""
    finish(base / "first", base / "first-cache")
    began = time.monotonic()
    finish(base / "run", base / "cache")
    seconds = time.monotonic() - began
    assert content_without_cost(base / "first") == content_without_cost(base / "run")
    return Undisturbed(content_without_cost(base / "run"), base / "run", base / "cache", seconds)


def finish(out: Path, cache_folder: Path) -> str:
    """Runs the command to its end; what it said."""
    log = out.with_name(f"{out.name}.log")
    process = fork(log, *mixed_command(out, cache_folder))
    process.join(timeout=300)
    assert process.exitcode == 0, log.read_text(encoding="utf-8")
    return log.read_text(encoding="utf-8")


def leftovers(folder: Path) -> list[str]:
    """What is half-written."""
    return [path.name for path in folder.rglob("*") if path.name.endswith((".tmp", ".part"))]


def phase(out: Path, cache_folder: Path) -> str:
    """How far a run has come, by what it has written."""
    for name in ("report.html", "report.md", "results.json", "scores.jsonl"):
        if (out / name).exists():
            return f"after {name}"
    stages = [path.name.partition(".")[0] for path in out.glob("stages/*.part")]
    finished = {path.name.removesuffix(".manifest.json") for path in out.glob("stages/*.manifest.json")}
    if stages:
        return f"within {stages[0]}"
    wanted = {
        "a store": "stores/*/manifest.json",
        "BM25's blocks": "bm25/*/blocks/manifest.jsonl",
        "BM25": "bm25/*/manifest.jsonl",
        "vectors": "dense/*/shard-*.npy",
        "a graph": "dense/*/*.faiss",
    }
    built = ", ".join(name for name, pattern in wanted.items() if any(cache_folder.glob(pattern))) or "nothing"
    if finished:
        return f"after {len(finished)} stages, with {built}"
    return f"with {built}" if (out / "run.json").exists() else "starting"
