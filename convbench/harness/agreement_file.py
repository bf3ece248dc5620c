"""The file of a run's self-agreement: a header line, then a line a turn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

from convbench.errors import DataError, MissingFileError, UsageError
from convbench.harness.folder import RunFolder
from convbench.harness.results import read_results
from convbench.io.atomic import atomic_text
from convbench.io.jsonl import dump_line, read_jsonl
from convbench.io.records import Record

SCHEMA = "convbench.agreement/1"

Whose = Literal["own", "gold"]
"""Whose response: the run's, or the main reference."""


@dataclass(frozen=True, slots=True)
class TurnAgreement:
    """One turn.

    Attributes:
        turn_id: The turn.
        rank_correlation: Spearman's, of embedding scores and likelihoods; None where ``reason`` says why.
        top1: Whether both put the same passage first; None where ``rank_correlation`` is.
        passages: (id, score, mean token log-probability of the response), as retrieved; empty where it was not computed.
        reason: Why there is no value.
    """

    turn_id: str
    rank_correlation: float | None
    top1: bool | None
    passages: tuple[tuple[str, float, float], ...]
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class RunAgreement:
    """The whole file.

    Attributes:
        k: How many passages of each ranking.
        response: Whose response.
        model: What the model says of itself.
        run_sha256: Digest of the ``turns.jsonl`` that it was computed from.
        turns: Turn id -> its values, in the dataset's order.
    """

    k: int
    response: Whose
    model: Mapping[str, Any]
    run_sha256: str
    turns: Mapping[str, TurnAgreement]


def agreement_path(folder: Path, response: Whose) -> Path:
    """The file in a run folder."""
    return folder / f"agreement-{response}.jsonl"


def write_agreement(path: Path, header: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes the file atomically."""
    with atomic_text(path) as handle:
        handle.write(dump_line({"schema": SCHEMA, **header}))
        for row in rows:
            handle.write(dump_line(row))


def read_agreement(path: Path) -> RunAgreement:
    """Reads the file.

    Args:
        path: ``agreement-own.jsonl`` or ``agreement-gold.jsonl`` in a run folder.

    Raises:
        MissingFileError: There is no such file, or no finished run beside it.
        DataError: It is not what ``convbench agree`` writes.
        UsageError: It was computed from another run than the one beside it.
    """
    lines = (Record(path, value, line=line) for line, value in read_jsonl(path))
    header = next(lines, None)
    if header is None or header.values.get("schema") != SCHEMA:
        raise DataError(path, f"expected a header line of schema {SCHEMA!r}; make the file again with `convbench agree`", line=1)
    turns: dict[str, TurnAgreement] = {}
    for record in lines:
        turn = _turn(record)
        if turn.turn_id in turns:
            raise record.error(f"turn {turn.turn_id!r} appears twice")
        turns[turn.turn_id] = turn
    found = RunAgreement(header.get("k", int), _whose(header), header.get("model", dict), header.get("run_sha256", str), turns)
    _refuse_other_run(path, found.run_sha256)
    return found


def _refuse_other_run(path: Path, run_sha256: str) -> None:
    results = RunFolder(path.parent).results
    if not results.exists():
        raise MissingFileError(f"{path}: there is no finished run beside it (no results.json)")
    if read_results(results).run_sha256 != run_sha256:
        raise UsageError(f"{path}: was computed from another run than the one in its folder; run `convbench agree {path.parent}` again")


def _whose(header: Record) -> Whose:
    response = header.get("response", str)
    if response not in get_args(Whose):
        raise header.error(f"field 'response': expected own or gold, found {response!r}")
    return cast(Whose, response)


def _turn(record: Record) -> TurnAgreement:
    reason = record.optional("reason", str, "") or None
    correlation, top1 = record.values.get("rank_correlation"), record.values.get("top1")
    if (correlation is None or top1 is None) and (correlation is not top1 or reason is None):
        raise record.error("fields 'rank_correlation' and 'top1': expected values, or null in both and a 'reason'")
    if correlation is not None and not (_is_number(correlation) and abs(correlation) <= 1 and isinstance(top1, bool)):
        raise record.error("expected 'rank_correlation' from -1 to 1 and 'top1' true or false")
    passages = []
    for index, item in enumerate(record.get("passages", list)):
        if not (isinstance(item, list) and len(item) == 3 and isinstance(item[0], str) and all(map(_is_number, item[1:]))):
            raise record.error(f"passages[{index}]: expected [id, score, log-likelihood], found {item!r:.80}")
        passages.append((item[0], float(item[1]), float(item[2])))
    return TurnAgreement(
        record.get("turn_id", str),
        None if correlation is None else float(correlation),
        top1,
        tuple(passages),
        None if top1 is not None else reason,
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")
