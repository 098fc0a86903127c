"""Whether this machine can do it: every problem at once, before anything is changed."""

from __future__ import annotations

import contextlib
import http.client
import os
import platform
import re
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from .problems import Problem

# What users reach, and what the parts of the cluster talk to each other on.
PORTS = {
    80: "the ingress (HTTP)", 443: "the ingress (HTTPS)", 5000: "the image registry", 6443: "the API server",
    2379: "etcd", 2380: "etcd", 10248: "the kubelet", 10249: "kube-proxy", 10250: "the kubelet", 10256: "kube-proxy",
    10257: "the controller manager", 10259: "the scheduler",
}  # fmt: skip
GO_MINIMUM = (1, 26)
OTHER_CLUSTER = (
    "or name a cluster and a registry you have (e.g. kind) in stacks/Pulumi.local.yaml: slipway:cluster.context"
)


def check_system(system: str) -> Problem | None:
    if system != "Linux":
        return Problem(
            f"the native local cluster needs Linux, this is {system}", f"run it in a Linux VM, {OTHER_CLUSTER}"
        )
    return None


def check_root(uid: int) -> Problem | None:
    if uid != 0:
        return Problem(
            "the native local cluster needs root, this is user id " + str(uid), f"sudo make up, {OTHER_CLUSTER}"
        )
    return None


def check_clone(clone: Path) -> Problem | None:
    """PATH cannot hold a folder with a colon in its name."""
    if ":" in str(clone):
        return Problem(f"the path of this clone has a colon in it: {clone}", "move the clone to a path without a colon")
    return None


@dataclass(frozen=True)
class Go:
    """A Go toolchain: the program and its version, e.g. (1, 26, 8)."""

    program: Path
    version: tuple[int, ...]

    def __str__(self) -> str:
        return f"Go {'.'.join(map(str, self.version))} ({self.program})"


