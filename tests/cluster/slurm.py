"""A real Slurm on this machine for tests: a controller and several nodes on the loopback interface, as this user.

Everything lies in one folder, nothing in /etc is used, and all of it ends with :meth:`Slurm.stop`. Tried with
Slurm 22.05 (Debian 12); what is not obvious in the configuration has its reason beside it.
"""

from __future__ import annotations

import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel", "srun")
_TRIED = "22.05"
_EVERYWHERE = (  # lines of slurm.conf that are the same for every cluster
    "ProctrackType=proctrack/linuxproc",
    "TaskPlugin=task/none",
    "SwitchType=switch/none",
    "MpiDefault=none",
    "SelectType=select/cons_tres",
    "SelectTypeParameters=CR_Core",
    "SlurmdParameters=config_overrides",  # nodes may claim more than the machine has
    "SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=10000,bf_interval=1",
    "EnforcePartLimits=ALL",
    "ReturnToService=2",
    "KillWait=5",
    "SlurmdTimeout=20",
    "MinJobAge=3600",
    "MaxJobCount=20000",
    "JobRequeue=1",
)


def why_not() -> str:
    """Say why there can be no Slurm here; empty if there can."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    if missing := [name for name in PROGRAMS if shutil.which(name, path=path) is None]:
        return f"{', '.join(missing)} not installed (tools/install_system.sh installs them)"
    version = subprocess.run(
        ["slurmctld", "-V"], capture_output=True, text=True, check=False, env={"PATH": path}
    ).stdout
    if _TRIED not in version:
        return f"the configuration of these tests is for Slurm {_TRIED}, not {version.strip()}"
    return ""


class Slurm:
    """A cluster in a folder.

    Args:
        folder: Its folder; the path must be short, for names of sockets end at 107 bytes.
        nodes: Number of nodes, called n1, n2, ...
        cpus: Processors that each node claims to have.
        array_limit: ``MaxArraySize``.
        more: Further lines of slurm.conf.
    """

    def __init__(
        self, folder: Path, *, nodes: int = 2, cpus: int = 4, array_limit: int = 1001, more: Sequence[str] = ()
    ) -> None:
        self.folder, self.more = folder, more
        self.nodes = [f"n{number}" for number in range(1, nodes + 1)]
        self.cpus, self.array_limit = cpus, array_limit
        self.processes: list[subprocess.Popen[bytes]] = []
        self.ports = _free_ports(nodes + 1)

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which Slurm's programs find this cluster and no other."""
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SBATCH_", "SQUEUE_"))
        }
        path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
        return {**kept, "PATH": path, "SLURM_CONF": str(self.folder / "slurm.conf")}

    def start(self) -> None:
        """Start all daemons and wait until every node is idle."""
        for name in ("state", "spool", "log", *(f"spool/{node}" for node in self.nodes)):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        self._start_munge()
        (self.folder / "slurm.conf").write_text(self._configuration())
        # slurmd loads a cgroup plugin whatever else is configured; version 1, forced, touches nothing.
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
        self._spawn("slurmctld", "-D", "-i")
        for node in self.nodes:
            self._spawn("slurmd", "-D", "-N", node, folder=self.folder / "spool" / node)
        self._wait_for_nodes()

    def _start_munge(self) -> None:
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        options = {
            "socket": "munge.socket",
            "key-file": "munge.key",
            "pid-file": "munge.pid",
            "seed-file": "munge.seed",
        }
        paths = [f"--{name}={self.folder / file}" for name, file in options.items()]
        self._spawn("munged", "--foreground", "--force", *paths, f"--log-file={self.folder / 'log' / 'munged'}")
        _wait((self.folder / "munge.socket").exists, "munged")

    def _configuration(self) -> str:
        user, host = getpass.getuser(), socket.gethostname().split(".")[0]
        resolves_to_loopback = _address(socket.gethostname()) == "127.0.0.1"
        lines = [
            "ClusterName=tests",
            f"SlurmctldHost={host}(127.0.0.1)",
            # Listening on the loopback interface alone works only where the host's own name leads there.
            *(["CommunicationParameters=NoCtldInAddrAny,NoInAddrAny"] if resolves_to_loopback else []),
            f"SlurmUser={user}",
            f"SlurmdUser={user}",
            f"SlurmctldPort={self.ports[0]}",
            "AuthType=auth/munge",
            f"AuthInfo=socket={self.folder}/munge.socket,cred_expire=5",  # also how long a requeued job is held back
            "CryptoType=crypto/munge",
            f"StateSaveLocation={self.folder}/state",
            f"SlurmdSpoolDir={self.folder}/spool/%n",
            f"SlurmctldLogFile={self.folder}/log/slurmctld",
            f"SlurmdLogFile={self.folder}/log/slurmd.%n",
            f"SlurmctldPidFile={self.folder}/slurmctld.pid",
            f"SlurmdPidFile={self.folder}/slurmd.%n.pid",
            *_EVERYWHERE,
            f"MaxArraySize={self.array_limit}",
            *(
                f"NodeName={node} NodeAddr=127.0.0.1 Port={port} CPUs={self.cpus} RealMemory=8000 State=UNKNOWN"
                for node, port in zip(self.nodes, self.ports[1:], strict=True)
            ),
            "PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE DefaultTime=10 State=UP",
            *self.more,
        ]
        return "\n".join(lines) + "\n"

    def _spawn(self, program: str, *arguments: str, folder: Path | None = None) -> None:
        log = open(self.folder / "log" / f"{program}.out", "ab")  # noqa: SIM115  # it belongs to the daemon
        with log:
            # A daemon's working folder tells its leftovers from others' (slurmstepd inherits it).
            process = subprocess.Popen(
                [program, *arguments],
                env=self.environment,
                cwd=folder or self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.processes.append(process)

    def _wait_for_nodes(self) -> None:
        def all_idle() -> bool:
            try:
                lines = self.call("sinfo", "--noheader", "--Node", "--format=%N %T", timeout_s=5).splitlines()
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
                return False
            return {line.strip() for line in lines} == {f"{node} idle" for node in self.nodes}  # once a partition

        _wait(all_idle, "the nodes", self._logs)

    def _logs(self) -> str:
        return "\n".join(
            f"{path.name}: {path.read_text(errors='replace')[-500:]}" for path in (self.folder / "log").iterdir()
        )

    def call(self, *command: str, timeout_s: float = 30.0, more: Mapping[str, str] | None = None) -> str:
        """Call a program with this cluster's environment; return what it prints.

        Raises:
            subprocess.CalledProcessError: If it fails.
        """
        result = subprocess.run(
            command,
            env={**self.environment, **(more or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,  # clients wait for ever for a controller that is gone
            check=True,
        )
        return result.stdout

    def states(self, job: str) -> dict[str, str]:
        """Return the state of each element of a job, by its place in the array; one that is over included."""
        text = self.call("squeue", "--noheader", "--array", "--states=all", f"--jobs={job}", "--format=%K %T")
        return dict(line.split() for line in text.splitlines())

    def wait_until_over(self, jobs: Sequence[str], timeout_s: float = 120.0) -> None:
        """Wait until none of these jobs waits or runs (``sbatch --wait`` looks only now and then)."""

        def over() -> bool:
            return not self.call("squeue", "--noheader", f"--jobs={','.join(jobs)}", "--format=%i").split()

        _wait(over, f"jobs {jobs}", lambda: self.call("squeue", "--states=all") + self._logs(), timeout_s)

    def stop(self) -> None:
        """End everything that :meth:`start` and its jobs have started."""
        with suppress(subprocess.SubprocessError, OSError):
            self.call("scancel", f"--user={getpass.getuser()}", timeout_s=10)
            _wait(lambda: not self.call("squeue", "--noheader", timeout_s=5).split(), "jobs", timeout_s=12)
        for process in reversed(self.processes):
            process.terminate()
        for process in reversed(self.processes):
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for pid in self._leftovers():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.processes.clear()

    def _leftovers(self) -> list[int]:
        """List processes that work in the spool folders: a slurmstepd outlives its slurmd."""
        spool, found = str(self.folder / "spool"), []
        for entry in Path("/proc").glob("[0-9]*/cwd"):
            with suppress(OSError):
                if os.readlink(entry).startswith(spool):
                    found.append(int(entry.parent.name))
        return found


@contextmanager
def running(folder: Path, *, more: Sequence[str] = ()) -> Iterator[Slurm]:
    """Start a cluster for the block."""
    cluster = Slurm(folder, more=more)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def _wait(is_done: object, what: str, explain: object = None, timeout_s: float = 30.0) -> None:
    assert callable(is_done)
    deadline = time.monotonic() + timeout_s
    while not is_done():
        if time.monotonic() > deadline:
            more = explain() if callable(explain) else ""
            raise TimeoutError(f"{what}: not ready after {timeout_s:.0f} s\n{more}")
        time.sleep(0.1)


def _free_ports(count: int) -> list[int]:
    """Find ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _address(host: str) -> str:
    try:
        return socket.gethostbyname(host)
    except OSError:
        return ""
