"""AppImage: app/ -> an image reference that names its content.

The tag is the hash of what the image is made from (paths, bytes, whether a file is executable, build arguments; not
what .dockerignore leaves out). So the reference is known before anything is built, a commit that only touches the
README rolls nothing, and neither a clone in another folder nor another umask makes a difference.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import shutil
import subprocess
from pathlib import Path, PurePosixPath

import pulumi
import pulumi_docker as docker
from settings import PROJECT, ROOT, Image

APP = ROOT / "app"
CA_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


class AppImage(pulumi.ComponentResource):
    """The image every service of a stack runs."""

    reference: pulumi.Output[str]
    """What a pod names: `repository:src-<hash>@sha256:<digest>`; in a preview of a build still without its digest."""
    version: pulumi.Output[str]
    """`src-<hash>`, or the start of the digest for an image built elsewhere. The app answers it on /version."""

    def __init__(self, name: str, image: Image, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:index:AppImage", name, None, opts)
        if image.source == "build":
            self._build(name, image)
        elif image.source == "prebuilt":
            self.reference = pulumi.Output.from_input(f"{image.repository}@{image.digest}")
            self.version = pulumi.Output.from_input(_short(str(image.digest)))
        else:
            self._promote(str(image.from_))
        self.register_outputs({"reference": self.reference, "version": self.version})

    def _build(self, name: str, image: Image) -> None:
        tag = content_tag(APP, {"target": image.target, "platform": image.platform})
        context = ROOT / ".slipway" / "context" / pulumi.get_stack()
        prepare(context, image, tag)
        built = docker.Image(
            name,
            image_name=f"{image.repository}:{tag}",
            build=docker.DockerBuildArgs(
                # Seen from infra/, where the engine runs the program: the same on every machine, unlike a full path.
                context=os.path.relpath(context, ROOT / "infra"),
                dockerfile=os.path.relpath(context / "Dockerfile", ROOT / "infra"),
                target=image.target,
                platform=image.platform,
                args={"VERSION": tag},
                builder_version=docker.BuilderVersion.BUILDER_BUILD_KIT,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.reference = pulumi.Output.all(built.image_name, built.repo_digest).apply(lambda both: pinned(*both))
        self.version = pulumi.Output.from_input(tag)

    def _promote(self, stack: str) -> None:
        outputs = pulumi.StackReference(
            f"{pulumi.get_organization()}/{PROJECT}/{stack}", opts=pulumi.ResourceOptions(parent=self)
        )
        self.reference = outputs.outputs.apply(lambda values: _promotable(values.get("image"), stack))
        self.version = self.reference.apply(lambda reference: _short(reference.partition("@")[2]))


def pinned(name: str, repo_digest: str) -> str:
    """`name@sha256:...` once pushed. Before that the provider gives a local image id, which no node could pull."""
    _, at, digest = repo_digest.partition("@")
    return f"{name}@{digest}" if at else name


def content_tag(folder: Path, arguments: dict[str, str]) -> str:
    """`src-` and 16 hex digits that change with any file of the build context or any build argument."""
    content = hashlib.sha256(repr(sorted(arguments.items())).encode())
    for path, file in sources(folder).items():
        content.update(f"{path}\0{_mode(file):o}\0{file.stat().st_size}\0".encode())
        content.update(file.read_bytes())
    return f"src-{content.hexdigest()[:16]}"


def prepare(context: Path, image: Image, tag: str) -> None:
    """Fill the folder the image is built from; `pulumi.RunError` if the app does not compile.

    It is a copy of app/ in which a file is either executable or not: Docker plugins hash file modes, and an image must
    not be built anew because somebody cloned with another umask.
    """
    shutil.rmtree(context, ignore_errors=True)
    for path, file in sources(APP).items():
        (context / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, context / path)
    if image.target == "prebuilt":
        (context / "dist").mkdir()
        shutil.copyfile(CA_CERTIFICATES, context / "dist" / "ca-certificates.crt")
        _compile(context, image.platform, tag)
    for path in context.rglob("*"):
        path.chmod(0o755 if path.is_dir() else _mode(path))


def sources(folder: Path) -> dict[str, Path]:
    """The files an image is made from, by path, in order: all but those .dockerignore names."""
    ignore = folder / ".dockerignore"
    lines = ignore.read_text().splitlines() if ignore.exists() else []
    # dist/ is made from the other files.
    patterns = ["dist", *(line.strip().rstrip("/") for line in lines if line.strip() and not line.startswith("#"))]
    files = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
    return {path: files[path] for path in sorted(files) if not any(_matches(path, pattern) for pattern in patterns)}


def _matches(path: str, pattern: str) -> bool:
    """Whether a pattern of .dockerignore names the file or a folder above it; `**/` also stands for no folder."""
    above = [path, *(parent.as_posix() for parent in PurePosixPath(path).parents)]
    return any(fnmatch.fnmatch(name, form) for name in above for form in (pattern, pattern.removeprefix("**/")))


def _compile(context: Path, platform: str, version: str) -> None:
    """Compile the copy of the app, here. The same source gives the same bytes, wherever the clone lies."""
    operating_system, architecture = platform.split("/")
    flags = ["-trimpath", "-buildvcs=false", "-ldflags", f"-s -w -X main.version={version}"]
    environment = {**os.environ, "CGO_ENABLED": "0", "GOOS": operating_system, "GOARCH": architecture}
    command = ["go", "build", *flags, "-o", "dist/api", "./cmd/api"]
    try:
        subprocess.run(command, cwd=context, env=environment, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise pulumi.RunError(
            "app/ cannot be compiled: there is no `go` on the PATH. Install Go, or set slipway:image.target: release."
        ) from None
    except subprocess.CalledProcessError as error:
        raise pulumi.RunError(f"app/ does not compile:\n{error.stderr.strip()}") from None


def _mode(file: Path) -> int:
    """Of a file's mode only "executable" counts: the rest is the umask of whoever cloned."""
    return 0o755 if file.stat().st_mode & 0o100 else 0o644


def _promotable(reference: str | None, stack: str) -> str:
    if reference and "@sha256:" in reference:
        return reference
    raise pulumi.RunError(
        f"slipway:image: stack {stack} runs {reference or 'nothing yet'}; only an image with a digest can be promoted. "
        f"Run `pulumi up -s {stack}` first, or set source: prebuilt and digest."
    )


def _short(digest: str) -> str:
    """A digest as a label value: `sha256-` and 16 digits."""
    return digest.replace(":", "-")[:23]
