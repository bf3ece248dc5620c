"""Whether a system declines to answer where there is no answer, and only there; kept apart from how good its answers are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from convbench.metrics.base import MISSING, Measure, Side, signature
from convbench.types import Score, Turn, TurnRecord

NAMES = ("abstention-precision", "abstention-recall")
MARKERS = frozenset(["cannotanswer", "unanswerable", "notrecovered", "no answer", "i don't know", "i do not know"])
"""Responses that say nothing but that there is no answer (case, outer blanks and a final full stop aside)."""

_UNKNOWN = "whether this turn can be answered is not known"
_ANSWERED = "the response does not abstain"
_ANSWERABLE = "the turn can be answered"


class AbstentionMetric:
    """Precision and recall of abstaining.

    Precision averages over the turns on which the run abstains (so its turns differ from run to run), recall over the unanswerable ones.
    A response abstains where its record says so (``abstained``) or where it is one of ``MARKERS``. Which turns are unanswerable is the
    dataset's label ``answerable``.
    """

    name = "abstention"
    version = 1
    needs: Side = "response"
    batch_size = 4096

    def measures(self) -> list[Measure]:
        """abstention-precision and abstention-recall."""
        return [Measure(name, signature(name, abstains="flag-or-marker", label="answerable")) for name in NAMES]

    def check_resources(self) -> None:
        """Nothing is needed."""

    def score(self, turns: Sequence[Turn], records: Mapping[str, TurnRecord]) -> list[Score]:
        """Scores ``turns``; an unanswerable turn that is missing counts as not abstained on."""
        return [score for turn in turns for score in _scores(turn, records.get(turn.id))]


def abstains(record: TurnRecord) -> bool:
    """Whether a record's response declines to answer."""
    text = (record.response or "").strip().removesuffix(".").replace("’", "'").casefold()
    return record.abstained or text in MARKERS


def _scores(turn: Turn, record: TurnRecord | None) -> tuple[Score, Score]:
    precision, recall = NAMES
    label = turn.labels.get("answerable")
    if label is None:
        return Score(turn.id, precision, None, _UNKNOWN), Score(turn.id, recall, None, _UNKNOWN)
    declined = record is not None and record.response is not None and abstains(record)
    missing = None if record is not None and record.response is not None else MISSING
    right = Score(turn.id, precision, float(label == "no")) if declined else Score(turn.id, precision, None, _ANSWERED)
    found = Score(turn.id, recall, float(declined), missing) if label == "no" else Score(turn.id, recall, None, _ANSWERABLE)
    return right, found
