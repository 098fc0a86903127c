"""Find missing programs of the operating system, and install them with apt without starting services."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Generator, Mapping
from pathlib import Path

from local.errors import SetupError
from local.progress import Task

CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SERVICE_POLICY = Path("/usr/sbin/policy-rc.d")
FORBID_START = "#!/bin/sh\n# Made by `make up` of Slipway while it installs packages: start no service.\nexit 101\n"

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


def system_path(environ: Mapping[str, str] = os.environ) -> str:
    """Return PATH with the folders of system programs, which the PATH of users often lacks."""
    return f"{environ.get('PATH', '')}:{SYSTEM_PATH}".lstrip(":")


def which(program: str) -> Path | None:
    file = shutil.which(program, path=system_path())
    return Path(file) if file else None


def cni_folder() -> Path | None:
    """Return the folder with the CNI plugins ptp and portmap."""
    return next((folder for folder in CNI_FOLDERS if (folder / "ptp").exists() and (folder / "portmap").exists()), None)


def missing_packages(
    *, docker_answers: bool, find: Callable[[str], object] = which, find_cni: Callable[[], object] = cni_folder
) -> list[str]:
    """Return the Debian packages to install, without Docker if a daemon answers already."""
    programs = [program for program in PACKAGES if not (docker_answers and program == "dockerd")]
    packages = {PACKAGES[program] for program in programs if not find(program)}
    if not find_cni():
        packages.add(CNI_PACKAGE)
    return sorted(packages)


def apt_environment() -> dict[str, str]:
    """Return the variables with which apt asks nothing, and prints what can be parsed."""
    return dict(os.environ) | {"DEBIAN_FRONTEND": "noninteractive", "PATH": system_path(), "LC_ALL": "C"}


def install(task: Task, packages: list[str]) -> str:
    """Install the packages with apt. Raise SetupError with all their names if there is no apt."""
    if not packages:
        return "nothing is missing"
    if not which("apt-get"):
        raise SetupError(
            f"missing, and there is no apt to install them: {', '.join(packages)} (names of Debian packages)",
            "install them with your package manager, then run `make up` again",
        )
    env = apt_environment()
    # Wait for another apt instead of failing; give up a silent mirror after seconds instead of minutes.
    options = ["-q", "-y", "-oDPkg::Lock::Timeout=300", "-oAcquire::http::Timeout=20", "-oAcquire::Retries=2"]
    task.report(f"installing {', '.join(packages)}")
    fix = f"read {task.log}; check the network and /etc/apt/sources.list, then run `make up` again"
    # apt refuses to work while packages of an interrupted run are unpacked but not configured.
    task.run(["dpkg", "--configure", "-a"], env=env, fix=fix)
    with contextlib.suppress(SetupError):  # a broken third-party source may not matter: the install will show
        task.run(["apt-get", "update", *options], env=env, fix=fix)
    with services_disabled():
        task.run(["apt-get", "install", *options, "--no-install-recommends", *packages], env=env, fix=fix)
    return f"installed {', '.join(packages)}"


@contextlib.contextmanager
def services_disabled() -> Generator[None]:
    """Keep packages from starting their daemons. An existing policy is left alone."""
    if SERVICE_POLICY.exists() and SERVICE_POLICY.read_text() != FORBID_START:  # a killed `make up` may have left ours
        yield
        return
    SERVICE_POLICY.write_text(FORBID_START)
    SERVICE_POLICY.chmod(0o755)
    try:
        yield
    finally:
        SERVICE_POLICY.unlink(missing_ok=True)
