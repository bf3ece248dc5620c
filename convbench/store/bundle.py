"""A bundle of runs for somebody else: what a comparison needs, the same bytes each time, and a list of what is in it.

``bundle.json`` names every file with its size and digest. The rows and costs of stages stay behind: a comparison does not read them. Where
texts stay behind, ``turns.jsonl`` keeps its passages and loses queries and responses, and ``results.json`` names the digest of that file.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

from convbench.errors import DataError, MissingFileError, RunFileError, UsageError
from convbench.harness.folder import RunFolder
from convbench.harness.results import DAMAGED, NOT_SCORED, read_results, refuse_other_scores, results_text
from convbench.io.atomic import atomic_folder, atomic_path
from convbench.io.digests import file_sha256
from convbench.io.jsonl import dump_line, read_jsonl
from convbench.io.runfile import read_run
from convbench.io.trec_run import read_trec_run
from convbench.progress import progress_bar
from convbench.store.places import StoredRun
from convbench.store.remote import file_system, is_url, make_folder, path_of, reaching

SCHEMA = "convbench.bundle/1"
_NEEDED = ("run.json", "results.json", "scores.jsonl", "turns.jsonl")
_AT_HAND = ("retrieval.trec",)
_WITH_TEXTS = ("report.md", "report.html", "agreement-own.jsonl", "agreement-gold.jsonl")
"""Files that hold texts, or the digest of a file that does."""

_NO_NAMES = ("", ".", "..", "bundle.json")
"""What no folder of a run can be called in a bundle."""

_NO_TEXT = re.compile("[\ud800-\udfff]")
"""Bytes of a folder's name that are no UTF-8."""

_PATH = re.compile(r"(?:/|~/|[A-Za-z]:[\\/]).*")


@dataclass(frozen=True, slots=True)
class Bundled:
    """What was written.

    Args:
        files: Path in the bundle -> bytes.
        paths: Name of a run -> paths of the machine that made it, which its ``run.json`` (and the header of its records) holds.
    """

    files: Mapping[str, int]
    paths: Mapping[str, Sequence[str]]


def export_runs(runs: Sequence[StoredRun], target: str, *, texts: bool = True) -> Bundled:
    """Writes a bundle.

    Args:
        runs: Finished run folders.
        target: A file ``....tar.gz``, a folder, or a URL of either; nothing may be there.
        texts: Whether queries and responses go along.

    Raises:
        UsageError: Something is there already, or a run is not finished.
        MissingFileError: A run lacks a file that a comparison needs.
        StorageError: The target cannot be written.
    """
    if not target:
        raise UsageError("an empty text names no place for the bundle: give a file, a folder or a URL")
    target = str(path_of(target) or target)  # a file:// URL: written as a path is, whole or not at all
    _refuse_existing(target)
    contents: dict[str, bytes] = {}
    described: list[dict[str, Any]] = []
    paths: dict[str, list[str]] = {}
    with progress_bar("reading runs", len(runs), unit="run") as advance:
        for name, run in zip(_names(runs), runs, strict=True):
            with run.local((*_NEEDED, *_AT_HAND, *_WITH_TEXTS)) as folder:
                files, original = _contents(RunFolder(folder), texts=texts)
                paths[name] = _paths(RunFolder(folder).read_info()["spec"])
            contents |= {f"{name}/{file}": content for file, content in files.items()}
            listed = {file: {"bytes": len(content), "sha256": sha256(content).hexdigest()} for file, content in files.items()}
            described.append({"name": name, "texts": texts, "turns_sha256": original, "files": listed})
            advance(1)
    contents["bundle.json"] = (json.dumps({"schema": SCHEMA, "runs": described}, indent=2, ensure_ascii=False) + "\n").encode()
    _write(contents, target)
    return Bundled({path: len(content) for path, content in contents.items()}, {name: found for name, found in paths.items() if found})


def _refuse_existing(target: str) -> None:
    if is_url(target):
        system, path = file_system(target)
        with reaching(target):
            there = bool(system.exists(path))
    else:
        there = Path(target).exists() or Path(target).is_symlink()
    if there:
        raise UsageError(f"{target}: is there already; choose another place, or remove it")


