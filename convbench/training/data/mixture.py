"""The mixture file: which sources a model is trained on, what each one teaches, and how often it is drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from convbench.config import Config
from convbench.datasets.origins import known_origins
from convbench.datasets.selection import Selection
from convbench.errors import DataError, UsageError
from convbench.training.data.examples import Objective
from convbench.views.history import OWN, REWRITE, check_history_view

Format = Literal["chat", "pairs"]


class SourceSpec(Config):
    """One source: a dataset, or a file of chat or of pairs.

    Attributes:
        name: What examples, logs and model cards call it.
        dataset: A dataset that convbench reads.
        data: Its folder; None is the bundled mini set.
        split: Its split.
        corpus: Its corpus, where it lies elsewhere.
        rewrites: A file of rewrites.
        options: Its reading options.
        file: Or a JSON-lines file.
        format: What the file holds.
        objectives: What the source feeds.
        complete: Use only turns that feed all of them: with a passage and a response each, where both are to be learnt.
        weight: Its share of the examples that are drawn, relative to the other sources'; 0 leaves it out.
        conversations: The part of the conversations that is used.
        limit: Use the first so many of that part.
        history: The history view of sessions.
        passage: The passage to retrieve: the source's ``own``, or the ``response`` in its place (-DDM).
        response: What to say: the source's ``own``, or the ``passage`` in its place (-DDM).
        licence: The terms of a file.
        derived_from: What the data was made from (``natural-questions`` ...), where convbench cannot know it, for the contamination guard.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    dataset: str | None = None
    data: Path | None = None
    split: str | None = None
    corpus: Path | None = None
    rewrites: Path | None = None
    options: dict[str, str] = {}  # noqa: RUF012 - pydantic copies defaults
    file: Path | None = None
    format: Format | None = None
    objectives: list[Objective]
    complete: bool = False
    weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    conversations: Selection | None = None
    limit: int | None = Field(default=None, ge=1)
    history: str = "full"
    passage: Literal["own", "response"] = "own"
    response: Literal["own", "passage"] = "own"
    licence: str | None = None
    derived_from: list[str] = []  # noqa: RUF012 - pydantic copies defaults


class Mixture(Config):
    """All sources."""

    sources: list[SourceSpec]


def check_mixture(mixture: Mixture, origin: str | Path) -> None:
    """Refuses what cannot be trained on, as far as it shows without opening the sources.

    Args:
        mixture: The mixture.
        origin: What messages name as its place.

    Raises:
        DataError: No source, a name twice, weights of 0 everywhere, or a source that contradicts itself.
    """
    if not mixture.sources:
        raise DataError(origin, "the mixture is empty: expected one source at least under 'sources'")
    twice = [name for name, times in Counter(source.name for source in mixture.sources).items() if times > 1]
    if twice:
        raise DataError(origin, f"two sources are called {twice[0]!r}; names tell examples apart, give each source its own")
    for source in mixture.sources:
        for problem in _problems(source):
            raise DataError(origin, problem, where=f"source {source.name}")
    if not any(source.weight for source in mixture.sources):
        raise DataError(origin, "every source has weight 0: nothing would ever be drawn; give one a weight above 0")


def _problems(source: SourceSpec) -> Iterator[str]:
    yield from _place_problems(source)
    yield from _objective_problems(source)
    yield from _history_problems(source)
    for name in source.derived_from:
        if name not in known_origins():
            yield f"derived_from: {name!r} is not known; known are {', '.join(known_origins())}: leave out what is not among them"


def _place_problems(source: SourceSpec) -> Iterator[str]:
    if (source.dataset is None) == (source.file is None):
        yield "expected either 'dataset' or 'file' with 'format'"
    elif source.file is not None:
        if source.format is None:
            yield "'file' needs 'format': chat (messages) or pairs (query and positive)"
        for key in ("data", "split", "corpus", "rewrites", "options"):
            if getattr(source, key):
                yield f"{key!r} is for datasets, and this source is a file"
    elif source.format is not None:
        yield "'format' is for files; a dataset has its own"
    elif source.licence is not None:
        yield "'licence' is for files; a dataset's card states its own"


def _objective_problems(source: SourceSpec) -> Iterator[str]:
    if not source.objectives:
        yield "feeds no objective: expected some of retrieval, response, identification under 'objectives'"
    if len(set(source.objectives)) < len(source.objectives):
        yield f"names an objective twice: {', '.join(source.objectives)}"
    if source.passage == "response" and source.response == "passage":
        yield "'passage: response' and 'response: passage' contradict each other: one text can stand for the other, not both"
    if source.format == "chat":
        if source.response == "passage":
            yield "'response: passage' needs passages, and chat has none"
        if source.passage == "own" and (needy := _first(source, "retrieval", "identification")):
            yield f"{needy} needs passages, and chat has none: drop it, or say 'passage: response' to use responses as passages"
    if source.format == "pairs":
        if source.passage == "response":
            yield "'passage: response' needs responses, and pairs have none"
        if source.response == "own" and (needy := _first(source, "response", "identification")):
            yield f"{needy} needs responses, and pairs have none: drop it, or say 'response: passage' to use positives as responses"


def _history_problems(source: SourceSpec) -> Iterator[str]:
    if source.history == OWN:
        yield f"history {OWN!r} shows a system's own responses, and there are none in training; say 'full'"
    elif source.history == REWRITE:
        if source.file is not None:
            yield f"history {REWRITE!r} needs human rewrites, and a file has none"
    else:
        try:
            check_history_view(source.history)
        except UsageError as error:
            yield str(error)


def _first(source: SourceSpec, *objectives: Objective) -> Objective | None:
    return next((objective for objective in objectives if objective in source.objectives), None)
