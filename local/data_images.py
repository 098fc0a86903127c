"""Images of MySQL and Redis for the local cluster, made of Debian packages: nothing is pulled from a registry.

MariaDB stands in for MySQL: Debian has no MySQL. An image holds the programs named here, the libraries they load and
the data they read. Each is kept in the cache under a name that tells its packages' versions, and pushed to the local
registry; .slipway/images says which digest that gave (`slipway:imageFiles` in the stack file).
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import yaml

from .debian import path, which
from .downloads import architecture, in_cache
from .names import REGISTRY
from .places import Places, write
from .problems import Problem
from .progress import Step, Task

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
# The user of every pod of the stack.
USER = 65532

LISTS = Path("/var/lib/apt/lists")
# Change this with the code below that fills an image: what is in the cache is then made anew.
RULES = "1"
# Where Debian 12 and older have these folders, newer ones have links.
UNMERGED = ("bin", "sbin", "lib", "lib64")
# What maintainer scripts need, which are not run here, and scripts in Perl, which are not taken.
NOT_TAKEN = re.compile(
    r"(adduser|debconf|debianutils|dpkg|init-system-helpers|lib(audit|db|gdbm|pam|perl|semanage|sepol)|lib.+-perl_"
    r"|lsb-base|passwd|perl|sysvinit-utils|tar_|usrmerge)"
)
LIBRARIES = re.compile(
    r"usr/lib/[^/]+-linux-gnu/(?!gconv/|perl).+|usr/lib(64)?/ld-linux[^/]*|usr/share/doc/[^/]+/copyright"
)
SHELL = {"sh": "dash"}
COMMANDS = (
    "dash", "basename", "cat", "chmod", "chown", "cut", "date", "dirname", "gzip", "head", "ls", "mkdir", "mktemp",
    "mv", "rm", "sed", "sha256sum", "sort", "tail", "touch", "tr", "uname", "uniq",
)  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """One image: the packages it is made of, and what of them it keeps."""

    name: str
    title: str
    packages: tuple[str, ...]
    programs: tuple[str, ...]
    links: Mapping[str, str]
    """Other names of programs."""
    data: str
    """Folders the programs read, as a regular expression."""


RECIPES = {
    "mysql": Recipe(
        name="mariadb", title="MariaDB from Debian packages, in place of MySQL",
        packages=("mariadb-server-core", "mariadb-client", "dash", "coreutils", "sed", "gzip"),
        programs=("mariadbd", "mariadb-install-db", "my_print_defaults", "resolveip", "mariadb", "mariadb-admin",
                  "mariadb-dump", *COMMANDS),
        links={"mysqld": "../sbin/mariadbd", "mysql": "mariadb", "mysqladmin": "mariadb-admin",
               "mysqldump": "mariadb-dump", **SHELL},
        data=r"usr/(share/mysql|lib/mysql)/.+",
    ),
    "redis": Recipe(
        name="redis", title="Redis from Debian packages",
        packages=("redis-server", "redis-tools", "dash", "coreutils"),
        programs=("redis-server", "redis-check-rdb", "redis-cli", "dash", "cat", "cut", "sha256sum"), links=SHELL,
        data=r"(?!)",
    ),
}  # fmt: skip


class DataImages:
    """The images the local stack's backing services run, as far as its file names none."""

    def __init__(self, places: Places) -> None:
        self.places = places

    def steps(self) -> list[Step]:
        return [Step("data images", self.provide, after=("containers",))]

    def provide(self, task: Task) -> str | None:
        """Build what is not in the cache, push what is not in the registry, write down what pods are to run."""
        told = [text for service in wanted(self.places.stack_file) if (text := self._provide(task, service))]
        return "; ".join(told) or None

    def _provide(self, task: Task, service: str) -> str | None:
        recipe = RECIPES[service]
        tag = tag_of(recipe, resolve(task, recipe, self.places))
        folder = self.places.cache / f"image-{recipe.name}-{tag}"
        is_new = not folder.is_dir()
        if is_new:
            task.say(f"making the image of {recipe.title}")
        in_cache(folder, partial(build, task, recipe))
        pushed = push(folder, f"slipway/{recipe.name}", tag)
        digest = hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
        reference = f"localhost:{REGISTRY.partition(':')[2]}/slipway/{recipe.name}:{tag}@sha256:{digest}"
        changed = write(self.places.images / service, reference)
        done = "made" if is_new else "pushed" if pushed else "named" if changed else ""
        return f"{done} {recipe.name} {tag} ({recipe.title})" if done else None


def wanted(stack_file: Path) -> list[str]:
    """The backing services a stack runs itself with images of ours."""
    config: dict[str, Any] = (yaml.safe_load(stack_file.read_text()) or {}).get("config") or {}
    sections = {service: config.get(f"slipway:{service}") for service in RECIPES if "slipway:imageFiles" in config}
    return [
        service
        for service, section in sections.items()
        if isinstance(section, dict) and section.get("source", "cluster") == "cluster" and not section.get("image")
    ]


