"""Token overlap of responses with reference texts: F1, exact match, precision and recall, with both ways of combining references."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from convbench.errors import UsageError
from convbench.metrics import squad
from convbench.metrics.base import Measure, Side, signature
from convbench.metrics.overlap import overlap
from convbench.metrics.responses import Compared, against, score_responses
from convbench.metrics.tokens import tokens
from convbench.types import Score, Turn, TurnRecord

_NAME = re.compile(r"(F1|EM|precision|recall)(?:-(loo|max))?")
_FIELDS = {"F1": "f1", "EM": "exact", "precision": "precision", "recall": "recall"}


@dataclass(frozen=True, slots=True)
class _Column:
    """What a measure's name says of it: ``F1-loo``, ``recall-max``."""

    field: str
    leaves_one_out: bool

    @classmethod
    def of(cls, name: str) -> _Column:
        match = _NAME.fullmatch(name)
        if match is None:
            raise UsageError(f"token-f1: no measure {name!r}; expected F1, EM, precision or recall, with -loo or -max")
        return cls(_FIELDS[match[1]], match[2] == "loo")


class TokenF1Metric:
    """Overlap of tokens with the reference texts.

    ``-loo`` is the official TopiOCQA and CoQA way with several references (leave one out, best of the rest, mean over the references left
    out); ``-max`` is the best over all references. They are one number where a turn has one reference.

    Args:
        measures: Names of the measures, all with ``(knowledge)`` where the knowledge text is the reference (see ``responses.against``).
        normaliser: As in ``tokens.tokens``.
        tokenizer: Likewise.
    """

    name = "token-f1"
    version = 2
    needs: Side = "response"
    batch_size = 2048

    def __init__(
        self,
        measures: Sequence[str] = ("F1-loo", "EM-loo", "F1-max", "EM-max"),
        normaliser: str = "squad",
        tokenizer: str = "whitespace",
    ) -> None:
        self._names = list(measures)
        self._against, bases = against(self.name, self._names)
        self._columns = [_Column.of(base) for base in bases]
        self._tokens = tokens(normaliser, tokenizer)

    def measures(self) -> list[Measure]:
        """The measures asked for."""
        rules = ["leave-one-out" if column.leaves_one_out else "max" for column in self._columns]
        return [
            Measure(name, signature(name, **self._tokens.parts, refs=rule, against=self._against))
            for name, rule in zip(self._names, rules, strict=True)
        ]

    def check_resources(self) -> None:
        """Nothing is needed beyond the installed packages."""

    def score(self, turns: Sequence[Turn], records: Mapping[str, TurnRecord]) -> list[Score]:
        """Scores ``turns``; with SQuAD's normaliser a response without a token equals a reference without one."""
        return score_responses(turns, records, self._names, self._compare, self._against)

    def _compare(self, response: str, references: list[str]) -> Compared:
        given = self._tokens.split(response)
        compared = [overlap(self._tokens.split_reference(reference), given, self._tokens.empty) for reference in references]
        columns = [([float(getattr(one, column.field)) for one in compared], column.leaves_one_out) for column in self._columns]
        return [squad.leave_one_out(values) if leaves_one_out else max(values) for values, leaves_one_out in columns], None
