"""`make up`, on one screen: look, fetch side by side, start the cluster, deploy."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path

from . import debian, host, python_packages, stack_file
from .down import other_clone, records
from .names import CONTEXT
from .places import Places, home, quoted
from .problems import Problem, raise_all
from .processes import Processes
from .progress import Runner, Screen, Step
from .toolchain import CLUSTER, INGRESS, Toolchain, check_plugins, go_proxy, on_path


def fetch(places: Places, screen: Screen, environ: Mapping[str, str] = os.environ) -> None:
    """The first half, with the system's Python: look at the machine, then bring what is missing."""
    context = stack_file.context(places.stack_file.read_text()) if places.stack_file.is_file() else CONTEXT
    native = context == CONTEXT
    given = environ.get("PLUGINS")
    tools = Toolchain(places, Path(given).resolve() if given else None)
    raise_all(look(places, tools, native))
    places.make()
    packages = debian.missing(docker_answers=host.docker_answers()) if native else []
    # Debian keeps the part of Python that makes environments in a package of its own.
    without_venv = not importlib.util.find_spec("ensurepip") and not on_path("uv", places)
    packages += ["python3-venv"] if native and without_venv else []
    before_python = ("system packages",) if without_venv else ()
    steps = [
        Step("system packages", lambda task: debian.install(task, packages)),
        Step("Python packages", lambda task: python_packages.install(task, places), after=before_python),
        Step("Go", tools.find_go, after=() if host.find_go(on_path("go", places)) else ("Python packages",)),
        Step("Pulumi", tools.pulumi, after=("Go",)),
        Step("plugins", tools.plugins, after=("Python packages",)),
    ]
    if native:
        # The longest build first.
        steps += [Step("cluster", tools.cluster, after=("Go",)), Step("ingress", tools.ingress, after=("Go",))]
    Runner(places.logs, screen).run(steps)


def fetch_python(places: Places, screen: Screen) -> None:
    """Only the Python environment: what unit tests and ./slipway need."""
    places.make()
    Runner(places.logs, screen).run([Step("Python packages", lambda task: python_packages.install(task, places))])


def look(places: Places, tools: Toolchain, native: bool) -> list[Problem]:
    """Everything that would make it fail later."""
    checks = [host.check_clone(places.clone), check_plugins(tools.plugins_source)]
    if native:
        checks += [host.check_system(host.system_name()), host.check_root(os.getuid())]
    problems = [problem for problem in checks if problem]
    if not problems and native:
        problems += look_at_ports(places)
    go = host.find_go(on_path("go", places))
    to_build = tools.to_build()
    problems += host.check_disk(needs(places, cold=bool(to_build)), host.free_gigabytes)
    registries: dict[str, str] = {}
    if not places.venv.is_dir() and not on_path("uv", places):
        registries["PyPI"] = python_packages.index_url()
    if go and to_build and (proxy := go_proxy(go)):
        registries[host.GO_PROXY] = proxy
    return problems + host.check_registries(registries)


def look_at_ports(places: Places) -> list[Problem]:
    """The ports of the cluster are free, or held by this clone's own cluster, or by one whose clone is gone."""
    processes = Processes(records(), places.logs)
    alive = {name: found.pid for name in processes.names() if (found := processes.get(name))}
    if alive and (other := other_clone(places)):
        return [
            Problem(
                f"the local cluster of another clone runs on this machine: {other}", f"make -C {quoted(other)} down"
            )
        ]
    return host.check_ports(host.listeners(), set(alive.values()))


def needs(places: Places, *, cold: bool) -> list[host.Need]:
    """What a start takes on disk, with what it compiles when nothing is in the cache."""
    in_clone = host.Need(places.clone, 3.0, "the cluster's data and Python packages")
    if not cold:
        return [in_clone]
    return [
        in_clone,
        host.Need(places.cache, 0.6, "programs"),
        host.Need(home() / ".cache" / "go-build", 9.0, "Go's caches"),
    ]


def finish(places: Places, screen: Screen) -> str:
    """The second half, with the packages of .venv: the cluster and the stack. What to tell at the end."""
    # Only now: the packages they need were not there in the first half.
    from .cluster import Cluster  # noqa: PLC0415
    from .data_images import DataImages  # noqa: PLC0415
    from .deploy import Deployment  # noqa: PLC0415

    context = stack_file.context(places.stack_file.read_text())
    tools = Toolchain(places, None)
    cluster = Cluster(places, tools.cached(CLUSTER) / "slipway-cluster", tools.cached(INGRESS) / "traefik")
    deployment = Deployment(places, context)
    steps = [*cluster.steps(), *DataImages(places).steps()] if context == CONTEXT else []
    Runner(places.logs, screen).run(steps + deployment.steps())
    return deployment.farewell()
