"""Verifying a track of 50 submissions, each of 2,514 turns with 100 passages and a response.

    python benchmarks/leaderboard_verify.py --out results.json

The track has TopiOCQA's size: 205 conversations, four references a turn; texts are random words and no two submissions say the same. All
is scored once from nothing, with two processes, then again with nothing changed, then with one submission changed. Submissions are written
first, which is not timed. Fails when the first takes more than 60 seconds or the second more than 10, and when a value is not that of the
metric by itself.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import random
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from convbench.datasets.loading import DatasetRequest, open_dataset
from convbench.io.runfile import read_run
from convbench.leaderboard.track_data import Files
from convbench.leaderboard.verified import Verified
from convbench.leaderboard.verify import Outcome, verify
from convbench.metrics.rouge import RougeMetric
from convbench.types import Turn

TURNS, CONVERSATIONS, DEPTH, SUBMISSIONS = 2514, 205, 100, 50
MAX_FIRST, MAX_AGAIN = 60.0, 10.0
TRACK: dict[str, Any] = {
    "name": "whole",
    "title": "Random words",
    "description": "A track of TopiOCQA's size.",
    "dataset": "topiocqa",
    "split": "dev",
    "tier": "full",
    "retrieval": {"measures": ["nDCG@3", "RR@100", "R@10", "R@100"], "by": "nDCG@3"},
    "response": {"measures": ["F1-max", "F1-loo", "rougeL"], "by": "F1-max"},
    "slices": ["depth", "topic", "answerable"],
}
_CHANCE = random.Random(0)
_ENDINGS = ("", "s", "ing", "ed", "ly")
_WORDS = ["".join(_CHANCE.choices("abcdefghijklmnopqrstuvwxyz", k=_CHANCE.randint(2, 9))) + _CHANCE.choice(_ENDINGS) for _ in range(20_000)]
_OFTEN = [1 / (rank + 1) for rank in range(len(_WORDS))]


def words(count: int) -> list[str]:
    return _CHANCE.choices(_WORDS, weights=_OFTEN, k=count)


def text(count: int) -> str:
    return f"{' '.join(words(count)).capitalize()}."


def passage_id() -> str:
    return f"wiki:{_CHANCE.randrange(25_700_000)}"


def write_dataset(folder: Path, turns: int) -> None:
    """A file in the form of TopiOCQA's, with gold passages."""
    folder.mkdir(parents=True)
    length = TURNS / CONVERSATIONS
    with (folder / "topiocqa_dev.jsonl").open("w", encoding="utf-8") as file:
        conversation, context, number = 0, [], 0
        for place in range(turns):
            if int(place / length) + 1 != conversation:
                conversation, context, number = int(place / length) + 1, [], 0
            number += 1
            question, answer = text(8), text(_CHANCE.randint(3, 20))
            line = {
                "Conversation_no": conversation, "Turn_no": number, "Context": context, "Question": question, "Answer": answer,
                "is_nq": False, "Topic": _CHANCE.choice(_WORDS), "Topic_section": "", "Rationale": "",
                "Additional_answers": [{"Answer": text(_CHANCE.randint(3, 20))} for _ in range(3)],
                "Gold_passage": {"id": passage_id(), "title": "", "text": text(10)},
            }  # fmt: skip
            file.write(f"{json.dumps(line)}\n")
            context = [*context, question, answer]


def record(turn: Turn, skill: float) -> dict[str, Any]:
    """What a system of some skill retrieves and says: the gold passage somewhere, some words of a reference."""
    ids = [passage_id() for _ in range(DEPTH)]
    if _CHANCE.random() < skill:
        ids[min(int(_CHANCE.expovariate(0.2)), DEPTH - 1)] = next(iter(turn.gold))
    said = turn.references[0].text.split()
    _CHANCE.shuffle(said)
    response = " ".join([*said[: int(len(said) * skill)], *words(_CHANCE.randint(5, 25))])
    unique = list(dict.fromkeys(ids))
    passages = [[id_, round(40 - rank / 7 - _CHANCE.random() / 10, 4)] for rank, id_ in enumerate(unique)]
    return {"turn_id": turn.id, "query": turn.query, "passages": passages, "response": response, "evidence": unique[:5]}


