"""What training costs: ours beside a plain transformers loop, and packed conversations beside one turn a row.

    python benchmarks/training_throughput.py [--repetitions 3] [--threads 1] [--device cuda] [--row-tokens 4096] [--out FILE]

Every update is a whole one: forward and backward passes, clipping, AdamW. Both ways of a comparison run in turn, in one process, after a
warm-up. The learning rate is too small to move a float32 weight, so all updates start from the same weights and must have the same losses
(to 1e-5), which is checked every time.

- Tokens a second, one turn a row: ``JointStep`` against a hand-written loop of the same model, examples and batch, for retrieval and
  grounded response. The loop gets its inputs tokenized and pads to the longest of the batch; ours tokenizes and sorts within the update.
  Both are credited with the same tokens: those of sessions, passages and [session, passage, response], padding not counted.
- Seconds an example, conversations of several turns in one row against the loop's row a turn, for the same two objectives.
- Seconds an example, ours both: the turns of a conversation in one row against a row a turn and branch. Packing reads fewer tokens; how
  many fewer is given beside the seconds, as it bounds what can be gained: sessions are shared, passages are not. Where a model is not read
  by blocks, as on a GPU, a row's attention grows with the square of its tokens, which counts for a small model; ``--row-tokens`` cuts rows.

Words are random; questions, responses and passages are as long as TopiOCQA's (about 8, 12 and 100 words).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import transformers
from accelerate import Accelerator
from torch.nn.functional import cross_entropy, normalize

from convbench.backends.placement import ModelConfig
from convbench.io.atomic import write_text
from convbench.training.data.examples import OBJECTIVES, Example
from convbench.training.gradients import gradients
from convbench.training.objectives.weighted import Weights
from convbench.training.prepare import UnitStep
from convbench.training.processes import open_accelerator
from convbench.training.recipe import build_recipe, read_values, recipe_path
from convbench.training.schedule import learner
from convbench.training.step import JointStep, StepSettings
from convbench.training.train_settings import TrainSettings
from convbench.training.trainable import Trainable, open_trainable
from convbench.training.turn_rows import TurnRows
from convbench.types import Exchange, Passage, Turn

VOCABULARY = 8000
TEMPERATURE = 0.05
LEARNING_RATE = 1e-30
TURNS = (8, 12, 16)
NEW_TOKENS = 48
NONE = {"retrieval": 0.0, "response": 0.0, "identification": 0.0}
JOINT = Weights(**{**NONE, "retrieval": 1.0, "grounded": 1.0})
PACKED = {
    "retrieval": Weights(**{**NONE, "retrieval": 1.0}),
    "response": Weights(**{**NONE, "response": 1.0}),
    "retrieval + response": Weights(retrieval=1.0, response=0.3, identification=0.0),
    "retrieval + response + identification + grounded": Weights(retrieval=1.0, response=0.3, identification=0.3, grounded=0.3),
}

Losses = Mapping[str, float]


def make_decoder(folder: Path, device: str) -> ModelConfig:
    """A Llama of four layers with random weights, and a tokenizer that knows its vocabulary by number."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=256,
        intermediate_size=688,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=4096,
        bos_token_id=1,
        eos_token_id=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    known = ("<unk>", "<s>", "</s>", "user:", "agent:", "passage:")
    words = {word: number for number, word in enumerate((*known, *(f"w{number}" for number in range(VOCABULARY - len(known)))))}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>").save_pretrained(folder)
    profile = {
        "pooling": "last",
        "attention": "causal",
        "closing": ["</s>"],
        "session": {"order": "oldest-first", "user": "user: {text}\n", "agent": "agent: {text}\n", "separator": ""},
        "prompt": {"evidence": "passage: {title} {text}\n", "stop": []},
    }
    return ModelConfig(model=str(folder), profile=profile, device=device, dtype="float32")


