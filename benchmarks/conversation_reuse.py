"""What reading a conversation once saves: a 12-turn conversation, a decoder of about 30 million parameters with random weights.

    python benchmarks/conversation_reuse.py [--turns 12] [--runs 5] [--device cuda] [--out benchmarks/results/conversation_reuse.json]

Two comparisons, each within one process, interleaved, after a warm-up; on the CPU on one thread:

- online, turn by turn: every turn is encoded, then answered from its passages. Plain: two passes over the session a turn (one to encode,
  one to respond). Reuse: a turn goes on from the turn before, and the response from the retrieval pass.
- offline, embeddings only: one pass a turn against one pass over the conversation.

Both give the same vectors (to 1e-5) and the same greedy tokens, which is checked in every run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from convbench.backends.loaded import Loaded, load
from convbench.backends.placement import ModelConfig
from convbench.backends.sessions import EncodedSession, encode_apart, encode_together, stacked
from convbench.backends.trunk import EMPTY
from convbench.io.atomic import write_text
from convbench.meter import Meter
from convbench.writing.decoding import DecodingConfig
from convbench.writing.writer import Prompt, Written, write_responses

BATCH_TOKENS = 16_384
VOCABULARY = 8000


def make_decoder(folder: Path, device: Any) -> Loaded:
    """A Mistral of about 30 million parameters with random weights, and a tokenizer that knows its vocabulary by number."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import MistralConfig, MistralForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=VOCABULARY,
        hidden_size=512,
        intermediate_size=1408,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=8,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
    )
    MistralForCausalLM(config).save_pretrained(folder)
    words = {"<unk>": 0, "<s>": 1, "</s>": 2, **{f"w{number}": number for number in range(3, VOCABULARY)}}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>").save_pretrained(folder)
    profile = {"pooling": "last", "attention": "causal", "closing": ["</s>"]}
    return load(ModelConfig(model=str(folder), profile=profile, device=device, dtype="float32"), "decoder", offline=True)


def make_conversation(turns: int, query: int, response: int, evidence: int) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """Sessions of growing length and, for each turn, the tokens of its passages and cue."""
    words = random.Random(0)

    def some(count: int) -> list[int]:
        return [words.randrange(3, VOCABULARY) for _ in range(count)]

    tokens, sessions, tails = [1], [], []
    for _ in range(turns):
        tokens += some(query)
        sessions.append(tuple(tokens))
        tails.append(tuple(some(evidence)))
        tokens += some(response)
    return sessions, tails


