"""The Java that runs in this process, and what its errors mean here."""

from __future__ import annotations

import errno
import importlib
import locale
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from convbench.errors import ConvbenchError, DataError, ResourceError, storage_error
from convbench.retrieval.lucene_engine import Engine

_QUIET_FROM = 23
"""From this Java on, Lucene's way to unmap a file is warned of unless it is allowed."""
_STORAGE = {
    "No space left on device": errno.ENOSPC,
    "Disk quota exceeded": errno.EDQUOT,
    "Read-only file system": errno.EROFS,
    "AccessDeniedException": errno.EACCES,
    "Permission denied": errno.EACCES,
}
_DAMAGE = ("CorruptIndexException", "IndexNotFoundException", "IndexFormatTooOldException", "IndexFormatTooNewException", "EOFException")


class Java:
    """Classes of a Java that runs within this process; a process has one, started by whoever needs it first.

    Args:
        engine: What to start.
        memory: Most megabytes that its objects take; those of the Java that is already running stay.

    Attributes:
        memory: Megabytes that the Java that runs may take, by its own count, which is a little less than it was given.

    Raises:
        ResourceError: It does not start, or the one that runs does not know Lucene.
    """

    def __init__(self, engine: Engine, memory: int) -> None:
        self._jnius = _started(engine, memory)
        self.memory = int(self("java.lang.Runtime").getRuntime().maxMemory()) >> 20
        try:
            self("org.apache.lucene.search.IndexSearcher").setMaxClauseCount(1 << 30)  # a session can have more words than the usual 1024
            self._logger = self("java.util.logging.Logger").getLogger("org.apache.lucene")  # lives as long as somebody keeps it
            self._logger.setLevel(self("java.util.logging.Level").SEVERE)
        except self._jnius.JavaException as error:
            raise ResourceError(f"lucene: the Java that runs in this process has no Lucene: {_line(error)}") from error

    def __call__(self, name: str) -> Any:
        """The class of that name."""
        return self._jnius.autoclass(name, include_protected=False, include_private=False)

    def cast(self, name: str, value: Any) -> Any:
        """An object, seen as another class that it has."""
        return self._jnius.cast(name, value)

    def leave(self) -> None:
        """Takes the calling thread off Java's list; a thread that called Java must do so before it ends."""
        self._jnius.detach()

    @contextmanager
    def errors(self, folder: Path) -> Iterator[None]:
        """Turns Java's errors into ours.

        Raises:
            StorageError: The index cannot be written.
            DataError: The index is damaged.
            ResourceError: Anything else; it names what Lucene said.
        """
        try:
            yield
        except self._jnius.JavaException as error:
            raise self._translated(error, folder) from error

    def _translated(self, error: Any, folder: Path) -> ConvbenchError:
        said = _line(error)
        known = next((number for words, number in _STORAGE.items() if words in said), None)
        if known is not None and (stored := storage_error(OSError(known, said), folder)):
            return stored
        if any(name in said for name in _DAMAGE):
            return DataError(folder, f"Lucene cannot read this index ({said}); delete the folder, and it is built again")
        if "OutOfMemoryError" in said:
            return ResourceError(
                f"lucene: the {self.memory} MB that Java may take are too few ({said}): raise retriever.memory; of several retrievers in a "
                "process that of the first holds"
            )
        return ResourceError(f"lucene: {folder}: {said}")


def _line(error: Any) -> str:
    """What Java said, class and message in one line."""
    name, message = getattr(error, "classname", None) or "", getattr(error, "innermessage", None) or ""
    return " ".join((f"{name}: {message}" if message and message != name else name or str(error)).split())


def _started(engine: Engine, memory: int) -> Any:
    """The module that calls Java, with Java running."""
    jnius_config = importlib.import_module("jnius_config")
    if not jnius_config.vm_running:
        jnius_config.add_classpath(str(engine.jar))
        # Java would otherwise answer Ctrl-C itself, and end the process before anything is written.
        jnius_config.add_options("-Xrs", f"-Xmx{memory}m", "-XX:+UseSerialGC", "--enable-native-access=ALL-UNNAMED")
        if engine.version >= _QUIET_FROM:
            jnius_config.add_options("--sun-misc-unsafe-memory-access=allow")
    try:
        with _surroundings(JAVA_HOME=str(engine.java), LC_ALL="C.UTF-8"):
            jnius = importlib.import_module("jnius")
            jnius.autoclass("java.lang.Object")
    except Exception as error:
        raise ResourceError(f"lucene: Java {engine.version} in {engine.java} does not start: {' '.join(str(error).split())}") from error
    return jnius


@contextmanager
def _surroundings(**variables: str) -> Iterator[None]:
    """Sets variables of the environment for a while.

    There is no other way to tell which Java is to start, and that names of files are UTF-8. Java makes the locale that it finds that of
    the whole process, numbers and messages included: it is set back too.
    """
    before = {name: os.environ.get(name) for name in variables}
    spoken = locale.setlocale(locale.LC_ALL)
    os.environ.update(variables)
    try:
        yield
    finally:
        locale.setlocale(locale.LC_ALL, spoken)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
