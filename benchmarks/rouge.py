"""ROUGE of 10,000 pairs of texts, stemmed: ours, with rouge-score-rs and without, beside rouge_score.

    python benchmarks/rouge.py --out rouge.json

Ours is ``RougeMetric.score`` over turns and records, with nothing remembered from before. rouge_score gets the bare texts, for Lsum with a
line for each sentence; looking for them is in our time only. Both run with Python's collector looking as rarely as in ``convbench run``
(``harness.collecting``). The values must be equal to the last bit.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from made_up_answers import answers, like, words_of
from side_by_side import Result, environment, growth, one_thread, side_by_side, write_results

one_thread()

from rouge_score.rouge_scorer import RougeScorer  # noqa: E402

from convbench.generation.sentences import split_sentences  # noqa: E402
from convbench.harness.collecting import rare_collections  # noqa: E402
from convbench.metrics.rouge import RougeMetric  # noqa: E402
from convbench.metrics.rouge_scorer import Engine  # noqa: E402
from convbench.types import Reference, Turn, TurnRecord  # noqa: E402

KINDS = ("rouge1", "rouge2", "rougeL")
Values = list[float]


class Pairs:
    """Pairs of a reference and a response, as bare texts and as turns with records."""

    def __init__(self, count: int) -> None:
        rng = random.Random(5)
        answer = answers(rng, words_of(rng), lambda: min(120, max(2, int(rng.lognormvariate(3.2, 0.6)))))
        self.references = [answer() for _ in range(count)]
        self.responses = [like(rng, reference, answer()) for reference in self.references]
        self._turns = [Turn(f"c_{n}", "what?", references=(Reference(text),)) for n, text in enumerate(self.references, 1)]
        self._records = {f"c_{n}": TurnRecord(f"c_{n}", response=text) for n, text in enumerate(self.responses, 1)}

    def ours(self, engine: Engine, kinds: Sequence[str]) -> Callable[[], Values]:
        """F-measures by convbench, pair by pair, kind by kind."""
        return lambda: [
            score.value or 0.0 for score in RougeMetric(measures=kinds, engine=engine).score(self._turns, self._records)
        ]  # fmt: skip

    def plain(self, kinds: Sequence[str]) -> Callable[[], Values]:
        """F-measures by rouge_score."""
        references, responses = self.references, self.responses
        if "rougeLsum" in kinds:
            references, responses = (["\n".join(split_sentences(text)) for text in texts] for texts in (references, responses))

        def scored() -> Values:
            scorer = RougeScorer(list(kinds), use_stemmer=True)
            scores = (scorer.score(*pair) for pair in zip(references, responses, strict=True))
            return [float(score[kind].fmeasure) for score in scores for kind in kinds]

        return scored


def same(ours: Values, peer: Values) -> None:
    assert len(ours) == len(peer) > 0
    assert ours == peer


def measured(pairs: Pairs, engine: Engine, kinds: Sequence[str], target: float) -> Result:
    count = len(pairs.references)
    label = "with rouge-score-rs" if engine == "rust" else "in Python alone"
    small = count // 8
    return Result(
        path=f"ROUGE ({', '.join(kind.removeprefix('rouge') for kind in kinds)}), stemmed, {count:,} pairs, {label}",
        peer=f"rouge_score {version('rouge-score')}",
        pairs=side_by_side(pairs.ours(engine, kinds), pairs.plain(kinds), same),
        equality="bit for bit",
        target=target,
        growth=growth(lambda times: Pairs(small * times).ours(engine, kinds)),
        settings={"pairs": count, "kinds": list(kinds), "words per text": "2 to 120, median 24"},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="where the figures go, as JSON")
    parser.add_argument("--small", action="store_true", help="a size that takes seconds")
    options = parser.parse_args()
    logging.disable(logging.INFO)  # rouge_score says at every start that it uses its default tokenizer
    load = os.getloadavg()[0]
    with rare_collections():
        results = every_result(options.small)
    write_results(options.out, results, environment(["rouge-score", "rouge-score-rs", "nltk"], load))


def every_result(small: bool) -> list[Result]:
    pairs, few = Pairs(400 if small else 10_000), Pairs(200 if small else 2_000)
    return [
        measured(pairs, "rust", KINDS, 30),
        measured(pairs, "python", KINDS, 3),
        measured(few, "rust", (*KINDS, "rougeLsum"), 30),
    ]


if __name__ == "__main__":
    main()