# --- packages


def resolve(task: Task, recipe: Recipe, places: Places) -> list[str]:
    """File names of all packages, with their versions, that a machine without any would need."""
    if not which("apt-get") or not which("dpkg-deb"):
        raise Problem(
            f"the image of {recipe.title} is made with apt-get and dpkg-deb, which are not here",
            "name an image under slipway:mysql and slipway:redis in stacks/Pulumi.local.yaml, or take both out",
        )
    folder = places.cache / "apt"
    command = apt(folder, "--print-uris", "install", *recipe.packages)
    # apt takes seconds to work this out, and the answer is the same until it knows of other packages.
    known = folder / f"{recipe.name}-{state_of(LISTS, recipe.packages)}"
    if not known.is_file():
        try:
            uris = task.read(command, env=environment())
        except Problem:  # the lists of packages were never fetched
            fix = f"read {task.log}; check the network and /etc/apt/sources.list, then run `make up` again"
            task.run(["apt-get", "update", "-q"], env=environment(), fix=fix)
            uris = task.read(command, env=environment())
            known = folder / f"{recipe.name}-{state_of(LISTS, recipe.packages)}"
        write(known, "\n".join(taken(uris)))
    return known.read_text().splitlines()


def state_of(lists: Path, packages: tuple[str, ...]) -> str:
    """12 hex digits that change when apt has fetched other lists of packages."""
    files = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in sorted(lists.glob("*"))]
    return hashlib.sha256(repr((files, packages, NOT_TAKEN.pattern)).encode()).hexdigest()[:12]


def taken(uris: str) -> list[str]:
    """Of the lines `'URL' FILE SIZE HASH` that apt prints, the files an image is made of."""
    names = re.findall(r"^'\S+' (\S+\.deb) ", uris, re.MULTILINE)
    return sorted(name for name in names if not NOT_TAKEN.match(name))


def tag_of(recipe: Recipe, packages: list[str]) -> str:
    """`10.11.19-1f2e3d4c5b6a`: the version people know, and a hash of all the rest."""
    server = next(name for name in packages if re.match("mariadb-server-core|redis-server", name))
    version = re.sub(r"^\d+%3a", "", server.split("_")[1])
    content = hashlib.sha256("\n".join([RULES, repr(recipe), *packages]).encode()).hexdigest()
    return f"{re.split('[-+~]', version)[0]}-{content[:12]}"


