"""Whether a long run grows: the memory of `convbench run` over 500 conversations of 12 turns, at a tenth of the work and at its end.

    python benchmarks/soak.py --out results.json

Two runs on made-up conversations in the generic layout, each in a process of its own that is watched from outside: BM25 with its extractive
responses, and a small decoder that retrieves and responds. Both read their own earlier responses (`--history full-own`), so that one stage
goes from conversation to conversation and everything that a system keeps is kept for as long as in a live one. Memory is what a process has
of its own (RssAnon: pages of mapped indexes belong to the kernel and do not count). Fails where the memory at the end, scores and report
included, is more than 10 % above that after the first tenth of the conversations.
"""

# ruff: noqa: E402
from __future__ import annotations

from side_by_side import one_thread

one_thread()

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from side_by_side import environment
from small_decoder import VOCABULARY, make_decoder

TURNS = 12
MOST = 1.10
_POINTS = 40
"""Points of a curve that are written down."""
_RUN = "from convbench.cli.main import main; main()"


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a process.

    Attributes:
        seconds: Since it began.
        conversations: That it had finished.
        mib: Memory of its own.
    """

    seconds: float
    conversations: float
    mib: float


def write_dataset(folder: Path, conversations: int, passages: int) -> None:
    """Conversations of 12 turns about passages of made-up words; a question has words of its gold passage."""
    chance = random.Random(0)
    texts = [[f"w{chance.randrange(3, VOCABULARY)}" for _ in range(40)] for _ in range(passages)]
    lines = [{"id": f"p{number}", "title": text[0], "text": " ".join(text)} for number, text in enumerate(texts)]
    _write_lines(folder / "collection.jsonl", lines)
    turns = []
    for conversation in range(conversations):
        for turn in range(1, TURNS + 1):
            gold = chance.randrange(passages)
            said = {"query": " ".join(chance.sample(texts[gold], 5)), "response": " ".join(texts[gold][5:15]), "gold": [f"p{gold}"]}
            turns.append({"conversation_id": f"c{conversation}", "turn": turn, **said})
    _write_lines(folder / "conversations.jsonl", turns)
    (folder / "dataset.yaml").write_text("name: soak\ntitle: Made-up conversations\nlicence: CC0-1.0\n", encoding="utf-8")


def _write_lines(path: Path, lines: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def write_unified(folder: Path, *, small: bool) -> Path:
    """The ``system.yaml`` of a decoder that does both jobs."""
    make_decoder(folder / "checkpoint", small=small)
    model = {"model": str(folder / "checkpoint"), "profile": {"pooling": "last", "attention": "causal", "closing": ["</s>"]}}
    system = {"kind": "unified", "name": "unified-small", "model": model, "passages": 1, "decoding": {"max_new_tokens": 4}}
    (folder / "system.yaml").write_text(json.dumps(system), encoding="utf-8")
    return folder / "system.yaml"


def watched(system: str | Path, place: Path, conversations: int, pause: float) -> list[Sample]:
    """Runs a system on the dataset and samples its process until it ends."""
    out = place / "runs" / Path(system).stem
    arguments = ["run", str(system), "-d", "generic", "--data", str(place / "data"), "--history", "full-own", "--out", str(out)]
    settings = ["--cache", str(place / "cache"), "--offline", "--metrics", "retrieval,rouge,token-f1"]
    began, samples, rows = time.monotonic(), [], _Rows(out / "stages")
    with subprocess.Popen([sys.executable, "-c", _RUN, *arguments, *settings], stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            if (mib := _own_mib(process.pid)) is not None:
                samples.append(Sample(round(time.monotonic() - began, 2), min(rows.count() / TURNS, conversations), mib))
            time.sleep(pause)
    if process.returncode:
        sys.exit(f"convbench {' '.join(arguments)} failed with exit code {process.returncode}")
    return samples


class _Rows:
    """Counts the rows of the inference stage, whose file grows, from where it last looked."""

    def __init__(self, stages: Path) -> None:
        self._stages = stages
        self._read = self._count = 0

    def count(self) -> int:
        """Rows written so far."""
        for path in [*self._stages.glob("[!s]*.part"), *self._stages.glob("[!s]*[!t].jsonl")]:
            try:
                with path.open("rb") as handle:
                    handle.seek(self._read)
                    new = handle.read()
            except FileNotFoundError:  # it has just got its final name
                continue
            self._read += len(new)
            self._count += new.count(b"\n")
            break
        return self._count


def _own_mib(process: int) -> float | None:
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("RssAnon:")]
    return round(int(found[0]) / 1024, 1) if found else None


def told(name: str, samples: list[Sample], conversations: int) -> dict[str, Any]:
    """What a run's curve says."""
    tenth = next(sample for sample in samples if sample.conversations >= conversations / 10)
    inferred = next(sample for sample in samples if sample.conversations >= conversations)
    end = samples[-1]
    later = [sample.mib for sample in samples if sample.conversations >= conversations / 10]
    ratio = round(end.mib / tenth.mib, 4)
    kept = samples[:: max(1, len(samples) // _POINTS)]
    return {
        "system": name,
        "seconds": end.seconds,
        "mib_after_a_tenth": tenth.mib,
        "mib_after_inference": inferred.mib,
        "mib_at_the_end": end.mib,
        "mib_at_most_after_a_tenth": max(later),
        "end_over_tenth": ratio,
        "reached": ratio <= MOST,
        "curve": [
            [sample.seconds, round(sample.conversations, 1), sample.mib]
            for sample in sorted({*kept, tenth, inferred, end}, key=attrgetter("seconds"))
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="where the figures go, as JSON")
    parser.add_argument("--conversations", type=int, default=500)
    parser.add_argument("--passages", type=int, default=2000)
    parser.add_argument("--small", action="store_true", help="40 conversations, to see that it works")
    options = parser.parse_args()
    load_before = os.getloadavg()[0]
    conversations, passages = (40, 200) if options.small else (options.conversations, options.passages)
    pause = 0.02 if options.small else 0.2
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        (place / "data").mkdir()
        write_dataset(place / "data", conversations, passages)
        systems = {"bm25-history": "bm25-history", "unified-small": write_unified(place / "unified", small=True)}
        runs = [told(name, watched(system, place, conversations, pause), conversations) for name, system in systems.items()]
    where = environment(["torch", "transformers", "numba", "pyarrow"], load_before)
    figures = {"environment": where, "conversations": conversations, "turns": TURNS * conversations, "passages": passages, "runs": runs}
    if options.out is not None:
        options.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    for run in runs:
        print(
            f"{run['system']}: {conversations} conversations in {run['seconds']:.0f} s; "
            f"MiB after a tenth {run['mib_after_a_tenth']}, after inference {run['mib_after_inference']}, "
            f"at the end {run['mib_at_the_end']} (at most {run['mib_at_most_after_a_tenth']}): {run['end_over_tenth']:.3f} of the tenth's, "
            f"{'reached' if run['reached'] else 'NOT REACHED'} (at most {MOST:g})"
        )
    if not all(run["reached"] for run in runs):
        sys.exit("memory grows")


if __name__ == "__main__":
    main()