def open_models(folder: Path, device: str) -> dict[str, Trainable]:
    """The small decoder, and MiniLM as the recipe ``unified-minilm`` begins with it."""
    path = recipe_path("unified-minilm")
    recipe = build_recipe(read_values(path), path)
    minilm = recipe.model.model_copy(update={"device": device, "dtype": "float32"})
    return {
        "a Llama of 4 layers": open_trainable(make_decoder(folder, device), offline=True),
        "all-MiniLM-L6-v2": open_trainable(minilm, recipe.tuning, offline=True),
    }


class Speaker:
    """Says random words that are one token each.

    Args:
        model: Whose vocabulary the words are of.
    """

    def __init__(self, model: Trainable) -> None:
        self._random = random.Random(0)
        self._words = sorted(word for word in model.loaded.tokenizer.get_vocab() if word.isascii() and word.isalnum())

    def conversation(self, name: str, turns: int, turns_a_passage: int = 1) -> tuple[Example, ...]:
        """The turns of a conversation; as many following each other as ``turns_a_passage`` have the same gold passage."""
        history: tuple[Exchange, ...] = ()
        examples: list[Example] = []
        for number in range(1, turns + 1):
            query, response = self._say(5, 11), self._say(6, 18)
            fresh = (number - 1) % turns_a_passage == 0
            gold = (Passage(f"{name}-{number}", self._say(80, 120)),) if fresh else examples[-1].gold
            turn = Turn(f"{name}_{number}", query, history)
            examples.append(Example(f"s/{turn.id}", "s", turn, "full", gold, response, (), frozenset(OBJECTIVES)))
            history += (Exchange(turn.id, query, response),)
        return tuple(examples)

    def turns(self, count: int, longest: int) -> tuple[Example, ...]:
        """Turns of conversations of their own, each with its own number of turns before it."""
        lengths = [1 + number % longest for number in range(count)]
        self._random.shuffle(lengths)
        return tuple(self.conversation(f"c{index}", length)[-1] for index, length in enumerate(lengths))

    def _say(self, least: int, most: int) -> str:
        return " ".join(self._random.choices(self._words, k=self._random.randint(least, most)))


class Ours:
    """Whole updates as ``convbench train`` makes them; counts the tokens that one of them read.

    Args:
        model: What is tuned.
        weights: Of the objectives.
        accelerator: Where.
        changes: Other settings of the step, such as ``packed``.
    """

    def __init__(self, model: Trainable, weights: Weights, accelerator: Accelerator, **changes: Any) -> None:
        chosen = StepSettings(weights=weights, temperature=TEMPERATURE, label_smoothing=0.0, negatives=0, new_tokens=NEW_TOKENS, **changes)
        self._step, self._accelerator, self.tokens = UnitStep(JointStep(model, chosen), {}), accelerator, 0
        self._learner = learner(model.module, TrainSettings(steps=1, learning_rate=LEARNING_RATE, schedule="constant"), 1)

    def update(self, examples: Sequence[Example]) -> Losses:
        """One update; the losses before they were weighted."""
        found = gradients(self._step, [[tuple(examples)]], self._learner, max_norm=1.0, accelerator=self._accelerator)
        self._learner.update()
        self.tokens = found.tokens
        return found.losses


