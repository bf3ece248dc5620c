"""What ``convbench runs show`` says of one run."""

from __future__ import annotations

from typing import Any

from convbench.harness.folder import RunFolder
from convbench.harness.results import read_results
from convbench.store.places import StoredRun
from convbench.store.row import read_row


def card(run: StoredRun) -> dict[str, Any]:
    """Everything that a run folder says of itself, as JSON: how it stands, what was asked for and read, its scores, costs and files.

    Raises:
        ConvbenchError: A file of the run is missing or broken.
    """
    row = read_row(run)
    with run.local() as path:
        folder = RunFolder(path)
        info = folder.read_info()
        results = read_results(folder.results).model_dump(mode="json") if folder.results.exists() else {}
    dataset = results.get("dataset", {})
    return {
        **{key: value for key, value in row.as_json().items() if key != "measures"},
        "spec": info["spec"],
        "digests": {
            "spec": info.get("spec_sha256"),
            "turns.jsonl": results.get("run_sha256"),
            "turnset": dataset.get("turnset_sha256"),
            "collection": dataset.get("collection_sha256"),
        },
        "inputs": info["inputs"],
        "conditions": results.get("conditions"),
        "metrics": results.get("metrics", []),
        "cost": results.get("cost"),
        "warnings": results.get("warnings", []),
        "environment": info.get("environment"),
        "executions": info["executions"],
        "files": run.files,
    }