def _names(runs: Sequence[StoredRun]) -> list[str]:
    """A folder's name a run, the last part of its own, with a number where several have it."""
    own = (_NO_TEXT.sub("_", PurePosixPath(run.name).name) for run in runs)
    bases = [base if base not in _NO_NAMES else "run" for base in own]
    names: list[str] = []
    for base in bases:
        number, name = 1, base
        while name in names or (number > 1 and name in bases):
            number += 1
            name = f"{base}-{number}"
        names.append(name)
    return names


def _contents(folder: RunFolder, *, texts: bool) -> tuple[dict[str, bytes], str]:
    """The files of a run in a bundle, and the digest of its whole ``turns.jsonl``."""
    info = folder.read_info()
    if info["status"] != "finished":
        raise UsageError(f"{folder.path}: not finished (run.json says {info['status']!r}): run `convbench run` again first")
    for name in _NEEDED:
        if not (folder.path / name).exists():
            raise MissingFileError(f"{folder.path / name}: no such file, which a comparison needs; run `convbench run` again")
    names = (*_NEEDED, *_AT_HAND, *(_WITH_TEXTS if texts else ()))
    files = {name: (folder.path / name).read_bytes() for name in names if (folder.path / name).is_file()}
    original = file_sha256(folder.turns)
    results = read_results(folder.results)
    if results.run_sha256 != original:
        raise UsageError(f"{folder.turns}: {NOT_SCORED}")
    refuse_other_scores(folder.scores, results)
    _refuse_other_rankings(folder)
    if not texts:
        files["turns.jsonl"] = b"".join(dump_line(line).encode() for line in _without_texts(folder.turns))
        own = results.model_copy(update={"run_sha256": sha256(files["turns.jsonl"]).hexdigest()})
        files["results.json"] = results_text(own.model_dump(mode="json")).encode()
    return files, original


def _refuse_other_rankings(folder: RunFolder) -> None:
    """``retrieval.trec`` has no digest, and is the same rankings as ``turns.jsonl``."""
    if folder.trec.is_file():
        try:
            found = read_trec_run(folder.trec)
        except (DataError, RunFileError) as error:
            error.args = (f"{error}; {DAMAGED}",)
            raise
        own = {turn_id: list(record.passages) for turn_id, record in read_run(folder.turns).records.items() if record.passages}
        if {turn_id: list(passages) for turn_id, passages in found.items()} != own:
            raise DataError(folder.trec, f"holds other rankings than turns.jsonl; {DAMAGED}")


def _without_texts(turns: Path) -> Iterator[dict[str, Any]]:
    """The lines of ``turns.jsonl``: of each turn what holds no text."""
    for _, line in read_jsonl(turns):
        if "turn_id" not in line:
            yield line  # the header
        else:
            kept = {key: value for key, value in line.items() if key in ("turn_id", "passages", "evidence", "abstained", "usage", "ledger")}
            yield {**kept, "query": "", "response": None}


def _paths(value: Any) -> list[str]:
    """The texts within a specification that are absolute paths."""
    if isinstance(value, Mapping):
        return sorted({path for each in value.values() for path in _paths(each)})
    if isinstance(value, list):
        return sorted({path for each in value for path in _paths(each)})
    return [value] if isinstance(value, str) and _PATH.fullmatch(value) else []


def _write(contents: Mapping[str, bytes], target: str) -> None:
    ordered = dict(sorted(contents.items()))
    packed = target.endswith((".tar.gz", ".tgz"))
    if is_url(target):
        system, root = file_system(target)
        with reaching(target):
            if packed:
                make_folder(system, root.rpartition("/")[0])
                system.pipe_file(root, _archive(ordered))
                return
            for path in sorted(ordered, key=lambda path: path == "bundle.json"):  # last: the bundle is whole when it is there
                make_folder(system, f"{root}/{path}".rpartition("/")[0])
                system.pipe_file(f"{root}/{path}", ordered[path])
    elif packed:
        with atomic_path(Path(target)) as temporary:
            temporary.write_bytes(_archive(ordered))
    else:
        with atomic_folder(Path(target)) as temporary:
            for path, content in ordered.items():
                (temporary / path).parent.mkdir(parents=True, exist_ok=True)
                (temporary / path).write_bytes(content)


def _archive(contents: Mapping[str, bytes]) -> bytes:
    """A tar file, gzipped, without anything of the machine or the time in it."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=packed, compresslevel=9, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path, content in contents.items():
            member = tarfile.TarInfo(path)  # of user 0, time 0
            member.size, member.mode = len(content), 0o644
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()
