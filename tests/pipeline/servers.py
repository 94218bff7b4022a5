"""Servers that machines share: an S3 store, PostgreSQL, and MLflow upon both. Each is a process of its own."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

BUCKET = "shared"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
UNPRIVILEGED = "nobody"
"""PostgreSQL refuses to run as root."""
SLURM = ("munged", "slurmctld", "slurmd", "sbatch", "sinfo", "scontrol", "squeue")


def free_port() -> int:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextmanager
def s3() -> Iterator[str]:
    """The address of an S3 store with an empty bucket."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with _running([sys.executable, "-m", "moto.server", "--port", str(port)], ready=lambda: _answers(address)):
        with urlopen(Request(f"{address}/{BUCKET}", method="PUT")):
            pass
        yield address


@contextmanager
def postgresql() -> Iterator[str]:
    """The URI of an empty PostgreSQL database; skips the test where PostgreSQL is not installed."""
    programs = _programs_of_postgresql()
    user = UNPRIVILEGED if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="segbench-postgresql-"))  # pytest's own folders are closed to other users
    try:
        if user:
            shutil.chown(folder, user)
        data, port = folder / "data", free_port()
        made = subprocess.run(
            [programs / "initdb", "--pgdata", data, "--username", "mlflow", "--auth", "trust", "--no-sync"],
            cwd=folder, user=user, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
        assert made.returncode == 0, made.stdout
        command = [str(programs / "postgres"), "-D", str(data), "-h", "127.0.0.1", "-p", str(port), "-k", str(folder)]
        ready = [str(programs / "pg_isready"), "--host", "127.0.0.1", "--port", str(port), "--quiet"]
        with _running(command, cwd=folder, user=user, ready=lambda: subprocess.run(ready, check=False).returncode == 0):
            yield f"postgresql+psycopg2://mlflow@127.0.0.1:{port}/postgres"
    finally:
        shutil.rmtree(folder)


@contextmanager
def mlflow(*, store: str, s3_address: str) -> Iterator[str]:
    """The address of an MLflow server whose runs are in a database, and whose files are in the bucket."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", store, "--artifacts-destination", f"s3://{BUCKET}/mlflow",
    ]  # fmt: skip
    environment = {
        **os.environ, **CREDENTIALS, "MLFLOW_S3_ENDPOINT_URL": s3_address, "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }  # fmt: skip
    with _running(command, environment=environment, ready=lambda: _answers(f"{address}/health")):
        yield address


@contextmanager
def slurm(folder: Path) -> Iterator[Mapping[str, str]]:
    """A SLURM cluster of this machine alone: variables with which its commands find it. Skips where there is none.

    folder: a new one, for its state and logs.
    """
    programs = {name: shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") for name in SLURM}
    if missing := [name for name, path in programs.items() if path is None]:
        pytest.skip(f"SLURM is not installed: no {missing[0]}")
    if os.geteuid() != 0:
        pytest.skip("SLURM's servers start jobs for users, so that they must run as root")
    folder.mkdir()
    folder.chmod(0o755)
    socket_path, key = folder / "munge.socket", folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    settings = {
        "ClusterName": "test", "SlurmctldHost": f"{socket.gethostname()}(127.0.0.1)", "SlurmUser": "root",
        "AuthType": "auth/munge", "AuthInfo": f"socket={socket_path}", "ProctrackType": "proctrack/linuxproc",
        "TaskPlugin": "task/none", "SelectType": "select/cons_tres", "SelectTypeParameters": "CR_Core",
        "SlurmctldPort": free_port(), "SlurmdPort": free_port(), "StateSaveLocation": folder / "state",
        "SlurmdSpoolDir": folder / "spool", "SlurmctldPidFile": folder / "slurmctld.pid",
        "SlurmdPidFile": folder / "slurmd.pid", "MailProg": "/bin/true", "ReturnToService": 2, "KillWait": 5,
        "NodeName": f"{socket.gethostname()} NodeAddr=127.0.0.1 CPUs={os.cpu_count()}",
        "PartitionName": "all Nodes=ALL Default=YES State=UP",
    }  # fmt: skip
    (folder / "slurm.conf").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
    munged = [
        str(programs["munged"]), "--foreground", "--force", f"--socket={socket_path}", f"--key-file={key}",
        f"--pid-file={folder / 'munged.pid'}", f"--log-file={folder / 'munged.log'}",
        f"--seed-file={folder / 'munged.seed'}",
    ]  # fmt: skip

    def idle() -> bool:
        told = subprocess.run(
            ["sinfo", "--noheader", "--format=%T"], env=environment, capture_output=True, text=True, check=False
        )
        return told.stdout.strip() == "idle"

    with (
        _running(munged, ready=socket_path.exists),
        _running([str(programs["slurmctld"]), "-D"], environment=environment, ready=lambda: True),
        _running([str(programs["slurmd"]), "-D"], environment=environment, ready=idle),
    ):
        yield {"SLURM_CONF": environment["SLURM_CONF"]}


def _programs_of_postgresql() -> Path:
    """Where initdb is: Debian has it in no folder of PATH."""
    found = [Path(known)] if (known := shutil.which("initdb")) else []
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL is not installed: no initdb in PATH or /usr/lib/postgresql")
    return found[-1].parent


@contextmanager
def _running(
    command: Sequence[str],
    *,
    ready: Callable[[], bool],
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    user: str | None = None,
) -> Iterator[None]:
    """Run a server while the block runs, which begins when the server is ready. Shows its output if it ends early."""
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            command, env=environment, cwd=cwd, user=user, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        try:
            while not ready():
                if process.poll() is not None:
                    output.seek(0)
                    raise AssertionError(f"{command}: {output.read()}")
                time.sleep(0.2)
            yield
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            process.wait()


def _answers(address: str) -> bool:
    try:
        with urlopen(address, timeout=5):
            return True
    except HTTPError:  # moto answers so to who has no credentials
        return True
    except OSError:
        return False
