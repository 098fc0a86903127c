"""Create the Python environment of the clone, with uv where it is available, else with pip."""

from __future__ import annotations

import ast
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from local.bootstrap.host import check_registries
from local.errors import SetupError
from local.paths import ClonePaths, home, write
from local.progress import Task

UV_VERSION = "0.13.8"


def install(task: Task, paths: ClonePaths) -> str:
    """Create or update .venv according to requirements*.txt."""
    stamp = paths.venv / "slipway-installed"
    expected = fingerprint(paths.clone)
    if stamp.is_file() and stamp.read_text() == expected and works(paths.python):
        stamp.touch()  # `make` compares its time
        compile_modules(paths)
        return f".venv is up to date (Python {sys.version.split()[0]})"
    uv = find_uv(task, paths)
    if not works(paths.python):
        create_environment(task, paths, uv)
    pip_install(task, paths, uv, *requirements(paths.clone))
    task.run([paths.python, "-m", "local.bootstrap.bytecode"], cwd=paths.clone)
    write(stamp, expected)
    return f".venv created with {f'uv ({uv})' if uv else 'pip'}, Python {sys.version.split()[0]}"


def create_environment(task: Task, paths: ClonePaths, uv: Path | None) -> None:
    shutil.rmtree(paths.venv, ignore_errors=True)
    create = [uv, "venv", "-q", "--python", sys.executable] if uv else [sys.executable, "-m", "venv"]
    task.run([*create, paths.venv], env=environment(paths, uv))


def compile_modules(paths: ClonePaths) -> None:
    """Compile the changed modules of this clone. A failure costs only speed."""
    folders = [paths.clone / name for name in ("infra", "local", "policy")]
    subprocess.run([paths.python, "-m", "compileall", "-q", *folders], capture_output=True, check=False)


def pip_install(task: Task, paths: ClonePaths, uv: Path | None, *arguments: str | Path) -> None:
    """Run `pip install` in .venv. Raise SetupError that names the index if it cannot be reached."""
    installer: list[str | Path] = [uv, "pip", "install"] if uv else [paths.python, "-m", "pip", "install"]
    try:
        task.run([*installer, *arguments], cwd=paths.clone, env=environment(paths, uv))
    except SetupError as error:
        unreachable = check_registries({"PyPI": index_url()})
        raise (unreachable or [error])[0] from error


def environment(paths: ClonePaths, uv: Path | None) -> dict[str, str]:
    env = {"HOME": str(home())} | dict(os.environ)
    if not uv:
        return env
    ours = {"UV_PYTHON_DOWNLOADS": "never", "UV_NO_CONFIG": "1", "VIRTUAL_ENV": str(paths.venv)}
    return env | ours | uv_settings(pip_config(uv), os.environ)


def requirements(clone: Path) -> list[str]:
    """Return the pip arguments for the packages of the program and of its tests."""
    return [word for file in sorted(clone.glob("requirements*.txt")) for word in ("-r", file.name)]


def fingerprint(clone: Path) -> str:
    """Return a hash of what .venv depends on.

    These are the required packages, the Python version, the path of the clone (scripts contain it), and how the lean
    copies of the packages' modules are made.
    """
    content = hashlib.sha256(f"{sys.version} {clone}".encode())
    content.update((clone / "infra/slipway/sdk/lean_modules.py").read_bytes())
    for word in requirements(clone):
        content.update((clone / word).read_bytes() if word != "-r" else b"\0")
    return content.hexdigest()


def works(python: Path) -> bool:
    """Return whether the environment has our Python version: an upgrade of the system's Python breaks it."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    try:
        check = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        return subprocess.run(check, capture_output=True, text=True, check=False).stdout.strip() == version
    except OSError:
        return False


def find_uv(task: Task, paths: ClonePaths) -> Path | None:
    """Return uv from the PATH, the cache or PyPI, or None if it is not available."""
    if program := shutil.which("uv"):
        return Path(program)
    folder = paths.cache / f"uv-{UV_VERSION}"
    if not (folder / "bin" / "uv").exists():
        temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
        try:
            task.run([sys.executable, "-m", "venv", temporary])
            # uv is a binary, so this environment can be moved. Its scripts, which contain its path, are not used.
            task.run([temporary / "bin" / "python", "-m", "pip", "install", "-q", f"uv=={UV_VERSION}"])
            if not folder.exists():
                temporary.replace(folder)
        except SetupError as error:
            task.report(f"uv is not available, using pip: {error.cause}")
            return None
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder / "bin" / "uv"


def pip_config(uv: Path) -> str:
    """Return the settings of pip's configuration files and PIP_ variables, as `pip config list` prints them."""
    python = uv.with_name("python") if uv.with_name("pip").exists() else Path(sys.executable)
    done = subprocess.run([python, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""


# pip's setting -> uv's variable
UV_NAMES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "no-index": "UV_NO_INDEX",
}


def uv_settings(config: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return pip's index, mirror and certificates as variables of uv, except those that are set for uv itself."""
    settings: dict[str, str] = {}
    for section in ("global.", "install.", ":env:."):
        for line in config.splitlines():
            key, _, value = line.partition("=")
            if key.startswith(section) and (name := UV_NAMES.get(key.removeprefix(section))):
                words = str(ast.literal_eval(value)).split()
                settings[name] = (" " if name == "UV_INDEX" else ",").join(words)
    return {name: value for name, value in settings.items() if name not in environ}


def index_url(environ: Mapping[str, str] = os.environ) -> str:
    """Return the package index according to the environment, without running pip."""
    return environ.get("UV_DEFAULT_INDEX") or environ.get("PIP_INDEX_URL") or "https://pypi.org/simple/"
