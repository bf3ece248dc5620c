"""A whole `convbench run` of BM25 with retrieval measures, ROUGE and token F1, against the time inside the libraries that do the work.

    python benchmarks/end_to_end.py --real-data ../shared/data/topiocqa --out results.json

Ours reads the data set's files, builds the passage store and the index, searches with the whole conversation, picks a sentence as the
response, scores, bootstraps intervals and writes the run folder and its report. The peer is bm25s (index and search), ir_measures,
rouge_score and SQuAD's token F1 called bare on the same texts, which lie in memory; the responses are given to it. A second line says
what the rest of a run adds to convbench's own index, search and metrics called bare in the same way.
Without ``--real-data`` (a folder with ``hub/`` and ``corpus/`` of TopiOCQA) it is made-up conversations of that size.
"""

# ruff: noqa: E402
from __future__ import annotations

from side_by_side import one_thread

one_thread()

import argparse
import json
import logging
import os
import random
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from side_by_side import Result, environment, growth, side_by_side, write_results

from convbench.datasets.collection import prepare_store
from convbench.datasets.loading import Dataset, open_dataset
from convbench.generation.sentences import split_sentences
from convbench.harness.batch import RunRequest, run_all
from convbench.harness.spec import DatasetSpec
from convbench.io.runfile import read_run
from convbench.meter import Meter
from convbench.metrics import squad
from convbench.metrics.overlap import overlap
from convbench.metrics.selection import Selection
from convbench.report.write import write_reports
from convbench.retrieval.bm25 import BM25Config, BM25Retriever
from convbench.types import TurnRecord
from convbench.views.passages import passage_text
from convbench.views.query import Query

SYSTEM = "bm25-history"
FAMILIES = ("retrieval", "rouge", "token-f1")
MEASURES = {"nDCG@3": "nDCG@3", "RR@100": "RR", "R@5": "R@5", "R@10": "R@10", "R@20": "R@20", "R@100": "R@100", "MAP": "AP"}
ROUGE = ("rouge1", "rouge2", "rougeL", "rougeLsum")
DEPTH = 100
K1, B = 0.9, 0.4
CONVERSATIONS, TURNS, PASSAGES = 120, 12, 1142
Means = dict[str, float]