def go_version(text: str) -> tuple[int, ...]:
    """(1, 26, 8) of `go version go1.26.8 linux/amd64`; () for what is no Go release."""
    found = re.search(r"\bgo(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part) for part in found.groups(default="0")) if found else ()


def find_go(candidates: Iterable[Path]) -> Go | None:
    """The first Go that is new enough to compile the cluster."""
    for program in candidates:
        with contextlib.suppress(OSError):
            # GOTOOLCHAIN=local: the version that is there, not the one go.mod would make it download.
            env = dict(os.environ) | {"GOTOOLCHAIN": "local"}
            told = subprocess.run([program, "version"], env=env, capture_output=True, text=True, check=False).stdout
            if go_version(told) >= GO_MINIMUM:
                return Go(program, go_version(told))
    return None


@dataclass(frozen=True)
class Listener:
    """A TCP port that is open for connections, and who holds it (pid 0: cannot be seen)."""

    port: int
    pid: int
    program: str


def check_ports(listeners: Iterable[Listener], ours: Collection[int]) -> list[Problem]:
    """One problem for each port of the cluster that another program holds."""
    holders = {listener.port: listener for listener in listeners if listener.pid not in ours}
    problems: list[Problem] = []
    for port, use in PORTS.items():
        if holder := holders.get(port):
            by = f"{holder.program} (pid {holder.pid})" if holder.pid else "a program that cannot be seen from here"
            fix = (
                f"stop it (kill {holder.pid})"
                if holder.pid
                else f"find it with `ss -ltnp 'sport = :{port}'` and stop it"
            )
            problems.append(
                Problem(f"port {port}, needed by {use}, is taken by {by}", f"{fix}, then run `make up` again")
            )
    return problems


def listeners(proc: Path = Path("/proc")) -> list[Listener]:
    """Who listens on the cluster's ports."""
    inodes: dict[str, int] = {}
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            inodes |= listening(Path(proc / "net" / table).read_text())
    inodes = {inode: port for inode, port in inodes.items() if port in PORTS}
    holders = holders_of(set(inodes), proc) if inodes else {}
    found: list[Listener] = []
    for inode, port in inodes.items():
        pid = holders.get(inode, 0)
        found.append(Listener(port, pid, program_of(pid, proc) if pid else ""))
    return found


def listening(table: str) -> dict[str, int]:
    """Socket inode -> port, of the LISTEN lines of /proc/net/tcp."""
    rows = (line.split() for line in table.splitlines()[1:])
    return {row[9]: int(row[1].rpartition(":")[2], 16) for row in rows if len(row) > 9 and row[3] == "0A"}


def holders_of(inodes: set[str], proc: Path) -> dict[str, int]:
    """Socket inode -> the pid that has it open."""
    holders: dict[str, int] = {}
    for folder in proc.glob("[0-9]*/fd"):
        with contextlib.suppress(OSError):
            for descriptor in folder.iterdir():
                target = str(descriptor.readlink())
                if target.startswith("socket:[") and target[8:-1] in inodes:
                    holders[target[8:-1]] = int(folder.parent.name)
    return holders


def program_of(pid: int, proc: Path) -> str:
    with contextlib.suppress(OSError):
        command = (proc / str(pid) / "cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")
        return Path(command).name or (proc / str(pid) / "comm").read_text().strip()
    return "?"


@dataclass(frozen=True)
class Need:
    """Disk space a cold start takes at a place."""

    path: Path
    gigabytes: float
    what: str


def check_disk(needs: Sequence[Need], free: Callable[[Path], float]) -> list[Problem]:
    """Needs on the same disk are added up."""
    disks: dict[int, list[Need]] = {}
    for need in needs:
        disks.setdefault(existing(need.path).stat().st_dev, []).append(need)
    problems: list[Problem] = []
    for together in disks.values():
        needed = sum(need.gigabytes for need in together)
        there = free(existing(together[0].path))
        if there < needed:
            what = ", ".join(f"{need.gigabytes:.1f} GB for {need.what} in {need.path}" for need in together)
            problems.append(
                Problem(
                    f"the disk is too full: {there:.1f} GB free, {needed:.1f} GB needed ({what})",
                    "free some space, or set XDG_CACHE_HOME to a larger disk",
                )
            )
    return problems


def existing(path: Path) -> Path:
    """The path, or its nearest parent that is there."""
    return next(parent for parent in (path, *path.parents) if parent.exists())


def free_gigabytes(path: Path) -> float:
    return shutil.disk_usage(path).free / 1e9


def check_registries(urls: Mapping[str, str], seconds: float = 6) -> list[Problem]:
    """One problem for each package registry that does not answer; any HTTP answer will do."""

    def reach(name: str) -> Problem | None:
        error = unreachable(urls[name], seconds)
        if not error:
            return None
        fix = f"check the network and HTTPS_PROXY, or name a mirror of it ({MIRROR_SETTINGS[name]})"
        return Problem(f"{name} cannot be reached at {urls[name]}: {error}", fix)

    with ThreadPoolExecutor() as pool:
        return [problem for problem in pool.map(reach, urls) if problem]


GO_PROXY = "the Go module proxy"
MIRROR_SETTINGS = {"PyPI": "pip config set global.index-url URL", GO_PROXY: "go env -w GOPROXY=URL"}


def unreachable(url: str, seconds: float) -> str:
    """Why it cannot be reached, "" if it answers."""
    try:
        request = urllib.request.Request(url, method="HEAD")  # noqa: S310 named by Go, pip, or our own code
        with urllib.request.urlopen(request, timeout=seconds):  # noqa: S310
            return ""
    except urllib.error.HTTPError:
        return ""
    except urllib.error.URLError as error:
        return str(error.reason)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return str(error) or type(error).__name__


def docker_answers(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a Docker daemon is there already; an address of another kind (ssh://) is taken on trust."""
    address = environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    scheme, _, rest = address.partition("://")
    if scheme not in ("unix", "tcp"):
        return True
    try:
        if scheme == "unix":
            client, target = socket.socket(socket.AF_UNIX), rest
        else:
            host, _, port = rest.rstrip("/").rpartition(":")
            client, target = socket.socket(), (host, int(port))
        with client:
            client.settimeout(3)
            client.connect(target)
            client.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            return client.recv(64).startswith(b"HTTP/1")
    except (OSError, ValueError):
        return False


def system_name() -> str:
    return platform.system()
