"""Writing responses with a decoder of about 30 million parameters: batches beside one turn at a time.

    python benchmarks/generation.py [--out benchmarks/results/generation.json] [--small]

Prompts are short, 12 to 60 tokens, and responses have 24, so that writing is what costs: reading a prompt takes as long in a batch as alone
on a processor. Both ways are convbench's writer and give the same greedy tokens. Pairs are timed on 32 turns; growth goes to 256.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from side_by_side import Result, environment, growth, one_thread, side_by_side, write_results

one_thread()

import torch  # noqa: E402
from small_decoder import make_decoder, some_words  # noqa: E402

from convbench.backends.loaded import Loaded  # noqa: E402
from convbench.meter import Meter  # noqa: E402
from convbench.writing.decoding import DecodingConfig  # noqa: E402
from convbench.writing.writer import Prompt, Written, write_responses  # noqa: E402

TURNS = 256
ROWS = 32
NEW_TOKENS = 24


def make_prompts(count: int) -> list[Prompt]:
    """Prompts of random words and lengths."""
    words = random.Random(0)
    return [Prompt(f"c_{number}", (1, *some_words(words.randint(11, 59), words))) for number in range(count)]


def written(loaded: Loaded, prompts: Sequence[Prompt], rows: int) -> list[Written]:
    """Greedy responses, at most ``rows`` of them together."""
    decoding = DecodingConfig(max_new_tokens=NEW_TOKENS, batch_rows=rows)
    return write_responses(loaded, prompts, decoding, Meter(), seed=0, batch_tokens=8192)


def same(one: Sequence[Written], two: Sequence[Written]) -> None:
    """The same tokens."""
    assert one == two, "other responses"


def main() -> None:
    """Measures and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="where the figures go, as JSON")
    parser.add_argument("--small", action="store_true", help="two narrow layers and 32 turns, for a test")
    options = parser.parse_args()
    load_before = os.getloadavg()[0]
    torch.set_num_threads(1)
    prompts = make_prompts(32 if options.small else TURNS)
    timed = prompts[: len(prompts) // 8]
    with tempfile.TemporaryDirectory() as folder:
        loaded = make_decoder(Path(folder), small=options.small)
        grown = growth(lambda times: partial(written, loaded, prompts[: len(prompts) * times // 8], ROWS), repeats=1)
        result = Result(
            path=f"generation, {len(timed)} of {len(prompts)} turns",
            peer="one turn at a time",
            pairs=side_by_side(partial(written, loaded, timed, ROWS), partial(written, loaded, timed, 1), same),
            equality="the same greedy tokens",
            target=3.0,
            growth=grown,
            settings={
                "prompt_tokens": sum(len(prompt.tokens) for prompt in timed) / len(timed),
                "new_tokens": NEW_TOKENS,
                "batch_rows": ROWS,
                "parameters": loaded.checkpoint.parameters_of("decoder"),
            },
            notes="A batch reads the weights once for a token of every response; a single response reads them for each of its tokens.",
        )
    write_results(options.out, [result], environment(["torch", "transformers"], load_before))


if __name__ == "__main__":
    main()
