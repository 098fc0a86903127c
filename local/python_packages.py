"""The Python environment of the clone: made with uv where it can be had, else with plain pip."""

from __future__ import annotations

import ast
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from .host import check_registries
from .places import Places, home, write
from .problems import Problem
from .progress import Task

UV_VERSION = "0.13.8"


def install(task: Task, places: Places) -> str:
    """Bring .venv to what requirements.txt says."""
    stamp = places.venv / "slipway-installed"
    wanted = fingerprint(places.clone)
    if stamp.is_file() and stamp.read_text() == wanted and works(places.python):
        stamp.touch()  # `make` looks at its time
        compile_own(places)
        return f".venv is up to date (Python {sys.version.split()[0]})"
    uv = find_uv(task, places)
    if not works(places.python):
        shutil.rmtree(places.venv, ignore_errors=True)
        create = [uv, "venv", "-q", "--python", sys.executable] if uv else [sys.executable, "-m", "venv"]
        task.run([*create, places.venv], env=environment(places, uv))
    pip_install(task, places, uv, *requirements(places.clone))
    task.run([places.python, "-m", "local.bytecode"], cwd=places.clone)
    write(stamp, wanted)
    return f".venv made with {f'uv ({uv})' if uv else 'pip'}, Python {sys.version.split()[0]}"


def compile_own(places: Places) -> None:
    """Compile the modules of this clone, if they were edited or pulled since. Only speed is lost where that fails."""
    folders = [places.clone / name for name in ("infra", "ops", "local", "policy")]
    subprocess.run([places.python, "-m", "compileall", "-q", *folders], capture_output=True, check=False)


def pip_install(task: Task, places: Places, uv: Path | None, *arguments: str | Path) -> None:
    """`pip install` with the Python of .venv; Problem that names the index when that is what failed."""
    installer: list[str | Path] = [uv, "pip", "install"] if uv else [places.python, "-m", "pip", "install"]
    try:
        task.run([*installer, *arguments], cwd=places.clone, env=environment(places, uv))
    except Problem as problem:
        unreachable = check_registries({"PyPI": index_url()})
        raise (unreachable or [problem])[0] from problem


def environment(places: Places, uv: Path | None) -> dict[str, str]:
    env = {"HOME": str(home())} | dict(os.environ)
    if not uv:
        return env
    ours = {"UV_PYTHON_DOWNLOADS": "never", "UV_NO_CONFIG": "1", "VIRTUAL_ENV": str(places.venv)}
    return env | ours | uv_settings(pip_config(uv), os.environ)


def requirements(clone: Path) -> list[str]:
    """What the program needs to run, and what its tests need."""
    return [word for file in sorted(clone.glob("requirements*.txt")) for word in ("-r", file.name)]


def fingerprint(clone: Path) -> str:
    """Changes with the wanted packages, with Python, and with the place of the clone (scripts name it)."""
    content = hashlib.sha256(f"{sys.version} {clone}".encode())
    for word in requirements(clone):
        content.update((clone / word).read_bytes() if word != "-r" else b"\0")
    return content.hexdigest()


def works(python: Path) -> bool:
    """Whether the environment has our version of Python: an upgrade of the system's Python breaks it."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    try:
        check = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        return subprocess.run(check, capture_output=True, text=True, check=False).stdout.strip() == version
    except OSError:
        return False


def find_uv(task: Task, places: Places) -> Path | None:
    """uv on the PATH, else from the cache, else from PyPI; None when it cannot be had."""
    if found := shutil.which("uv"):
        return Path(found)
    folder = places.cache / f"uv-{UV_VERSION}"
    if not (folder / "bin" / "uv").exists():
        temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
        try:
            task.run([sys.executable, "-m", "venv", temporary])
            # No scripts of this environment are used but uv, which is a program: it can be moved.
            task.run([temporary / "bin" / "python", "-m", "pip", "install", "-q", f"uv=={UV_VERSION}"])
            if not folder.exists():
                temporary.replace(folder)
        except Problem as problem:
            task.say(f"no uv, plain pip it is: {problem.cause}")
            return None
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder / "bin" / "uv"


def pip_config(uv: Path) -> str:
    """What pip is told by its configuration files and PIP_ variables, in pip's own words."""
    python = uv.with_name("python") if uv.with_name("pip").exists() else Path(sys.executable)
    done = subprocess.run([python, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""


# pip's setting -> uv's variable, and what stands between several values
UV_NAMES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "no-index": "UV_NO_INDEX",
}


def uv_settings(config: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The same index, mirror and certificates for uv as for pip; what is set for uv itself wins."""
    found: dict[str, str] = {}
    for section in ("global.", "install.", ":env:."):
        for line in config.splitlines():
            key, _, value = line.partition("=")
            if key.startswith(section) and (name := UV_NAMES.get(key.removeprefix(section))):
                words = str(ast.literal_eval(value)).split()
                found[name] = (" " if name == "UV_INDEX" else ",").join(words)
    return {name: value for name, value in found.items() if name not in environ}


def index_url(environ: Mapping[str, str] = os.environ) -> str:
    """Where packages come from, as far as can be told without running pip."""
    return environ.get("UV_DEFAULT_INDEX") or environ.get("PIP_INDEX_URL") or "https://pypi.org/simple/"
