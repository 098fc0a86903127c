"""Programs of the operating system: which are missing, and how apt installs them without starting a service."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Generator, Mapping
from pathlib import Path

from .problems import Problem
from .progress import Task

CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
POLICY = Path("/usr/sbin/policy-rc.d")
START_NOTHING = "#!/bin/sh\n# Made by `make up` of Slipway while it installs packages: start no service.\nexit 101\n"

# program -> Debian package. The kubelet and kube-proxy need iptables, nft, conntrack and ip; portmap needs iptables.
PACKAGES = {
    "update-ca-certificates": "ca-certificates",
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "docker-registry": "docker-registry",
    "dockerd": "docker.io",
    "ip": "iproute2",
    "iptables": "iptables",
    "nft": "nftables",
    "conntrack": "conntrack",
    "mount": "mount",
}
CNI_PACKAGE = "containernetworking-plugins"


def path(environ: Mapping[str, str] = os.environ) -> str:
    """PATH with the folders of system programs, which a user's PATH often lacks."""
    return f"{environ.get('PATH', '')}:{SYSTEM_PATH}".lstrip(":")


def which(program: str) -> Path | None:
    found = shutil.which(program, path=path())
    return Path(found) if found else None


def cni_folder() -> Path | None:
    """Where ptp and portmap are."""
    return next((folder for folder in CNI_FOLDERS if (folder / "ptp").exists() and (folder / "portmap").exists()), None)


def missing(
    *, docker_answers: bool, found: Callable[[str], object] = which, cni: Callable[[], object] = cni_folder
) -> list[str]:
    """The Debian packages to install; no Docker where a daemon answers already."""
    programs = [program for program in PACKAGES if not (docker_answers and program == "dockerd")]
    packages = {PACKAGES[program] for program in programs if not found(program)}
    if not cni():
        packages.add(CNI_PACKAGE)
    return sorted(packages)


def install(task: Task, packages: list[str]) -> str:
    """Install them with apt; Problem that names them all where there is no apt."""
    if not packages:
        return "all there"
    if not which("apt-get"):
        raise Problem(
            f"missing, and there is no apt to install them: {', '.join(packages)} (names of Debian packages)",
            "install them with your package manager, then run `make up` again",
        )
    env = dict(os.environ) | {"DEBIAN_FRONTEND": "noninteractive", "PATH": path(), "LC_ALL": "C"}
    # Waits for another apt instead of failing; a mirror that does not answer fails in seconds instead of minutes.
    options = ["-q", "-y", "-oDPkg::Lock::Timeout=300", "-oAcquire::http::Timeout=20", "-oAcquire::Retries=2"]
    task.say(f"installing {', '.join(packages)}")
    fix = f"read {task.log}; check the network and /etc/apt/sources.list, then run `make up` again"
    # An interrupted run may have left packages unpacked but not configured: apt refuses to work before that is done.
    task.run(["dpkg", "--configure", "-a"], env=env, fix=fix)
    with contextlib.suppress(Problem):  # a third-party source that is broken need not matter: the install tells
        task.run(["apt-get", "update", *options], env=env, fix=fix)
    with services_kept_stopped():
        task.run(["apt-get", "install", *options, "--no-install-recommends", *packages], env=env, fix=fix)
    return f"installed {', '.join(packages)}"


@contextlib.contextmanager
def services_kept_stopped() -> Generator[None]:
    """Keep packages from starting their daemons; a policy that is there already is left as it is."""
    if POLICY.exists() and POLICY.read_text() != START_NOTHING:  # ours is left over when `make up` was killed
        yield
        return
    POLICY.write_text(START_NOTHING)
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)
