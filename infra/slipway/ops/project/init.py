"""`slipway init`: writes a project for existing sources, which renders, passes its tests and deploys as it is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from slipway import files
from slipway.ops.errors import UserError
from slipway.ops.project import guess, origin, templates
from slipway.ops.project.guess import App, Guess
from slipway.ops.project.sources import Sources, folders_with_sources
from slipway.project import IMPORTED_FROM

Ask = Callable[[str, str], str]
"""Asks for a value, given a suggestion."""


class ProjectError(UserError):
    """A project cannot be written."""


@dataclass(frozen=True)
class Wishes:
    """What the user has given; empty values are guessed."""

    name: str = ""
    image: str = ""
    port: int = 0
    health: str = ""
    registry: str = ""
    context: str = "slipway-local"
    local_registry: str = "localhost:5000"
    ingress_class: str = "traefik"
    certificates: Path | None = None


def create(root: Path, wishes: Wishes, ask: Ask | None = None) -> list[Guess]:
    """Write the project into a folder. Return what was guessed. Raises ProjectError if a file of it is there."""
    root = root.resolve()
    if not root.is_dir():
        raise ProjectError(f"there is no folder {root}. Give the one with the sources, or make an empty one")
    project = wishes.name or guess.name_of(root)
    if guess.name_of(Path(project)) != project:
        raise ProjectError(f"--name {project}: take lower case letters, digits and `-`, at most 30, a letter first")
    apps = [_asked(app, ask) for app in _apps(root, project, wishes)]
    place = templates.Place(
        registry=wishes.registry or "registry.example.com",
        context=wishes.context,
        local_registry=wishes.local_registry,
        ingress_class=wishes.ingress_class,
        certificates=_certificates(root, wishes),
    )
    contents = _contents(root, project, apps, place)
    if taken := sorted(str(file.relative_to(root)) for file in contents if file.exists()):
        raise ProjectError(f"{root} has {', '.join(taken)} already, and nothing is overwritten. Move it away first")
    for file in contents:
        file.parent.mkdir(parents=True, exist_ok=True)
    files.write(contents)
    _add_lines(root / ".gitignore", templates.GITIGNORE)
    if any(app.context == "." for app in apps):
        _add_lines(root / ".dockerignore", templates.DOCKERIGNORE)
    try:
        run_in(root, "-m", "slipway", "config", "schema", "--write")
        record(root)
    except ProjectError:
        for file in contents:  # so that it can be called again with other options
            file.unlink()
        raise
    return [*(found for app in apps for found in app.guesses), *_of_project(place, apps)]


def _apps(root: Path, project: str, wishes: Wishes) -> list[App]:
    """Return the services: those of the sources, or the one image that is given."""
    if wishes.image:
        apps = [third_party(project, wishes)]
    else:
        folders = folders_with_sources(root)
        if not folders:
            raise ProjectError(
                f"{root} has no Dockerfile and no Go module, also not two folders deep. Add a Dockerfile, or give an "
                "image by digest: --image REPOSITORY@sha256:..."
            )
        is_alone = len(folders) == 1
        names = [project if is_alone or folder == root else guess.name_of(folder) for folder in folders]
        apps = [
            guess.of_sources(Sources(folder, folders), name, folder.relative_to(root).as_posix(), names)
            for folder, name in zip(folders, names, strict=True)
        ]
    if (wishes.port or wishes.health) and len(apps) > 1:
        raise ProjectError("--port and --health are about one service, and here are several; edit stacks/defaults.yaml")
    return [with_wishes(apps[0], wishes), *apps[1:]]


def third_party(project: str, wishes: Wishes) -> App:
    if not re.search(r"@sha256:[0-9a-f]{64}$", wishes.image):
        raise ProjectError(
            f"--image {wishes.image}: name it by digest, REPOSITORY:TAG@sha256:..., so that it is the same tomorrow. "
            "`docker buildx imagetools inspect` and `crane digest` print the digest of a tag"
        )
    app = App(project, image=wishes.image, port=wishes.port or 8080, ready=wishes.health)
    if not wishes.port:
        app.guess("port", app.port, "the usual one", "ports.http")
    if not wishes.health:
        app.guess("readiness", f"a TCP connection to {app.port}", "no --health", "probes.ready")
    return app


def with_wishes(app: App, wishes: Wishes) -> App:
    """Return a service with the port and the path that the user gave in place of the guessed ones."""
    changed = replace(app, port=wishes.port or app.port, ready=wishes.health or app.ready)
    given = {*(["port", "kind"] if wishes.port else []), *(["readiness", "liveness"] if wishes.health else [])}
    changed.guesses = [found for found in app.guesses if found.what.partition(": ")[2] not in given]
    changed.live = "" if wishes.health else app.live
    if wishes.port and "PORT" in app.env:
        changed.env = {**app.env, "PORT": str(wishes.port)}
    return changed


def _asked(app: App, ask: Ask | None) -> App:
    """Return a service as the user confirms it."""
    if ask is None:
        return app
    port = ask(f"{app.name}: port of its HTTP requests (0: it answers none)", str(app.port))
    app = replace(app, port=int(port) if port.isdecimal() else app.port)
    if not app.is_worker and "PORT" in app.env:
        app.env = {**app.env, "PORT": str(app.port)}
    if not app.is_worker:
        path = ask(
            f"{app.name}: path that answers 200 when it can take requests (tcp: only connect)", app.ready or "tcp"
        )
        app.ready = "" if path == "tcp" else path
    return app


def _certificates(root: Path, wishes: Wishes) -> str:
    """Return the folder with the local cluster's certificate, seen from the project; empty if there is none."""
    clone = origin.clone()
    folder = wishes.certificates or (clone / ".slipway" / "secrets" if clone else None)
    return os.path.relpath(folder.resolve(), root) if folder and (folder / "tls.crt").is_file() else ""


