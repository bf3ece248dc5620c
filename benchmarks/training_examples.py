"""What the scripts that time training learn from and tune: conversations of random words, and a small decoder with random weights."""

from __future__ import annotations

import random
from pathlib import Path

import torch

from convbench.backends.placement import ModelConfig
from convbench.training.data.examples import OBJECTIVES, Example
from convbench.training.trainable import Trainable
from convbench.types import Exchange, Passage, Turn

VOCABULARY = 8000


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


class Speaker:
    """Says random words that are one token each.

    Args:
        model: Whose vocabulary the words are of.
        response: Fewest and most words of a response; those of TopiOCQA are short.
    """

    def __init__(self, model: Trainable, response: tuple[int, int] = (6, 18)) -> None:
        self._random, self._response = random.Random(0), response
        self._words = sorted(word for word in model.loaded.tokenizer.get_vocab() if word.isascii() and word.isalnum())

    def conversation(self, name: str, turns: int, turns_a_passage: int = 1) -> tuple[Example, ...]:
        """The turns of a conversation; as many following each other as ``turns_a_passage`` have the same gold passage."""
        history: tuple[Exchange, ...] = ()
        examples: list[Example] = []
        for number in range(1, turns + 1):
            query, response = self._say(5, 11), self._say(*self._response)
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
