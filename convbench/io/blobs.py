"""A bounded cache of bytes by the digest of what they were computed from, in one file that several processes may use at once."""

from __future__ import annotations

import logging
import sqlite3
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path

log = logging.getLogger(__name__)

_ASKED = 500
"""Keys of one question to the database; SQLite takes 999 at least."""
_PAGE = 16384
_KEPT = 0.9
"""Of the bound, what is left after the oldest have gone, so that not every addition has to look for some."""
_DAY = 86400
_PATIENCE = 2
"""Seconds to wait for another process, which takes fractions of one; one that was stopped in the middle is not waited for again."""
_GIVEN_UP: set[Path] = set()
"""Files that could not be used, for all the caches of this process."""


class BlobCache:
    """Bytes by key, in an SQLite file: what is added is there whole or not at all.

    It is only a shortcut: where the file cannot be used, or another process holds it for seconds, a warning says so once, and this process
    neither knows nor keeps anything from then on. What may only be read is read. A damaged database is renamed to ``.broken``, and a new
    one is begun.

    When it is full, what was not asked for today makes room, the oldest first; where that is not enough, nothing is added. So a set that is
    larger than the cache finds a part of itself there the next time, instead of the end having put out the beginning.

    Args:
        file: The database.
        megabytes: How large it may become; 0 keeps nothing.
        today: The number of the day.
    """

    def __init__(self, file: Path, megabytes: int, today: Callable[[], int] = lambda: int(time.time() // _DAY)) -> None:
        self._file = file
        self._most = megabytes << 20
        self._today = today

    def known(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """What is there of some keys, unharmed."""
        found: dict[bytes, bytes] = {}
        self._use(lambda database: self._read(database, keys, found))
        return found

    def add(self, values: Mapping[bytes, bytes]) -> None:
        """Keeps some values, as far as there is room."""
        if values:
            self._use(lambda database: self._write(database, values))

    def _use(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """Works with the database, with a new one where the file is none; with nothing any more where neither can be done."""
        if not self._most or self._file in _GIVEN_UP:
            return
        try:
            try:
                self._with_database(work)
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                self._set_aside(error)
                self._with_database(work)
        except (sqlite3.Error, OSError) as error:
            if not _is_read_only(error):
                _GIVEN_UP.add(self._file)
                log.warning("%s: the cache cannot be used (%s); this process goes on without it", self._file, error)

    def _with_database(self, work: Callable[[sqlite3.Connection], None]) -> None:
        with closing(self._open()) as database:
            work(database)

    def _set_aside(self, error: sqlite3.DatabaseError) -> None:
        aside = self._file.with_name(f"{self._file.name}.broken")
        with suppress(FileNotFoundError):  # another process was faster
            self._file.replace(aside)
        log.warning("%s: damaged (%s); it is now %s, and a new cache is begun", self._file, error, aside.name)

    def _read(self, database: sqlite3.Connection, keys: Sequence[bytes], found: dict[bytes, bytes]) -> None:
        old: list[bytes] = []
        for start in range(0, len(keys), _ASKED):
            asked = keys[start : start + _ASKED]
            marks = ",".join("?" * len(asked))
            rows = database.execute(f"SELECT key, day, crc, value FROM blobs WHERE key IN ({marks})", asked)  # noqa: S608 - marks only
            for key, day, crc, value in rows:
                if isinstance(value, bytes) and _crc(key, value) == crc:
                    found[key] = value
                    old += [key] if day != self._today() else []
        if old:
            with database:
                database.executemany("UPDATE blobs SET day = ? WHERE key = ?", [(self._today(), key) for key in old])

    def _write(self, database: sqlite3.Connection, values: Mapping[bytes, bytes]) -> None:
        with database:
            added = sum(map(len, values.values()))
            if not self._has_room(database, added):
                return
            rows = [(key, self._today(), _crc(key, value), value) for key, value in values.items()]
            database.executemany("INSERT OR REPLACE INTO blobs (key, day, crc, value) VALUES (?, ?, ?, ?)", rows)

    def _has_room(self, database: sqlite3.Connection, added: int) -> bool:
        """Makes room where it must and can."""
        spare = self._most - _used(database) - added
        if spare >= 0:
            return True
        wanted = min(int(self._most * (1 - _KEPT)) - spare, self._most)
        freed = 0
        old = database.execute("SELECT number, length(value) FROM blobs WHERE day < ? ORDER BY day, number", (self._today(),)).fetchall()
        for number, size in old:
            if freed >= wanted:
                break
            database.execute("DELETE FROM blobs WHERE number = ?", (number,))
            freed += size
        return freed + spare >= 0

    def _open(self) -> sqlite3.Connection:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(self._file, timeout=_PATIENCE)
        database.execute(f"PRAGMA page_size = {_PAGE}")
        database.execute(
            "CREATE TABLE IF NOT EXISTS blobs (number INTEGER PRIMARY KEY, key BLOB UNIQUE, day INTEGER, crc INTEGER, value BLOB)"
        )
        database.execute("CREATE INDEX IF NOT EXISTS days ON blobs (day, number)")
        return database


def _crc(key: bytes, value: bytes) -> int:
    """Of the value under its key: a damaged index of the database could lead from one key to the value of another."""
    return zlib.crc32(value, zlib.crc32(key))


def _used(database: sqlite3.Connection) -> int:
    """Bytes in use; pages that deletions left free are filled again."""
    pages, free = (database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count"))
    return int((pages - free) * database.execute("PRAGMA page_size").fetchone()[0])


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether the file is no database, or no sound one; a shortage or a lock is of a class below."""
    return type(error) is sqlite3.DatabaseError


def _is_read_only(error: Exception) -> bool:
    return "readonly" in str(error)  # Python 3.10 has no codes of SQLite's errors