def _contents(root: Path, project: str, apps: list[App], place: templates.Place) -> dict[Path, str]:
    """Return the files of the project. Those that an app often has are put into infra/ if they are there."""
    slipway = origin.requirement()
    return {
        root / "Pulumi.yaml": templates.pulumi_yaml(project),
        root / "infra" / "__main__.py": templates.PROGRAM,
        root / "stacks" / "defaults.yaml": templates.defaults(apps, place),
        root / "stacks" / "Pulumi.local.yaml": templates.local(project, apps, place),
        root / "stacks" / "Pulumi.dev.yaml": templates.dev(project, apps),
        root / "stacks" / "Pulumi.prod.yaml": templates.prod(project, apps),
        root / "tests" / "test_my_stacks.py": templates.TESTS,
        _free(root, "requirements.txt"): templates.requirements(slipway),
        _free(root, "README.md"): templates.readme(
            project, _free(root, "requirements.txt").relative_to(root).as_posix()
        ),
    }


def _free(root: Path, name: str) -> Path:
    return root / "infra" / name if (root / name).exists() else root / name


def _add_lines(file: Path, lines: tuple[str, ...]) -> None:
    """Add the lines that a file does not have yet."""
    text = file.read_text() if file.is_file() else ""
    new = [line for line in lines if line not in text.splitlines()]
    separator = "" if not text or text.endswith("\n") else "\n"
    files.write({file: text + separator + "".join(f"{line}\n" for line in new)})


def _of_project(place: templates.Place, apps: list[App]) -> list[Guess]:
    built = any(not app.image for app in apps)
    guesses = [Guess("stack local", f"context {place.context}", "the local cluster", "stacks/Pulumi.local.yaml")]
    if built:
        guesses.append(Guess("registry", place.registry, "a placeholder", "slipway:images in stacks/defaults.yaml"))
    if not place.certificates:
        reason = "no certificate for *.slipway.localhost was found"
        guesses.append(Guess("stack local", "plain HTTP", reason, "`slipway init --certificates`, or ingress.tls"))
    guesses.append(
        Guess("dev, prod", "contexts and hosts", "placeholders", "stacks/Pulumi.dev.yaml and Pulumi.prod.yaml")
    )
    if origin.is_of_this_machine(line := origin.requirement()):
        guesses.append(Guess("requirement", line, "a path of this machine", "requirements.txt"))
    return guesses


def record(root: Path) -> None:
    """Record the objects of all stacks in stacks/golden. Raises ProjectError if the program refuses one."""
    run_in(root, "-m", "slipway", "check", "--write")


def run_in(root: Path, *arguments: str) -> None:
    """Run Python for another project than this process works for. Raises ProjectError with what it says."""
    paths = [str(IMPORTED_FROM), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "SLIPWAY_PROJECT": str(root)}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if ": hint: " not in line]
        raise ProjectError("its program does not run:\n" + "\n".join(lines))
