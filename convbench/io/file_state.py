"""What tells that a file may have changed, without reading it."""

from __future__ import annotations

from pathlib import Path


def file_state(path: Path) -> list[int]:
    """Size, modification time, inode, and the time at which the file system noted a change: equal while the content is.

    Size and modification time are not enough: what ``cp -p`` or ``tar`` put in a file's place can have both. The inode, or the time that no
    program can set, is then another.

    Args:
        path: The file, or a link to it.

    Raises:
        OSError: There is no such file.
    """
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ino, stat.st_ctime_ns]
