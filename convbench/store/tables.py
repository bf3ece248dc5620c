"""The scores and records of runs as Arrow tables; a run's scores are kept as Parquet beside ``scores.jsonl``, named by its digest.

The Parquet file can be deleted at any time. One whose name is of another ``scores.jsonl`` is not read, and goes when the next is written.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convbench.errors import DataError, MissingFileError, StorageError, UsageError
from convbench.harness.folder import RunFolder
from convbench.harness.results import DAMAGED
from convbench.harness.score_file import read_scores
from convbench.io.atomic import atomic_path
from convbench.io.digests import file_sha256
from convbench.io.runfile import read_run
from convbench.types import conversation_of

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

WHOLE = "scores.parquet"
"""Scores of a run folder that another tool has turned into Parquet, read where there is no ``scores.jsonl``."""


def score_table(path: Path, *, keep: bool = True, written: Collection[str] = ()) -> pa.Table:
    """The scores of a run: columns ``turn_id``, ``protocol``, ``measure``, ``value``, ``reason``, a row a turn and measure.

    Args:
        path: The run folder.
        keep: Whether to write the table beside the scores, so that it need not be parsed again.
        written: Digests that ``scores.jsonl`` may have beside the results; none where they do not say.

    Raises:
        MissingFileError: There are no scores, though there were.
        DataError: A line, or the Parquet file, is malformed, or the scores are not those of the results.
        UsageError: The scores change while they are read.
    """
    folder = RunFolder(path)
    if not folder.scores.exists():
        if (path / WHOLE).is_file():
            return _read(path / WHOLE)
        _refuse_other(folder.scores, None, written)
        return _schema().empty_table()
    digest = file_sha256(folder.scores)
    _refuse_other(folder.scores, digest, written)
    kept = path / f".scores.{digest[:32]}.parquet"
    if kept.is_file() and not kept.is_symlink():
        try:
            return _read(kept)
        except DataError:
            log.warning("%s is broken: it is made again", kept)
    table = _parsed(folder.scores)
    if file_sha256(folder.scores) != digest:
        raise UsageError(f"{folder.scores}: is being written; ask again when the run has ended")
    if keep:
        _keep(table, kept)
    return table


def turn_table(path: Path, written: Collection[str] = ()) -> pa.Table:
    """The records of a run, a row a turn.

    Columns: ``turn_id``, ``conversation``, ``query``, ``response``, ``abstained``, ``passages`` and ``evidence`` (lists of ids).

    Args:
        path: The run folder.
        written: Digests that ``turns.jsonl`` may have beside the results; none where there are no results.

    Raises:
        MissingFileError: There are no records, though there were.
        DataError: A line is malformed, or the records are not those that were scored.
    """
    import pyarrow as pa

    turns = RunFolder(path).turns
    _refuse_other(turns, file_sha256(turns) if turns.exists() else None, written)
    records = list(read_run(turns).records.values()) if turns.exists() else []
    columns: dict[str, list[Any]] = {
        "turn_id": [record.turn_id for record in records],
        "conversation": [conversation_of(record.turn_id) for record in records],
        "query": [record.query for record in records],
        "response": [record.response for record in records],
        "abstained": [record.abstained for record in records],
        "passages": [[id_ for id_, _ in record.passages] for record in records],
        "evidence": [list(record.evidence) for record in records],
    }
    kinds = {"abstained": pa.bool_(), "passages": pa.list_(pa.string()), "evidence": pa.list_(pa.string())}
    return pa.table(columns, schema=pa.schema([(name, kinds.get(name, pa.string())) for name in columns]))


def _refuse_other(path: Path, found: str | None, written: Collection[str]) -> None:
    """Raises where a file of a finished run is not there, or is another one than its results were written with."""
    if not written or found in written:
        return
    if found is None:
        raise MissingFileError(f"{path}: no such file, though the run is finished; {DAMAGED}")
    raise DataError(path, f"is not what results.json was written with: a command is at work, or it was changed; {DAMAGED}")


def _schema() -> pa.Schema:
    import pyarrow as pa

    texts = [("turn_id", pa.string()), ("protocol", pa.string()), ("measure", pa.string())]
    return pa.schema([*texts, ("value", pa.float64()), ("reason", pa.string())])


def _parsed(scores: Path) -> pa.Table:
    import pyarrow as pa

    schema = _schema()
    read = read_scores(scores)
    return pa.table({name: [getattr(score, name) for score in read] for name in schema.names}, schema=schema)


def _read(path: Path) -> pa.Table:
    """A Parquet file of scores, with the columns in their kinds."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(path, columns=_schema().names, page_checksum_verification=True).cast(_schema())
    except (pa.ArrowException, OSError, ValueError) as error:
        message = str(error).partition("\n")[0]
        raise DataError(path, f"not a Parquet file of scores ({message}); remove it, or score the run again") from None


def _keep(table: pa.Table, kept: Path) -> None:
    """Writes the table, and removes those of older scores; a folder that cannot be written to is no error."""
    import pyarrow.parquet as pq

    try:
        with atomic_path(kept) as temporary:
            pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)
        for older in kept.parent.glob(".scores.*.parquet"):
            if older != kept:
                older.unlink(missing_ok=True)
    except (StorageError, OSError) as error:
        log.info("%s: the scores are not kept as Parquet: %s", kept.parent, error)
