"""`make down` stops what `make up` started and takes back what it changed; `make clean` also removes what it made."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from . import network, stack_file
from .debian import path
from .places import CONTAINERD_SOCKET, RUN, Places
from .problems import Problem
from .processes import Processes
from .progress import Screen

# The cluster's folder of the clone is mounted here: its configuration does not change when the clone moves, its sockets
# have short paths, and whatever is mounted below is ours.
HERE = RUN / "cluster"

# Stopped from left to right: first what would start things again, then what the others need.
STOP_ORDER = (
    ("ports", "netpol", "kube-proxy", "kube-scheduler", "kube-controller-manager"), ("kube-apiserver",),
    ("etcd", "dockerd", "registry"), ("containerd",),
)  # fmt: skip


def down(places: Places, screen: Screen) -> None:
    """Stop the cluster of this clone; its data stays."""
    if other := other_clone(places):
        screen.line(f"nothing to stop here; the cluster that runs on this machine is the one of {other}")
        return
    stopped = stop_all(places.bin / "kubectl")
    screen.line(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")


def clean(places: Places, screen: Screen) -> None:
    """Stop it, then remove everything made in this clone; the cache of downloads and builds stays."""
    down(places, screen)
    if left := network.mounts_below(places.state):
        raise Problem(f"still mounted: {', '.join(left)}", "umount these, then run `make clean` again")
    if places.stack_file.is_file():
        stack_file.drop_salt(places.stack_file)
    stack_file.stop_hiding_salt(places.clone)
    for folder in (places.state, places.venv):
        if folder.exists():
            shutil.rmtree(folder)
            screen.line(f"removed {folder}")
    screen.line(f"kept the cache in {places.cache}")


def status(screen: Screen) -> bool:
    """Tell which parts run; True if all that were started do."""
    processes = Processes(records(), HERE / "logs")
    names = processes.names()
    running = {name: processes.get(name) for name in names}
    for name, found in running.items():
        screen.line(f"{name:<24} {f'runs, pid {found.pid}' if found else f'ended; {processes.log(name)}'}")
    if not names:
        screen.line("the cluster is down")
    return bool(names) and all(running.values())


def owner() -> Path | None:
    """The clone whose cluster runs on this machine, or ran and was not stopped."""
    file = RUN / "clone"
    return Path(file.read_text()) if file.is_file() else None


def other_clone(places: Places) -> Path | None:
    """The clone the cluster belongs to, if that is another one that is still there to stop it."""
    other = owner()
    return other if other and other != places.clone and (other / "Makefile").is_file() else None


def records() -> Path:
    return RUN / "processes"


def stop_all(binary: Path | None) -> list[str]:
    """Stop the cluster that is there, and take back what it changed on the host. The names of what was stopped.

    Without the binary pods are not asked to end: that takes data that is gone when the clone is gone.
    """
    processes = Processes(records(), HERE / "logs")
    running = [name for name in processes.names() if processes.get(name)]
    docker_is_ours = "dockerd" in processes.names()
    processes.stop("kubelet")  # it would start the pods again
    if binary and binary.exists() and processes.get("containerd"):
        end_pods(binary)
    for names in STOP_ORDER:
        processes.stop(*names)
    if RUN.is_dir():
        network.remove_leftovers()
        if docker_is_ours:
            network.remove_docker_network()
        remove_run_folder()
    return running


def end_pods(binary: Path) -> None:
    """Through the runtime: containers may end by themselves, and CNI takes back each pod's address and ports."""
    command = ["slipway-cluster", "pods", "remove", "--endpoint", f"unix://{CONTAINERD_SOCKET}", "--timeout", "60s"]
    subprocess.run(command, executable=binary, env={"PATH": path()}, capture_output=True, check=False)


def remove_run_folder() -> None:
    """Not while something is mounted in it: that would remove the data of the clone."""
    if network.mounts_below(RUN):
        return
    for entry in RUN.iterdir():
        if entry == HERE:
            entry.rmdir()
        elif entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink()
    RUN.rmdir()
