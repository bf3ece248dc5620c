"""What reading a conversation once saves, on a decoder of about 30 million parameters with random weights.

    python benchmarks/conversation_reuse.py [--device cuda] [--out benchmarks/results/conversation_reuse.json] [--small]

- All turns of a conversation embedded in one forward pass, beside one pass a turn.
- A turn's embedding and the first word of its response from one pass over its session, beside a pass each: without passages, and with five.
- Turn n + 1 read on turn n's cache, beside every turn from its beginning: embedding and response.

Both ways of each give the same vectors (to 1e-5) and the same greedy tokens, which is checked before any time is taken.
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

import numpy as np  # noqa: E402
import torch  # noqa: E402
from small_decoder import make_decoder, make_sessions, some_words  # noqa: E402

from convbench.backends.base import Vectors  # noqa: E402
from convbench.backends.loaded import Loaded  # noqa: E402
from convbench.backends.sessions import EncodedSession, encode_apart, encode_together, stacked  # noqa: E402
from convbench.backends.trunk import EMPTY, Trunk  # noqa: E402
from convbench.meter import Meter  # noqa: E402
from convbench.writing.decoding import DecodingConfig  # noqa: E402
from convbench.writing.writer import Prompt, Written, write_responses  # noqa: E402

BATCH_TOKENS = 16_384
QUERY, RESPONSE, PASSAGE, CUE = 20, 80, 110, 4
TURNS, TURN_BY_TURN = 12, 10
NEW_TOKENS = 4

Tokens = tuple[int, ...]
Read = tuple[Vectors, list[Written]]


class Decoder:
    """Reads sessions and writes responses.

    Args:
        loaded: The model.
    """

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded

    def apart(self, sessions: Sequence[Tokens]) -> Vectors:
        """Embeddings, a forward pass each."""
        closing = self._loaded.form.closing
        each = [encode_apart(self._loaded, [session], closing, Meter(), batch_tokens=BATCH_TOKENS) for session in sessions]
        return np.concatenate(each)

    def together(self, conversations: Sequence[Sequence[Tokens]]) -> Vectors:
        """Embeddings, a forward pass a conversation."""
        return np.concatenate([stacked(self._read(sessions, EMPTY, keep=False)) for sessions in conversations])

    def two_passes(self, session: Tokens, tail: Tokens, new_tokens: int) -> Read:
        """A turn's embedding, and its response from a prompt that is read from its beginning."""
        return self.apart([session]), self._write(session, tail, EMPTY, new_tokens)

    def one_pass(self, session: Tokens, tail: Tokens, new_tokens: int) -> Read:
        """A turn's embedding, and its response from the same pass over the session."""
        (read,) = self._read([session], EMPTY, keep=True)
        return stacked([read]), self._write(session, tail, read.trunk, new_tokens)

    def turn_by_turn(self, sessions: Sequence[Tokens], tail: Tokens, *, reuse: bool) -> Read:
        """Embedding and response of each turn in one pass: over what is new, or over the whole session."""
        vectors, written, known = [], [], EMPTY
        for session in sessions:
            (read,) = self._read([session], known if reuse else EMPTY, keep=True)
            vectors.append(read)
            written += self._write(session, tail, read.trunk, NEW_TOKENS)
            known = read.trunk
        return stacked(vectors), written

    def _read(self, sessions: Sequence[Tokens], known: Trunk, *, keep: bool) -> list[EncodedSession]:
        closing = self._loaded.form.closing
        return encode_together(self._loaded, [sessions], closing, Meter(), batch_tokens=BATCH_TOKENS, known=[known], keep=keep)[0]

    def _write(self, session: Tokens, tail: Tokens, known: Trunk, new_tokens: int) -> list[Written]:
        prompt, decoding = Prompt("c_1", (*session, *tail), known), DecodingConfig(max_new_tokens=new_tokens)
        return write_responses(self._loaded, [prompt], decoding, Meter(), seed=0, batch_tokens=BATCH_TOKENS)


def same_vectors(one: Vectors, two: Vectors) -> None:
    """The same vectors, to 1e-5."""
    difference = float(np.abs(one - two).max())
    assert difference < 1e-5, f"vectors differ by {difference}"


def same(one: Read, two: Read) -> None:
    """The same vectors and the same greedy tokens."""
    same_vectors(one[0], two[0])
    assert one[1] == two[1], "other responses"


