"""The scripts of docs/cluster: what can be known of them without a batch system."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from convbench.cli.main import cli
from convbench.cli.run import command
from convbench.config import parse_yaml
from convbench.retrieval.shards import BLOCK_BYTES, SHARD_ROWS

DOCS = Path(__file__).parents[2] / "docs"
SCRIPTS = DOCS / "cluster"
QRECC = 54_573_064

# Fields of ray.io/v1, from ray-operator/apis/ray/v1 of KubeRay 1.7.
JOB = {
    "activeDeadlineSeconds", "backoffLimit", "rayClusterSpec", "submitterPodTemplate", "metadata", "clusterSelector", "submitterConfig",
    "managedBy", "deletionStrategy", "entrypoint", "runtimeEnvYAML", "jobId", "submissionMode", "entrypointResources", "entrypointNumCpus",
    "entrypointNumGpus", "ttlSecondsAfterFinished", "preRunningDeadlineSeconds", "shutdownAfterJobFinishes", "suspend",
}  # fmt: skip
CLUSTER = {
    "upgradeStrategy", "authOptions", "suspend", "managedBy", "autoscalerOptions", "headServiceAnnotations", "enableInTreeAutoscaling",
    "gcsFaultToleranceOptions", "historyServerOptions", "networkPolicy", "tlsOptions", "headGroupSpec", "rayVersion", "workerGroupSpecs",
}  # fmt: skip
HEAD = {"template", "headService", "enableIngress", "ingressOptions", "resources", "labels", "rayStartParams", "serviceType"}
WORKERS = {
    "suspend", "groupName", "replicas", "minReplicas", "maxReplicas", "idleTimeoutSeconds", "priority", "resources", "labels",
    "rayStartParams", "template", "scaleStrategy", "numOfHosts",
}  # fmt: skip


@pytest.mark.parametrize("name", ["local.sh", "slurm.sbatch"])
def test_the_shell_reads_them(name: str) -> None:
    done = subprocess.run([shutil.which("bash") or "bash", "-n", SCRIPTS / name], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def rayjob() -> dict[str, Any]:
    found = parse_yaml((SCRIPTS / "rayjob.yaml").read_text(encoding="utf-8"), "rayjob.yaml")
    assert isinstance(found, dict)
    return found


def test_the_job_has_fields_of_kuberay() -> None:
    job = rayjob()
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    spec = job["spec"]
    cluster = spec["rayClusterSpec"]
    assert spec.keys() <= JOB
    assert cluster.keys() <= CLUSTER
    assert cluster["headGroupSpec"].keys() <= HEAD
    for group in cluster["workerGroupSpecs"]:
        assert group.keys() <= WORKERS
        assert group.keys() >= {"groupName", "minReplicas", "maxReplicas", "rayStartParams", "template"}
    assert spec["submissionMode"] in {"K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"}
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())


def test_every_pod_mounts_the_folder_that_the_command_uses() -> None:
    spec = rayjob()["spec"]
    words = shlex.split(spec["entrypoint"])
    cache = words[words.index("--cache") + 1]
    for group in (spec["rayClusterSpec"]["headGroupSpec"], *spec["rayClusterSpec"]["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        for container in pod["containers"]:
            mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
            assert any(cache.startswith(path) for path in mounts.values())
            assert mounts.keys() <= {volume["name"] for volume in pod["volumes"]}


def test_the_commands_parse() -> None:
    spec = rayjob()["spec"]
    words = shlex.split(spec["entrypoint"])
    assert words[:2] == ["convbench", "run"]
    with command.make_context("run", words[2:]) as context:
        assert (context.params["engine"], context.params["address"]) == ("ray", "auto")
    assert CliRunner().invoke(cli, ["run", "--help"]).exit_code == 0


def test_the_sizes_are_those_of_the_code() -> None:
    text = (DOCS / "cluster.md").read_text(encoding="utf-8")
    assert f"{QRECC:,} passages, that is {-(-QRECC // SHARD_ROWS):,} shards of {SHARD_ROWS:,}" in text
    for dim, column in ((384, 1), (4096, 2)):
        block = BLOCK_BYTES // (4 * dim) // 1024 * 1024
        figures = {
            "a shard, float16": f"{SHARD_ROWS * dim * 2 / 1e6:.1f} MB",
            "the index on disk": f"{QRECC * dim * 2 / 1e9:.1f} GB",
            "rows of a block (256 MiB of float32)": f"{block:,}",
            "blocks to spread": f"{-(-QRECC // block):,}",
            "index in each node's page cache, 8 nodes": f"{QRECC * dim * 2 / 8e9:.1f} GB",
        }
        for label, figure in figures.items():
            row = next(line for line in text.splitlines() if line.startswith(f"| {label} |"))
            assert row.strip("|").split("|")[column].strip() == figure
