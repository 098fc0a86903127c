"""What a `docker:index/image:Image` says to build: its inputs checked, and its build context as one archive.

Paths in `build` are relative to the folder of the Pulumi program, which is the working folder of a plugin.
"""

import hashlib
import io
import os
import stat
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

from docker.utils.build import exclude_paths
from pulumi.provider.experimental.provider import CheckFailure

from local.plugins.provider import UNKNOWN, Refused

USE_THE_OFFICIAL_PLUGIN = "leave it out, or use the official docker plugin (make up PLUGINS=DIR)"

# What each object may hold. Anything else is refused: an input that is silently ignored is worse than none.
IMAGE_INPUTS = {"imageName", "build", "registry", "skipPush", "buildOnPreview"}
BUILD_INPUTS = {"context", "dockerfile", "args", "target", "platform", "builderVersion", "contextDigest"}
REGISTRY_INPUTS = {"server", "username", "password"}
BUILDER_VERSIONS = {"BuilderV1", "BuilderBuildKit"}


@dataclass(frozen=True)
class ImageSpec:
    """An Image's inputs, with defaults."""

    name: str
    context: str = "."
    dockerfile: str = "Dockerfile"
    args: Mapping[str, str] = field(default_factory=dict[str, str])
    target: str = ""
    platform: str = ""
    server: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    skip_push: bool = False
    build_on_preview: bool = False

    @classmethod
    def of(cls, inputs: Mapping[str, Any]) -> "ImageSpec":
        """Of `plain` inputs."""
        build, registry = section(inputs, "build"), section(inputs, "registry")
        context = build.get("context") or "."
        return cls(
            name=inputs.get("imageName") or "",
            context=context,
            dockerfile=build.get("dockerfile") or str(Path(context, "Dockerfile")),
            args=build.get("args") or {},
            target=build.get("target") or "",
            platform=build.get("platform") or "",
            server=registry.get("server") or "",
            username=registry.get("username") or "",
            password=registry.get("password") or "",
            skip_push=bool(inputs.get("skipPush")),
            build_on_preview=bool(inputs.get("buildOnPreview")),
        )

    @property
    def login(self) -> dict[str, str] | None:
        """For the registry; None leaves it to the login that `docker login` stored, if any."""
        if self.username and self.password:
            return {"username": self.username, "password": self.password}
        return None


def section(inputs: Mapping[str, Any], name: str) -> dict[str, Any]:
    """An object among the inputs; empty when it is missing or not known yet."""
    value = inputs.get(name)
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def mistakes(inputs: Mapping[str, Any]) -> list[CheckFailure]:
    """Everything that is wrong with the `plain` inputs of an Image, except what only the files can tell."""
    found = [
        CheckFailure(
            f"{where}{key}", f"{where}{key} is not supported by the offline docker plugin: {USE_THE_OFFICIAL_PLUGIN}"
        )
        for where, given, known in (
            ("", inputs, IMAGE_INPUTS),
            ("build.", section(inputs, "build"), BUILD_INPUTS),
            ("registry.", section(inputs, "registry"), REGISTRY_INPUTS),
        )
        for key in sorted(set(given) - known)
    ]
    spec = ImageSpec.of({key: value for key, value in inputs.items() if value != UNKNOWN})
    if not inputs.get("imageName"):
        found.append(CheckFailure("imageName", "imageName is missing: name the image, e.g. localhost:5000/api:1.2.0"))
    elif not spec.skip_push and inputs["imageName"] != UNKNOWN and not names_a_registry(spec.name):
        reason = f"imageName {spec.name!r} names no registry to push to: write e.g. docker.io/library/{spec.name}"
        found.append(CheckFailure("imageName", reason))
    builder = section(inputs, "build").get("builderVersion") or UNKNOWN
    if builder not in BUILDER_VERSIONS | {UNKNOWN}:
        reason = f"build.builderVersion is {builder!r}, but must be one of {', '.join(sorted(BUILDER_VERSIONS))}"
        found.append(CheckFailure("build.builderVersion", reason))
    return found


def names_a_registry(image_name: str) -> bool:
    """Docker's own rule: the part before the first slash is a host if it looks like one."""
    host, slash, _ = image_name.partition("/")
    return bool(slash) and ("." in host or ":" in host or host == "localhost")


# --- the build context ----------------------------------------------------------------------------------------------


def context_digest(spec: ImageSpec) -> str:
    """SHA-256 of exactly what the daemon would be sent, hence the same for the same files on every machine."""
    digest = hashlib.sha256()

    class Hasher(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: Any, /) -> int:
            digest.update(data)
            return len(data)

    write_context(spec, cast("IO[bytes]", Hasher()))
    return digest.hexdigest()


def write_context(spec: ImageSpec, to: IO[bytes]) -> str:
    """Writes the build context as a tar archive and returns the Dockerfile's name in it.

    Owners, times and all permissions but the executable bit are left out, so that a fresh clone or another umask makes
    the same archive. So are empty folders, which git does not keep either.
    """
    root, dockerfile = context_folder(spec), dockerfile_of(spec)
    inside = dockerfile.is_relative_to(root)
    name = dockerfile.relative_to(root).as_posix() if inside else f".dockerfile.{spec.target or 'image'}"
    files = {path: root / path for path in exclude_paths(str(root), ignore_patterns(root, dockerfile), dockerfile=name)}
    files[name] = dockerfile
    # w| writes a stream: nothing is sought, so the archive can be hashed on the way.
    with tarfile.open(fileobj=to, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(files):
            _add(archive, path, files[path])
    return name


def _add(archive: tarfile.TarFile, name: str, file: Path) -> None:
    mode = file.lstat().st_mode
    entry = tarfile.TarInfo(name)
    if stat.S_ISDIR(mode):
        return
    if stat.S_ISLNK(mode):
        entry.type, entry.mode, entry.linkname = tarfile.SYMTYPE, 0o777, str(file.readlink())
        archive.addfile(entry)
    elif stat.S_ISREG(mode):
        entry.mode = 0o755 if mode & stat.S_IXUSR else 0o644
        with file.open("rb") as content:
            entry.size = os.fstat(content.fileno()).st_size
            archive.addfile(entry, content)
    else:
        raise Refused(
            f"build context: {file} is neither a file, a folder nor a link: remove it or add it to .dockerignore"
        )


def context_folder(spec: ImageSpec) -> Path:
    folder = Path(spec.context).resolve()
    if not folder.is_dir():
        raise Refused(
            f"build.context {spec.context!r} is not a folder (looked in {Path.cwd()}): set it relative to the program"
        )
    return folder


def dockerfile_of(spec: ImageSpec) -> Path:
    file = Path(spec.dockerfile)
    if file.is_file():
        # Not resolved itself: a Dockerfile that is a link belongs to the context it is in.
        return file.parent.resolve() / file.name
    in_context = Path(spec.context, spec.dockerfile)
    hint = f"try setting `dockerfile` to {str(in_context)!r}" if in_context.is_file() else "set build.dockerfile"
    raise Refused(f"could not open dockerfile at {spec.dockerfile!r} (looked in {Path.cwd()}): {hint}")


def ignore_patterns(root: Path, dockerfile: Path) -> list[str]:
    """Of <Dockerfile>.dockerignore, else of the context's .dockerignore."""
    for file in (dockerfile.with_name(f"{dockerfile.name}.dockerignore"), root / ".dockerignore"):
        if file.is_file():
            lines = (line.strip() for line in file.read_text("utf-8").splitlines())
            return [line for line in lines if line and not line.startswith("#")]
    return []
