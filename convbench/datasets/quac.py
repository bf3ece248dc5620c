"""QuAC's own format, which OR-QuAC keeps for evaluation: articles, paragraphs, questions with several human answers each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from convbench.io.jsonl import read_json
from convbench.io.records import Record
from convbench.types import Exchange, Reference, Turn, conversation_of

UNANSWERED = ("CANNOTANSWER", "NOTRECOVERED")
"""Answer texts that stand for no answer (the second where OR-QuAC's authors could not find the span again)."""

_QUESTION_ID = re.compile(r"(\S+)_q#([0-9]{1,9})")


def read_quac(path: Path) -> Iterator[tuple[Record, Turn]]:
    """The turns of a QuAC-format file: the questions as asked, the first human answer as history shows it, no rewrites, no gold.

    Raises:
        MissingFileError: There is no such file.
        DataError: A record is malformed.
    """
    for article in Record(path, read_json(path)).records("data"):
        topic = article.optional("title", str, "") or None
        for paragraph in article.records("paragraphs"):
            yield from _dialog(paragraph, topic)


def turn_id(record: Record, question_id: str) -> str:
    """The turn's id: QuAC counts the questions of a dialog from 0 (``C_0_q#3``), we count from 1 (``C_0_4``)."""
    match = _QUESTION_ID.fullmatch(question_id)
    if match is None:
        raise record.error(f"question id {question_id!r:.80}: expected <dialog>_q#<number> without white space")
    return f"{match[1]}_{int(match[2]) + 1}"


def answer_labels(record: Record, answer: str) -> dict[str, str]:
    """The labels that every QuAC-like record has: whether it is answerable, ``followup`` and ``yesno`` where given."""
    labels = {"answerable": "no" if answer in UNANSWERED else "yes"}
    for field in ("followup", "yesno"):
        if value := record.optional(field, str, ""):
            labels[field] = value
    return labels


def with_main(main: str, answers: Sequence[str]) -> list[str]:
    """The answers with ``main`` before the others; one that several people gave stays as often, since the official scorer counts heads.

    Where nobody gave ``main`` (OR-QuAC's ``NOTRECOVERED``), it is no answer to compare with, unless it is the only one known.
    """
    if main not in answers:
        return list(answers) or [main]
    others = list(answers)
    others.remove(main)
    return [main, *others]


def _dialog(paragraph: Record, topic: str | None) -> Iterator[tuple[Record, Turn]]:
    dialog = paragraph.get("id", str)
    history: list[Exchange] = []
    for record in paragraph.records("qas"):
        id_ = turn_id(record, record.get("id", str))
        if conversation_of(id_) != dialog:
            raise record.error(f"field 'id': expected a question of dialog {dialog!r}, found {record.values['id']!r}")
        answers = [answer.get("text", str) for answer in record.records("answers")]
        said = record.record("orig_answer").get("text", str) if "orig_answer" in record.values else None
        if said is not None:
            answers = with_main(said, answers)
        if not answers:
            raise record.error("field 'answers' is empty; expected one human answer at least")
        main, *others = answers
        said = main if said is None else said  # the dialog went on with it
        question = record.get("question", str)
        yield (
            record,
            Turn(
                id=id_,
                query=question,
                history=tuple(history),
                references=(Reference(main), *(Reference(text, "additional") for text in others)),
                topic=topic,
                labels=answer_labels(record, said),
            ),
        )
        history.append(Exchange(id_, question, said))
