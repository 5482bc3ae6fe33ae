"""A real Slurm of one node on this machine, without accounts, from Debian's slurm-wlm and munge; started by root."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel")
_PATIENCE = 30  # seconds until the node is there
_CONFIG = """ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/controller.pid
SlurmdPidFile={folder}/node.pid
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=4000 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES State=UP
"""


def can_run() -> bool:
    """Return whether this machine has the programs, and its user the rights."""
    return hasattr(os, "geteuid") and os.geteuid() == 0 and all(map(shutil.which, _PROGRAMS))


@contextmanager
def running() -> Iterator[dict[str, str]]:
    """Start the cluster; the environment in which Slurm's commands find it. It ends with the block."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="slurm-", dir="/tmp")))
        for name in ("state", "spool"):
            (folder / name).mkdir()
        key = folder / "key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        (folder / "slurm.conf").write_text(
            _CONFIG.format(host=socket.gethostname().split(".")[0], folder=folder, controller=_free(), node=_free())
        )
        files = {"socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        munge = [f"--{option}={folder}/munge.{ending}" for option, ending in files.items()]
        environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
        for command in (
            ["munged", "--foreground", "--force", f"--key-file={key}", *munge],
            ["slurmctld", "-D"],
            ["slurmd", "-D"],
        ):
            log = stack.enter_context((folder / f"{command[0]}.said").open("wb"))
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.terminate)
        end = time.monotonic() + _PATIENCE
        while "idle" not in _told(["sinfo", "--noheader", "--format=%T"], environment):
            assert time.monotonic() < end, "".join(log.read_text() for log in folder.glob("*.said"))
            time.sleep(0.2)
        yield environment


def queued(environment: Mapping[str, str]) -> list[str]:
    """Return the ids of the jobs that wait or run."""
    return _told(["squeue", "--noheader", "--format=%i"], environment).split()


def _told(command: list[str], environment: Mapping[str, str]) -> str:
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout


def _free() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])
