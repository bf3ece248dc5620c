"""A small comparison whose every text tries to break the page: finished runs of three systems over conversations written here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from convbench.analysis.resampling import Resampling
from convbench.comparison.build import compare
from convbench.comparison.model import Comparison, Settings
from convbench.datasets.loading import DatasetRequest, open_dataset
from convbench.harness.run import run
from convbench.harness.spec import DatasetSpec, RunSpec
from convbench.metrics.selection import Selection
from convbench.types import Turn

TEXTS = (
    "<script>window.broken = 1</script>",
    "</script><script>window.broken = 1</script>",
    "<img src=x onerror='window.broken = 1'>",
    "\"quotes' & &amp; `ticks` {{7*7}} ${7*7}",
    "שלום, מה שלומך היום?",
    "كيف حالك اليوم؟ <b>مرحبا</b>",
    "emoji 👩‍👩‍👧 and 𝔘nicode \u2028 line",
)
LABEL = "<img src=x onerror='window.broken=1'>\"gamma\""
CONVERSATIONS, TURNS = 20, 3
RESPONSES = {"alpha": "the tower was built by {n} clever people", "beta": "the bridge was built by {n} people", "gamma": "no idea"}


def text_of(number: int) -> str:
    return TEXTS[number % len(TEXTS)]


def conversation_of(number: int) -> str:
    return '<i>&"q":0' if number == 0 else f"c{number}"


def write_dataset(folder: Path) -> None:
    """Conversations whose queries, responses, topics and passages hold the hostile texts."""
    folder.mkdir()
    turns, passages = [], []
    for conversation in range(CONVERSATIONS):
        for turn in range(1, TURNS + 1):
            number = TURNS * conversation + turn - 1
            passages.append({"id": f"p{number}", "title": f"Title {text_of(number + 1)}", "text": f"Passage {number} {text_of(number)}"})
            turns.append(
                {
                    "conversation_id": conversation_of(conversation),
                    "turn": turn,
                    "query": f"question {number} {text_of(number)}",
                    "response": f"the tower was built by {number} people {text_of(number + 2)}",
                    "rewrite": f"rewritten {number} {text_of(number + 3)}",
                    "topic": text_of(conversation),
                    "labels": {"answerable": "yes" if number % 2 else "no"},
                    "gold": [f"p{number}"],
                }
            )
    for name, rows in (("conversations.jsonl", turns), ("collection.jsonl", passages)):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "dataset.yaml").write_text("name: hostile\nlicence: none\n", encoding="utf-8")


def records_of(system: str, turns: tuple[Turn, ...]) -> Iterator[dict[str, object]]:
    """alpha finds gold first and answers well; beta finds it at rank 7 on every third turn; gamma hardly ever."""
    for number, turn in enumerate(turns):
        gold, others = f"p{number}", [f"p{(number + step) % len(turns)}" for step in range(1, 9)]
        found = {"alpha": [gold, *others], "beta": [*others[:6], gold] if number % 3 == 0 else [others[0], gold], "gamma": others}[system]
        response = RESPONSES[system].format(n=number) + f" {text_of(number + 4)}"
        yield {
            "turn_id": turn.id,
            "query": turn.query,
            "passages": [[id_, 20.0 - rank] for rank, id_ in enumerate(found)],
            "response": response,
            "evidence": found[:2],
        }


def make_comparison(folder: Path) -> Comparison:
    """Runs the three systems and compares them; the name of the third becomes hostile as well."""
    data = folder / "data"
    write_dataset(data)
    turns = open_dataset(DatasetRequest("generic", data=data)).turns
    paths = []
    for system in RESPONSES:
        file, path = folder / f"{system}.jsonl", folder / system
        file.write_text("".join(json.dumps(record) + "\n" for record in records_of(system, turns)), encoding="utf-8")
        spec = RunSpec(
            system={"kind": "replay", "name": system, "run": str(file), "description": text_of(1)},
            dataset=DatasetSpec(name="generic", data=str(data)),
        )
        run(spec, path, Selection(families=["retrieval", "token-f1"]), cache=folder / "cache", offline=True)
        paths.append(path)
    results = paths[-1] / "results.json"
    renamed = json.loads(results.read_text(encoding="utf-8"))
    renamed["system"]["name"] = LABEL
    del renamed["check"]
    results.write_text(json.dumps(renamed), encoding="utf-8")
    return compare(paths, settings=Settings(resampling=Resampling(resamples=200)))
