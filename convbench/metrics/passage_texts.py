"""Passages as texts for metrics that compare a response with what it rests on."""

from __future__ import annotations

from collections.abc import Sequence

from convbench.datasets.store import PassageStore
from convbench.metrics.relevance import known_passages
from convbench.views.passages import passage_text


def texts_of(store: PassageStore | None, ids: Sequence[str]) -> tuple[list[str], str | None]:
    """The passages' titles and texts, in the order of ``ids``; where the collection lacks one of them, none and the reason.

    Raises:
        UsageError: The collection was not handed over, and there are passages to read.
    """
    if not ids:
        return [], None
    passages = known_passages(store, set(ids))
    absent = next((id_ for id_ in ids if passages[id_] is None), None)
    if absent is not None:
        return [], f"passage {absent!r} is not in the collection"
    return [passage_text(passage) for id_ in ids if (passage := passages[id_])], None
