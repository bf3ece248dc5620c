"""INSCIT: mixed-initiative conversations with one or two annotated responses a turn, each with its own evidence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from convbench.datasets.base import Collection, DatasetSource
from convbench.datasets.candidates import find_opening
from convbench.datasets.corpora import tsv_passages
from convbench.datasets.files import find_files, find_optional
from convbench.datasets.grouping import unique_passages
from convbench.errors import DataError, MissingFileError
from convbench.io.jsonl import read_json
from convbench.io.records import Record, read_list
from convbench.types import Conversation, Exchange, Passage, Qrels, Reference, ReferenceKind, Turn, qrels_of

_OPENING = re.compile(r'\s*\{\s*"(?:[^"\\]|\\.)*"\s*:\s*\{\s*"(?:seedArticle|turns)"')
_TSV = ["full_wiki_segments*.tsv"]
_LISTS = ["text_0420_processed/*"]
_TITLE_SEPARATOR = " [SEP] "  # as create_corpus_tsv.py of the official repository joins them


class INSCIT:
    """The adapter of INSCIT (Wu et al. 2023).

    A conversation's id is its name, a turn's number its place in ``turns``. Gold passages are the union of the evidence of all labels.
    """

    name: ClassVar[str] = "inscit"
    splits: ClassVar[Mapping[str, str]] = {"train": "train", "dev": "dev", "test": "test", "mini": "mini"}
    default_split: ClassVar[str] = "dev"
    option_values: ClassVar[Mapping[str, Sequence[str]]] = {}

    def __init__(self, source: DatasetSource) -> None:
        self.source = source

    def files(self) -> tuple[Path, ...]:
        """The split's one file."""
        split = self.source.split
        return (find_opening(self.source.root, [f"{split}.json"], _OPENING, f"INSCIT {split} turns"),)

    def conversations(self) -> Iterator[Conversation]:
        """The split's conversations in file order."""
        for name, record in _named_records(*self.files()):
            yield Conversation(name, self.name, self.source.split, tuple(_turns(name, record)))

    def qrels(self) -> Qrels:
        """Every evidence passage of any label, grade 1."""
        return qrels_of([turn for conversation in self.conversations() for turn in conversation.turns])

    def collection(self) -> Collection:
        """The corpus: the official TSV, else the JSON lists it is made from, else the union of the evidence."""
        corpus = self._corpus_files()
        if not corpus:
            return Collection("gold-union", self.files(), lambda: iter(unique_passages(_evidence_of_all(*self.files()))))
        if ".tsv" in corpus[0].suffixes:
            return Collection("corpus", corpus, lambda: tsv_passages(corpus[0]))
        return Collection("corpus", corpus, lambda: _list_passages(corpus))

    def retrieval_turn(self, turn: Turn) -> bool:
        """Turns with evidence in any label, as in the official evaluation."""
        return bool(turn.gold)

    def _corpus_files(self) -> tuple[Path, ...]:
        root = self.source.corpus or self.source.root
        if self.source.corpus is None and root.is_file():
            return ()
        tsv = find_optional(root, _TSV, "INSCIT corpus", "--corpus")
        if tsv is not None:
            return (tsv,)
        lists = find_files(root, _LISTS)
        if self.source.corpus is not None:
            lists = lists or find_files(root, ["*"])
            if not lists:
                raise MissingFileError(f"{root}: no file for INSCIT corpus: expected {_TSV[0]} or the files of {_LISTS[0]}; set --corpus")
        return tuple(lists)


def _named_records(path: Path) -> Iterator[tuple[str, Record]]:
    document = read_json(path)
    if not isinstance(document, dict):
        raise DataError(path, f"expected a JSON object keyed by conversation name, found {type(document).__name__}; is this INSCIT?")
    for name, value in document.items():
        if not name or any(character.isspace() for character in name):
            raise DataError(path, f"conversation name {name!r}: expected a name without white space")
        yield name, Record(path, value, where=name)


def _turns(name: str, conversation: Record) -> Iterator[Turn]:
    topic = conversation.record("seedArticle").get("title", str)
    responses: list[list[str]] = []
    for number, record in enumerate(conversation.records("turns"), 1):
        context = record.strings("context")
        _check_context(record, context, responses)
        labels = record.records("labels")
        if not labels:
            raise record.error("field 'labels' is empty; expected one response or two")
        responses.append([label.get("response", str) for label in labels])
        yield Turn(
            id=f"{name}_{number}",
            query=context[-1],
            history=tuple(Exchange(f"{name}_{n}", context[2 * n - 2], context[2 * n - 1]) for n in range(1, number)),
            references=tuple(_reference(label, "additional" if i else "response") for i, label in enumerate(labels)),
            gold={passage.id: 1 for label in labels for _, passage in _evidence(label)},
            topic=topic,
            labels=_slices(labels),
        )


def _check_context(record: Record, context: list[str], responses: list[list[str]]) -> None:
    """The written context of turn n holds n user texts and the n - 1 responses that were given, each one of its turn's labels."""
    earlier = len(responses)
    if len(context) != 2 * earlier + 1:
        raise record.error(f"field 'context' has {len(context)} items, expected {2 * earlier + 1} for turn {earlier + 1}")
    evidence = record.get("prevEvidence", list)
    if len(evidence) != earlier:
        raise record.error(f"field 'prevEvidence' has {len(evidence)} lists, expected {earlier}: one an earlier turn")
    for n, (said, labelled) in enumerate(zip(context[1::2], responses, strict=True), 1):
        if said.split() not in [text.split() for text in labelled]:
            raise record.error(f"field 'context'[{2 * n - 1}]: {said!r:.60} is no label response of turn {n}")


def _reference(label: Record, kind: ReferenceKind) -> Reference:
    return Reference(label.get("response", str), kind, tuple(dict.fromkeys(passage.id for _, passage in _evidence(label))))


def _slices(labels: list[Record]) -> dict[str, str]:
    types = [label.get("responseType", str) for label in labels]
    unanswered = all(type_.startswith("noAnswer") for type_ in types)
    return {"response_type": "|".join(dict.fromkeys(types)), "answerable": "no" if unanswered else "yes"}


def _evidence(label: Record) -> Iterator[tuple[Record, Passage]]:
    for record in label.records("evidence"):
        titles = _TITLE_SEPARATOR.join(record.strings("passage_titles"))
        yield record, Passage(record.get("passage_id", str), record.get("passage_text", str), titles)


def _evidence_of_all(path: Path) -> Iterator[tuple[Record, Passage]]:
    for _, conversation in _named_records(path):
        for turn in conversation.records("turns"):
            for label in turn.records("labels"):
                yield from _evidence(label)
            for i, passages in enumerate(turn.get("prevEvidence", list)):
                yield from _evidence(Record(path, {"evidence": passages}, where=f"{turn.where}.prevEvidence[{i}]"))


def _list_passages(paths: Sequence[Path]) -> Iterator[Passage]:
    """The passages of the corpus as it is published, white space and titles put together as in the official TSV."""
    for path in paths:
        for article in read_list(path):
            for record in article.records("passages"):
                text = " ".join(record.get("text", str).split())
                yield Passage(record.get("id", str), text, _TITLE_SEPARATOR.join(record.strings("titles")))