def apt(folder: Path, *arguments: str) -> list[str]:
    """apt-get as on a machine without a single package, and with a cache of its own."""
    (folder / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    (folder / "status").touch()
    options = {"Dir::State::status": folder / "status", "Dir::Cache": folder, "APT::Sandbox::User": "root"}
    options |= {"Acquire::http::Timeout": 20, "Acquire::Retries": 2, "APT::Install-Recommends": "false"}
    return ["apt-get", "-q", "-y", *(f"-o{name}={value}" for name, value in options.items()), *arguments]


def environment() -> dict[str, str]:
    return dict(os.environ) | {"DEBIAN_FRONTEND": "noninteractive", "PATH": path(), "LC_ALL": "C"}


# --- image


def build(task: Task, recipe: Recipe, folder: Path) -> None:
    """Fill the folder with manifest.json and the blobs it names, each called by its digest."""
    downloads = folder / "apt"
    command = apt(downloads, "--download-only", "install", *recipe.packages)
    task.run(command, env=environment(), fix=f"read {task.log}; check the network, then run `make up` again")
    packages = [file for file in sorted((downloads / "archives").glob("*.deb")) if not NOT_TAKEN.match(file.name)]
    tar = folder / "layer.tar"
    pack(tar, recipe, packages)
    layer = folder / "layer.tar.gz"
    with tar.open("rb") as plain, layer.open("wb") as file, gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:
        content = hashlib.file_digest(plain, "sha256").hexdigest()
        plain.seek(0)
        shutil.copyfileobj(plain, packed)
    tar.unlink()
    shutil.rmtree(downloads)
    config = json.dumps({
        "architecture": architecture(), "os": "linux", "created": "1970-01-01T00:00:00Z",
        "config": {
            "User": f"{USER}:{USER}", "Env": ["PATH=/usr/sbin:/usr/bin"], "WorkingDir": "/",
            "Labels": {"org.opencontainers.image.title": recipe.title},
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{content}"]},
    })  # fmt: skip
    (folder / "config").write_text(config)
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": _blob(folder / "config", CONFIG)}
    (folder / "manifest.json").write_text(json.dumps(manifest | {"layers": [_blob(layer, LAYER)]}))


def _blob(file: Path, media_type: str) -> dict[str, Any]:
    """The file renamed to its digest, as a manifest names it."""
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    file = file.rename(file.with_name(digest))
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": file.stat().st_size}


def pack(tar: Path, recipe: Recipe, packages: list[Path]) -> None:
    """The root file system: what the packages have of the recipe, all of it root's and of one date."""
    links = {f"usr/bin/{name}": target for name, target in recipe.links.items()}
    links |= {name: f"usr/{name}" for name in UNMERGED}
    there = set(links)
    with tarfile.open(tar, "w", format=tarfile.GNU_FORMAT) as image:
        for name in ("usr", "usr/lib64", "tmp"):
            image.addfile(_entry(name, tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755))
        for name, target in links.items():
            image.addfile(_entry(name, tarfile.SYMTYPE, 0o777, target))
        _add_text(image, "etc/passwd", f"root:x:0:0::/:/bin/sh\nslipway:x:{USER}:{USER}::/:/bin/sh\n")
        _add_text(image, "etc/group", f"root:x:0:\nslipway:x:{USER}:\n")
        for package in packages:
            # Where scanners look for what an image without a package manager is made of.
            control = subprocess.run(
                ["dpkg-deb", "--field", package], capture_output=True, text=True, check=True
            ).stdout
            _add_text(image, f"var/lib/dpkg/status.d/{package.name.partition('_')[0]}", control)
            for member, content in _members(package):
                if member.name not in there and _is_kept(member, recipe):
                    there.add(member.name)
                    image.addfile(member, content)
    programs = {Path(name).name for name in there if Path(name).parent.name in ("bin", "sbin")}
    if missing := set(recipe.programs) - programs:
        raise Problem(
            f"the Debian packages of this machine do not have {', '.join(sorted(missing))}",
            f"name an image of {recipe.title} in stacks/Pulumi.local.yaml instead",
        )


def _members(package: Path) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    """Files and links of a package, at their places in a system whose /bin is /usr/bin."""
    unpacking = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE)
    with unpacking, tarfile.open(fileobj=unpacking.stdout, mode="r|") as files:
        for member in files:
            if not member.isdir():
                target = _merged(member.linkname) if member.islnk() else member.linkname
                entry = _entry(_merged(member.name), member.type, member.mode & 0o755, target)
                entry.size = member.size
                yield entry, files.extractfile(member) if member.isfile() else None
    if unpacking.returncode:
        raise Problem(f"{package.name} cannot be unpacked", "run `make up` again: it is fetched once more")


def _merged(name: str) -> str:
    name = name.removeprefix("./").lstrip("/")
    return f"usr/{name}" if name.partition("/")[0] in UNMERGED else name


def _is_kept(member: tarfile.TarInfo, recipe: Recipe) -> bool:
    if Path(member.name).parent.name in ("bin", "sbin"):
        return Path(member.name).name in recipe.programs
    return bool(LIBRARIES.fullmatch(member.name) or re.fullmatch(recipe.data, member.name))


def _entry(name: str, kind: bytes, mode: int, target: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.linkname = kind, mode, target
    return entry


def _add_text(image: tarfile.TarFile, name: str, text: str) -> None:
    entry = _entry(name, tarfile.REGTYPE, 0o644)
    entry.size = len(text.encode())
    image.addfile(entry, io.BytesIO(text.encode()))


# --- registry


def push(folder: Path, repository: str, tag: str) -> bool:
    """Put the image there under the tag; False if the registry has it already."""
    manifest = (folder / "manifest.json").read_bytes()
    digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
    at = f"/v2/{repository}"
    if (
        _ask("HEAD", f"{at}/manifests/{tag}", (200, 404), headers={"Accept": MANIFEST}).get("Docker-Content-Digest")
        == digest
    ):
        return False
    described: dict[str, Any] = json.loads(manifest)
    for blob in (*described["layers"], described["config"]):
        upload = _ask("POST", f"{at}/blobs/uploads/", (202,))["Location"]
        with (folder / blob["digest"].partition(":")[2]).open("rb") as content:
            length = {"Content-Length": str(blob["size"]), "Content-Type": "application/octet-stream"}
            _ask("PUT", f"{upload}&digest={blob['digest']}", (201,), content, length)
    _ask("PUT", f"{at}/manifests/{tag}", (201,), io.BytesIO(manifest), {"Content-Type": MANIFEST})
    return True


def _ask(
    method: str,
    url: str,
    expected: tuple[int, ...],
    body: IO[bytes] | None = None,
    headers: Mapping[str, str] | None = None,
) -> http.client.HTTPMessage:
    """Headers of the local registry's answer."""
    connection = http.client.HTTPConnection(REGISTRY, timeout=60)
    try:
        connection.request(method, url.removeprefix(f"http://{REGISTRY}"), body, dict(headers or {}))
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
    except OSError as error:
        raise Problem(f"the local registry {REGISTRY} cannot be reached: {error}", "make down && make up") from error
    finally:
        connection.close()
    if answer.status not in expected:
        raise Problem(
            f"the local registry answers {answer.status} to {method} {url}: {text[:200]}", "make down && make up"
        )
    return answer.headers
