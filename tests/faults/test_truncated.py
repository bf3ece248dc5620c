"""Files that were cut at any length, in a header, in a record, in the middle of a line: made again, and the end is the same."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
from command_line import content_without_cost, convbench, succeed
from mixed_run import Undisturbed, finish, leftovers, quick_command

SHARES = {
    "vectors": ("dense/*/shard-00000.npy", (0, 1, 8, 64, 127, 128, 129, 1000)),
    "graph": ("dense/*/*.faiss", (0, 3, 40, 500)),
    "passages": ("stores/*/passages-*/part-00000.arrow", (0, 6, 500, 3000)),
    "id-hashes": ("stores/*/passages-*/id-hashes.u64", (0, 7, 80)),
    "store-manifest": ("stores/*/manifest.json", (0, 1, 200)),
    "index-manifest": ("dense/*/manifest.jsonl", (0, 1, 60)),
}
CUTS = [(kind, length) for kind, (_, lengths) in SHARES.items() for length in (*lengths, -2)]
QUICK = {("vectors", 64), ("passages", 3000)}


@pytest.mark.parametrize(("kind", "length"), [cut if cut in QUICK else pytest.param(*cut, marks=pytest.mark.slow) for cut in CUTS])
def test_a_file_of_the_cache(warm: Path, copied: Path, kind: str, length: int) -> None:
    (path,) = (copied / "cache").glob(SHARES[kind][0])
    before = path.read_bytes()
    path.write_bytes(before[:length])
    found = convbench(*quick_command(copied))
    assert found.code == 0, found
    assert "made again" in found.err
    assert content_without_cost(copied / "run") == content_without_cost(warm / "run")
    assert path.read_bytes() == before
    assert leftovers(copied) == []


def test_rows_of_a_stage(warm: Path, copied: Path) -> None:
    """A finished file that lost its end, in mid-line; and the same file as the part of a run that was killed."""
    shutil.copytree(warm / "run", copied / "run")
    rows = sorted(path for path in (copied / "run" / "stages").glob("*.jsonl") if not path.name.endswith(".cost.jsonl"))
    assert {"view.jsonl", "rewrite.jsonl", "search.jsonl", "generate.jsonl"} <= {path.name for path in rows}
    chance = random.Random(9)
    for path in rows:
        content = path.read_bytes()
        path.write_bytes(content[: chance.randrange(len(content))])
    found = succeed(*quick_command(copied))
    assert {line for line in found.err.splitlines() if "made again" in line} == {
        f"{path} was changed after it was written: it is made again" for path in rows
    }
    assert content_without_cost(copied / "run") == content_without_cost(warm / "run")


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 8))])
def test_parts_of_a_killed_run(warm: Path, copied: Path, seed: int) -> None:
    shutil.copytree(warm / "run", copied / "run")
    chance = random.Random(seed)
    stages = copied / "run" / "stages"
    for manifest in sorted(stages.glob("*.manifest.json")):
        values = json.loads(manifest.read_text(encoding="utf-8"))
        rows = stages / f"{values['stage']}.jsonl"
        content = rows.read_bytes()
        (stages / f"{values['stage']}.{values['key'][:16]}.part").write_bytes(content[: chance.randrange(len(content))])
        for path in (manifest, rows):
            path.unlink()
    for name in ("turns.jsonl", "scores.jsonl", "results.json"):
        content = (copied / "run" / name).read_bytes()
        (copied / "run" / name).unlink()
        (copied / "run" / f".{name}.99.tmp").write_bytes(content[: chance.randrange(len(content))])
    succeed(*quick_command(copied))
    assert content_without_cost(copied / "run") == content_without_cost(warm / "run")
    assert leftovers(copied) == []


@pytest.mark.slow
def test_everything_at_once(whole: Undisturbed, tmp_path: Path) -> None:
    """Every file of cache and run folder is cut somewhere, but for run.json, which says what the folder is."""
    shutil.copytree(whole.folder, tmp_path / "run")
    shutil.copytree(whole.cache, tmp_path / "cache")
    chance = random.Random(12)
    for path in sorted([*(tmp_path / "run").rglob("*"), *(tmp_path / "cache").rglob("*")]):
        if path.is_file() and path.stat().st_size and path.name != "run.json" and "bm25" not in path.parts:
            content = path.read_bytes()
            path.write_bytes(content[: chance.randrange(len(content))])
    finish(tmp_path / "run", tmp_path / "cache")
    assert content_without_cost(tmp_path / "run") == whole.content
