"""SQL over the scores of many runs, in DuckDB: three tables, which a statement may only read.

The connection gives up files, network and extensions for good, and settings cannot be changed any more. Then the tables are loaded, from
memory, so that a statement sees them and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timezone
from typing import TYPE_CHECKING, Any, TypeVar

from convbench.errors import UsageError
from convbench.progress import progress_bar
from convbench.store.packages import package
from convbench.store.row import RunRow
from convbench.store.tables import WHOLE, score_table, turn_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pyarrow as pa

TABLES = ("runs", "scores", "turns")

_CONFINED = (
    "temp_directory = ''",  # what does not fit into memory would be written into the working directory
    "python_enable_replacements = false",
    "enable_external_access = false",
    "lock_configuration = true",
)
_OF_ALL = ("show", "information_schema", "duckdb_", "pg_catalog", "sqlite_", "pragma_")
"""Words of statements that look at every table without naming it."""

_T = TypeVar("_T")


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
        MissingFileError: A finished run lacks a file.
        DataError: A file of a run is malformed, or is not what was written with its results.
    """
    duckdb = package("duckdb", "answer SQL")
    with _errors(duckdb), duckdb.connect(":memory:") as connection:
        for setting in _CONFINED:  # before the statement is even parsed: some are looked into then
            connection.execute(f"SET {setting}")
        _refuse_writing(connection, duckdb, sql)
        words = sql.casefold()
        for name, make in _makers(rows).items():
            if name == "runs" or any(word in words for word in (name, *_OF_ALL)):
                _load(connection, name, make)
        columns, given = _interruptible(connection, lambda: _fetched(connection.execute(sql), most + 1))
        return Answer(_told_apart(columns), tuple(given[:most]), len(given) > most)


def _fetched(found: Any, most: int) -> tuple[list[str], list[tuple[Any, ...]]]:
    given = found.fetchmany(most)
    return [column[0] for column in found.description], given


def _interruptible(connection: Any, work: Callable[[], _T]) -> _T:
    """Waits for the work in another thread: DuckDB itself does not always let a signal through before it is done."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        done = pool.submit(work)
        try:
            return done.result()
        except KeyboardInterrupt:
            connection.interrupt()
            raise


def _told_apart(columns: Sequence[str]) -> tuple[str, ...]:
    """Names of columns with a number where several have one name, as in DuckDB's own data frames; else one would hide the other."""
    names: list[str] = []
    for column in columns:
        number, name = 0, column
        while name in names or (number and name in columns):
            number += 1
            name = f"{column}_{number}"
        names.append(name)
    return tuple(names)


@contextmanager
def _errors(duckdb: Any) -> Iterator[None]:
    """DuckDB's errors as one line."""
    try:
        yield
    except duckdb.OutOfMemoryException:
        raise UsageError("SQL: the answer needs more memory than there is: ask for fewer runs, columns or rows at once") from None
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
        "scores": lambda: _joined(rows, ("scores.jsonl", WHOLE), _scores),
        "turns": lambda: _joined(rows, ("turns.jsonl",), lambda row, path: turn_table(path, row.written.get("turns.jsonl", ()))),
    }


def _scores(row: RunRow, path: Path) -> pa.Table:
    return score_table(path, keep=row.run.system is None, written=row.written.get("scores.jsonl", ()))


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
    with progress_bar(f"reading {files[0]}", len(rows), unit="run") as advance:
        for row in rows:
            with row.run.local(files) as path:
                table = read(row, path)
            tables.append(table.add_column(0, pa.field("run", pa.string()), pa.array([row.run.name] * len(table), pa.string())))
            advance(1)
    return pa.concat_tables(tables)
