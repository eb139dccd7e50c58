"""A SLURM of one node on this machine, in a temporary folder: installed where it is missing, stopped after."""

import getpass
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.killing import until

PROGRAMS = ("munged", "slurmctld", "slurmd", "squeue")
# Two jobs at a time, whatever the machine has; requeued jobs start again at once rather than after two minutes.
CONF = """\
ClusterName=edu_align
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={place}/munge.socket,cred_expire=5
StateSaveLocation={place}/state
SlurmdSpoolDir={place}/spool
SlurmctldPidFile={place}/slurmctld.pid
SlurmdPidFile={place}/slurmd.pid
SlurmctldLogFile={place}/slurmctld.log
SlurmdLogFile={place}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
MpiDefault=none
KillWait=10
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def install() -> None:
    """SLURM and munge from the system's packages, where they are not there; skips the test where that cannot be."""
    if all(_found(name) for name in PROGRAMS):
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        pytest.skip("SLURM is not installed, and installing it (slurm-wlm, munge) takes root and apt-get")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update", "-qq"], ["install", "-y", "-qq", "slurm-wlm", "munge"]):
        subprocess.run(["apt-get", *words], env=environment, check=True, capture_output=True)


@contextmanager
def slurm(place: Path) -> Iterator[dict[str, str]]:
    """Start munged, slurmctld and slurmd; gives the environment in which SLURM's commands find them."""
    install()
    place.chmod(0o755)
    for name in ("state", "spool"):
        (place / name).mkdir()
    (place / "munge.key").write_bytes(os.urandom(128))
    (place / "munge.key").chmod(0o400)
    conf = CONF.format(host=socket.gethostname(), place=place, user=getpass.getuser(), ports=_free_ports(2))
    (place / "slurm.conf").write_text(conf, encoding="utf-8")
    environment = {**os.environ, "SLURM_CONF": str(place / "slurm.conf")}
    files = {"socket": "socket", "key-file": "key", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    munge = [f"--{name}={place}/munge.{end}" for name, end in files.items()]
    started: list[subprocess.Popen[bytes]] = []
    try:
        for words in (["munged", "--foreground", "--force", *munge], ["slurmctld", "-D", "-i"], ["slurmd", "-D"]):
            with (place / f"{words[0]}.out").open("wb") as out:
                command = [str(_found(words[0])), *words[1:]]
                started.append(subprocess.Popen(command, env=environment, stdout=out, stderr=out))
            if words[0] == "munged":
                until(lambda: (place / "munge.socket").exists(), 30)
        until(lambda: "idle" in _says(["sinfo", "--noheader", "--format=%T"], environment), 120)
        yield environment
    finally:
        _says(["scancel", f"--user={getpass.getuser()}"], environment)
        for process in reversed(started):
            process.terminate()
        for process in started:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def _says(command: list[str], environment: dict[str, str]) -> str:
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60).stdout


def _found(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]
