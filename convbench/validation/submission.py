"""The folder of a submission: which files it may hold, and what they must agree with."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from convbench.datasets.store import PassageStore
from convbench.errors import MissingFileError, UsageError
from convbench.validation.coverage import check_header
from convbench.validation.manifest import NAMES, Manifest, read_manifest
from convbench.validation.problems import Findings
from convbench.validation.runs import compare, scan_run
from convbench.validation.target import Datasets, Target

_PARTS = tuple((name, f"{name}.gz") for name in ("turns.jsonl", "retrieval.trec", "responses.jsonl"))
_PROSE = ("readme.md", "readme.txt", "readme", "license", "license.md", "license.txt")
_CODE = {".py", ".pyc", ".pyw", ".sh", ".bash", ".exe", ".bat", ".cmd", ".ps1", ".dll", ".so", ".dylib", ".jar", ".js"}
_PICKLES = {".pkl", ".pickle", ".joblib", ".dill", ".npy", ".npz", ".pt", ".pth", ".ckpt", ".bin", ".h5"}
_MOST_FILES = 1000
_LONG = 5
_SUSPICIOUS, _SUSPICIOUS_SHARE = 5, 0.2


@dataclass(frozen=True, slots=True)
class Submission:
    """A submission that can be read.

    Attributes:
        manifest: What it says of itself, or None where that is unusable.
        files: The joint run, or the TREC run and the responses, each with its kind.
    """

    manifest: Manifest | None
    files: tuple[tuple[Path, Literal["run", "responses"]], ...]


def open_submission(folder: Path, findings: Findings) -> Submission:
    """Looks through the folder, and reads the manifest. Links are not followed.

    Raises:
        MissingFileError: There is no manifest, or it is no file.
        DataError: It cannot be read.
    """
    usable = _usable_files(folder, findings)
    run, rankings, responses = (_one(usable, names, findings) for names in _PARTS)
    path = _one(usable, NAMES, findings)
    if run and (rankings or responses):
        findings.add("submission-files", f"{run.name} holds rankings and responses already: leave the other files out")
        rankings = responses = None
    if not (run or rankings or responses):
        findings.add("submission-files", "turns.jsonl, retrieval.trec or responses.jsonl (or .gz) is missing")
    if path is None:
        raise MissingFileError(f"{folder}: no usable {' or '.join(NAMES)}")
    parts: list[tuple[Path, Literal["run", "responses"]]] = [(file, "run") for file in (run, rankings) if file]
    if responses:
        parts.append((responses, "responses"))
    return Submission(read_manifest(path, findings), tuple(parts))


def check_submission(folder: Path, datasets: Datasets, findings: Findings) -> int:
    """Checks a submission against the dataset that was named, else the manifest's; returns its number of turns.

    Raises:
        MissingFileError: There is no manifest.
        DataError: The manifest cannot be read.
    """
    submission = open_submission(folder, findings)
    manifest = submission.manifest
    target = _target(manifest, datasets, findings) if manifest else None
    store, turns = None, 0
    for file, kind in submission.files:
        own = Findings()
        _, scanned = scan_run(file, kind, own)
        turns = max(turns, len(scanned.table.turns))
        if target:
            store = compare(scanned, target, own) or store
            _check_copies(scanned.responses, target, own)
        for problem in own.problems():
            findings.report(replace(problem, message=f"{file.name}: {problem.message}"))
    if manifest and target:
        check_header({"dataset": manifest.dataset, "split": manifest.split}, target, findings)
        _check_digests(manifest, target, store, findings)
    return turns


def _target(manifest: Manifest, datasets: Datasets, findings: Findings) -> Target | None:
    """The dataset that was named, else the manifest's, where its files are at hand."""
    try:
        request = datasets.request_of(datasets.name or manifest.dataset)
        return datasets.open(replace(request, split=request.split or manifest.split))
    except (UsageError, MissingFileError) as error:
        if datasets.name is not None:
            raise
        findings.add("unchecked-dataset", reason=error)
        return None


def _check_digests(manifest: Manifest, target: Target, store: PassageStore | None, findings: Findings) -> None:
    """The digests of the manifest, where it has them, against the dataset at hand."""
    ours = {"turnset_sha256": target.dataset.all_turns().sha256, "collection_sha256": store.sha256 if store else None}
    for key, digest in ours.items():
        if digest is not None and getattr(manifest, key) not in (None, digest):
            findings.add("digests", f"{key}: expected {digest}", dataset=target.label)


def _check_copies(responses: Mapping[str, str], target: Target, findings: Findings) -> None:
    """Responses that are word for word a reference of five words or more, where that is too many to be chance."""
    long, same = 0, []
    for turn in target.dataset.turns:
        references = {_words(reference.text) for reference in turn.references if reference.kind != "knowledge"}
        references = {words for words in references if len(words) >= _LONG}
        if references and turn.id in responses:
            long += 1
            if _words(responses[turn.id]) in references:
                same.append(turn.id)
    if len(same) >= max(_SUSPICIOUS, _SUSPICIOUS_SHARE * long):
        for turn_id in same:
            findings.add("copied-references", turn_id, of=long, share=len(same) / long)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.casefold().split())


def _one(usable: Mapping[str, Path], names: tuple[str, ...], findings: Findings) -> Path | None:
    found = [usable[name] for name in names if name in usable]
    if len(found) > 1:
        findings.add("submission-files", f"both {found[0].name} and {found[1].name}: leave one out")
    return found[0] if found else None


def _usable_files(folder: Path, findings: Findings) -> dict[str, Path]:
    """The files that a submission is made of, by name; everything else in the folder is found."""
    known = {name for names in (*_PARTS, NAMES) for name in names}
    usable = {}
    entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    for entry in entries[:_MOST_FILES]:
        mode = entry.stat(follow_symlinks=False).st_mode
        if entry.is_symlink():
            findings.add("submission-files", f"{entry.name} is a link")
        elif not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            findings.add("submission-files", f"{entry.name} is no plain file")
        elif Path(entry.name).suffix.lower() in _CODE | _PICKLES or (stat.S_ISREG(mode) and mode & 0o111):
            findings.add("submission-files", f"{entry.name} is a program, or may run one when it is read")
        elif entry.name in known and stat.S_ISREG(mode):
            usable[entry.name] = Path(entry.path)
        elif entry.name.lower() not in _PROSE:
            findings.add("other-files", f"{entry.name}{'/' if stat.S_ISDIR(mode) else ''}")
    if len(entries) > _MOST_FILES:
        findings.add("submission-files", f"{len(entries)} files, where a few are enough")
    return usable
