"""A bounded cache of bytes by the digest of what they were computed from, in one file that several processes may use at once."""

from __future__ import annotations

import sqlite3
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path

_ASKED = 500
"""Keys of one question to the database; SQLite takes 999 at least."""
_PAGE = 16384
_KEPT = 0.9
"""Of the bound, what is left after the oldest have gone, so that not every addition has to look for some."""
_DAY = 86400


class BlobCache:
    """Bytes by key, in an SQLite file: what is added is there whole or not at all.

    It is only a shortcut: where the file cannot be read or written, nothing is known and nothing is kept. When it is full, what was not
    asked for today makes room, the oldest first; where that is not enough, nothing is added. So a set that is larger than the cache finds
    a part of itself there the next time, instead of the end having put out the beginning.

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
        if not self._most:
            return found
        old: list[bytes] = []
        with suppress(sqlite3.Error, OSError), closing(self._open()) as database:
            for start in range(0, len(keys), _ASKED):
                asked = keys[start : start + _ASKED]
                marks = ",".join("?" * len(asked))
                rows = database.execute(f"SELECT key, day, crc, value FROM blobs WHERE key IN ({marks})", asked)  # noqa: S608 - marks only
                for key, day, crc, value in rows:
                    if isinstance(value, bytes) and zlib.crc32(value) == crc:
                        found[key] = value
                        old += [key] if day != self._today() else []
            if old:
                with database:
                    database.executemany("UPDATE blobs SET day = ? WHERE key = ?", [(self._today(), key) for key in old])
        return found

    def add(self, values: Mapping[bytes, bytes]) -> None:
        """Keeps some values, as far as there is room."""
        if not self._most or not values:
            return
        with suppress(sqlite3.Error, OSError), closing(self._open()) as database, database:
            added = sum(map(len, values.values()))
            if not self._has_room(database, added):
                return
            rows = [(key, self._today(), zlib.crc32(value), value) for key, value in values.items()]
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
        database = sqlite3.connect(self._file, timeout=60)
        database.execute(f"PRAGMA page_size = {_PAGE}")
        database.execute(
            "CREATE TABLE IF NOT EXISTS blobs (number INTEGER PRIMARY KEY, key BLOB UNIQUE, day INTEGER, crc INTEGER, value BLOB)"
        )
        database.execute("CREATE INDEX IF NOT EXISTS days ON blobs (day, number)")
        return database


def _used(database: sqlite3.Connection) -> int:
    """Bytes in use; pages that deletions left free are filled again."""
    pages, free = (database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count"))
    return int((pages - free) * database.execute("PRAGMA page_size").fetchone()[0])