def all_turns(decoder: Decoder, turns: int) -> Result:
    """One pass a conversation beside one pass a turn."""
    sessions = make_sessions(turns, QUERY, RESPONSE)
    others = [make_sessions(max(turns // 4, 2), QUERY, RESPONSE, seed) for seed in range(8)]
    return Result(
        path=f"all turns of a conversation in one pass, {turns} turns",
        peer="one pass a turn",
        pairs=side_by_side(partial(decoder.together, [sessions]), partial(decoder.apart, sessions), same_vectors),
        equality="vectors to 1e-5",
        target=4.0,
        growth=growth(lambda times: partial(decoder.together, others[:times])),
        settings={"session_tokens": [len(session) for session in sessions]},
        notes=f"Ceiling: {sum(map(len, sessions)) / len(sessions[-1]):.2f} times fewer tokens are read. Growth: conversations.",
    )


def one_cache(decoder: Decoder, turns: int, passages: int, target: float) -> Result:
    """Embedding and first word from one pass over the session beside a pass each."""
    words = random.Random(1)
    session = make_sessions(turns, QUERY, RESPONSE)[-1]
    tail = tuple(some_words(passages * PASSAGE + CUE, words))
    same(decoder.one_pass(session, tail, 24), decoder.two_passes(session, tail, 24))
    ceiling = (2 * len(session) + len(tail)) / (len(session) + len(tail))
    of = f"with {passages} passages" if passages else "without passages"

    def several(times: int) -> list[Read]:
        return [decoder.one_pass(session, tail, 1) for _ in range(times)]

    return Result(
        path=f"retrieve and respond from one cache, {of}, {len(session)} session tokens",
        peer="two passes with the same weights",
        pairs=side_by_side(partial(decoder.one_pass, session, tail, 1), partial(decoder.two_passes, session, tail, 1), same, pairs=7),
        equality="vectors to 1e-5, the same 24 greedy tokens",
        target=target,
        growth=growth(lambda times: partial(several, times), repeats=1),
        settings={"session_tokens": len(session), "other_prompt_tokens": len(tail)},
        notes=f"Time to the embedding and the first word. No more than {ceiling:.2f} times fewer tokens are read: the ceiling is 2, "
        "where a prompt is all session. Growth: turns.",
    )


def next_turn(decoder: Decoder, turns: int) -> Result:
    """Turn by turn on the cache of the turn before, beside from the beginning."""
    sessions, cue = make_sessions(turns, QUERY, RESPONSE), tuple(some_words(CUE, random.Random(1)))

    def turn_by_turn(times: int) -> list[Read]:
        return [decoder.turn_by_turn(sessions[:3], cue, reuse=True) for _ in range(times)]

    return Result(
        path=f"turn n + 1 on turn n's cache, {turns} turns",
        peer="every turn from its beginning",
        pairs=side_by_side(
            partial(decoder.turn_by_turn, sessions, cue, reuse=True), partial(decoder.turn_by_turn, sessions, cue, reuse=False), same
        ),
        equality="vectors to 1e-5, the same greedy tokens",
        target=2.5,
        growth=growth(lambda times: partial(turn_by_turn, times), repeats=1),
        settings={"session_tokens": [len(session) for session in sessions], "new_tokens": NEW_TOKENS},
        notes=f"Embedding and {NEW_TOKENS} written tokens a turn, one pass over what is read. Growth: conversations.",
    )


def main() -> None:
    """Measures and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda", "mps"), default="cpu", help="where to compute (cpu, one thread)")
    parser.add_argument("--out", type=Path, help="where the figures go, as JSON")
    parser.add_argument("--small", action="store_true", help="two narrow layers, for a test")
    options = parser.parse_args()
    load_before = os.getloadavg()[0]
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        loaded = make_decoder(Path(folder), device=options.device, small=options.small)
        decoder = Decoder(loaded)
        results = [
            all_turns(decoder, TURNS),
            one_cache(decoder, TURNS // 2, 0, 1.6),
            one_cache(decoder, TURNS // 2, 5, 1.3),
            next_turn(decoder, TURN_BY_TURN),
        ]
        where = {"parameters": loaded.checkpoint.parameters_of("decoder"), "device": options.device}
    write_results(options.out, results, {**environment(["torch", "transformers"], load_before), **where})


if __name__ == "__main__":
    main()
