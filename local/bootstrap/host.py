"""Check whether this machine can run the cluster, and report all errors before anything is changed."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from local.errors import SetupError

# The ports for users, and those that the parts of the cluster use among themselves.
PORTS = {
    80: "the ingress (HTTP)", 443: "the ingress (HTTPS)", 5000: "the image registry", 6443: "the API server",
    2379: "etcd", 2380: "etcd", 10248: "the kubelet", 10249: "kube-proxy", 10250: "the kubelet", 10256: "kube-proxy",
    10257: "the controller manager", 10259: "the scheduler",
}  # fmt: skip
GO_MINIMUM = (1, 26)
OTHER_CLUSTER = (
    "or use a cluster and a registry that you have (e.g. kind): set slipway:cluster.context in stacks/Pulumi.local.yaml"
)


def check_system(system: str) -> SetupError | None:
    if system != "Linux":
        return SetupError(
            f"the native local cluster needs Linux, this is {system}", f"run it in a Linux VM, {OTHER_CLUSTER}"
        )
    return None


def check_root(uid: int) -> SetupError | None:
    if uid != 0:
        return SetupError(
            "the native local cluster needs root, this is user id " + str(uid), f"sudo make up, {OTHER_CLUSTER}"
        )
    return None


def check_clone(clone: Path) -> SetupError | None:
    """Check that the path contains no colon, which PATH cannot hold."""
    if ":" in str(clone):
        return SetupError(
            f"the path of this clone contains a colon: {clone}", "move the clone to a path without a colon"
        )
    return None


@dataclass(frozen=True)
class Go:
    """A Go toolchain, with its version as (1, 26, 8)."""

    program: Path
    version: tuple[int, ...]

    def __str__(self) -> str:
        return f"Go {'.'.join(map(str, self.version))} ({self.program})"


def go_version(text: str) -> tuple[int, ...]:
    """Parse `go version go1.26.8 linux/amd64` into (1, 26, 8). Return () for anything else."""
    match = re.search(r"\bgo(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part) for part in match.groups(default="0")) if match else ()


def find_go(candidates: Iterable[Path]) -> Go | None:
    """Return the first Go that is new enough to compile the cluster."""
    for program in candidates:
        with contextlib.suppress(OSError):
            # GOTOOLCHAIN=local: the installed version, not one that go.mod would download.
            env = dict(os.environ) | {"GOTOOLCHAIN": "local"}
            output = subprocess.run([program, "version"], env=env, capture_output=True, text=True, check=False).stdout
            if go_version(output) >= GO_MINIMUM:
                return Go(program, go_version(output))
    return None


@dataclass(frozen=True)
class Listener:
    """A listening TCP port and its process; pid 0 if the process is unknown."""

    port: int
    pid: int
    program: str


def check_ports(listeners: Iterable[Listener], ours: Collection[int]) -> list[SetupError]:
    """Return an error for each port of the cluster on which another program listens."""
    listening = {listener.port: listener for listener in listeners if listener.pid not in ours}
    errors: list[SetupError] = []
    for port, use in PORTS.items():
        if listener := listening.get(port):
            if listener.pid:
                holder, fix = f"{listener.program} (pid {listener.pid})", f"stop it (kill {listener.pid})"
            else:
                holder, fix = "an unknown program", f"find it with `ss -ltnp 'sport = :{port}'` and stop it"
            errors.append(
                SetupError(f"port {port}, needed by {use}, is taken by {holder}", f"{fix}, then run `make up` again")
            )
    return errors


def listeners(proc: Path = Path("/proc")) -> list[Listener]:
    """Return who listens on the ports of the cluster."""
    inodes: dict[str, int] = {}
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            inodes |= listening_sockets(Path(proc / "net" / table).read_text())
    inodes = {inode: port for inode, port in inodes.items() if port in PORTS}
    owners = socket_owners(set(inodes), proc) if inodes else {}
    pids = {inode: owners.get(inode, 0) for inode in inodes}
    return [Listener(port, pids[inode], program_name(pids[inode], proc)) for inode, port in inodes.items()]


def listening_sockets(table: str) -> dict[str, int]:
    """Return the ports in state LISTEN by socket inode, from /proc/net/tcp."""
    rows = (line.split() for line in table.splitlines()[1:])
    return {row[9]: int(row[1].rpartition(":")[2], 16) for row in rows if len(row) > 9 and row[3] == "0A"}


def socket_owners(inodes: set[str], proc: Path) -> dict[str, int]:
    """Return the pid that has each socket inode open."""
    owners: dict[str, int] = {}
    for folder in proc.glob("[0-9]*/fd"):
        with contextlib.suppress(OSError):
            for descriptor in folder.iterdir():
                target = str(descriptor.readlink())
                if target.startswith("socket:[") and target[8:-1] in inodes:
                    owners[target[8:-1]] = int(folder.parent.name)
    return owners


def program_name(pid: int, proc: Path) -> str:
    if not pid:
        return ""
    with contextlib.suppress(OSError):
        command = (proc / str(pid) / "cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")
        return Path(command).name or (proc / str(pid) / "comm").read_text().strip()
    return "?"


@dataclass(frozen=True)
class DiskNeed:
    """Disk space that a start needs below a path."""

    path: Path
    gigabytes: float
    what: str


def check_disk(needs: Sequence[DiskNeed], free: Callable[[Path], float]) -> list[SetupError]:
    """Return an error for each disk without enough space. Needs on one disk are added up."""
    disks: dict[int, list[DiskNeed]] = {}
    for need in needs:
        disks.setdefault(existing(need.path).stat().st_dev, []).append(need)
    checked = (_disk_error(on_disk, free(existing(on_disk[0].path))) for on_disk in disks.values())
    return [error for error in checked if error]


def _disk_error(needs: Sequence[DiskNeed], available: float) -> SetupError | None:
    needed = sum(need.gigabytes for need in needs)
    if available >= needed:
        return None
    what = ", ".join(f"{need.gigabytes:.1f} GB for {need.what} in {need.path}" for need in needs)
    cause = f"the disk is too full: {available:.1f} GB free, {needed:.1f} GB needed ({what})"
    return SetupError(cause, "free some space, or set XDG_CACHE_HOME to a larger disk")


def existing(path: Path) -> Path:
    """Return the path, or its nearest parent that exists."""
    return next(parent for parent in (path, *path.parents) if parent.exists())


def free_gigabytes(path: Path) -> float:
    return shutil.disk_usage(path).free / 1e9


def check_registries(urls: Mapping[str, str], seconds: float = 6) -> list[SetupError]:
    """Return an error for each package registry that cannot be reached. Any HTTP response counts as reached."""

    def check(name: str) -> SetupError | None:
        error = connection_error(urls[name], seconds)
        if not error:
            return None
        fix = f"check the network and HTTPS_PROXY, or configure a mirror ({MIRROR_SETTINGS[name]})"
        return SetupError(f"{name} cannot be reached at {urls[name]}: {error}", fix)

    with ThreadPoolExecutor() as pool:
        return [error for error in pool.map(check, urls) if error]


GO_PROXY = "the Go module proxy"
MIRROR_SETTINGS = {"PyPI": "pip config set global.index-url URL", GO_PROXY: "go env -w GOPROXY=URL"}


def connection_error(url: str, seconds: float) -> str:
    """Return why the URL cannot be reached; empty if it can."""
    try:
        request = urllib.request.Request(url, method="HEAD")  # noqa: S310 a URL of Go, pip or our own code
        with urllib.request.urlopen(request, timeout=seconds):  # noqa: S310
            return ""
    except urllib.error.HTTPError:
        return ""
    except urllib.error.URLError as error:
        return str(error.reason)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return str(error) or type(error).__name__
