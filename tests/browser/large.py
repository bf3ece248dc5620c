"""A comparison as large as a paper's: ten systems on as many conversations as TopiOCQA's, of words drawn at random."""

from __future__ import annotations

import json
import random
from itertools import accumulate
from pathlib import Path

from convbench.analysis.resampling import Resampling
from convbench.comparison.build import compare
from convbench.comparison.model import Comparison, Settings
from convbench.harness.run import run
from convbench.harness.spec import DatasetSpec, RunSpec
from convbench.metrics.selection import Selection

SYSTEMS, CONVERSATIONS, TURNS = 10, 205, 2514
_PASSAGES, _DEPTH = 25_000, 100
_VOCABULARY = 20_000


class Writer:
    """Draws texts whose words are as unevenly frequent as those of a language, so that they compress like one."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        letters = "etaoinshrdlucmfwypvbgk"
        lengths = self.chance.choices(range(2, 11), weights=(8, 12, 12, 10, 8, 7, 5, 3, 2), k=_VOCABULARY)
        self.words = ["".join(self.chance.choices(letters, k=length)) for length in lengths]
        self.weights = list(accumulate(1 / (rank + 3) for rank in range(_VOCABULARY)))

    def text(self, words: int) -> str:
        return " ".join(self.chance.choices(self.words, cum_weights=self.weights, k=words))


def lengths() -> list[int]:
    """Turns of each conversation, all together TURNS."""
    short, longer = divmod(TURNS, CONVERSATIONS)
    return [short + (number < longer) for number in range(CONVERSATIONS)]


def write_dataset(folder: Path, writer: Writer) -> list[dict[str, object]]:
    folder.mkdir()
    with (folder / "collection.jsonl").open("w", encoding="utf-8") as handle:
        for number in range(_PASSAGES):
            handle.write(json.dumps({"id": f"p{number}", "title": writer.text(4), "text": writer.text(100)}) + "\n")
    turns: list[dict[str, object]] = [
        {
            "conversation_id": f"c{conversation}",
            "turn": number,
            "query": writer.text(8),
            "response": writer.text(20),
            "rewrite": writer.text(10),
            "topic": writer.text(2),
            "gold": [f"p{writer.chance.randrange(_PASSAGES)}"],
        }
        for conversation, length in enumerate(lengths())
        for number in range(1, length + 1)
    ]
    (folder / "conversations.jsonl").write_text("".join(json.dumps(turn) + "\n" for turn in turns), encoding="utf-8")
    return turns


def write_run(file: Path, turns: list[dict[str, object]], writer: Writer) -> None:
    """Half of the rankings begin with the gold passage; about half of their top is near it, as good systems agree with each other."""
    with file.open("w", encoding="utf-8") as handle:
        for turn in turns:
            gold = int(turn["gold"][0][1:])  # type: ignore[index]
            near = [(gold + writer.chance.randrange(1, 12)) % _PASSAGES for _ in range(4)]
            drawn = writer.chance.sample(range(_PASSAGES), _DEPTH)
            first = [gold] if writer.chance.random() < 0.5 else []
            ids = list(dict.fromkeys([*first, *near[:2], *drawn[:2], *near[2:], *drawn]))[:_DEPTH]
            record = {
                "turn_id": f"{turn['conversation_id']}_{turn['turn']}",
                "query": f"{turn['query']} {writer.text(6)}",
                "passages": [[f"p{id_}", 100.0 - rank] for rank, id_ in enumerate(ids)],
                "response": f"{str(turn['response'])[:60]} {writer.text(15)}",
            }
            handle.write(json.dumps(record) + "\n")


def make_large_comparison(folder: Path) -> Comparison:
    """Runs of other tools, scored and compared."""
    writer = Writer(7)
    turns = write_dataset(folder / "data", writer)
    paths = []
    for number in range(SYSTEMS):
        file = folder / f"system-{number}.jsonl"
        write_run(file, turns, writer)
        spec = RunSpec(
            system={"kind": "replay", "name": file.stem, "run": str(file)}, dataset=DatasetSpec(name="generic", data=str(folder / "data"))
        )
        run(spec, folder / file.stem, Selection(families=["retrieval", "token-f1"]), cache=folder / "cache", offline=True)
        paths.append(folder / file.stem)
    return compare(paths, settings=Settings(resampling=Resampling(resamples=200)))
