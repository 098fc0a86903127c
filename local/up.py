"""`make up` on one screen: check the machine, fetch programs in parallel, start the cluster, deploy."""

from __future__ import annotations

import importlib.util
import os
import platform
from collections.abc import Mapping
from pathlib import Path

from local.bootstrap import debian, host, python_packages
from local.bootstrap.toolchain import CLUSTER, INGRESS, Toolchain, check_plugins, go_proxy, on_path
from local.down import other_clone, records
from local.errors import SetupError, raise_errors
from local.node.names import CONTEXT
from local.paths import ClonePaths, home, quoted
from local.processes import Processes
from local.progress import Runner, Screen, Step
from local.stack import stack_file
from slipway.ops.prerequisites.docker import docker_answers


def fetch(paths: ClonePaths, screen: Screen, environ: Mapping[str, str] = os.environ) -> None:
    """Run the first half, with the system's Python: check the machine, then fetch what is missing."""
    context = stack_file.context(paths.stack_file.read_text()) if paths.stack_file.is_file() else CONTEXT
    native = context == CONTEXT
    given = environ.get("PLUGINS")
    tools = Toolchain(paths, Path(given).resolve() if given else None)
    raise_errors(check_machine(paths, tools, native))
    paths.create()
    packages = debian.missing_packages(docker_answers=docker_answers()) if native else []
    # Debian has the part of Python that creates virtual environments in a separate package.
    without_venv = not importlib.util.find_spec("ensurepip") and not on_path("uv", paths)
    packages += ["python3-venv"] if native and without_venv else []
    before_python = ("system packages",) if without_venv else ()
    steps = [
        Step("system packages", lambda task: debian.install(task, packages)),
        Step("Python packages", lambda task: python_packages.install(task, paths), after=before_python),
        Step("Go", tools.find_go, after=() if host.find_go(on_path("go", paths)) else ("Python packages",)),
        Step("Pulumi", tools.pulumi, after=("Go",)),
        Step("plugins", tools.plugins, after=("Python packages",)),
    ]
    if native:
        # The longest build comes first.
        steps += [Step("cluster", tools.cluster, after=("Go",)), Step("ingress", tools.ingress, after=("Go",))]
    Runner(paths.logs, screen).run(steps)


def fetch_python(paths: ClonePaths, screen: Screen) -> None:
    """Install the Python environment only, which unit tests and ./slipway need."""
    paths.create()
    Runner(paths.logs, screen).run([Step("Python packages", lambda task: python_packages.install(task, paths))])


def check_machine(paths: ClonePaths, tools: Toolchain, native: bool) -> list[SetupError]:
    """Return everything that would make a later step fail."""
    checks = [host.check_clone(paths.clone), check_plugins(tools.plugins_source)]
    if native:
        checks += [host.check_system(platform.system()), host.check_root(os.getuid())]
    errors = [error for error in checks if error]
    if not errors and native:
        errors += check_cluster_ports(paths)
    has_to_build = bool(tools.to_build(native=native))
    errors += host.check_disk(disk_needs(paths, cold=has_to_build), host.free_gigabytes)
    return errors + host.check_registries(needed_registries(paths, has_to_build))


def needed_registries(paths: ClonePaths, has_to_build: bool) -> dict[str, str]:
    """Return the URLs of the package registries that this start will use, as far as they are known."""
    registries: dict[str, str] = {}
    if not paths.venv.is_dir() and not on_path("uv", paths):
        registries["PyPI"] = python_packages.index_url()
    go = host.find_go(on_path("go", paths))
    if go and has_to_build and (proxy := go_proxy(go)):
        registries[host.GO_PROXY] = proxy
    return registries


def check_cluster_ports(paths: ClonePaths) -> list[SetupError]:
    """Return the ports of the cluster that are taken, unless by this clone's cluster or by one whose clone is gone."""
    processes = Processes(records(), paths.logs)
    alive = {name: process.pid for name in processes.names() if (process := processes.get(name))}
    if alive and (other := other_clone(paths)):
        return [
            SetupError(
                f"the local cluster of another clone runs on this machine: {other}", f"make -C {quoted(other)} down"
            )
        ]
    return host.check_ports(host.listeners(), set(alive.values()))


def disk_needs(paths: ClonePaths, *, cold: bool) -> list[host.DiskNeed]:
    """Return the disk space that a start needs; `cold` means that programs have to be compiled."""
    in_clone = host.DiskNeed(paths.clone, 3.0, "the cluster's data and Python packages")
    if not cold:
        return [in_clone]
    return [
        in_clone,
        host.DiskNeed(paths.cache, 0.6, "programs"),
        host.DiskNeed(home() / ".cache" / "go-build", 9.0, "Go's caches"),
    ]


def finish(paths: ClonePaths, screen: Screen) -> str:
    """Run the second half, with the packages of .venv: start the cluster and deploy. Return the closing message."""
    # Imported late: the packages that they need are not installed in the first half.
    from local.node.cluster import LocalCluster  # noqa: PLC0415
    from local.stack.deploy import StackDeployment  # noqa: PLC0415

    context = stack_file.context(paths.stack_file.read_text())
    tools = Toolchain(paths, None)
    cluster = LocalCluster(paths, tools.cached(CLUSTER) / "slipway-cluster", tools.cached(INGRESS) / "traefik")
    deployment = StackDeployment(paths, context)
    steps = cluster.steps() if context == CONTEXT else []
    Runner(paths.logs, screen).run([*steps, *deployment.steps()])
    return deployment.summary()
