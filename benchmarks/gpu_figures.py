"""What a card can do, measured, and what share of it a path reaches; with the model that the scripts `gpu_*.py` run.

Each of them first prints what its work needs, in floating-point operations and in bytes moved, and what the card allows for it: the longer
of the two at the matrix rate and the memory bandwidth that ``measured_card`` finds on the spot. Then it measures.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from side_by_side import environment, seconds
from small_decoder import make_decoder

from convbench.backends.loaded import Loaded

REPEATS = 5


@dataclass(frozen=True, slots=True)
class Card:
    """A device and what was measured on it.

    Attributes:
        name: Its own name.
        device: As torch knows it.
        matrix_rate: Floating-point operations a second of a large matrix product, in the precision that models run in.
        bandwidth: Bytes a second that a copy reads and writes.
    """

    name: str
    device: str
    matrix_rate: float
    bandwidth: float


@dataclass(frozen=True, slots=True)
class Work:
    """What a path has to do, at least.

    Attributes:
        path: The path in a few words.
        flop: Floating-point operations of the matrix products.
        bytes: Bytes that have to be read and written, each once.
    """

    path: str
    flop: float
    bytes: float

    def allowed(self, card: Card) -> tuple[float, str]:
        """The seconds that the card allows, and what bounds them."""
        by = {"arithmetic": self.flop / card.matrix_rate, "bytes": self.bytes / card.bandwidth}
        bound = max(by, key=lambda name: by[name])
        return by[bound], bound


@dataclass(frozen=True, slots=True)
class Share:
    """What a path reached.

    Attributes:
        path: The path.
        flop: As in ``Work``.
        bytes: Likewise.
        bound: ``arithmetic`` or ``bytes``.
        allowed_seconds: What the card allows.
        seconds: What it took, median.
        share: The one over the other.
        target: The share that is aimed at; None where there is none.
        reached: Whether it is reached; None without an aim.
        notes: What a reader has to know.
    """

    path: str
    flop: float
    bytes: float
    bound: str
    allowed_seconds: float
    seconds: float
    share: float
    target: float | None
    reached: bool | None
    notes: str


def measured_card(device: str, *, small: bool) -> Card:
    """Measures a matrix product (bfloat16; float32 on a processor) and a copy."""
    size, length = (512, 1 << 22) if small else (8192, 1 << 31)
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    rate = 2 * size**3 / median_seconds(lambda: left @ right, device, repeats=10)
    source = torch.zeros(length, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    bandwidth = 2 * length / median_seconds(lambda: target.copy_(source), device, repeats=10)
    name = torch.cuda.get_device_name(device) if device == "cuda" else device
    print(f"{name}: {rate / 1e12:.3g} TFLOP/s in a matrix product of {size}, {bandwidth / 1e9:.4g} GB/s in a copy", flush=True)
    return Card(name, device, rate, bandwidth)


def median_seconds(work: Callable[[], object], device: str, repeats: int = REPEATS) -> float:
    """The median after a warm-up; the card has finished before the clock stops."""

    def whole() -> None:
        work()
        if device == "cuda":
            torch.cuda.synchronize()

    whole()
    return statistics.median(seconds(whole) for _ in range(repeats))


def reached(
    work: Work, card: Card, way: Callable[[], object], *, target: float | None = None, repeats: int = REPEATS, notes: str = ""
) -> Share:
    """Prints what is expected, then measures.

    Args:
        work: What has to be done.
        card: Where.
        way: Does it once.
        target: The share that is aimed at, of what the card allows.
        repeats: Measured times.
        notes: What a reader has to know.
    """
    allowed, bound = work.allowed(card)
    print(f"{work.path}: {work.flop:.4g} FLOP and {work.bytes:.4g} bytes; {bound} allow {allowed:.4g} s", flush=True)
    spent = median_seconds(way, card.device, repeats)
    share = allowed / spent
    verdict = None if target is None else share >= target
    aim = "" if target is None else f" (aim {100 * target:.0f} %: {'reached' if verdict else 'NOT reached'})"
    print(f"  took {spent:.4g} s: {100 * share:.3g} % of it{aim}", flush=True)
    figures = (float(f"{value:.4g}") for value in (work.flop, work.bytes))
    return Share(work.path, *figures, bound, float(f"{allowed:.4g}"), float(f"{spent:.4g}"), float(f"{share:.4g}"), target, verdict, notes)


def write_shares(out: Path | None, card: Card, shares: Sequence[Share], load_before: float) -> None:
    """Writes the shares as JSON where a file is named."""
    if out is None:
        return
    where = {**environment(["torch", "transformers"], load_before), "card": asdict(card)}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"environment": where, "shares": [asdict(share) for share in shares]}, indent=1) + "\n", encoding="utf-8")


@contextmanager
def decoder(device: str, *, small: bool) -> Iterator[Loaded]:
    """A decoder with random weights: of Mistral-7B's shape in bfloat16; small: two narrow layers in float32.

    Tokenizer, profile and everything else come from a small checkpoint that is loaded as any other; the large model takes the place of
    the small one, made on the device itself so that its 14 GB are never written.
    """
    with TemporaryDirectory() as folder:
        loaded = make_decoder(Path(folder), device=device, small=True)
        yield loaded if small else replace(loaded, model=_mistral(device), dtype="bfloat16")


def _mistral(device: str) -> Any:
    from transformers import AutoModelForCausalLM, MistralConfig

    config = MistralConfig(
        vocab_size=32_000,
        hidden_size=4096,
        intermediate_size=14_336,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
        max_position_embeddings=4096,
        sliding_window=None,
    )
    torch.manual_seed(0)
    with torch.device(device):
        return AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16, attn_implementation="sdpa").eval()


def weights_bytes(loaded: Loaded) -> int:
    """Bytes of the body's weights, which every forward pass reads."""
    return sum(weight.numel() * weight.element_size() for weight in loaded.body.parameters())


def forward_flop(loaded: Loaded, lengths: Sequence[int], before: Sequence[int] | None = None) -> float:
    """Operations of one forward pass of the body, padding not counted.

    Twice a weight of the linear layers for each token, and 4 operations for each number of a query and each token it sees.

    Args:
        loaded: The decoder.
        lengths: New tokens of each row.
        before: Tokens of each row that are in the cache already; None: none.
    """
    config = loaded.model.config
    linear = sum(module.weight.numel() for module in loaded.body.modules() if isinstance(module, torch.nn.Linear))
    width = config.num_attention_heads * (getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)
    seen = sum(new * (old + (new + 1) / 2) for new, old in zip(lengths, before or [0] * len(lengths), strict=True))
    return 2.0 * linear * sum(lengths) + 4.0 * config.num_hidden_layers * width * seen


def options(description: str) -> tuple[argparse.Namespace, float]:
    """The command line of the scripts, and the load before anything ran."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="where the figures go, as JSON")
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu", help="where to compute"
    )
    parser.add_argument("--small", action="store_true", help="a tiny model of the same architecture, to see that it works")
    parsed = parser.parse_args()
    if parsed.device == "cpu" and not parsed.small:
        parser.error("on a processor only --small is run: the model has 7 billion parameters")
    return parsed, os.getloadavg()[0]
