"""Build images of servers for the local cluster from Debian packages (recipes.py), without pulling from a registry.

An image contains the programs of its recipe, the libraries they load and the data they read. It is cached under the
versions of its packages, and pushed to the registry of the stack, or loaded as the stack's own images are (`load`). The
files in .slipway/images contain the resulting references (`slipway:imageFiles` in the stack file).
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any

import yaml

from local.bootstrap.debian import apt_environment, which
from local.bootstrap.downloads import architecture, cached_folder
from local.errors import SetupError
from local.node.images import add_bytes
from local.node.names import LOCAL_REPOSITORIES
from local.node.recipes import RECIPES, Recipe
from local.paths import ClonePaths, write
from local.progress import Task
from slipway.image.oci import CONFIG, MANIFEST, Blob, OciImage
from slipway.settings.names import MONITORING, MONITORING_IMAGES, SERVERS

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
# The user of every pod of the stack.
USER = 65532

LISTS = Path("/var/lib/apt/lists")
# Part of each image's hash. Change it together with the code that fills an image, so that cached images are rebuilt.
RULES = "1"
# Folders in Debian 12 and older, links to /usr in newer versions.
UNMERGED = ("bin", "sbin", "lib", "lib64")
# Packages for maintainer scripts, which are not run here, and for Perl scripts and pages, which images do not contain.
EXCLUDED_PACKAGES = re.compile(
    r"(adduser|debconf|debianutils|dpkg|init-system-helpers|lib(audit|db|gdbm|pam|perl|semanage|sepol)|lib.+-perl_"
    r"|lsb-base|passwd|perl|sysvinit-utils|tar_|usrmerge|fonts-|javascript-common|libjs-|openssl_|tzdata_)"
)
LIBRARIES = re.compile(
    r"usr/lib/[^/]+-linux-gnu/(?!gconv/|perl).+|usr/lib(64)?/ld-linux[^/]*|usr/share/doc/[^/]+/copyright"
)


def provide(task: Task, paths: ClonePaths, repositories: str, context: str) -> str | None:
    """Build missing images, deliver them to the cluster of a context, and write their references for the program.

    They are pushed to repositories below a path, or loaded into the nodes.
    """
    target = load_target(paths.stack_file)
    servers = servers_to_build(paths.stack_file)
    messages = [_provide_image(task, paths, server, repositories, target, context) for server in servers]
    return "; ".join(message for message in messages if message) or None


def _provide_image(  # noqa: PLR0917 - one line of a list calls it
    task: Task, paths: ClonePaths, server: str, repositories: str, target: str, context: str
) -> str | None:
    recipe = RECIPES[server]
    repository = f"{repositories}/{recipe.name}"
    tag = tag_of(recipe, resolve(task, recipe, paths))
    folder = paths.cache / f"image-{recipe.name}-{tag}"
    is_new = not folder.is_dir()
    if is_new:
        task.report(f"building the image of {recipe.title}")
    cached_folder(folder, partial(build, task, recipe))
    is_delivered = deliver(folder, repository, tag, target, context)
    digest = hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    changed = write(paths.images / server, f"{repository}:{tag}@sha256:{digest}")
    delivered = "loaded" if target else "pushed"
    done = "built" if is_new else delivered if is_delivered else "recorded" if changed else ""
    return f"{done} {recipe.name} {tag} ({recipe.title})" if done else None


def load_target(file: Path) -> str:
    """Return where all images of a stack file are loaded; empty if one of them is pushed to a registry."""
    config = _stack_config(file)
    images: list[Any] = [config.get("slipway:image"), *(config.get("slipway:images") or {}).values()]
    targets = {str(image.get("load") or "") for image in images if isinstance(image, dict)}
    return targets.pop() if len(targets) == 1 else ""


def _stack_config(file: Path) -> dict[str, Any]:
    return (yaml.safe_load(file.read_text()) or {}).get("config") or {}


def servers_to_build(stack_file: Path) -> list[str]:
    """Return the servers that a stack file runs in the cluster without naming their image."""
    config = _stack_config(stack_file)
    if "slipway:imageFiles" not in config:
        return []
    sections: dict[str, Any] = {store: config.get(f"slipway:{store}") for store in SERVERS}
    stores = [name for name, section in sections.items() if _runs_here(section, "cluster") and not section.get("image")]
    return stores + _monitoring_to_build(config.get("slipway:monitoring"))


def _monitoring_to_build(section: Any) -> list[str]:
    """Return the servers of `slipway:monitoring` whose image it does not name."""
    if not _runs_here(section, "none"):
        return []
    needed = MONITORING if section.get("receivers") else MONITORING[:1]
    return [name for name in needed if not section.get(MONITORING_IMAGES[name])]


def _runs_here(section: Any, default: str) -> bool:
    """Return whether the stack itself runs the servers of a section."""
    return isinstance(section, dict) and section.get("source", default) == "cluster"


# --- packages


def resolve(task: Task, recipe: Recipe, paths: ClonePaths) -> list[str]:
    """Return the file names of all packages of an image, which contain their versions."""
    if not which("apt-get") or not which("dpkg-deb"):
        raise SetupError(
            f"the image of {recipe.title} is built with apt-get and dpkg-deb, which are missing",
            "name images under slipway:mysql, slipway:redis and slipway:monitoring in stacks/Pulumi.local.yaml, or "
            "remove these sections",
        )
    folder = paths.cache / "apt"
    command = apt(folder, "--print-uris", "install", *recipe.packages)
    # apt takes seconds to resolve this, with the same result until the package lists change.
    resolved = folder / f"{recipe.name}-{lists_hash(LISTS, recipe.packages)}"
    if not resolved.is_file():
        try:
            uris = task.read(command, env=apt_environment())
        except SetupError:  # the package lists were never fetched
            fix = f"read {task.log}; check the network and /etc/apt/sources.list, then run `make up` again"
            task.run(["apt-get", "update", "-q"], env=apt_environment(), fix=fix)
            uris = task.read(command, env=apt_environment())
            resolved = folder / f"{recipe.name}-{lists_hash(LISTS, recipe.packages)}"
        write(resolved, "\n".join(package_files(uris)))
    return resolved.read_text().splitlines()


def lists_hash(lists: Path, packages: tuple[str, ...]) -> str:
    """Return 12 hex digits that change when apt has fetched other package lists."""
    files = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in sorted(lists.glob("*"))]
    return hashlib.sha256(repr((files, packages, EXCLUDED_PACKAGES.pattern)).encode()).hexdigest()[:12]


def package_files(uris: str) -> list[str]:
    """Return the package files of an image from the lines `'URL' FILE SIZE HASH` that apt prints."""
    names = re.findall(r"^'\S+' (\S+\.deb) ", uris, re.MULTILINE)
    return sorted(name for name in names if not EXCLUDED_PACKAGES.match(name))


def tag_of(recipe: Recipe, packages: list[str]) -> str:
    """Return the server's version and a hash of everything else, as `10.11.19-1f2e3d4c5b6a`."""
    server = next(name for name in packages if name.startswith(recipe.packages[0]))
    version = re.sub(r"^\d+%3a", "", server.split("_")[1])
    content = hashlib.sha256("\n".join([RULES, repr(recipe), *packages]).encode()).hexdigest()
    return f"{re.split('[-+~]', version)[0]}-{content[:12]}"


