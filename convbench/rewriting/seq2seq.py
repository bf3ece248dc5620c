"""Rewriting with a sequence-to-sequence model that was trained for it, and with a second one that guesses the answer.

Three published rewriters differ only in their checkpoints, the form of their input and their decoding:

- T5QR in the sense of castorini/t5-base-canard (Lin et al. 2020, ``chatty-goose``): utterances oldest first between `` ||| ``, 10 beams,
  64 tokens. It was trained with questions and responses; ``chatty-goose`` gives it the questions alone, unless told how many responses.
- T5QR and ConvGQR as trained on QReCC (Mo et al. 2023): ``question:`` and the question first, then ``context:`` and the utterances newest
  first, an end-of-sequence token after each; greedy. ConvGQR searches with the rewrite followed by the answer that a second model expects;
  it reads the same input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from convbench.config import Config
from convbench.meter import Meter
from convbench.rewriting.answers import usage_of, why_unusable
from convbench.rewriting.base import Rewrite, RewriteInput
from convbench.rewriting.input_form import InputForm
from convbench.types import Turn
from convbench.writing.base import LanguageModel, Request, Text
from convbench.writing.seq2seq import Seq2SeqConfig

VERSION = 1


class Seq2SeqRewriterConfig(Config):
    """A trained rewriter.

    Attributes:
        model: Writes the rewrite.
        answer: Writes the answer that it expects; what is searched with is the rewrite followed by it.
        input: The form of what both read.
        first_turn: ``rewrite``: a question without history is rewritten too; ``asked``: it stays as it is.
        batch_size: Turns rewritten together.
    """

    type: Literal["seq2seq"]
    model: Seq2SeqConfig
    answer: Seq2SeqConfig | None = None
    input: InputForm = InputForm()
    first_turn: Literal["rewrite", "asked"] = "rewrite"
    batch_size: int = Field(default=32, ge=1)


class Seq2SeqRewriter:
    """Runs a ``Seq2SeqRewriterConfig``.

    Args:
        config: Its settings.
        model: Writes rewrites.
        answer: Writes expected answers.
    """

    reads_history = True

    def __init__(self, config: Seq2SeqRewriterConfig, model: LanguageModel, answer: LanguageModel | None = None) -> None:
        self._config = config
        self._models = {"rewrite": model} | ({"answer": answer} if answer is not None else {})
        self.batch_size = config.batch_size

    def describe(self) -> dict[str, Any]:
        """The models and the form of their input."""
        models = {name: model.describe() for name, model in self._models.items()}
        settings = self._config.model_dump(include={"type", "input", "first_turn"})
        return {**settings, "version": VERSION, "models": models}

    def check(self, turns: Sequence[Turn]) -> None:
        """The checkpoints must be there."""
        for model in self._models.values():
            model.check()

    def open(self, cache: Path, meter: Meter) -> None:
        """Loads the models."""
        for model in self._models.values():
            model.load(meter)

    def rewrite(self, inputs: Sequence[RewriteInput], meter: Meter) -> list[Rewrite]:
        """The rewrites; a question that nothing was written for stays as it was asked."""
        asked = [item for item in inputs if item.earlier or self._config.first_turn == "rewrite"]
        with meter.phase("rewrite", turns=len(inputs)):
            written = {name: self._written(name, model, asked, meter) for name, model in self._models.items()}
        texts = [{name: made[item.turn.id] for name, made in written.items() if item.turn.id in made} for item in inputs]
        return [_rewrite(item.turn.query, each) for item, each in zip(inputs, texts, strict=True)]

    def _written(self, name: str, model: LanguageModel, inputs: Sequence[RewriteInput], meter: Meter) -> dict[str, Text]:
        sources = [self._config.input.write(item.turn.query, item.earlier) for item in inputs]
        requests = [Request(f"{item.turn.id} {name}", (("user", source),)) for item, source in zip(inputs, sources, strict=True)]
        return {item.turn.id: texts[0] for item, texts in zip(inputs, model.write(requests, meter), strict=True)}


def _rewrite(asked: str, texts: Mapping[str, Text]) -> Rewrite:
    """What two models' texts, or one's, make of a question; without any it stays as it was asked."""
    said = {name: text.text.strip() for name, text in texts.items()}
    question, answer = said.get("rewrite") or asked, said.get("answer")
    failures = [f"{name}: {why_unusable([texts[name]])}" for name, text in said.items() if not text]
    return Rewrite(
        question=question,
        texts=(f"{question} {answer}",) if answer else (),
        usage=usage_of(texts.values()) if texts else {},
        failure="; ".join(failures) or None,
    )
