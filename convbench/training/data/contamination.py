"""The contamination guard: what a training mixture shares with a set that the model will be evaluated on.

Conversations are known again by id, where two sets number them together, and by text. Where neither can tell, because a dataset edited
what it took over, the table of origins says what is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from convbench.datasets.finding import MOST_EXAMPLES, Severity
from convbench.datasets.hash_sort import hash_texts
from convbench.datasets.loading import Dataset
from convbench.datasets.origins import Origin, numbering_of, origins_of
from convbench.datasets.overlap import ComparedSet, Units, overlaps, units_of
from convbench.datasets.plain_words import plain_words
from convbench.datasets.store import PassageStore
from convbench.training.data.sources import Source
from convbench.training.data.threads import threads_of
from convbench.types import Turn, conversation_of, qrels_of

_TEXTS: dict[str, tuple[str, Severity, str]] = {
    "questions with response": ("same-responses", "warning", "turns have a question and a response that were trained on together"),
    "first questions": ("same-first-questions", "warning", "conversations begin with a question that training conversations begin with"),
    "rewrites": ("same-rewrites", "warning", "turns have a human rewrite that was trained on"),
    "questions": ("same-questions", "info", "turns ask a question that was trained on, word for word, after another history perhaps"),
    "gold texts": ("same-passages", "info", "gold passages were trained on as passages to retrieve"),
    "topics": ("same-topics", "info", "topics are those of training conversations"),
}
"""Kind of unit that an audit compares -> the check's name, its severity, and what the evaluation set's units are."""


@dataclass(frozen=True, slots=True)
class Contamination:
    """One thing that a source shares with the evaluation set.

    Attributes:
        source: The source's name.
        check: The check's name.
        severity: ``error`` (the model has seen conversations it is evaluated on), ``warning`` (it may have), ``info`` (a fact to know).
        count: How many of the evaluation set's units are shared; 0 where only the table of origins says so.
        of: How many units the evaluation set has.
        message: One sentence.
        examples: ``training id = evaluation id`` of the first, at most five.
    """

    source: str
    check: str
    severity: Severity
    count: int
    of: int
    message: str
    examples: tuple[str, ...]


def contamination(training: Sequence[Source], evaluation: Dataset, store: PassageStore | None = None) -> list[Contamination]:
    """Looks for what the sources share with an evaluation set. Only what is found is listed, errors first.

    Only what is used counts: the conversations that a source's selection and limit leave, and the ones in ``evaluation.conversations``. A
    hold-out rule applied to both sides is therefore clean.

    Args:
        training: The opened sources.
        evaluation: The evaluation set.
        store: Its collection; None leaves gold passages' texts out.
    """
    theirs = _evaluated(evaluation, store)
    threads = threads_of(evaluation.conversations)
    found = []
    for source in training:
        found += [
            *_same_ids(source, evaluation),
            *_same_threads(source, evaluation, threads),
            *_same_texts(source, theirs),
            *_same_origins(source, evaluation),
        ]
    order = ("error", "warning", "info")
    return sorted(found, key=lambda finding: order.index(finding.severity))


def as_json(found: Sequence[Contamination]) -> list[dict[str, Any]]:
    """The findings in plain values, as a model card holds them."""
    return [{**asdict(finding), "examples": list(finding.examples)} for finding in found]


def _same_ids(source: Source, evaluation: Dataset) -> Iterator[Contamination]:
    """By turn id, and question, since releases of one dataset have numbered their conversations anew."""
    trained = source.dataset
    if trained is None or trained.bundled != evaluation.bundled:
        return
    if numbering_of(trained.name, trained.split) != numbering_of(evaluation.name, evaluation.split):
        return
    ours = {turn.id: turn for turn in source.material.turns}
    alike = [turn for turn in evaluation.turns if turn.id in ours]
    same = list(dict.fromkeys(turn.conversation_id for turn in alike if _asks_the_same(turn, ours[turn.id])))
    total = len(evaluation.conversations)
    if same:
        message = f"{len(same)} of {total} conversations are trained on: they have the same ids and questions"
        yield Contamination(source.spec.name, "same-conversations", "error", len(same), total, message, tuple(same[:MOST_EXAMPLES]))
    elif alike:
        others = list(dict.fromkeys(turn.conversation_id for turn in alike))
        message = f"{len(others)} of {total} conversations have ids that were trained on, and other questions: another numbering, it seems"
        yield Contamination(source.spec.name, "same-ids-other-texts", "info", len(others), total, message, tuple(others[:MOST_EXAMPLES]))


def _asks_the_same(one: Turn, other: Turn) -> bool:
    return plain_words(one.query) == plain_words(other.query)


def _same_threads(source: Source, evaluation: Dataset, threads: dict[str, str]) -> Iterator[Contamination]:
    ours = threads_of(source.material.conversations)
    same: dict[str, str] = {}  # conversation of the evaluation set -> the first pair of turns
    for thread, turn_id in threads.items():
        if thread in ours:
            same.setdefault(conversation_of(turn_id), f"{ours[thread]} = {turn_id}")
    if same:
        total = len(evaluation.conversations)
        message = f"{len(same)} of {total} conversations are trained on: the same questions follow each other"
        yield Contamination(
            source.spec.name, "same-question-threads", "error", len(same), total, message, tuple(same.values())[:MOST_EXAMPLES]
        )


def _same_texts(source: Source, evaluation: ComparedSet) -> Iterator[Contamination]:
    for overlap in overlaps([ComparedSet(source.spec.name, _trained(source)), evaluation]):
        if overlap.common and overlap.kind in _TEXTS:
            check, severity, what = _TEXTS[overlap.kind]
            message = f"{overlap.common} of {overlap.second_count} {what}"
            yield Contamination(
                source.spec.name, check, severity, overlap.common, overlap.second_count, message, overlap.examples[:MOST_EXAMPLES]
            )


def _same_origins(source: Source, evaluation: Dataset) -> Iterator[Contamination]:
    declared: dict[str, Origin | None] = dict.fromkeys(source.spec.derived_from)
    ours = declared | {origin.origin: origin for origin in _known(source.dataset)}
    if source.dataset is not None and source.dataset.name == evaluation.name:
        return  # splits of one dataset are made of the same without sharing it
    for origin in _known(evaluation):
        if origin.origin in ours:
            own = ours[origin.origin]
            whole = origin.holds == "conversations" and (own is None or own.holds == "conversations")
            held = f"{own.holds} of it ({own.source})" if own is not None else "something made from it (derived_from)"
            message = f"{evaluation.name} holds {origin.holds} of {origin.origin} ({origin.source}), and the source holds {held}"
            severity: Severity = "warning" if whole else "info"
            total = len(evaluation.conversations)
            yield Contamination(source.spec.name, "shared-origin", severity, 0, total, message, ())


def _known(dataset: Dataset | None) -> list[Origin]:
    """What a dataset is known to hold; the bundled sets were written for convbench and hold nothing of any other."""
    return [] if dataset is None or dataset.bundled else origins_of(dataset.name, dataset.split)


def _evaluated(evaluation: Dataset, store: PassageStore | None) -> ComparedSet:
    """With the judgements of its turns alone, which may be a part of the split."""
    return ComparedSet(evaluation.name, units_of(evaluation.conversations, qrels_of(evaluation.turns), store))


def _trained(source: Source) -> Units:
    """As an audit's, with the passages that examples teach to retrieve."""
    passages = {passage.id: passage for example in source.examples if "retrieval" in example.objectives for passage in example.gold}
    digests = hash_texts(plain_words(passage.text) for passage in passages.values()).tolist()
    texts = {f"{digest:016x}": id_ for digest, id_ in zip(digests, passages, strict=True)}
    return {**units_of(source.material.conversations, {}, None), "gold texts": texts}