def apt(folder: Path, *arguments: str) -> list[str]:
    """Return an apt-get command that sees no installed packages and uses its own cache."""
    (folder / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    (folder / "status").touch()
    options = {"Dir::State::status": folder / "status", "Dir::Cache": folder, "APT::Sandbox::User": "root"}
    options |= {"Acquire::http::Timeout": 20, "Acquire::Retries": 2, "APT::Install-Recommends": "false"}
    return ["apt-get", "-q", "-y", *(f"-o{name}={value}" for name, value in options.items()), *arguments]


# --- image


def build(task: Task, recipe: Recipe, folder: Path) -> None:
    """Fill the folder with manifest.json and its blobs, which are named by their digests."""
    downloads = folder / "apt"
    command = apt(downloads, "--download-only", "install", *recipe.packages)
    task.run(command, env=apt_environment(), fix=f"read {task.log}; check the network, then run `make up` again")
    packages = [
        file for file in sorted((downloads / "archives").glob("*.deb")) if not EXCLUDED_PACKAGES.match(file.name)
    ]
    tar = folder / "layer.tar"
    pack(tar, recipe, packages)
    layer = folder / "layer.tar.gz"
    with tar.open("rb") as plain, layer.open("wb") as file, gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:
        content = hashlib.file_digest(plain, "sha256").hexdigest()
        plain.seek(0)
        shutil.copyfileobj(plain, packed)
    tar.unlink()
    shutil.rmtree(downloads)
    (folder / "config").write_text(_config(recipe, content))
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": _blob(folder / "config", CONFIG)}
    (folder / "manifest.json").write_text(json.dumps(manifest | {"layers": [_blob(layer, LAYER)]}))


def _config(recipe: Recipe, layer_digest: str) -> str:
    return json.dumps({
        "architecture": architecture(), "os": "linux", "created": "1970-01-01T00:00:00Z",
        "config": {
            "User": f"{USER}:{USER}", "Env": ["PATH=/usr/sbin:/usr/bin"], "WorkingDir": "/",
            "Labels": {"org.opencontainers.image.title": recipe.title},
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]},
    })  # fmt: skip