class Conversation:
    """The two ways through one conversation."""

    def __init__(self, loaded: Loaded, sessions: list[tuple[int, ...]], tails: list[tuple[int, ...]], new_tokens: int) -> None:
        self._loaded, self._sessions, self._tails = loaded, sessions, tails
        self._decoding = DecodingConfig(max_new_tokens=new_tokens)

    def plain(self) -> tuple[np.ndarray, list[Written]]:
        """Every turn is read twice from its beginning."""
        vectors, written = [], []
        for number, (session, tail) in enumerate(zip(self._sessions, self._tails, strict=True)):
            vectors.append(self._encode_apart([session]))
            written += self._respond(Prompt(f"c_{number}", (*session, *tail)))
        return np.concatenate(vectors), written

    def reuse(self) -> tuple[np.ndarray, list[Written]]:
        """Every turn goes on from the one before, every response from its retrieval pass."""
        read, vectors, written = EncodedSession(np.empty(0), EMPTY), [], []
        for number, (session, tail) in enumerate(zip(self._sessions, self._tails, strict=True)):
            ((read,),) = self._encode_together([session], read, keep=True)
            vectors.append(read.vector)
            written += self._respond(Prompt(f"c_{number}", (*session, *tail), read.trunk))
        return np.stack(vectors), written

    def one_pass_a_turn(self) -> np.ndarray:
        """Embeddings only, a forward pass each."""
        return np.concatenate([self._encode_apart([session]) for session in self._sessions])

    def one_pass(self) -> np.ndarray:
        """Embeddings only, one forward pass for all."""
        (sessions,) = self._encode_together(self._sessions, EncodedSession(np.empty(0), EMPTY), keep=False)
        return stacked(sessions)

    def _encode_apart(self, sessions: list[tuple[int, ...]]) -> np.ndarray:
        return encode_apart(self._loaded, sessions, self._loaded.form.closing, Meter(), batch_tokens=BATCH_TOKENS)

    def _encode_together(self, sessions: list[tuple[int, ...]], read: EncodedSession, *, keep: bool) -> list[list[EncodedSession]]:
        closing = self._loaded.form.closing
        return encode_together(self._loaded, [sessions], closing, Meter(), batch_tokens=BATCH_TOKENS, known=[read.trunk], keep=keep)

    def _respond(self, prompt: Prompt) -> list[Written]:
        return write_responses(self._loaded, [prompt], self._decoding, Meter(), seed=0, batch_tokens=BATCH_TOKENS)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds and outcome."""
    started = time.perf_counter()
    outcome = work()
    return time.perf_counter() - started, outcome


def compared(slow: Callable[[], Any], fast: Callable[[], Any], runs: int, same: Callable[[Any, Any], None]) -> dict[str, Any]:
    """Times two ways in turn, and checks that they agree."""
    same(slow(), fast())
    seconds: dict[str, list[float]] = {"plain": [], "reuse": []}
    for _ in range(runs):
        slow_seconds, slow_outcome = timed(slow)
        fast_seconds, fast_outcome = timed(fast)
        same(slow_outcome, fast_outcome)
        seconds["plain"].append(slow_seconds)
        seconds["reuse"].append(fast_seconds)
    ratios = [plain / reuse for plain, reuse in zip(seconds["plain"], seconds["reuse"], strict=True)]
    return {**{name: spread(values) for name, values in seconds.items()}, "ratio": spread(ratios)}


def spread(values: list[float]) -> dict[str, float]:
    """Least, median, most."""
    return {"min": round(min(values), 4), "median": round(statistics.median(values), 4), "max": round(max(values), 4)}


def same_online(one: tuple[np.ndarray, list[Written]], two: tuple[np.ndarray, list[Written]]) -> None:
    """The same vectors and the same greedy tokens."""
    same_vectors(one[0], two[0])
    if one[1] != two[1]:
        raise SystemExit("the two ways wrote different responses")


def same_vectors(one: np.ndarray, two: np.ndarray) -> None:
    """The same vectors, to 1e-5."""
    if (difference := np.abs(one - two).max()) > 1e-5:
        raise SystemExit(f"the two ways gave vectors that differ by {difference}")


def main() -> None:
    """Measures and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value, text in (
        ("turns", 12, "turns of the conversation"),
        ("query", 20, "tokens of a query"),
        ("response", 80, "tokens of a response in the history"),
        ("evidence", 200, "tokens of the passages and the cue"),
        ("new-tokens", 32, "tokens of each written response"),
        ("runs", 5, "measured runs"),
    ):
        parser.add_argument(f"--{name}", type=int, default=value, help=f"{text} ({value})")
    parser.add_argument("--device", choices=("cpu", "cuda", "mps"), default="cpu", help="where to compute (cpu, one thread)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "conversation_reuse.json")
    settings = parser.parse_args()
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        loaded = make_decoder(Path(folder), settings.device)
        sessions, tails = make_conversation(settings.turns, settings.query, settings.response, settings.evidence)
        conversation = Conversation(loaded, sessions, tails, settings.new_tokens)
        result = {
            "settings": {key: value for key, value in vars(settings).items() if key != "out"},
            "parameters": loaded.checkpoint.parameters_of("decoder"),
            "session_tokens": [len(session) for session in sessions],
            "machine": {"processor": platform.machine(), "cores": os.cpu_count(), "threads": 1, "load": round(os.getloadavg()[0], 2)},
            "versions": {"torch": torch.__version__, "python": platform.python_version()},
            "seconds": {
                "online, encode and respond: two passes a turn against reuse": compared(
                    conversation.plain, conversation.reuse, settings.runs, same_online
                ),
                "offline, encode: one pass a turn against one pass": compared(
                    conversation.one_pass_a_turn, conversation.one_pass, settings.runs, same_vectors
                ),
            },
        }
    write_text(settings.out, json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