def made_up(folder: Path, conversations: int, passages: int) -> DatasetSpec:
    """A data set of TopiOCQA's form and size: an article a conversation, questions and answers of its passages' words."""
    chance = random.Random(0)
    words = ["".join(chance.choices("abcdefghilmnoprstu", k=chance.randint(2, 9))) for _ in range(12_000)]
    common = chance.choices(words, weights=[1 / (rank + 1) for rank in range(len(words))], k=200_000)
    texts = [
        " ".join(" ".join(chance.choices(common, k=chance.randint(8, 25))).capitalize() + "." for _ in range(5)) for _ in range(passages)
    ]
    titles = [f"{words[n].capitalize()} [SEP] Introduction" for n in range(passages)]
    rows = ["id\ttext\ttitle", *(f"{n}\t{text}\t{title}" for n, (text, title) in enumerate(zip(texts, titles, strict=True)))]
    corpus = folder / "full_wiki_segments.tsv"
    corpus.write_text("\n".join(rows) + "\n", encoding="utf-8")
    lines = []
    for conversation in range(1, conversations + 1):
        said: list[str] = []
        for turn in range(1, TURNS + 1):
            gold = chance.randrange(passages)
            known = texts[gold].split()
            question, answer = " ".join(chance.sample(known, 6)), " ".join(known[5 : 5 + chance.randint(2, 20)])
            passage = {"id": str(gold), "title": titles[gold], "text": texts[gold]}
            line = {"Conversation_no": conversation, "Turn_no": turn, "Context": list(said), "Question": question, "Answer": answer}
            lines.append(json.dumps(line | {"Additional_answers": [], "Topic": titles[gold], "Gold_passage": passage}))
            said += [question, answer]
    (folder / "topiocqa_valid.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return DatasetSpec(name="topiocqa", data=str(folder), corpus=str(corpus))


def real(folder: Path) -> DatasetSpec:
    corpus = folder / "corpus" / "full_wiki_segments.sample.tsv"
    return DatasetSpec(name="topiocqa", data=str((folder / "hub").absolute()), corpus=str(corpus.absolute()))


@dataclass(frozen=True)
class Runner:
    """Whole runs, each into a folder and with a cache of its own."""

    scratch: Path
    numbers: Any

    def run(self, spec: DatasetSpec) -> Path:
        folder = self.scratch / f"run-{next(self.numbers)}"
        request = RunRequest((SYSTEM,), [spec], folder / "run", None, None, seed=0, cache=folder / "cache", offline=True)
        outcome = run_all(request, Selection(None, list(FAMILIES)))
        write_reports(outcome.runs, outcome.folder)
        return folder / "run"

    def means(self, spec: DatasetSpec) -> Means:
        results = json.loads((self.run(spec) / "results.json").read_text(encoding="utf-8"))
        return {metric["name"]: metric["value"] for metric in results["metrics"]}


@dataclass(frozen=True)
class Material:
    """What both peers are handed: everything in memory."""

    dataset: Dataset
    records: dict[str, TurnRecord]
    passages: dict[str, str]
    scratch: Path
    numbers: Any

    @classmethod
    def of(cls, spec: DatasetSpec, run: Path, scratch: Path, numbers: Any) -> Material:
        dataset = open_dataset(spec.request())
        collection = dataset.adapter.collection()
        texts = {passage.id: passage_text(passage) for passage in collection.passages()}
        return cls(dataset, dict(read_run(run / "turns.jsonl").records), texts, scratch, numbers)

    def libraries(self) -> Means:
        """bm25s, ir_measures, rouge_score and SQuAD's F1, bare."""
        import bm25s
        import ir_measures
        import Stemmer
        from rouge_score.rouge_scorer import RougeScorer

        turns, stemmer = self.dataset.turns, Stemmer.Stemmer("english")
        tokenize = partial(bm25s.tokenize, stopwords="english", stemmer=stemmer, show_progress=False)
        index = bm25s.BM25(k1=K1, b=B, backend="numba")
        index.index(tokenize(list(self.passages.values())), show_progress=False)
        queries = tokenize([self.records[turn.id].query for turn in turns])
        rows, scores = index.retrieve(queries, k=min(DEPTH, len(self.passages)), show_progress=False)
        ids = list(self.passages)
        run = {
            turn.id: {ids[row]: score for row, score in zip(*found, strict=True) if score > 0}
            for turn, *found in zip(turns, rows.tolist(), scores.tolist(), strict=True)
        }
        qrels = {turn.id: dict(turn.gold) for turn in turns if turn.gold}
        ranked = ir_measures.calc_aggregate([ir_measures.parse_measure(name) for name in MEASURES.values()], qrels, run)
        means = {name: ranked[ir_measures.parse_measure(other)] for name, other in MEASURES.items()}
        scorer, rouge, f1 = RougeScorer(list(ROUGE), use_stemmer=True), [], []
        for turn in turns:
            response, references = self.records[turn.id].response or "", [reference.text for reference in turn.references]
            rouge.append(scorer.score_multi([_lines(text) for text in references], _lines(response)))
            f1.append(max(_f1(reference, response) for reference in references))
        means |= {name: statistics.fmean(scores[name].fmeasure for scores in rouge) for name in ROUGE}
        return means | {"F1-max": statistics.fmean(f1)}

    def own_parts(self) -> Means:
        """convbench's index, search and metrics, bare."""
        cache = self.scratch / f"cache-{next(self.numbers)}"
        store = prepare_store(self.dataset, self.dataset.adapter.collection(), self.scratch / "cache")
        retriever, meter = BM25Retriever(BM25Config(k1=K1, b=B)), Meter()
        retriever.index(store, cache, meter)
        turns = self.dataset.turns
        queries = [Query(turn.id, (self.records[turn.id].query,)) for turn in turns]
        size = retriever.batch_size
        for at in range(0, len(queries), size):
            retriever.search(queries[at : at + size], DEPTH, meter)
        means: Means = {}
        for part in Selection(None, list(FAMILIES)).parts(self.dataset):
            values: dict[str, list[float]] = {}
            for score in part.metric.score(turns, self.records):
                if score.value is not None:
                    values.setdefault(score.measure, []).append(score.value)
            means |= {name: statistics.fmean(found) for name, found in values.items()}
        return means


def _f1(reference: str, response: str) -> float:
    return overlap(squad.tokens(reference), squad.tokens(response)).f1


def _lines(text: str) -> str:
    return "\n".join(sentence for line in text.splitlines() for sentence in split_sentences(line))


def same(ours: Means, peer: Means, ties: float) -> None:
    """Responses' scores agree to 1e-9; rankings' to what the order of equal BM25 scores can change."""
    assert set(peer) <= set(ours)
    for name, value in peer.items():
        allowed = ties if name in MEASURES else 1e-9
        assert abs(ours[name] - value) <= allowed, f"{name}: {ours[name]} and {value} differ by more than {allowed}"


def measured(spec: DatasetSpec, scratch: Path, pairs: int, what: str, sizes: tuple[int, ...]) -> list[Result]:
    numbers = count()
    runner = Runner(scratch, numbers)
    first = runner.run(spec)
    material = Material.of(spec, first, scratch, numbers)
    turns, conversations = len(material.dataset.turns), len(material.dataset.conversations)
    ours = partial(runner.means, spec)

    def part(times: int) -> Callable[[], object]:
        some = max(conversations * times // sizes[-1], 1)
        return partial(runner.run, spec.model_copy(update={"limit": some}))

    grown = growth(part, sizes, repeats=2)
    settings = {
        "data": what,
        "turns": turns,
        "conversations": conversations,
        "passages": len(material.passages),
        "seconds_by_stage_of_one_run": _stages(first),
        "growth": "by conversations; the files read and the index built are the same for all",
    }
    bare = side_by_side(ours, material.libraries, partial(same, ties=0.01), pairs=pairs)
    own = side_by_side(ours, material.own_parts, partial(same, ties=1e-9), pairs=pairs)
    added = own.seconds["ours"].median - own.seconds["peer"].median
    return [
        Result(
            path=f"end to end: convbench run {SYSTEM}, {turns:,} turns",
            peer="bm25s, ir_measures, rouge_score and token F1 called bare",
            pairs=bare,
            equality="means of response measures 1e-9, of retrieval measures 0.01 (order of equal BM25 scores)",
            at_most=1.3,
            growth=grown,
            settings=settings,
            notes="The peer reads and writes nothing and does not pick responses; a run is ahead where convbench's metrics are the faster. "
            "Rows of a stage are read from their file where a later one needs them, instead of being kept, and memory is given back at the "
            "end, so that it does not grow with the turns (`soak`).",
        ),
        Result(
            path=f"what a run adds to its own search and metrics, {turns:,} turns",
            peer="convbench's BM25, evaluator, ROUGE and token F1 called bare",
            pairs=own,
            equality="means 1e-9",
            settings=settings,
            notes=f"The rest takes {added:.2f} s: reading the files, the passage store, picking responses, intervals, and writing "
            f"{_megabytes(first):.0f} MB of rankings, responses and scores so that a run can be stopped, resumed and verified.",
        ),
    ]


def _stages(run: Path) -> dict[str, float]:
    seconds: dict[str, float] = json.loads((run / "run.json").read_text(encoding="utf-8"))["executions"][-1]["seconds"]
    return seconds


def _megabytes(run: Path) -> float:
    return sum(path.stat().st_size for path in run.rglob("*") if path.is_file()) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="where the figures go, as JSON")
    parser.add_argument("--real-data", type=Path, help="folder of TopiOCQA with hub/ and corpus/; without it the data are made up")
    parser.add_argument("--small", action="store_true", help="a few conversations, to see that it works")
    options = parser.parse_args()
    load_before = os.getloadavg()[0]
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        what = "TopiOCQA sample" if options.real_data else "made up"
        size = (4, 60) if options.small else (CONVERSATIONS, PASSAGES)
        spec = real(options.real_data) if options.real_data else made_up(folder, *size)
        pairs, sizes = (1, (1, 2)) if options.small else (5, (1, 2, 4, 8))
        results = measured(spec, folder, pairs, what, sizes)
    packages = ["bm25s", "ir-measures", "rouge-score", "numba", "numpy"]
    write_results(options.out, results, environment(packages, load_before))


if __name__ == "__main__":
    main()
