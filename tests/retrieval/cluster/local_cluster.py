"""A Ray cluster of separate processes on this machine, on loopback addresses: a head without processors, and two nodes of one each."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from tempfile import mkdtemp

NODES = ("127.0.0.3", "127.0.0.4")
_SECONDS = 150
_PATIENT = {"RAY_raylet_start_wait_time_s": "120"}
"""Starting takes long where everything else runs too."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.2", 0))
        return int(probe.getsockname()[1])


class LocalCluster:
    """Every node is a session of processes of its own, so that one can be killed whole, and nothing else is."""

    def __init__(self) -> None:
        self.folder = Path(mkdtemp(prefix="cb-", dir="/tmp"))  # names of sockets must be short
        self.address = f"127.0.0.2:{free_port()}"
        self.sessions: dict[str, list[int]] = {}

    def start(self) -> None:
        port = self.address.partition(":")[2]
        head = ["--head", f"--port={port}", "--num-cpus=0", "--include-dashboard=false", f"--temp-dir={self.folder}"]
        self._wait("127.0.0.2", self._start("127.0.0.2", [*head, f"--ray-client-server-port={free_port()}"]))
        self.heal()

    def heal(self) -> None:
        """Starts the nodes that are not there."""
        starting = {}
        for address in [address for address in NODES if address not in self.sessions]:
            before = self._sockets()
            starting[address] = self._start(address, [f"--address={self.address}", "--num-cpus=1"])
            while self._sockets() == before and starting[address].poll() is None:
                time.sleep(0.05)  # two that start at once may choose one name for their sockets
        for address, process in starting.items():
            self._wait(address, process)

    def _sockets(self) -> set[str]:
        return {path.name for path in self.folder.glob("session_*/sockets/raylet*")}

    def node_of(self, pid: int) -> str:
        """The address of the node that a process belongs to."""
        session = os.getsid(pid)
        return next(address for address, sessions in self.sessions.items() if session in sessions)

    def head_process(self) -> int:
        """The process that others ask about the cluster."""
        return next(pid for pid in _members(self.sessions["127.0.0.2"][0]) if "gcs_server" in Path(f"/proc/{pid}/comm").read_text())

    def kill_node(self, address: str) -> None:
        """Kills the node's raylet and all its workers at once."""
        for session in self.sessions.pop(address):
            _kill_session(session)

    def stop(self) -> None:
        for address in list(self.sessions):
            self.kill_node(address)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _wait(self, address: str, process: subprocess.Popen[bytes]) -> None:
        assert process.wait(_SECONDS) == 0, (self.folder / f"{address}.log").read_text()

    def _start(self, address: str, options: list[str]) -> subprocess.Popen[bytes]:
        common = ["--object-store-memory=100000000", "--disable-usage-stats", "--min-worker-port=0", "--max-worker-port=0"]
        path = str(Path(__file__).parents[2])  # encoders of the tests
        program = "from ray.scripts.scripts import main; main()"
        command = [sys.executable, "-c", program, "start", f"--node-ip-address={address}", *options, *common]
        with (self.folder / f"{address}.log").open("wb") as log:
            process = subprocess.Popen(
                [*command, f"--dashboard-agent-listen-port={free_port()}"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **_PATIENT, "PYTHONPATH": path},
                start_new_session=True,
            )
        self.sessions.setdefault(address, []).append(process.pid)
        return process


def _kill_session(session: int) -> None:
    """Kills what belongs to a session; its members are looked up until none is left."""
    for _ in range(100):
        if not (members := _members(session)):
            return
        for pid in members:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.05)


def _members(session: int) -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit() and _session(int(path.name)) == session]


def _session(pid: int) -> int | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[3]) if fields[0] != "Z" else None
