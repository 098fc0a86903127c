"""`make down` stops what `make up` started and undoes its changes to the host; `make clean` also deletes its files."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from local.bootstrap.debian import system_path
from local.errors import SetupError
from local.node import network
from local.paths import CONTAINERD_SOCKET, RUN, ClonePaths
from local.processes import Processes
from local.progress import Screen
from local.stack import stack_file

# The clone's cluster folder is mounted here. So the configuration does not change when the clone moves, the paths of
# sockets are short, and every mount below belongs to the cluster.
CLUSTER_MOUNT = RUN / "cluster"

# In this order: first the daemons that would restart others, last those that others need.
STOP_ORDER = (
    ("ports", "netpol", "kube-proxy", "kube-scheduler", "kube-controller-manager"), ("kube-apiserver",),
    ("etcd", "dockerd", "registry"), ("containerd",),
)  # fmt: skip


def down(paths: ClonePaths, screen: Screen) -> None:
    """Stop the cluster of this clone, and keep its data."""
    if other := other_clone(paths):
        screen.line(f"nothing to stop: the cluster on this machine belongs to {other}")
        return
    stopped = stop_all(paths.bin / "kubectl")
    screen.line(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")


def clean(paths: ClonePaths, screen: Screen) -> None:
    """Stop the cluster and delete everything generated in this clone, but not the cache of downloads and builds."""
    down(paths, screen)
    if left := network.mounts_below(paths.state):
        raise SetupError(f"still mounted: {', '.join(left)}", "umount these, then run `make clean` again")
    if paths.stack_file.is_file():
        stack_file.drop_salt(paths.stack_file)
    stack_file.stop_hiding_salt(paths.clone)
    for folder in (paths.state, paths.venv):
        if folder.exists():
            shutil.rmtree(folder)
            screen.line(f"removed {folder}")
    screen.line(f"kept the cache in {paths.cache}")


def status(screen: Screen) -> bool:
    """Print which daemons run. Return whether all of them do."""
    processes = Processes(records(), CLUSTER_MOUNT / "logs")
    names = processes.names()
    running = {name: processes.get(name) for name in names}
    for name, process in running.items():
        screen.line(f"{name:<24} {f'runs, pid {process.pid}' if process else f'ended; {processes.log(name)}'}")
    if not names:
        screen.line("the cluster is down")
    return bool(names) and all(running.values())


def owner() -> Path | None:
    """Return the clone whose cluster runs on this machine, or ran and was not stopped."""
    file = RUN / "clone"
    return Path(file.read_text()) if file.is_file() else None


def other_clone(paths: ClonePaths) -> Path | None:
    """Return the clone that the cluster belongs to, if it is another one and still exists."""
    other = owner()
    return other if other and other != paths.clone and (other / "Makefile").is_file() else None


def records() -> Path:
    return RUN / "processes"


def stop_all(binary: Path | None) -> list[str]:
    """Stop the cluster and undo its changes to the host. Return the names of the daemons that ran.

    Without the binary, which a deleted clone no longer has, pods are killed instead of being asked to end.
    """
    processes = Processes(records(), CLUSTER_MOUNT / "logs")
    running = [name for name in processes.names() if processes.get(name)]
    started_docker = "dockerd" in processes.names()
    processes.stop("kubelet")  # it would restart the pods
    if binary and binary.exists() and processes.get("containerd"):
        end_pods(binary)
    for names in STOP_ORDER:
        processes.stop(*names)
    if RUN.is_dir():
        network.remove_leftovers()
        if started_docker:
            network.remove_docker_network()
        remove_run_folder()
    return running


def end_pods(binary: Path) -> None:
    """End the pods through the runtime: containers can shut down, and CNI releases addresses and ports."""
    command = ["slipway-cluster", "pods", "remove", "--endpoint", f"unix://{CONTAINERD_SOCKET}", "--timeout", "60s"]
    subprocess.run(command, executable=binary, env={"PATH": system_path()}, capture_output=True, check=False)


def remove_run_folder() -> None:
    """Remove the folder, unless something is mounted in it: that would delete the data of the clone."""
    if network.mounts_below(RUN):
        return
    for entry in RUN.iterdir():
        if entry == CLUSTER_MOUNT:
            entry.rmdir()
        elif entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink()
    RUN.rmdir()
