"""Sources of the image: the files of app/, the hash that names them, and a copy of them to build from.

The hash covers paths, bytes, whether a file is executable, and build arguments, but no files that .dockerignore
excludes. It is the same in every clone, with every umask and on every machine.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path, PurePosixPath

import certifi
import pulumi

from slipway.project import ROOT
from slipway.settings.sections.stack import Image

APP = ROOT / "app"
# Not those of this machine: an image must not depend on who builds it.
CA_CERTIFICATES = Path(certifi.where())


def arguments(image: Image) -> dict[str, str]:
    """Return the build arguments that change an image besides the files of app/."""
    target = "prebuilt" if image.is_compiled_here else image.target
    certificates = hashlib.sha256(CA_CERTIFICATES.read_bytes()).hexdigest() if image.is_compiled_here else ""
    return {"builder": image.builder, "target": target, "platform": image.platform, "certificates": certificates}


def content_tag(folder: Path, arguments: dict[str, str]) -> str:
    """Return `src-` and 16 hex digits that change with any file of the build context or any build argument."""
    content = hashlib.sha256(repr(sorted(arguments.items())).encode())
    for path, file in sources(folder).items():
        content.update(f"{path}\0{_mode(file):o}\0{file.stat().st_size}\0".encode())
        content.update(file.read_bytes())
    return f"src-{content.hexdigest()[:16]}"


def prepare(context: Path, image: Image, tag: str) -> None:
    """Fill an empty folder with a copy of app/ to build from. Raises `pulumi.RunError` if the app does not compile.

    Of the file modes only the executable bit is kept: Docker plugins hash modes, and an image must not be built again
    because somebody cloned with another umask.
    """
    for path, file in sources(APP).items():
        (context / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, context / path)
    if image.is_compiled_here:
        (context / "dist").mkdir()
        shutil.copyfile(CA_CERTIFICATES, context / "dist" / "ca-certificates.crt")
        _compile(context, image.platform, tag)
    for path in context.rglob("*"):
        path.chmod(0o755 if path.is_dir() else _mode(path))


def sources(folder: Path) -> dict[str, Path]:
    """Return the files of the build context by path, in order: all but those that .dockerignore excludes."""
    ignore = folder / ".dockerignore"
    lines = ignore.read_text().splitlines() if ignore.exists() else []
    # dist/ is built from the other files.
    patterns = ["dist", *(line.strip().rstrip("/") for line in lines if line.strip() and not line.startswith("#"))]
    # `**/` also matches without any folder.
    forms = {form for pattern in patterns for form in (pattern, pattern.removeprefix("**/"))}
    ignored = re.compile("|".join(map(fnmatch.translate, forms)))
    files = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
    return {path: files[path] for path in sorted(files) if not any(map(ignored.match, _with_folders(path)))}


def _with_folders(path: str) -> list[str]:
    """Return the path and each folder above it: a pattern that matches any of them matches the file."""
    return [path, *(parent.as_posix() for parent in PurePosixPath(path).parents)]


def _compile(context: Path, platform: str, version: str) -> None:
    """Compile the copy of the app on this machine. The same source gives the same bytes on every machine."""
    operating_system, architecture = platform.split("/")
    compiler = toolchain(context / "go.mod")
    environment = {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOOS": operating_system,
        "GOARCH": architecture,
        # Also overrides the user's own flags and workspace.
        "GOFLAGS": "-trimpath -buildvcs=false",
        "GOWORK": "off",
        "GOTOOLCHAIN": compiler,
    }
    command = ["go", "build", "-ldflags", f"-s -w -X main.version={version}", "-o", "dist/api", "./cmd/api"]
    try:
        subprocess.run(command, cwd=context, env=environment, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise pulumi.RunError(
            "app/ cannot be compiled: there is no `go` on the PATH. Install Go, or set "
            "slipway:image.builder: docker and target: release."
        ) from None
    except subprocess.CalledProcessError as error:
        raise pulumi.RunError(_compile_error(error.stderr.strip(), compiler)) from None


def _compile_error(output: str, compiler: str) -> str:
    """Return the message for a failed `go build`: the code is wrong, or the compiler could not be downloaded."""
    if f"download {compiler}" in output:
        return (
            f"app/ cannot be compiled: it needs {compiler} (app/go.mod: toolchain), and Go could not download it:\n"
            f"{output}\nInstall that version, or let Go reach a module proxy that has it (`go env -w GOPROXY=URL`)."
        )
    return f"app/ does not compile ({compiler}, as app/go.mod has it):\n{output}"


def toolchain(go_mod: Path) -> str:
    """Return the `toolchain` of a go.mod, e.g. go1.27.3, as GOTOOLCHAIN takes it; `local` if it has none.

    It applies even where GOTOOLCHAIN is `local`: another compiler makes other bytes, and an old one has known
    vulnerabilities. Go downloads it from the module proxy unless it is that version itself.
    """
    match = re.search(r"^toolchain (\S+)", go_mod.read_text(), re.MULTILINE)
    return match[1] if match else "local"


def _mode(file: Path) -> int:
    """Reduce the mode to its executable bit, so that the umask of a checkout does not change the hash."""
    return 0o755 if file.stat().st_mode & 0o100 else 0o644
