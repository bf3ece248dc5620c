"""The invariants of a run folder: finished, whole, and of one piece."""

from __future__ import annotations

from convbench.errors import ConvbenchError
from convbench.harness.folder import RunFolder
from convbench.io.digests import file_sha256
from convbench.io.jsonl import read_json
from convbench.io.runfile import read_run
from convbench.io.trec_run import read_trec_run
from convbench.retrieval.canonical import is_canonical
from convbench.types import Ranking
from convbench.validation.problems import Findings
from convbench.validation.run_scores import check_scores


def check_files(folder: RunFolder, findings: Findings) -> None:
    """Checks everything but what is in ``turns.jsonl``.

    Raises:
        MissingFileError: The folder holds no run.
        DataError: ``run.json`` is not one of ours.
    """
    status = folder.read_info()["status"]
    if status != "finished":
        findings.add("run-status", status=status)
    for manifest in sorted(folder.stages.glob("*.manifest.json")):
        file = manifest.with_name(manifest.name.replace(".manifest.json", ".jsonl"))
        stage = read_json(manifest)
        if not isinstance(stage, dict) or not file.exists() or file_sha256(file) != stage.get("sha256"):
            findings.add("stage-files", f"stages/{file.name}")
    for path in (folder.turns, folder.trec, folder.scores, folder.results):
        if not path.exists():
            findings.add("run-files", path.name)
    if folder.turns.exists() and folder.trec.exists():
        _check_agreement(folder, findings)
    if folder.turns.exists() and folder.results.exists() and folder.scores.exists():
        check_scores(folder, findings)


def _check_agreement(folder: RunFolder, findings: Findings) -> None:
    """Both forms of the run hold the same canonical rankings."""
    try:
        records, trec = read_run(folder.turns).records, read_trec_run(folder.trec)
    except ConvbenchError as error:
        findings.fail(error)
        return
    for record in records.values():
        if not is_canonical(Ranking(record.turn_id, record.passages)):
            findings.add("canonical-order", record.turn_id)
        if list(record.passages) != trec.get(record.turn_id, []):
            findings.add("files-disagree", record.turn_id)
