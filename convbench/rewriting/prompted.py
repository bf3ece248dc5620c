"""Rewriting with prompts. One class runs all published procedures of this kind; each is a list of steps in YAML.

LLM4CS (Mao et al. 2023; REW, RTR, RAR), LLM-aided informative rewriting (Ye et al. 2023; zero-shot, few-shot, edit), HyDE's pseudo passage
(Gao et al. 2023) and CHIQ's enhancements of the history (Mo et al. 2024) differ in their prompts, in what a prompt sees of earlier answers,
and in which answers are searched with. ``docs/rewriters.md`` shows them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from convbench.errors import UsageError
from convbench.meter import Meter
from convbench.rewriting.answers import added
from convbench.rewriting.base import QueryRewriter, Rewrite, RewriteInput
from convbench.rewriting.prompted_config import PromptedConfig
from convbench.rewriting.steps import Draft, Step
from convbench.types import Turn
from convbench.writing.base import LanguageModel
from convbench.writing.server import ServerConfig
from convbench.writing.templates import filled, placeholders

VERSION = 1


class PromptedRewriter:
    """Runs a ``PromptedConfig``: one step after another, each for all turns.

    Args:
        config: Its settings.
        model: Answers the prompts.
        start: Goes first.
    """

    reads_history = True

    def __init__(self, config: PromptedConfig, model: LanguageModel, start: QueryRewriter | None = None) -> None:
        self._config, self._model, self._start = config, model, start
        self._steps = config.opened
        self.batch_size = config.batch_size

    def describe(self) -> dict[str, Any]:
        """The model, the steps with their prompts written out, and what becomes of the answers."""
        steps = [{**step.config.model_dump(), "prompt": step.prompt.model_dump()} for step in self._steps]
        settings = self._config.model_dump(include={"type", "question", "aggregation"}) | {"query": self._config.searched}
        start = self._start.describe() if self._start else None
        return {**settings, "version": VERSION, "model": self._model.describe(), "start": start, "steps": steps}

    def check(self, turns: Sequence[Turn]) -> None:
        """The model must be there, and say how likely its texts are where the likeliest is wanted.

        Raises:
            UsageError: It does not say it.
        """
        model = self._config.model
        if self._config.aggregation == "max-probability" and isinstance(model, ServerConfig) and not model.log_probabilities:
            raise UsageError(
                f"aggregation max-probability: the server is not asked how likely the texts of {model.model} are; "
                "set log_probabilities: true of the model, or choose another aggregation"
            )
        self._model.check()
        if self._start:
            self._start.check(turns)

    def open(self, cache: Path, meter: Meter) -> None:
        """Loads the model, and that of the rewriter that goes first."""
        self._model.load(meter)
        if self._start:
            self._start.open(cache, meter)

    def rewrite(self, inputs: Sequence[RewriteInput], meter: Meter) -> list[Rewrite]:
        """The rewrites; a step whose answers cannot be used gives what stands for it, and no turn fails."""
        with meter.phase("rewrite", turns=len(inputs)):
            starts = self._start.rewrite(inputs, meter) if self._start else [None] * len(inputs)
            drafts = [Draft.of(item, start.question if start else None) for item, start in zip(inputs, starts, strict=True)]
            for step in self._steps:
                self._run(step, drafts, meter)
        return [self._rewrite(draft, start) for draft, start in zip(drafts, starts, strict=True)]

    def _run(self, step: Step, drafts: Sequence[Draft], meter: Meter) -> None:
        requests = [(draft, step.request(draft)) for draft in drafts]
        asked = [(draft, request) for draft, request in requests if request is not None]
        for draft, request in requests:
            if request is None:
                step.leave_out(draft)
        if asked:
            answers = self._model.write([request for _, request in asked], meter)
            for (draft, _), texts in zip(asked, answers, strict=True):
                step.take(draft, texts)

    def _rewrite(self, draft: Draft, start: Rewrite | None) -> Rewrite:
        texts = draft.texts
        question = filled(self._config.question, texts).strip() or texts.get("start") or texts["question"]
        query = tuple(text for form in self._config.searched for text in self._expanded(form, draft) if text)
        named = placeholders(" ".join([self._config.question, *self._config.query]))
        wanted = [step.config.name for step in self._steps if named & set(step.gives)]
        failures = [f"{name}: {draft.failed[name]}" for name in wanted if name in draft.failed]
        usage = added([draft.usage, {"rewrite_steps_failed": len(draft.failed)} if draft.failed else {}, start.usage if start else {}])
        return Rewrite(
            question=question,
            texts=query if query != (question,) else (),
            combine=self._config.combine,
            usage=usage,
            failure="; ".join(failures) or None,
        )

    def _expanded(self, form: str, draft: Draft) -> list[str]:
        """The texts of a form: one, or as many as the step that it names has samples."""
        named = [draft.samples[step.config.name] for step in self._steps if placeholders(form) & set(step.gives)]
        samples = max(named, key=len, default=({},))
        return [filled(form, draft.texts | sample).strip() for sample in samples]
