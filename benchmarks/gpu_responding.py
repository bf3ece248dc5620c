"""Retrieving and responding with one model of Mistral-7B's shape on a GPU: one cache against two passes, and the pace of writing.

    python benchmarks/gpu_responding.py --out benchmarks/results/gpu_responding.json  # or --device cpu --small, to see that it works

Of 1, 8 and 32 conversations, the session is encoded and then responded to, from passages. One cache: the response goes on from what
encoding has read (``backends.sessions``, ``writing.writer``). Two passes: the session is read again. Both write the same number of tokens,
so that the difference is that of the prompts: with as many session tokens as passage tokens the ceiling is 1.5. Writing a token reads
all weights once and each row's cache, whatever the number of conversations: bytes bound it. Beside both stands transformers' own
``generate``, which only writes.
"""

# ruff: noqa: E402
from __future__ import annotations

from side_by_side import one_thread

one_thread()

import importlib.util
import random
from dataclasses import dataclass

import numpy as np
import torch
from gpu_figures import Share, Work, decoder, forward_flop, measured_card, options, reached, weights_bytes, write_shares
from small_decoder import some_words

from convbench.backends.loaded import Loaded
from convbench.backends.sessions import encode_apart, encode_together, stacked
from convbench.backends.trunk import EMPTY
from convbench.meter import Meter
from convbench.writing.decoding import DecodingConfig
from convbench.writing.writer import Prompt, Written, write_responses

BATCH_TOKENS = 65_536


@dataclass(frozen=True)
class Requests:
    """Conversations that wait for a response.

    Attributes:
        loaded: The decoder.
        sessions: Their sessions, as tokens.
        tails: The tokens of passages and cue that follow each.
        new_tokens: Tokens that are written.
    """

    loaded: Loaded
    sessions: list[tuple[int, ...]]
    tails: list[tuple[int, ...]]
    new_tokens: int

    @property
    def closing(self) -> tuple[int, ...]:
        return tuple(self.loaded.form.closing)

    def one_cache(self) -> tuple[np.ndarray, list[Written]]:
        conversations = [[session] for session in self.sessions]
        read = encode_together(
            self.loaded,
            conversations,
            self.closing,
            Meter(),
            batch_tokens=BATCH_TOKENS,
            known=[EMPTY] * len(conversations),
            keep=True,
        )
        flat = [session for each in read for session in each]
        return stacked(flat), self._written([session.trunk for session in flat])

    def two_passes(self) -> tuple[np.ndarray, list[Written]]:
        vectors = encode_apart(self.loaded, self.sessions, self.closing, Meter(), batch_tokens=BATCH_TOKENS)
        return vectors, self._written([EMPTY] * len(self.sessions))

    def transformers(self) -> torch.Tensor:
        """Transformers' own ``generate`` for the same responses, from the whole prompts; nothing is encoded."""
        prompts = [(*session, *tail) for session, tail in zip(self.sessions, self.tails, strict=True)]
        ids = torch.tensor(prompts, device=self.loaded.device)
        lengths = {"max_new_tokens": self.new_tokens, "min_new_tokens": self.new_tokens}
        return self.loaded.model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, **lengths)

    def _written(self, known: list) -> list[Written]:
        prompts = [
            Prompt(f"{number}_1", (*session, *tail), trunk)
            for number, (session, tail, trunk) in enumerate(zip(self.sessions, self.tails, known, strict=True))
        ]
        decoding = DecodingConfig(max_new_tokens=self.new_tokens, batch_rows=len(prompts))
        return write_responses(self.loaded, prompts, decoding, Meter(), seed=0, batch_tokens=BATCH_TOKENS)

    def work(self, path: str, *, passes: int, encoded: bool = True) -> Work:
        """What the prompts and the tokens need; the written tokens are read by the weights one at a time.

        Args:
            path: In a few words.
            passes: How often the sessions are read.
            encoded: Whether the vectors need a pass over the weights of their own.
        """
        sessions, tails = [len(session) + len(self.closing) for session in self.sessions], [len(tail) for tail in self.tails]
        flop = passes * forward_flop(self.loaded, sessions) + forward_flop(self.loaded, tails, sessions)
        whole = [session + tail for session, tail in zip(sessions, tails, strict=True)]
        flop += forward_flop(self.loaded, [self.new_tokens] * len(whole), whole)
        config = self.loaded.model.config
        a_token = 2 * config.num_hidden_layers * config.num_key_value_heads * (config.hidden_size // config.num_attention_heads)
        cached = self.new_tokens * sum(whole) * a_token * self.loaded.torch_dtype.itemsize
        return Work(path, flop, float(weights_bytes(self.loaded) * (self.new_tokens + (2 if encoded else 1)) + cached))


def same(requests: Requests) -> str:
    """In float32 both ways give the same vectors and the same tokens; in bfloat16 how far they agree is said."""
    (one, cached), (two, apart) = requests.one_cache(), requests.two_passes()
    equal = sum(mine == other for mine, other in zip(cached, apart, strict=True))
    gap = float(np.abs(one - two).max())
    if requests.loaded.dtype == "float32":
        assert gap <= 1e-5, f"vectors differ by {gap}"
        assert equal == len(cached), "the two ways wrote different responses"
    return f"{equal} of {len(cached)} responses are the same token by token, vectors differ by at most {gap:.1g}."


def main() -> None:
    settings, load_before = options(__doc__ or "")
    session, tail, new_tokens = (24, 16, 4) if settings.small else (550, 550, 64)
    words = random.Random(0)
    shares: list[Share] = []
    with decoder(settings.device, small=settings.small) as loaded:
        card = measured_card(settings.device, small=settings.small)
        for count in (1, 2) if settings.small else (1, 8, 32):
            sessions = [tuple(some_words(session, words)) for _ in range(count)]
            tails = [tuple(some_words(tail, words)) for _ in range(count)]
            requests = Requests(loaded, sessions, tails, new_tokens)
            agreement = same(requests)
            what = f"{count} conversations of {session} tokens, {tail} of passages, {new_tokens} written"
            one = reached(requests.work(f"one cache, {what}", passes=1), card, requests.one_cache, notes=agreement)
            two = reached(requests.work(f"two passes, {what}", passes=2), card, requests.two_passes, notes=agreement)
            said = "Writing alone; neither side stops before the last token."
            peer = reached(
                requests.work(f"transformers' generate, {what}", passes=1, encoded=False), card, requests.transformers, notes=said
            )
            print(f"  one cache is {two.seconds / one.seconds:.2f} times as fast", flush=True)
            shares += [one, two, peer]
    if importlib.util.find_spec("vllm") is None and importlib.util.find_spec("sglang") is None:
        print("no server engine is installed, so that writing is not compared with one", flush=True)
    write_shares(settings.out, card, shares, load_before)


if __name__ == "__main__":
    main()
