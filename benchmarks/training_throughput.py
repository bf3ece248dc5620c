"""What training costs: ours beside a plain transformers loop, and packed conversations beside one turn a row.

    python benchmarks/training_throughput.py [--device cuda] [--out benchmarks/results/training_throughput.json] [--small]

Every update is a whole one: forward and backward passes, clipping, AdamW. The learning rate is too small to move a float32 weight, so all
updates start from the same weights and must have the same losses (to 1e-5), which is checked before any time is taken.

- One turn a row: ``JointStep`` against a hand-written loop of the same model, examples and batch, for retrieval and grounded response. The
  loop gets its inputs tokenized and pads to the longest of the batch; ours tokenizes and sorts within the update.
- Conversations of 8, 12 and 16 turns in one row against the loop's row a turn, for the same two objectives.
- Ours both: the turns of a conversation in one row against a row a turn and branch. Packing reads fewer tokens; how many fewer is given
  beside the times, as it bounds what can be gained: sessions are shared, passages are not.

Words are random; questions, responses and passages are as long as TopiOCQA's (about 8, 12 and 100 words).
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from side_by_side import Result, environment, growth, one_thread, side_by_side, write_results

one_thread()

import torch  # noqa: E402
import transformers  # noqa: E402
from accelerate import Accelerator  # noqa: E402
from torch.nn.functional import cross_entropy, normalize  # noqa: E402
from training_examples import Speaker, make_decoder  # noqa: E402

from convbench.training.data.examples import Example  # noqa: E402
from convbench.training.gradients import gradients  # noqa: E402
from convbench.training.objectives.weighted import Weights  # noqa: E402
from convbench.training.prepare import UnitStep  # noqa: E402
from convbench.training.processes import open_accelerator  # noqa: E402
from convbench.training.recipe import build_recipe, read_values, recipe_path  # noqa: E402
from convbench.training.schedule import learner  # noqa: E402
from convbench.training.step import JointStep, StepSettings  # noqa: E402
from convbench.training.train_settings import TrainSettings  # noqa: E402
from convbench.training.trainable import Trainable, open_trainable  # noqa: E402
from convbench.training.turn_rows import TurnRows  # noqa: E402

TEMPERATURE = 0.05
LEARNING_RATE = 1e-30
TURNS, BATCH, LONGEST = (8, 12, 16), 8, 12
NEW_TOKENS = 48
NONE = {"retrieval": 0.0, "response": 0.0, "identification": 0.0}
JOINT = Weights(**{**NONE, "retrieval": 1.0, "grounded": 1.0})
PACKED = {
    "retrieval + response": Weights(retrieval=1.0, response=0.3, identification=0.0),
    "all four objectives": Weights(retrieval=1.0, response=0.3, identification=0.3, grounded=0.3),
}
EQUALITY = "losses to 1e-5"

Losses = Mapping[str, float]


def open_models(folder: Path, device: str) -> dict[str, Trainable]:
    """The small decoder, and MiniLM as the recipe ``unified-minilm`` begins with it."""
    path = recipe_path("unified-minilm")
    recipe = build_recipe(read_values(path), path)
    minilm = recipe.model.model_copy(update={"device": device, "dtype": "float32"})
    return {
        "a Llama of 4 layers": open_trainable(make_decoder(folder, device), offline=True),
        "all-MiniLM-L6-v2": open_trainable(minilm, recipe.tuning, offline=True),
    }


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


def against_transformers(name: str, model: Trainable, batch: int, accelerator: Accelerator) -> Result:
    """One turn a row, ours and the loop's."""
    examples = Speaker(model).turns(batch, longest=LONGEST)
    ours, loop = Ours(model, JOINT, accelerator), TransformersLoop(model, examples)
    pairs = side_by_side(_update(ours.update, examples, model), _update(lambda _: loop.update(), examples, model), same)
    return Result(
        path=f"training, one turn a row, {name}",
        peer="a padded transformers loop",
        pairs=pairs,
        equality=EQUALITY,
        settings={"parameters": sum(weight.numel() for weight in model.parameters()), "tokens": ours.tokens, "turns": batch},
        notes=f"{ours.tokens / pairs.seconds['ours'].median:,.0f} tokens a second against "
        f"{ours.tokens / pairs.seconds['peer'].median:,.0f}, padding not counted.",
    )


