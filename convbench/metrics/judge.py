"""What a chat model thinks of responses: asked several times over, with the spread of its answers shown, and never to rank systems."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from convbench.backends.chat import ChatAnswer, ChatClient, ChatConfig, ChatRequest
from convbench.config import build_config
from convbench.config.small_text import small_text
from convbench.datasets.store import PassageStore
from convbench.errors import DataError, UsageError
from convbench.io.digests import value_sha256
from convbench.metrics.base import MISSING, Measure, Side, signature
from convbench.metrics.judge_prompt import PROMPT_VERSION, RUBRIC, Messages, messages, read_grade
from convbench.metrics.passage_texts import texts_of
from convbench.metrics.responses import NO_REFERENCE, Compared, references_of
from convbench.types import Score, Turn, TurnRecord

NAMES = ("judge-mean", "judge-sd")

_LONGEST_RUBRIC = 20_000
_LARGEST_RUBRIC = 4 * _LONGEST_RUBRIC  # bytes: a character has at most 4 in UTF-8
_LONGEST_PROMPT = 200_000
"""Characters of the texts that are sent for one turn; more than that is no response to a question."""

_WORST = (0.0, None)
"""A response that is not there is worth nothing, and has no spread."""


@dataclass(frozen=True, slots=True)
class _Case:
    """A turn on its way to the judge: either what is asked, or the values it has without."""

    values: tuple[float | None, float | None] = (None, None)
    reason: str | None = None
    messages: Messages = ()


class JudgeMetric:
    """Mean and standard deviation of a chat model's grades for a response, 0 to 1.

    The model sees the conversation, the references, the passages that the responder saw, and the response. A turn has a value only where
    every sample is a grade: none is asked for again, and none is left out of a mean.

    Args:
        model: The judge, as its server calls it.
        samples: How often it is asked about each response.
        rubric: A text file that says what the grades 1-5 mean; None: convbench's own rubric, ``judge_prompt.RUBRIC``.
        offline: Refuse a server that is not on this machine.
        cache: Folder in which answers are kept; None: in convbench's cache.
        server: The other settings of ``ChatConfig``: ``base_url``, ``api_key_env``, ``temperature``, ``max_tokens``, ``parallel`` ...
    """

    name = "judge"
    version = 1
    needs: Side = "response"
    batch_size = 32
    reads_passages = True

    def __init__(
        self,
        model: str = "",
        samples: int = 3,
        rubric: str | Path | None = None,
        offline: bool = False,
        cache: Path | None = None,
        **server: Any,
    ) -> None:
        if not model:
            raise UsageError("judge: no judge model is named; give the setting 'model', as the server calls it")
        if not 2 <= samples <= 100:
            raise UsageError(f"judge: samples {samples}; expected 2 to 100: the spread between samples is shown beside their mean")
        self._config = build_config(ChatConfig, {"model": model, **server}, "judge")
        self._client = ChatClient(self._config, offline=offline, cache=cache)
        self._samples = samples
        self._rubric_file = rubric
        self._passages: PassageStore | None = None

    def measures(self) -> list[Measure]:
        """judge-mean and judge-sd; systems are ranked by neither.

        The signature names the server, by a digest of its address: what is called ``judge-1`` elsewhere is another judge.

        Raises:
            UsageError: ``base_url`` is no address of a server.
        """
        config = self._config
        parts = {
            "model": Path(config.model).name if Path(config.model).is_absolute() else config.model.replace("|", "-"),
            "server": sha256(self._client.server.url.encode()).hexdigest()[:8],  # its address holds no key and no password
            "rubric": value_sha256(self._rubric)[:12],
            "samples": self._samples,
            "temperature": f"{config.temperature:g}",
            "seed": "none" if config.seed is None else config.seed,
            "max": config.max_tokens,
            "prompt": PROMPT_VERSION,
        }
        better = dict(zip(NAMES, (True, False), strict=True))
        return [Measure(name, signature(name, **parts), higher_is_better=better[name], ranks=False) for name in NAMES]

    def check_resources(self) -> None:
        """Looks for the package, the key and the rubric; sends nothing.

        Raises:
            ResourceError: Package or key is missing, or the server is elsewhere and ``offline`` forbids it.
            MissingFileError: There is no such rubric.
        """
        _ = self._rubric
        self._client.check()

    def open_passages(self, passages: PassageStore) -> None:
        """Hands over the passages that responses rest on."""
        self._passages = passages

    def score(self, turns: Sequence[Turn], records: Mapping[str, TurnRecord]) -> list[Score]:
        """Scores ``turns``.

        Raises:
            ResourceError: The server cannot be reached, refuses the key or the settings, or fails again and again.
            UsageError: A response rests on passages, and ``open_passages`` was not called.
        """
        cases = [self._case(turn, records.get(turn.id)) for turn in turns]
        requests = [ChatRequest(case.messages, sample) for case in cases if case.messages for sample in range(self._samples)]
        answers = iter(self._client.answers(requests))
        scores = []
        for turn, case in zip(turns, cases, strict=True):
            values, reason = _graded([next(answers) for _ in range(self._samples)]) if case.messages else (case.values, case.reason)
            scores += [Score(turn.id, name, value, reason) for name, value in zip(NAMES, values, strict=True)]
        return scores

    def _case(self, turn: Turn, record: TurnRecord | None) -> _Case:
        references = references_of(turn)
        if not references:
            return _Case(reason=NO_REFERENCE)
        if record is None or record.response is None:
            return _Case(_WORST, MISSING)
        if not record.response.strip():
            return _Case(_WORST, "the response is empty")
        passages, absent = texts_of(self._passages, record.evidence)
        if absent:
            return _Case(reason=absent)
        asked = messages(self._rubric, turn, references, passages, record.response)
        if (length := sum(len(text) for _, text in asked)) > _LONGEST_PROMPT:
            return _Case(reason=f"not sent: {length:,} characters, more than {_LONGEST_PROMPT:,}")
        return _Case(messages=asked)

    @cached_property
    def _rubric(self) -> str:
        return RUBRIC if self._rubric_file is None else _read_rubric(Path(self._rubric_file))


def _graded(answers: Sequence[ChatAnswer]) -> Compared:
    """Mean and sample standard deviation of the grades."""
    grades = [read_grade(answer.text) for answer in answers]
    read = [grade for grade in grades if grade is not None]
    if len(read) == len(answers):
        return (statistics.fmean(read), statistics.stdev(read)), None
    first = next(answer for answer, grade in zip(answers, grades, strict=True) if grade is None)
    return (None, None), f"{len(answers) - len(read)} of {len(answers)} answers are no grade: {_problem(first)}"


def _problem(answer: ChatAnswer) -> str:
    if answer.failure:
        return answer.failure
    if answer.finish_reason == "length":
        return "cut before the grade; raise max_tokens"
    return f"found {' '.join(answer.text.split())[:60]!r}, expected a JSON object with an integer score"


def _read_rubric(path: Path) -> str:
    too_large = f"larger than {_LARGEST_RUBRIC:,} bytes; expected a rubric of 1 to {_LONGEST_RUBRIC:,} characters"
    text = small_text(path, _LARGEST_RUBRIC, too_large)
    if not text.strip() or len(text) > _LONGEST_RUBRIC:
        raise DataError(path, f"a rubric of {len(text):,} characters; expected a text of 1 to {_LONGEST_RUBRIC:,}")
    return text
