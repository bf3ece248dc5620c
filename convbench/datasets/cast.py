"""TREC CAsT 2019-2021 (Dalton et al.): graded judgements on web and encyclopaedia passages."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from convbench.datasets.base import Collection, DatasetSource
from convbench.datasets.candidates import find_companion
from convbench.datasets.corpora import jsonl_passages
from convbench.datasets.files import find_one, find_optional
from convbench.datasets.jsonl_corpus import find_jsonl_corpus
from convbench.errors import DataError
from convbench.io.jsonl import read_lines
from convbench.io.records import Record, read_list
from convbench.io.trec import read_qrels
from convbench.types import Conversation, Exchange, Qrels, Turn

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

# Best first: the manual files of 2020 and 2021 also hold the human rewrites.
_TOPICS = {
    "2019": ("evaluation_topics_v1.0.json",),
    "2019-train": ("train_topics_v1.0.json",),
    "2020": ("2020_manual_evaluation_topics_v1.0.json", "2020_automatic_evaluation_topics_v1.0.json"),
    "2021": ("2021_manual_evaluation_topics_v1.0.json", "2021_automatic_evaluation_topics_v1.0.json"),
}
_REWRITES = {
    "2019": "evaluation_topics_annotated_resolved_v1.0.tsv",
    "2019-train": "train_topic_sample_annotated_resolved_v1.0.tsv",
}
_QRELS = {
    "2019": "2019qrels.txt",
    "2019-train": "train_topics_mod.qrel",
    "2020": "2020qrels.txt",
    "2021": "trec-cast-qrels-docs.2021.qrel",
}


class CAsT:
    """Reads the topics, resolved utterances and judgements of the track's repository; a split is a year.

    History has no responses in 2019 and 2020 (2020 names its canonical passages by id only) and the canonical passages' texts in 2021.
    The track scores retrieval, so there are no references. The judgements of 2021 are of documents, not passages.
    ``Turn.gold`` holds the grades above 0; ``qrels`` holds all grades, since every judged turn counts.
    """

    name: ClassVar[str] = "cast"
    splits: ClassVar[Mapping[str, str]] = {split: split for split in _TOPICS}
    default_split: ClassVar[str] = "2019"
    option_values: ClassVar[Mapping[str, Sequence[str]]] = {}

    def __init__(self, source: DatasetSource) -> None:
        self._source = source

    def files(self) -> tuple[Path, ...]:
        """The topics, and the resolved utterances and judgements where they are there."""
        return tuple(path for path in (self._topics_file, self._rewrites_file, self._qrels_file) if path is not None)

    def conversations(self) -> Iterator[Conversation]:
        """The topics in file order, unjudged ones too."""
        seen: set[int] = set()
        for topic in read_list(self._topics_file):
            number = topic.get("number", int)
            if number in seen:
                raise topic.error(f"topic {number} appears twice")
            seen.add(number)
            yield Conversation(str(number), self.name, self._source.split, tuple(self._turns(topic, number)))

    def qrels(self) -> Qrels:
        """All grades of the judged turns, 0 included."""
        return self._judgements

    def collection(self) -> Collection:
        """The passages, in JSON lines ``{"id", "contents"}`` with the ids of the judgements (``MARCO_<n>``, ``CAR_<hash>``)."""
        files = find_jsonl_corpus(self._source, ("passages*.jsonl",), what="the CAsT passages")
        return Collection("corpus", files, lambda: jsonl_passages(files, id_field="id", text_field="contents"))

    def retrieval_turn(self, turn: Turn) -> bool:
        """Every judged turn counts, as in trec_eval, also one without a relevant passage."""
        return turn.id in self._judgements

    @cached_property
    def _topics_file(self) -> Path:
        split, root = self._source.split, self._source.root
        what = f"CAsT {split} topics"
        for name in _TOPICS[split]:
            if found := find_optional(root, [name], what, "--data"):
                return found
        return find_one(root, _TOPICS[split], what)

    @cached_property
    def _rewrites_file(self) -> Path | None:
        name = _REWRITES.get(self._source.split)
        return find_companion(self._source.root, [name], "CAsT resolved utterances") if name else None

    @cached_property
    def _qrels_file(self) -> Path | None:
        return find_companion(self._source.root, [_QRELS[self._source.split]], "CAsT judgements")

    @cached_property
    def _turn_ids(self) -> frozenset[str]:
        return frozenset(
            f"{topic.get('number', int)}_{turn.get('number', int)}"
            for topic in read_list(self._topics_file)
            for turn in topic.records("turn")
        )

    @cached_property
    def _judgements(self) -> Mapping[str, Mapping[str, int]]:
        if self._qrels_file is None:
            return {}
        judgements = read_qrels(self._qrels_file)
        self._check_known(judgements, self._qrels_file)
        return judgements

    @cached_property
    def _resolved(self) -> Mapping[str, str]:
        if self._rewrites_file is None:
            return {}
        resolved = _read_resolved(self._rewrites_file)
        self._check_known(resolved, self._rewrites_file)
        return resolved

    def _check_known(self, turn_ids: Iterable[str], path: Path) -> None:
        for turn_id in turn_ids:
            if turn_id not in self._turn_ids:
                raise DataError(path, f"turn {turn_id} is not in {self._topics_file}; take topics and this file from the same year")

    def _turns(self, topic: Record, number: int) -> Iterator[Turn]:
        history: tuple[Exchange, ...] = ()
        for expected, record in enumerate(topic.records("turn"), 1):
            found = record.get("number", int)
            if found != expected:
                raise record.error(f"topic {number}: expected turn {expected}, found {found}; turns must be complete and in order")
            turn_id, query = f"{number}_{found}", record.get("raw_utterance", str)
            if not query.strip():
                raise record.error("field 'raw_utterance' is empty")
            rewrite = self._resolved.get(turn_id) or record.optional("manual_rewritten_utterance", str, "") or None
            gold = {id_: grade for id_, grade in self._judgements.get(turn_id, {}).items() if grade > 0}
            yield Turn(turn_id, query, history, gold=gold, rewrite=rewrite)
            history += (Exchange(turn_id, query, record.optional("passage", str, "") or None, rewrite),)


def _read_resolved(path: Path) -> dict[str, str]:
    """The resolved utterances of 2019, ``31_1<TAB>text`` a line."""
    resolved: dict[str, str] = {}
    for number, line in read_lines(path):
        if not line.strip():
            continue
        turn_id, tab, text = line.partition("\t")
        if not tab or not text.strip():
            raise DataError(path, "expected 'turn_id<TAB>text'", line=number)
        if resolved.setdefault(turn_id, text) != text:
            raise DataError(path, f"turn {turn_id} has two resolved utterances", line=number)
    return resolved