def write_submission(root: Path, number: int, turns: tuple[Turn, ...]) -> Path:
    folder = root / "whole" / "submissions" / f"system-{number:02}"
    folder.mkdir(parents=True)
    card = {"id": folder.name, "track": "whole", "name": f"System no. {number:02} of them", "kind": "two-stage", "submitted": "2026-01-02"}
    (folder / "manifest.yaml").write_text(yaml.safe_dump({**card, "evidence": "retrieved"}), encoding="utf-8")
    lines = ({"schema": "convbench.run/1"}, *(record(turn, 0.3 + number / 100) for turn in turns))
    (folder / "run.jsonl.gz").write_bytes(gzip.compress("".join(f"{json.dumps(line)}\n" for line in lines).encode(), 6))
    return folder


def timed(work: Callable[[], list[Outcome]]) -> tuple[float, list[Outcome]]:
    start = time.perf_counter()
    outcomes = work()
    return round(time.perf_counter() - start, 3), outcomes


def processor_seconds() -> float:
    """Of this process and of those that it started and that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def check(outcome: Outcome, folder: Path, turns: tuple[Turn, ...]) -> None:
    """ROUGE-L by the metric alone, without pairs that are known."""
    assert isinstance(outcome.verified, Verified)
    (score,) = [score for score in outcome.verified.scores if score.measure == "rougeL"]
    values = [score.value or 0.0 for score in RougeMetric(measures=["rougeL"]).score(turns, read_run(folder / "run.jsonl.gz").records)]
    assert score.value is not None
    assert abs(score.value - sum(values) / len(values)) < 1e-12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="where the figures go, as JSON")
    parser.add_argument("--submissions", type=int, default=SUBMISSIONS, help="how many")
    parser.add_argument("--turns", type=int, default=TURNS, help="turns of each")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as place:
        root, data, cache = Path(place) / "board", Path(place) / "data", Path(place) / "cache"
        write_dataset(data, options.turns)
        turns = open_dataset(DatasetRequest("topiocqa", data, "dev")).turns
        folders = [write_submission(root, number, turns) for number in range(1, options.submissions + 1)]
        (root / "whole" / "track.yaml").write_text(yaml.safe_dump(TRACK), encoding="utf-8")
        packed = sum(path.stat().st_size for path in root.rglob("*.gz"))
        load_before = os.getloadavg()[0]

        def run() -> list[Outcome]:
            return verify(root, files=Files(whole={"topiocqa": data}), cache=cache, jobs=options.jobs)

        worked = processor_seconds()
        first, outcomes = timed(run)
        worked = round(processor_seconds() - worked, 3)
        assert all(outcome.scored and outcome.verified and outcome.verified.level == "re-scored" for outcome in outcomes)
        check(outcomes[-1], folders[-1], turns)
        unchanged, outcomes = timed(run)
        assert not any(outcome.scored or outcome.changed for outcome in outcomes)
        manifest = folders[0] / "manifest.yaml"
        manifest.write_text(manifest.read_text(encoding="utf-8") + "description: changed\n", encoding="utf-8")
        changed, outcomes = timed(run)
        assert sum(outcome.scored for outcome in outcomes) == 1

    result = {
        "benchmark": "leaderboard_verify",
        "submissions": options.submissions,
        "turns": options.turns,
        "passages_a_turn": DEPTH,
        "references_a_turn": 4,
        "measures": [*TRACK["retrieval"]["measures"], *TRACK["response"]["measures"]],
        "packed_megabytes": round(packed / 1e6, 1),
        "processes": options.jobs,
        "seconds_first": first,
        "processor_seconds_first": worked,
        "seconds_unchanged": unchanged,
        "seconds_one_changed": changed,
        "load_before": round(load_before, 2),
        "cores": os.cpu_count(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in ("numpy", "ir-measures", "pytrec-eval-terrier", "rouge-score")},
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))
    if (options.submissions, options.turns) == (SUBMISSIONS, TURNS) and (first > MAX_FIRST or unchanged > MAX_AGAIN):
        sys.exit(f"too slow: {first} s (at most {MAX_FIRST}), {unchanged} s unchanged (at most {MAX_AGAIN})")


if __name__ == "__main__":
    main()
