"""The run folder: names of its files, its lock, and ``run.json``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from convbench.config import build_config
from convbench.errors import DataError, MissingFileError, UsageError
from convbench.harness.spec import RunSpec
from convbench.io.atomic import write_text
from convbench.io.jsonl import read_json
from convbench.io.lock import acquire

SCHEMA = "convbench.folder/1"
_DAMAGED = "if it was damaged, remove it and run the same `convbench run` command again: stages that are finished are kept"
_ENTRIES = {"status": str, "spec": dict, "inputs": dict, "stages": list, "executions": list}


class RunFolder:
    """One run of one system on one dataset."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stages = path / "stages"
        self.info = path / "run.json"
        self.turns = path / "turns.jsonl"
        self.trec = path / "retrieval.trec"
        self.scores = path / "scores.jsonl"
        self.results = path / "results.json"
        self.report_md = path / "report.md"
        self.report_html = path / "report.html"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps a second process out of the folder.

        Raises:
            UsageError: Another process is at work in it.
            StorageError: It cannot be created or written to.
        """

        def busy(who: str) -> None:
            raise UsageError(f"{self.path}: {who} is running in this folder; wait for it or choose another --out")

        try:
            lock = acquire(self.path / ".lock", busy)
        except (FileExistsError, NotADirectoryError) as error:
            raise UsageError(f"{error.filename}: is a file, or lies in one; expected a folder for the run") from None
        with lock:
            self._remove_leftovers()
            yield

    def _remove_leftovers(self) -> None:
        """Removes what a killed process left half-written (reports apart: they are written after the lock is given up)."""
        for path in (*self.path.glob(".*.tmp"), *self.stages.glob(".*.tmp")):
            if not path.name.startswith(".report."):
                path.unlink()

    def read_info(self) -> dict[str, Any]:
        """The content of ``run.json``.

        Raises:
            MissingFileError: The folder holds no run.
            DataError: The file is not one of ours.
        """
        if not self.info.exists():
            raise MissingFileError(f"{self.path}: no run here (no run.json); expected a folder that `convbench run` made")
        try:
            info = read_json(self.info)
        except DataError as error:
            error.args = (f"{error}; {_DAMAGED}",)
            raise
        if not isinstance(info, dict) or info.get("schema") != SCHEMA:
            raise DataError(self.info, f"expected a run.json of schema {SCHEMA!r}")
        for key, kind in _ENTRIES.items():
            if not isinstance(info.get(key), kind):
                raise DataError(self.info, f"expected {key!r} to be a {kind.__name__}; was it changed by hand?")
        if not all(isinstance(stage, dict) and {"name", "key"} <= stage.keys() for stage in info["stages"]):
            raise DataError(self.info, "expected 'stages' to hold the name and key of each stage; was it changed by hand?")
        return info

    def write_info(self, info: dict[str, Any]) -> None:
        """Writes ``run.json`` atomically."""
        write_text(self.info, json.dumps({"schema": SCHEMA, **info}, indent=2, ensure_ascii=False) + "\n")

    def spec(self) -> RunSpec:
        """The specification of the run that the folder holds."""
        return build_config(RunSpec, self.read_info()["spec"], str(self.info))

    def refuse_other(self, spec: RunSpec, inputs: dict[str, Any]) -> None:
        """Raises ``UsageError``, naming what differs, where the folder holds another run, or the same one on other files.

        Args:
            spec: What is asked for.
            inputs: Identities of the files that would be read (``Plan.inputs``).
        """
        if not self.info.exists():
            return
        held, read = self.spec(), self.read_info()["inputs"]
        if held.digest == spec.digest and (read == inputs or not self.turns.exists()):
            return  # files may be repaired until something was inferred: a stage's key keeps rows of the broken ones out
        theirs = _flat(held.model_dump() if held.digest != spec.digest else read)
        ours = _flat(spec.model_dump() if held.digest != spec.digest else inputs)
        differing = [key for key in {**theirs, **ours} if theirs.get(key) != ours.get(key)]
        shown = "; ".join(f"{key} is {theirs.get(key)!r}, asked for {ours.get(key)!r}" for key in differing[:3])
        raise UsageError(f"{self.path}: holds another run ({shown}); choose another --out, or remove the folder if it is not needed")


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix: value}
    return {key: item for name, child in value.items() for key, item in _flat(child, f"{prefix}.{name}".lstrip(".")).items()}
