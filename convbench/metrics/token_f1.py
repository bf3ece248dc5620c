"""Token F1 and exact match of responses, with both ways of combining several references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from convbench.metrics import squad
from convbench.metrics.base import Measure, Side, signature
from convbench.metrics.responses import Compared, score_responses
from convbench.types import Score, Turn, TurnRecord

_REFS = {"F1-loo": "leave-one-out", "EM-loo": "leave-one-out", "F1-max": "max", "EM-max": "max"}


class TokenF1Metric:
    """SQuAD's F1 and exact match against the reference responses.

    ``-loo`` is the official TopiOCQA and CoQA score (leave one reference out, best of the rest, mean over the references left out);
    ``-max`` is the best over all references. They are one number where a turn has one reference.
    """

    name = "token-f1"
    version = 1
    needs: Side = "response"
    batch_size = 2048

    def measures(self) -> list[Measure]:
        """F1-loo, EM-loo, F1-max and EM-max."""
        return [Measure(name, signature(name, norm="squad", refs=refs)) for name, refs in _REFS.items()]

    def check_resources(self) -> None:
        """Nothing is needed."""

    def score(self, turns: Sequence[Turn], records: Mapping[str, TurnRecord]) -> list[Score]:
        """Scores ``turns``; a response that is empty after normalisation equals a reference that is."""
        return score_responses(turns, records, list(_REFS), _compare)


def _compare(response: str, references: list[str]) -> Compared:
    f1 = [squad.f1(reference, response) for reference in references]
    exact = [squad.exact_match(reference, response) for reference in references]
    return [squad.leave_one_out(f1), squad.leave_one_out(exact), max(f1), max(exact)], None