def packed_against_transformers(model: Trainable, turns: int, accelerator: Accelerator) -> Result:
    """A conversation as one row, and the loop's row a turn."""
    examples = Speaker(model).conversation("c0", turns)
    ours, loop = Ours(model, JOINT, accelerator, packed=True), TransformersLoop(model, examples)
    return Result(
        path=f"training, a conversation of {turns} turns packed",
        peer="a padded transformers loop, a row a turn",
        pairs=side_by_side(_update(ours.update, examples, model), _update(lambda _: loop.update(), examples, model), same),
        equality=EQUALITY,
        settings={"turns": turns, "objectives": "retrieval + grounded"},
    )


def packed_against_plain(model: Trainable, name: str, turns: int, accelerator: Accelerator) -> Result:
    """A conversation as one row, and ours with a row a turn and branch."""
    speaker = Speaker(model)
    conversations = [speaker.conversation(f"c{number}", turns if number == 0 else max(turns // 3, 2)) for number in range(9)]
    packed = Ours(model, PACKED[name], accelerator, packed=True)
    plain = Ours(model, PACKED[name], accelerator)

    def several(times: int) -> Callable[[], Losses]:
        return _update(packed.update, [example for each in conversations[1 : 1 + times] for example in each], model)

    grown = growth(several, repeats=1)
    pairs = side_by_side(_update(packed.update, conversations[0], model), _update(plain.update, conversations[0], model), same)
    return Result(
        path=f"training, a conversation of {turns} turns packed, {name}",
        peer="one turn a row",
        pairs=pairs,
        equality=EQUALITY,
        growth=grown,
        settings={"turns": turns, "tokens": {"packed": packed.tokens, "one turn a row": plain.tokens}},
        notes=f"Ceiling: {plain.tokens / packed.tokens:.2f} times fewer tokens are read. Growth: conversations, whose passages are each "
        "other's negatives.",
    )


def _update(update: Callable[[Sequence[Example]], Losses], examples: Sequence[Example], model: Trainable) -> Callable[[], Losses]:
    """An update that has ended when it returns, on a GPU too."""

    def ended() -> Losses:
        losses = update(examples)
        if model.loaded.device == "cuda":
            torch.cuda.synchronize()
        return losses

    return ended


def same(one: Losses, two: Losses) -> None:
    """The same losses, to 1e-5 of their size."""
    for name in {**one, **two}:
        assert abs(one[name] - two[name]) <= 1e-5 * max(1.0, abs(one[name])), f"{name} losses differ: {one[name]} and {two[name]}"


def main() -> None:
    """Measures and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where to compute (cpu, one thread)")
    parser.add_argument("--out", type=Path, help="where the figures go, as JSON")
    parser.add_argument("--small", action="store_true", help="two short conversations, for a test")
    options = parser.parse_args()
    load_before = os.getloadavg()[0]
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    accelerator = open_accelerator(TrainSettings(steps=1, device="cpu" if options.device == "cpu" else "auto"))
    with TemporaryDirectory() as folder:
        results = measure(Path(folder), options, accelerator)
    where = environment(["torch", "transformers", "accelerate"], load_before)
    write_results(options.out, results, {**where, "device": options.device})


def measure(folder: Path, options: argparse.Namespace, accelerator: Accelerator) -> list[Result]:
    """Every comparison; with ``--small`` one of each kind."""
    models = open_models(folder, options.device)
    decoder = models["a Llama of 4 layers"]
    if options.small:
        return [
            against_transformers("a Llama of 4 layers", decoder, 2, accelerator),
            packed_against_transformers(decoder, 3, accelerator),
            packed_against_plain(decoder, "retrieval + response", 3, accelerator),
        ]
    return [
        *(against_transformers(name, model, BATCH, accelerator) for name, model in models.items()),
        *(packed_against_transformers(decoder, turns, accelerator) for turns in TURNS),
        *(packed_against_plain(decoder, name, TURNS[1], accelerator) for name in PACKED),
    ]


if __name__ == "__main__":
    main()
