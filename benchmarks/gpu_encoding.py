"""Encoding with a model of Mistral-7B's shape on a GPU: tokens a second, and the share of the card's measured matrix rate.

    python benchmarks/gpu_encoding.py --out benchmarks/results/gpu_encoding.json      # or --device cpu --small, to see that it works

Sessions of 256 to 512 random tokens, encoded as every session and passage is (``backends.encode``), in batches of like length.
"""

# ruff: noqa: E402
from __future__ import annotations

from side_by_side import one_thread

one_thread()

import random

from gpu_figures import Work, decoder, forward_flop, measured_card, options, reached, weights_bytes, write_shares
from small_decoder import some_words

from convbench.backends.batches import batch_limit, length_batches
from convbench.backends.encode import encode_inputs
from convbench.meter import Meter

BATCH_TOKENS = 16_384
TARGET = 0.55


def main() -> None:
    settings, load_before = options(__doc__ or "")
    count, shortest, longest = (8, 16, 32) if settings.small else (512, 256, 512)
    card = measured_card(settings.device, small=settings.small)
    words = random.Random(0)
    lengths = [words.randint(shortest, longest) for _ in range(count)]
    inputs = [some_words(length, words) for length in lengths]
    batches = list(length_batches(lengths, batch_limit(settings.device, BATCH_TOKENS)))
    padded = sum(len(batch) * max(lengths[index] for index in batch) for batch in batches)
    with decoder(settings.device, small=settings.small) as loaded:
        work = Work(
            f"encoding {count} sessions of {shortest} to {longest} tokens",
            forward_flop(loaded, lengths),
            float(weights_bytes(loaded) * len(batches)),
        )
        share = reached(
            work,
            card,
            lambda: encode_inputs(loaded, inputs, Meter(), batch_tokens=BATCH_TOKENS),
            target=None if settings.small else TARGET,
            notes=f"{sum(lengths):,} tokens in {len(batches)} batches, {100 * padded / sum(lengths) - 100:.1f} % more with padding. Bytes "
            "are those of the weights, once a batch.",
        )
    print(f"  {sum(lengths) / share.seconds:,.0f} tokens a second", flush=True)
    write_shares(settings.out, card, [share], load_before)


if __name__ == "__main__":
    main()