class TransformersLoop:
    """The same objectives as one would write them by hand with transformers and torch: three padded batches, one backward pass.

    Args:
        model: Ours, of which it gets a copy.
        examples: What it will be given, tokenized beforehand.
    """

    def __init__(self, model: Trainable, examples: Sequence[Example]) -> None:
        loaded = model.loaded
        self._model, self._body = (copied := deepcopy(loaded.model).train()), copied.base_model
        copied.set_attn_implementation("sdpa")
        self._mean, self._device, self._padding = loaded.profile.pooling == "mean", loaded.device, loaded.tokenizer.pad_token_id
        self._optimizer = torch.optim.AdamW(copied.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
        writer = TurnRows(loaded, NEW_TOKENS, "")
        self._inputs = [_inputs(writer, example) for example in examples]

    def update(self) -> Losses:
        """One update; its losses."""
        sessions = self._encode([session for session, _, _, _ in self._inputs])
        passages = self._encode([passage for _, passage, _, _ in self._inputs])
        scores = sessions @ passages.T / TEMPERATURE
        retrieval = cross_entropy(scores, torch.arange(len(scores), device=scores.device))
        ids, mask = self._padded([[*prompt, *said] for _, _, prompt, said in self._inputs])
        labels = torch.full_like(ids, -100)
        for row, (_, _, prompt, said) in enumerate(self._inputs):
            place = slice(len(prompt), len(prompt) + len(said))
            labels[row, place] = ids[row, place]
        grounded = self._model(input_ids=ids, attention_mask=mask, labels=labels, use_cache=False).loss
        (retrieval + grounded).backward()
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad()
        return {"retrieval": retrieval.item(), "grounded": grounded.item()}

    def _encode(self, texts: Sequence[Sequence[int]]) -> torch.Tensor:
        ids, mask = self._padded(texts)
        seen = mask[:, None, None, :].bool() if self._mean else mask  # mean pooling goes with attention both ways
        hidden = self._body(input_ids=ids, attention_mask=seen, use_cache=False).last_hidden_state
        if self._mean:
            return normalize((hidden * mask.unsqueeze(2)).sum(dim=1) / mask.sum(dim=1, keepdim=True), dim=-1)
        return normalize(hidden[torch.arange(len(ids), device=ids.device), mask.sum(dim=1) - 1], dim=-1)

    def _padded(self, texts: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        rows = [torch.tensor(text) for text in texts]
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=self._padding)
        mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
        return ids.to(self._device), mask.to(self._device)


def _inputs(writer: TurnRows, example: Example) -> tuple[Sequence[int], ...]:
    """Session, passage, prompt and response of an example."""
    session = writer.inputs.session(example.turn, example.history)
    prompt, _ = writer.inputs.prompt(session, example.gold)
    return session.ids, writer.passage(example.gold[0]), prompt, writer.response(example.response or "")


def against_transformers(model: Trainable, settings: argparse.Namespace, accelerator: Accelerator) -> dict[str, Any]:
    """Tokens a second, ours and the loop's."""
    examples = Speaker(model).turns(settings.batch, longest=12)
    ours, loop = Ours(model, JOINT, accelerator), TransformersLoop(model, examples)
    seconds = compared({"ours": partial(ours.update, examples), "transformers": loop.update}, settings)
    speed = {name: spread([ours.tokens / each for each in times]) for name, times in seconds.items()}
    return {
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "tokens": ours.tokens,
        "tokens_a_second": speed,
        "ratio": ratios(seconds["transformers"], seconds["ours"]),
    }


def packed_against_plain(
    model: Trainable, units: Sequence[Sequence[Example]], weights: Weights, settings: argparse.Namespace, accelerator: Accelerator
) -> dict[str, Any]:
    """Seconds an example, conversations as one row and a row a turn."""
    examples = [example for unit in units for example in unit]
    packed = Ours(model, weights, accelerator, packed=True, row_tokens=settings.row_tokens)
    ways = {"plain": Ours(model, weights, accelerator), "packed": packed}
    seconds = compared({name: partial(way.update, examples) for name, way in ways.items()}, settings)
    tokens = {name: way.tokens for name, way in ways.items()}
    return {
        "seconds_an_example": {name: spread([each / len(examples) for each in times]) for name, times in seconds.items()},
        "ratio": ratios(seconds["plain"], seconds["packed"]),
        "tokens": {**tokens, "ratio": round(tokens["plain"] / tokens["packed"], 2)},
    }


def packed_against_transformers(model: Trainable, turns: int, settings: argparse.Namespace, accelerator: Accelerator) -> dict[str, Any]:
    """Seconds an example, conversations as one row and the loop's row a turn."""
    speaker = Speaker(model)
    examples = [example for number in range(settings.conversations) for example in speaker.conversation(f"c{number}", turns)]
    ours = Ours(model, JOINT, accelerator, packed=True, row_tokens=settings.row_tokens)
    loop = TransformersLoop(model, examples)
    seconds = compared({"packed": partial(ours.update, examples), "transformers": loop.update}, settings)
    return {
        "seconds_an_example": {name: spread([each / len(examples) for each in times]) for name, times in seconds.items()},
        "ratio": ratios(seconds["transformers"], seconds["packed"]),
    }


def compared(ways: Mapping[str, Callable[[], Losses]], settings: argparse.Namespace) -> dict[str, list[float]]:
    """Times ways in turn, and checks that their losses agree."""
    same([way() for way in ways.values()])
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(settings.repetitions):
        found = []
        for name, way in ways.items():
            spent, losses = timed(way, settings.device)
            seconds[name].append(spent)
            found.append(losses)
        same(found)
    return seconds


def timed(way: Callable[[], Losses], device: str) -> tuple[float, Losses]:
    """Seconds and losses."""
    started = time.perf_counter()
    losses = way()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started, losses


def same(found: Sequence[Losses]) -> None:
    """The same losses, to 1e-5 of their size."""
    one, two = found
    for name in {**one, **two}:
        if not abs(one[name] - two[name]) <= 1e-5 * max(1.0, abs(one[name])):
            raise SystemExit(f"the two ways gave {name} losses that differ: {one[name]} and {two[name]}")


def spread(values: Sequence[float]) -> dict[str, float]:
    """Least, median, most, to four digits."""
    found = {"min": min(values), "median": statistics.median(values), "max": max(values)}
    return {name: float(f"{value:.4g}") for name, value in found.items()}


def ratios(slow: Sequence[float], fast: Sequence[float]) -> dict[str, float]:
    """How many times as fast, repetition by repetition."""
    return spread([one / two for one, two in zip(slow, fast, strict=True)])


def measure_packing(model: Trainable, settings: argparse.Namespace, accelerator: Accelerator) -> dict[str, Any]:
    """Conversations of several lengths, every turn with a passage of its own, and one where two turns share one."""
    kinds = {f"{turns} turns": (turns, 1) for turns in TURNS} | {f"{TURNS[0]} turns, two to a passage": (TURNS[0], 2)}
    found = {}
    for kind, (turns, turns_a_passage) in kinds.items():
        speaker = Speaker(model)
        units = [speaker.conversation(f"c{number}", turns, turns_a_passage) for number in range(settings.conversations)]
        found[kind] = {name: packed_against_plain(model, units, weights, settings, accelerator) for name, weights in PACKED.items()}
    return found


def main() -> None:
    """Measures and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value, text in (
        ("batch", 16, "turns of a batch beside transformers"),
        ("conversations", 1, "conversations of a batch where they are packed"),
        ("repetitions", 3, "measured updates of each way"),
        ("row-tokens", 4096, "tokens after which a packed conversation goes on in another row"),
        ("threads", 1, "threads on the CPU"),
    ):
        parser.add_argument(f"--{name}", type=int, default=value, help=f"{text} ({value})")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where to compute (cpu)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "training_throughput.json")
    settings = parser.parse_args()
    torch.set_num_threads(settings.threads)
    transformers.utils.logging.set_verbosity_error()
    accelerator = open_accelerator(TrainSettings(steps=1, device="cpu" if settings.device == "cpu" else "auto"))
    load = round(os.getloadavg()[0], 2)
    with TemporaryDirectory() as folder:
        models = open_models(Path(folder), settings.device)
        result = {
            "settings": {key: value for key, value in vars(settings).items() if key != "out"},
            "machine": {"processor": platform.machine(), "cores": os.cpu_count(), "threads": settings.threads, "load": load},
            "versions": {"torch": torch.__version__, "transformers": transformers.__version__, "python": platform.python_version()},
            "one turn a row, beside a transformers loop": {
                name: against_transformers(model, settings, accelerator) for name, model in models.items()
            },
            "packed conversations, beside a transformers loop": {
                f"{turns} turns": packed_against_transformers(next(iter(models.values())), turns, settings, accelerator) for turns in TURNS
            },
            "packed conversations, beside one turn a row": {
                "weights": {name: asdict(weights) for name, weights in PACKED.items()},
                **measure_packing(next(iter(models.values())), settings, accelerator),
            },
        }
    write_text(settings.out, json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
