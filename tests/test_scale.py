from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import scale_extrapolation as extrapolation  # noqa: E402
from scale import Step, disk_needed, in_order, plan  # noqa: E402
from scale_checks import flatness, linearity, verdicts  # noqa: E402
from scale_data import Collection, StandIn, queries  # noqa: E402
from scale_page import page, stale  # noqa: E402
from scale_plots import pictures  # noqa: E402

from convbench.meter import Meter  # noqa: E402

EVERY = ("store", "bm25", "encode", "search", "approximate")


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / f"{script}.py"), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)


def check(each: Mapping[str, Any]) -> None:
    assert each["seconds"] > 0
    memory = each["memory"]
    assert 0 < memory["at_start"] <= memory["anonymous_peak"] + (1 << 20) <= memory["resident_peak"] + (2 << 20)
    assert memory["mapped_peak"] > 0
    assert each["disk_peak"] >= each["disk_bytes"] >= 0


def test_one_step_in_a_process_of_its_own(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    done = run("scale", "--sizes", "500", "--dims", "16", "--steps", "encode", "--work", str(tmp_path), "--out", str(out))
    assert done.returncode == 0, done.stderr[-2000:]
    (found,) = json.loads(out.read_text())["measurements"]
    check(found)
    assert (found["step"], found["passages"], found["dim"]) == ("encode", 500, 16)
    assert 500 * 16 * 2 < found["disk_bytes"] < 500 * 16 * 2 + 5000  # vectors, manifest and digests
    assert [path.name for path in tmp_path.iterdir()] == ["figures.json"]


@pytest.mark.slow
def test_it_runs_small_and_resumes(tmp_path: Path) -> None:
    out = tmp_path / "scale.json"
    done = run("scale", "--small", "--work", str(tmp_path), "--out", str(out))
    assert done.returncode == 0, done.stderr[-2000:]
    figures = json.loads(out.read_text())
    assert figures["environment"]["threads"] == 1
    steps = [Step(each["step"], each["passages"], each["dim"]) for each in figures["measurements"]]
    assert steps == in_order(plan((1000, 2000), (16, 32), EVERY))
    for each in figures["measurements"]:
        check(each)
    built = next(each for each in figures["measurements"] if each["step"] == "bm25-build")
    assert built["more"]["postings"] > 30 * 1000
    assert built["must_grow"]["vocabulary"] > 0
    assert figures["checks"]
    assert all(line in done.stdout for line in figures["checks"])

    kept = [each for each in figures["measurements"] if (each["step"], each["dim"]) != ("search", 32)]
    out.write_text(json.dumps({**figures, "measurements": kept}))
    again = run("scale", "--small", "--resume", "--work", str(tmp_path), "--out", str(out))
    assert again.returncode == 0, again.stderr[-2000:]
    assert [line.split(" passages")[0] for line in again.stdout.splitlines() if "MiB: at start" in line] == [
        "exact search, 32 wide, 1,000",
        "exact search, 32 wide, 2,000",
    ]
    assert [each for each in json.loads(out.read_text())["measurements"] if each in kept] == kept

    made = [str(value) for value in ("--results", tmp_path, "--out", tmp_path / "scale.md")]
    assert run("scale_page", *made).returncode == 0
    assert run("scale_page", "--check", *made).returncode == 0


def test_the_page_is_what_the_figures_say() -> None:
    done = run("scale_page", "--check")
    assert done.returncode == 0, done.stderr


def test_a_full_disk_and_unknown_words_are_told_before_anything_runs(tmp_path: Path) -> None:
    done = run("scale", "--sizes", "900000000000", "--work", str(tmp_path))
    assert done.returncode == 1
    assert re.search(r"GB are needed, [0-9.]+ GB are free; name another folder with --work", done.stderr)
    assert run("scale", "--steps", "store,searching").returncode == 2


def test_what_a_step_reads_is_made_again() -> None:
    assert plan((10,), (8,), ("search",)) == [Step("search", 10, 8)]
    assert Step("search", 10, 8).before == {Step("store", 10), Step("encode", 10, 8)}
    assert Step("bm25-search", 10).before == {Step("store", 10), Step("bm25-build", 10)}
    assert Step("store", 10).before == set()
    shuffled = [Step("search", 20, 8), Step("search", 10, 8), Step("encode", 10, 8), Step("store", 10), Step("bm25-build", 10)]
    assert [step.name for step in in_order(shuffled)] == ["store", "bm25-build", "encode", "search", "search"]
    assert disk_needed((10, 2_000_000), (384, 4096)) > 2_000_000 * 4096 * 2


def test_a_collection_begins_as_a_larger_one() -> None:
    some, more = list(Collection(50)), list(Collection(6000))
    assert some == more[:50]
    assert len({passage.id for passage in more}) == 6000
    lengths = [len(passage.text.split()) for passage in more]
    assert (min(lengths), max(lengths)) == (60, 100)
    halves = [len({word for passage in more[:count] for word in passage.text.split()}) for count in (3000, 6000)]
    assert 1.2 < halves[1] / halves[0] < 1.9
    assert len(queries(20)) == 20


def test_the_stand_in_gives_a_text_one_vector() -> None:
    texts = [passage.text for passage in Collection(300)]
    vectors = StandIn(64).encode_passages(texts, Meter()).vectors
    assert vectors.shape == (300, 64)
    assert len({row[:16].tobytes() for row in vectors}) == 300
    assert (StandIn(64).encode_queries(texts[7:8], Meter()).vectors == vectors[7]).all()


def measurement(step: str, passages: int, **values: Any) -> dict[str, Any]:
    memory = {"at_start": 1, "anonymous_peak": values.pop("anonymous", 1 << 26), "mapped_peak": 1, "resident_peak": 1 << 27}
    usual = {"dim": 0, "seconds": passages / 1e5, "processor_seconds": passages / 1e5, "must_grow": {}, "fills_buffers": True}
    return {
        "step": step,
        "passages": passages,
        **usual,
        "disk_bytes": 500 * passages,
        "disk_peak": 0,
        "memory": memory,
        "more": {},
        **values,
    }


def test_flat_and_linear() -> None:
    found = [measurement("store", size) for size in (1000, 2000, 4000)]
    assert flatness(found).reached
    assert flatness(found).rise == 0
    linear = linearity(found)
    assert linear is not None
    assert linear.slope == pytest.approx(1)
    assert linear.reached
    assert not flatness(found[:1]).reached
    assert linearity(found[:1]) is None
    assert linearity([measurement("look-up", size) for size in (10, 20)]) is None


def test_what_is_not_reached_is_said() -> None:
    found = [measurement("store", size, anonymous=size << 12, seconds=(size / 1e5) ** 1.5) for size in (1000, 2000, 4000)]
    assert flatness(found).rise == pytest.approx(3)
    assert flatness(found).by_size == pytest.approx(4096)
    memory, time = verdicts(found)
    assert memory.endswith("rise 300.0%; aim at most 10%: NOT reached")
    assert "slope 1.50 (1.50 to 1.50" in time
    assert time.endswith("NOT reached")


def test_what_must_grow_is_taken_off_and_small_collections_are_left_out() -> None:
    sizes = (1000, 2000, 4000)
    found = [
        measurement("bm25-build", size, anonymous=(1 << 26) + 100 * size, must_grow={"words": 96 * size, "lengths": 4 * size})
        for size in sizes
    ]
    assert flatness(found).rise == 0
    assert flatness(found).by_size == pytest.approx(100)
    found[0] = measurement("bm25-build", 1000, anonymous=1 << 20, fills_buffers=False)
    assert flatness(found).too_small == (1000,)
    assert flatness(found).reached
    assert "1,000 left out" in next(verdicts(found))


def figures() -> dict[str, Any]:
    sizes = (100_000, 200_000)
    rates = {"disk_bytes_a_second": 1e9, "flop_a_second": 8e10}
    depths = {"by_depth": {"100": {"seconds": 0.5}}, "opening_seconds": 0.1}
    found = [measurement("store", size) for size in sizes]
    found += [
        measurement(
            "bm25-build",
            size,
            anonymous=(1 << 26) + 100 * size,
            must_grow={"vocabulary": 100 * size},
            more={"words": 2 * size, "postings": 60 * size},
        )
        for size in sizes
    ]
    found += [measurement("bm25-search", size, more={"queries": 512, **depths}) for size in sizes]
    for dim, asked in ((384, 512), (4096, 64)):
        found += [measurement("encode", size, dim=dim, disk_bytes=2 * dim * size) for size in sizes]
        found += [measurement("search", size, dim=dim, disk_bytes=0, more={"queries": asked, **depths, **rates}) for size in sizes]
    where = {"processor": "abacus", "cores": 2, "threads": 1, "load_before": 0.5, "versions": {"python": "3.11.7"}}
    settings = {"words_in_a_passage": [60, 100], "part_rows": 100_000, "shard_rows": 8192, "block_bytes": 1 << 28, "look_every": 0.01}
    return {"environment": where, "settings": settings, "measurements": found}


def test_the_arithmetic_of_the_largest_collection() -> None:
    measured = extrapolation.Measured(figures()["measurements"])
    found = {line.what: line for line in extrapolation.lines("QReCC", measured, extrapolation.rate(None))}
    assert found["vectors, 4,096 wide, float16"].arithmetic == "54,573,064 × 4,096 × 2 bytes = 447,062,540,288 bytes"
    assert found["vectors, 4,096 wide, float16"].result == "447.1 GB = 416.4 GiB"
    assert found["shards"].result == "6,662"
    assert found["passage store"].result == "27.3 GB"
    assert found["reading 4,096 wide vectors once"].result == "7.5 minutes"  # 447 s
    assert found["nodes that hold the vectors in memory"].result.startswith("9 of 64 GiB, 3 of 256 GiB")
    assert found["BM25 scores and passages"].result == "26.2 GB"
    assert found["encoding with a 7B model"].result == "70 GPU hours"
    assert found["building the store"].result == "9.1 minutes"  # 546 s at 10 µs


def test_a_measured_card_takes_the_place_of_the_assumed_one() -> None:
    gpu = {"environment": {"card": {"name": "X100", "device": "cuda"}}, "shares": [{"flop": 6e14, "seconds": 2.0}]}
    assert extrapolation.rate(gpu) == extrapolation.Rate(3e14, "measured on one X100, `benchmarks/results/gpu_encoding.json`")
    gpu["environment"]["card"]["device"] = "cpu"  # type: ignore[index]
    assert extrapolation.rate(gpu).origin == "assumed, not measured"


def test_a_missed_aim_is_on_the_page() -> None:
    content = figures()
    assert "NOT reached" not in page(content, None)
    content["measurements"][1]["memory"]["anonymous_peak"] *= 2
    assert "| store | 64 to 128 | +100.0% | **NOT reached** |" in page(content, None)
    assert "- store, memory: not explained yet." in page(content, None)


def test_waiting_is_told_from_work() -> None:
    content = figures()
    content["measurements"][1]["seconds"] *= 2
    assert "- store, time: the seconds in which the processor worked have a slope of 1.00: the rest is waiting" in page(content, None)
    content["measurements"][1]["processor_seconds"] *= 2
    assert "- store, time: not explained yet." in page(content, None)


def test_stale_files_are_named(tmp_path: Path) -> None:
    content = figures()
    text, drawn = page(content, None), pictures(content["measurements"])
    assert pictures(content["measurements"]) == drawn
    place = tmp_path / "scale.md"
    assert [path.name for path in stale(place, text, drawn)] == ["scale.md", "memory.svg", "disk.svg", "time.svg"]
    place.write_text(text)
    (tmp_path / "scale").mkdir()
    for name, svg in drawn.items():
        (tmp_path / "scale" / name).write_text(svg)
    assert not list(stale(place, text, drawn))
    memory = tmp_path / "scale" / "memory.svg"
    memory.write_text(drawn["memory.svg"].replace("MiB", "GiB"))
    assert list(stale(place, text, drawn)) == [memory]
    memory.write_text(re.sub("<!-- matplotlib .* -->", "<!-- matplotlib 1.0 -->", memory.read_text()))
    assert not list(stale(place, text, drawn))  # drawn by another matplotlib
