"""A training step of a model of Mistral-7B's shape on a GPU: LoRA, GradCache, and the share of the card's measured matrix rate.

    python benchmarks/gpu_training.py --out benchmarks/results/gpu_training.json      # or --device cpu --small, to see that it works

One update as `convbench train` makes it (``training.gradients``): a contrastive batch of sessions and passages, read in chunks and each
chunk a second time with a graph, low-rank matrices in every linear layer, clipping, AdamW. The weights' own gradients are not computed,
so that a token costs three forward passes' worth: one without a graph, one with it, and one of gradients backwards through the layers;
a fourth where the states between layers are computed again (gradient checkpointing), which is on for the large model.
"""

# ruff: noqa: E402
from __future__ import annotations

from side_by_side import one_thread

one_thread()

import random

from gpu_figures import Card, Share, Work, decoder, forward_flop, measured_card, options, reached, weights_bytes, write_shares

from convbench.backends.batches import length_batches
from convbench.backends.loaded import Loaded
from convbench.training.adapting import LoraSettings
from convbench.training.data.examples import OBJECTIVES, Example
from convbench.training.gradients import gradients
from convbench.training.objectives.weighted import Weights
from convbench.training.prepare import UnitStep
from convbench.training.processes import open_accelerator
from convbench.training.schedule import learner
from convbench.training.step import JointStep, StepSettings
from convbench.training.train_settings import TrainSettings
from convbench.training.trainable import TrainableSettings, made_trainable
from convbench.training.turn_rows import TurnRows
from convbench.types import Exchange, Passage, Turn

TARGET = 0.4
CONTRASTIVE = Weights(retrieval=1.0, response=0.0, identification=0.0)


def examples(count: int, session_words: int, passage_words: int) -> list[Example]:
    """Turns with a history, each with a passage of its own; every word is a token."""
    chance = random.Random(0)

    def say(words: int) -> str:
        return " ".join(f"w{chance.randrange(3, 8000)}" for _ in range(words))

    found = []
    for number in range(count):
        history = (Exchange(f"{number}_1", say(session_words // 4), say(session_words // 2)),)
        turn = Turn(f"{number}_2", say(session_words // 4), history)
        passage = Passage(f"p{number}", say(passage_words))
        found.append(Example(f"s/{turn.id}", "s", turn, "full", (passage,), say(8), (), frozenset(OBJECTIVES)))
    return found


def measured(loaded: Loaded, card: Card, *, small: bool) -> Share:
    batch = examples(4, 16, 24) if small else examples(64, 256, 256)
    chunk_tokens = 64 if small else 8192
    writer = TurnRows(loaded, 8, "")
    texts = [writer.passage(example.gold[0]) for example in batch]
    lengths = [len(text) for text in texts] + [len(writer.inputs.session(example.turn, example.history).ids) for example in batch]
    chunks = len(list(length_batches(lengths, chunk_tokens)))
    passes = 3 if small else 4
    work = Work(
        f"a training step over {len(batch)} sessions and as many passages, LoRA and GradCache",
        passes * forward_flop(loaded, lengths),
        float(passes * weights_bytes(loaded) * chunks),
    )
    model = made_trainable(loaded, TrainableSettings(lora=LoraSettings(dropout=0.0), gradient_checkpointing=not small))
    settings = TrainSettings(
        steps=100, learning_rate=1e-5, precision="fp32" if small else "bf16", device="cpu" if card.device == "cpu" else "auto"
    )
    accelerator = open_accelerator(settings)
    step = UnitStep(JointStep(model, StepSettings(weights=CONTRASTIVE, negatives=0, new_tokens=8, chunk_tokens=chunk_tokens)), {})
    moves = learner(model.module, settings, 100)

    def update() -> None:
        found = gradients(step, [[tuple(batch)]], moves, max_norm=1.0, accelerator=accelerator)
        assert found.wrong is None, found.wrong
        moves.update()

    note = f"{sum(lengths):,} tokens in {chunks} chunks; counted: {passes} forward passes' worth a token. Bytes are those of the weights."
    share = reached(work, card, update, target=None if small else TARGET, notes=note)
    print(f"  {sum(lengths) / share.seconds:,.0f} tokens a second", flush=True)
    return share


def main() -> None:
    settings, load_before = options(__doc__ or "")
    with decoder(settings.device, small=settings.small) as loaded:
        card = measured_card(settings.device, small=settings.small)
        share = measured(loaded, card, small=settings.small)
    write_shares(settings.out, card, [share], load_before)


if __name__ == "__main__":
    main()
