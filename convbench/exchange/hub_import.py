"""A BEIR folder, or one laid out for the hub, as a dataset folder of ours (``generic``)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml

from convbench.datasets.corpora import check_id
from convbench.errors import DataError
from convbench.exchange.base import ImportRequest, Summary, new_folder, refuse_existing
from convbench.exchange.hub_files import CORPUS, QRELS, QUERIES, find_part, rows, split_of, splits_of
from convbench.exchange.judgements import Judgements, checked, id_text, read_rows_of_grades, read_table
from convbench.exchange.notes import Notes
from convbench.exchange.qrels import write_qrels
from convbench.exchange.queries import Conversations
from convbench.exchange.turn_ids import TurnIds
from convbench.io.atomic import atomic_text, write_text
from convbench.io.jsonl import dump_line
from convbench.types import Passage

_FIELDS = frozenset({"_id", "id", "title", "text"})


def import_hub(name: str, pattern: str, request: ImportRequest) -> Summary:
    """Reads corpus, queries and judgements and writes the folder.

    Args:
        name: The format's name, for the summary.
        pattern: How queries name turns where the request does not say.
        request: What to read and write.
    """
    refuse_existing(request.out)
    notes = Notes()
    files = find_part(request.source, QRELS, request.split, notes)
    split = split_of(files[0])
    judgements = read_table(files[0]) if files[0].name.endswith(".tsv") else read_rows_of_grades(rows(files))
    conversations = Conversations(TurnIds((request.turn_ids or pattern,)), notes)
    queries = find_part(request.source, QUERIES, split, notes)
    conversations.add_all(rows(queries))
    judged = checked(_renamed(judgements, conversations, notes), request.source)
    if len(splits_of(request.source, QRELS)) > 1:
        _keep_judged(conversations, judged, split, notes)
    if not conversations.turns:
        raise DataError(request.source, "holds no queries")
    corpus = find_part(request.source, CORPUS, split, notes)
    _note_unread(request.source, [*files, *queries, *corpus], notes)
    with new_folder(request.out) as folder:
        passages = _write_collection(folder / "collection.jsonl", corpus, {id_ for grades in judged.values() for id_ in grades}, notes)
        write_qrels(folder / "qrels.txt", judged)
        turns = _write_conversations(folder / "conversations.jsonl", conversations)
        write_text(folder / "dataset.yaml", yaml.safe_dump({"description": f"Imported from a {name} folder.", "default_split": split}))
    counts = {"conversations": len(conversations.turns), "turns": turns, "judged_turns": len(judged), "passages": passages}
    return Summary(name, request.out, counts, notes.all())


def _renamed(judgements: Judgements, conversations: Conversations, notes: Notes) -> Judgements:
    """The judgements under our turn ids."""
    judged: Judgements = {}
    for query_id, grades in judgements.items():
        if query_id in conversations.ids:
            judged[conversations.ids[query_id]] = grades
        else:
            notes.add("judged queries", query_id, "the queries have no text of them")
    return judged


def _keep_judged(conversations: Conversations, judged: Judgements, split: str, notes: Notes) -> None:
    """Drops the conversations of other splits: those in which nothing is judged. Folders often hold the queries of all splits together."""
    wanted = {turn_id.rpartition("_")[0] for turn_id in judged}
    for conversation in [name for name in conversations.turns if name not in wanted]:
        del conversations.turns[conversation]
        notes.add("conversations without a judged turn", conversation, f"not of the split {split!r}")


def _note_unread(root: Path, read: list[Path], notes: Notes) -> None:
    """Counts what lies in the folder besides the three parts (MTEB's ``top_ranked`` and ``instruction`` ...)."""
    known = {path.relative_to(root).parts[0] for path in read}
    for path in sorted(root.iterdir()):
        if path.name not in known and not path.name.startswith((".", "README")):
            notes.add("files and folders", path.name, "not read")


def _write_conversations(path: Path, conversations: Conversations) -> int:
    count = 0
    with atomic_text(path) as handle:
        for conversation, turns in conversations.turns.items():
            for number, turn in turns.items():
                handle.write(dump_line(turn.line(conversation, number)))
                count += 1
    return count


def _write_collection(path: Path, corpus: list[Path], judged: set[str], notes: Notes) -> int:
    """Writes the passages, one at a time in memory, and counts the judged ones that are not among them."""
    count = 0
    with atomic_text(path) as handle:
        for passage in _passages(corpus, notes):
            handle.write(dump_line({"id": passage.id, "text": passage.text, "title": passage.title}))
            judged.discard(passage.id)
            count += 1
    for passage_id in sorted(judged):
        notes.add("texts of judged passages", passage_id, "the corpus lacks them")
    return count


def _passages(corpus: list[Path], notes: Notes) -> Iterator[Passage]:
    for record in rows(corpus):
        passage_id = id_text(record, "_id" if "_id" in record.values else "id")
        check_id(passage_id, record.path, record.line)
        notes.unknown_fields(record.values, _FIELDS, passage_id)
        yield Passage(passage_id, record.get("text", str), record.optional("title", str, ""))