def _blob(file: Path, media_type: str) -> dict[str, Any]:
    """Rename the file to its digest, and return its descriptor for the manifest."""
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    file = file.rename(file.with_name(digest))
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": file.stat().st_size}


def pack(tar: Path, recipe: Recipe, packages: list[Path]) -> None:
    """Write the root file system: the files of the recipe, all owned by root and with one date."""
    links = {name if "/" in name else f"usr/bin/{name}": target for name, target in recipe.links.items()}
    links |= {name: f"usr/{name}" for name in UNMERGED}
    added = set(links)
    with tarfile.open(tar, "w", format=tarfile.GNU_FORMAT) as image:
        for name in ("usr", "usr/lib64", "tmp"):
            image.addfile(_entry(name, tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755))
        for name, target in links.items():
            image.addfile(_entry(name, tarfile.SYMTYPE, 0o777, target))
        _add_text(image, "etc/passwd", f"root:x:0:0::/:/bin/sh\nslipway:x:{USER}:{USER}::/:/bin/sh\n")
        _add_text(image, "etc/group", f"root:x:0:\nslipway:x:{USER}:\n")
        for package in packages:
            # Scanners look here for the packages of an image without a package manager.
            control = subprocess.run(
                ["dpkg-deb", "--field", package], capture_output=True, text=True, check=True
            ).stdout
            _add_text(image, f"var/lib/dpkg/status.d/{package.name.partition('_')[0]}", control)
            for member, content in _members(package):
                if member.name not in added and _is_included(member, recipe):
                    added.add(member.name)
                    image.addfile(member, content)
    programs = {Path(name).name for name in added if Path(name).parent.name in ("bin", "sbin")}
    if missing := set(recipe.programs) - programs:
        raise SetupError(
            f"the Debian packages of this machine do not contain {', '.join(sorted(missing))}",
            f"name an image of {recipe.title} in stacks/Pulumi.local.yaml instead",
        )


def _members(package: Path) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    """Yield the files and links of a package, with their paths in a system whose /bin is /usr/bin."""
    unpacking = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE)
    with unpacking, tarfile.open(fileobj=unpacking.stdout, mode="r|") as files:
        for member in files:
            if not member.isdir():
                target = _usr_path(member.linkname) if member.islnk() else member.linkname
                entry = _entry(_usr_path(member.name), member.type, member.mode & 0o755, target)
                entry.size = member.size
                yield entry, files.extractfile(member) if member.isfile() else None
    if unpacking.returncode:
        raise SetupError(f"{package.name} cannot be unpacked", "run `make up` again, which downloads it again")


def _usr_path(name: str) -> str:
    name = name.removeprefix("./").lstrip("/")
    return f"usr/{name}" if name.partition("/")[0] in UNMERGED else name


def _is_included(member: tarfile.TarInfo, recipe: Recipe) -> bool:
    if Path(member.name).parent.name in ("bin", "sbin"):
        return Path(member.name).name in recipe.programs
    return bool(LIBRARIES.fullmatch(member.name) or re.fullmatch(recipe.data, member.name))


def _entry(name: str, kind: bytes, mode: int, target: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.linkname = kind, mode, target
    return entry


def _add_text(image: tarfile.TarFile, name: str, text: str) -> None:
    add_bytes(image, _entry(name, tarfile.REGTYPE, 0o644), text.encode())


# --- registry, or the node itself


def deliver(folder: Path, repository: str, tag: str, target: str = "", context: str = "") -> bool:
    """Push the image under the tag, or load it into the nodes of a target. Return False if it is there already."""
    # Imported late: these take a second, in which the cluster starts.
    import pulumi  # noqa: PLC0415

    from slipway.image import load, registry  # noqa: PLC0415

    manifest = Blob(MANIFEST, (folder / "manifest.json").read_bytes())
    try:
        # Asked before the layers are read, which have a hundred megabytes.
        if load.has(manifest, target, repository) if target else registry.has(manifest, repository, tag):
            return False
        image = _image(folder, manifest)
        if target:
            return load.load(image, target, context, repository, tag)
        return registry.push(image, repository, tag)
    except pulumi.RunError as error:
        native = repository.startswith(f"{LOCAL_REPOSITORIES}/")
        fix = "make down && make up" if native else "correct that, then run `make up` again"
        raise SetupError(str(error), fix) from None


def _image(folder: Path, manifest: Blob) -> OciImage:
    parsed: dict[str, Any] = json.loads(manifest.content)
    named = [*parsed["layers"], parsed["config"]]
    blobs = [Blob(blob["mediaType"], (folder / blob["digest"].partition(":")[2]).read_bytes()) for blob in named]
    return OciImage(manifest, tuple(blobs))
