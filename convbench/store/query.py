"""SQL over the scores of many runs, in DuckDB: three tables, which a statement may only read.

Everything is loaded first. Then the connection gives up files, network and extensions for good, and settings cannot be changed any more, so
a statement sees the tables and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timezone
from typing import TYPE_CHECKING, Any

from convbench.errors import UsageError
from convbench.store.packages import package
from convbench.store.row import RunRow
from convbench.store.tables import WHOLE, score_table, turn_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pyarrow as pa

TABLES = ("runs", "scores", "turns")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a statement gave.

    Args:
        columns: Their names.
        rows: At most as many as asked for.
        more: Whether there are further ones.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    more: bool


def ask(rows: Sequence[RunRow], sql: str, *, most: int) -> Answer:
    """Answers one statement over the runs.

    Args:
        rows: The runs; ``runs.run``, ``scores.run`` and ``turns.run`` are their names.
        sql: One statement that reads.
        most: Greatest number of rows to give.

    Raises:
        UsageError: The SQL is wrong, changes something, or asks for what is no table.
        ResourceError: DuckDB is not installed.
        DataError: A file of a run is malformed.
    """
    duckdb = package("duckdb", "answer SQL")
    with _errors(duckdb), duckdb.connect(":memory:") as connection:
        _refuse_writing(connection, duckdb, sql)
        words = sql.casefold()
        for name, make in _makers(rows).items():
            if name == "runs" or name in words or "information_schema" in words or "show" in words:
                _load(connection, name, make)
        for setting in ("python_enable_replacements = false", "enable_external_access = false", "lock_configuration = true"):
            connection.execute(f"SET {setting}")
        found = connection.execute(sql)
        given = found.fetchmany(most + 1)
        return Answer(tuple(column[0] for column in found.description), tuple(given[:most]), len(given) > most)


@contextmanager
def _errors(duckdb: Any) -> Iterator[None]:
    """DuckDB's errors as one line."""
    try:
        yield
    except duckdb.Error as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        said = " ".join(line for line in lines if not line.startswith(("LINE ", "^")))
        raise UsageError(f"SQL: {said} (tables: {', '.join(TABLES)}; `DESCRIBE scores` shows the columns of one)") from None
    except UnicodeEncodeError as error:
        raise UsageError(
            f"SQL: text that is not whole Unicode ({error.object!r:.60}), in the statement or a run: no table can hold it"
        ) from None


def _refuse_writing(connection: Any, duckdb: Any, sql: str) -> None:
    sql.encode()  # DuckDB's own complaint would be a TypeError
    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        raise UsageError(f"SQL: expected one statement, found {len(statements)}")
    kinds = {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN}
    if statements[0].type not in kinds:
        raise UsageError(f"SQL: expected a SELECT, found a statement of kind {statements[0].type.name}; the runs can only be read")


def _makers(rows: Sequence[RunRow]) -> dict[str, Callable[[], pa.Table]]:
    return {
        "runs": lambda: _run_table(rows),
        "scores": lambda: _joined(rows, ("scores.jsonl", WHOLE), lambda row, path: score_table(path, keep=row.run.system is None)),
        "turns": lambda: _joined(rows, ("turns.jsonl",), lambda _, path: turn_table(path)),
    }


def _load(connection: Any, name: str, make: Callable[[], pa.Table]) -> None:
    connection.from_arrow(make()).create(name)


def _run_table(rows: Sequence[RunRow]) -> pa.Table:
    import pyarrow as pa

    kinds = {"seed": pa.int64(), "turns": pa.int64(), "bytes": pa.int64(), "date": pa.timestamp("s")}
    names = ("run", "place", "status", "system", "dataset", "split", "tier", "seed", "turns", "date", "bytes", "error")
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in names])
    listed = [
        {**row.as_json(), "run": row.run.name, "date": row.date and row.date.astimezone(timezone.utc).replace(tzinfo=None)} for row in rows
    ]
    return pa.table({name: [each[name] for each in listed] for name in names}, schema=schema)


def _joined(rows: Sequence[RunRow], files: Sequence[str], read: Callable[[RunRow, Path], pa.Table]) -> pa.Table:
    """The tables of all runs under each other, with the run's name in the first column."""
    import pyarrow as pa

    tables = []
    for row in rows:
        with row.run.local(files) as path:
            table = read(row, path)
        tables.append(table.add_column(0, pa.field("run", pa.string()), pa.array([row.run.name] * len(table), pa.string())))
    return pa.concat_tables(tables)
