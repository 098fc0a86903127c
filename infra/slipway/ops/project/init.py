"""`slipway init`: writes a project for existing sources, which renders, passes its tests and deploys as it is."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from slipway.ops.project import answers, github, guess, origin, record, templates
from slipway.ops.project.answers import Ask, Wishes
from slipway.ops.project.errors import ProjectError
from slipway.ops.project.guess import App, Guess
from slipway.ops.project.sources import Sources, folders_with_sources

# The context of `make up`, whose Traefik is in the namespace `ingress`.
NATIVE = "slipway-local"


def create(root: Path, wishes: Wishes, ask: Ask | None = None) -> list[Guess]:
    """Write the project into a folder. Return what was guessed. Raises ProjectError if a file of it is there."""
    root = root.resolve()
    if not root.is_dir():
        raise ProjectError(f"there is no folder {root}. Give the one with the sources or, with --image, an empty one")
    answers.check(wishes)
    project = wishes.name or guess.name_of(root)
    apps = _apps(root, project, wishes)
    if ask:
        apps = [answers.asked(app, ask) for app in apps]
    place = _place(root, wishes)
    contents = _contents(root, project, apps, place)
    if taken := sorted(str(file.relative_to(root)) for file in contents if file.exists()):
        raise ProjectError(f"{root} has {', '.join(taken)} already, and nothing is overwritten. Move it away first")
    workflows, kept = github.to_write(root, github.files(root, _requirements(root, contents)))
    contents |= workflows | {root / ".gitignore": with_lines(root / ".gitignore", templates.GITIGNORE)}
    if ignored := _ignored(root, apps, contents):
        contents |= {root / ".dockerignore": with_lines(root / ".dockerignore", ignored)}
    record.write_and_record(root, contents, with_schema=True)
    return [
        *(found for app in apps for found in app.guesses),
        *_of_project(place, wishes, apps, _requirements(root, contents)),
        *kept,
    ]


def _apps(root: Path, project: str, wishes: Wishes) -> list[App]:
    """Return the services: those of the sources, or the one image that is given."""
    if wishes.image:
        guess.check_pinned(wishes.image)
        apps = [guess.of_image(project, wishes.image, wishes.port, wishes.health)]
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
    return [answers.with_wishes(apps[0], wishes), *apps[1:]]


def _certificates(root: Path, wishes: Wishes) -> str:
    """Return the folder with the local cluster's certificate, seen from the project; empty if there is none."""
    clone = origin.clone()
    folder = wishes.certificates or (clone / ".slipway" / "secrets" if clone else None)
    return os.path.relpath(folder.resolve(), root) if folder and (folder / "tls.crt").is_file() else ""


def _place(root: Path, wishes: Wishes) -> templates.Place:
    of_class = "ingress-nginx" if re.fullmatch("nginx(-.+)?", wishes.ingress_class) else wishes.ingress_class
    is_native = wishes.context == NATIVE and of_class == "traefik"
    return templates.Place(
        registry=wishes.registry or "registry.example.com",
        context=wishes.context,
        local_registry=wishes.local_registry,
        ingress_class=wishes.ingress_class,
        ingress_namespace=wishes.ingress_namespace or ("ingress" if is_native else of_class),
        ingress_namespace_elsewhere=wishes.ingress_namespace or of_class,
        certificates=_certificates(root, wishes),
    )


def _contents(root: Path, project: str, apps: list[App], place: templates.Place) -> dict[Path, str]:
    """Return the files of the project. Those that an app often has are put into infra/ if they are there."""
    slipway = origin.requirement()
    return {
        root / "Pulumi.yaml": templates.pulumi_yaml(project),
        root / "infra" / "__main__.py": templates.PROGRAM,
        root / "stacks" / "defaults.yaml": templates.defaults(apps, place),
        root / "stacks" / "Pulumi.local.yaml": templates.local(project, apps, place),
        root / "stacks" / "Pulumi.dev.yaml": templates.dev(project, apps, place),
        root / "stacks" / "Pulumi.prod.yaml": templates.prod(project, apps, place),
        root / "tests" / "test_my_stacks.py": templates.TESTS,
        _free(root, "requirements.txt"): templates.requirements(slipway),
        _free(root, "README.md"): templates.readme(
            project, _free(root, "requirements.txt").relative_to(root).as_posix()
        ),
    }


def _free(root: Path, name: str) -> Path:
    return root / "infra" / name if (root / name).exists() else root / name


def with_lines(file: Path, lines: Iterable[str]) -> str:
    """Return the text of a file with the lines that it does not have yet."""
    text = file.read_text() if file.is_file() else ""
    new = [line for line in lines if line not in text.splitlines()]
    separator = "" if not text or text.endswith("\n") else "\n"
    return text + separator + "".join(f"{line}\n" for line in new)


def _ignored(root: Path, apps: list[App], contents: Iterable[Path]) -> list[str]:
    """Return what is no part of an image that is built from the root; nothing if there is none."""
    if all(app.context != "." for app in apps):
        return []
    of_others = [app.context for app in apps if app.context not in ("", ".")]
    return [*templates.DOCKERIGNORE, *(["README.md"] if root / "README.md" in contents else []), *of_others]


def _requirements(root: Path, contents: Iterable[Path]) -> str:
    return next(file.relative_to(root).as_posix() for file in contents if file.name == "requirements.txt")


def _of_project(place: templates.Place, wishes: Wishes, apps: list[App], requirements: str) -> list[Guess]:
    file = "stacks/Pulumi.local.yaml"
    reason = "given" if place.context != NATIVE else "the local cluster"
    guesses = [Guess("stack local", f"context {place.context}", reason, f"slipway:cluster.context in {file}")]
    if not wishes.ingress_namespace:
        reason = f"the usual one of class {place.ingress_class}, whose connections are let in"
        if place.ingress_namespace != place.ingress_namespace_elsewhere:
            reason = "that of the local cluster, whose connections are let in"
        key = f"slipway:cluster.ingressNamespace in {file}, or --ingress-namespace"
        guesses.append(Guess("stack local", f"ingress controller in namespace {place.ingress_namespace}", reason, key))
    if any(not app.image for app in apps):
        guesses.append(Guess("registry", place.registry, "a placeholder", "slipway:images in stacks/defaults.yaml"))
    if not place.certificates:
        reason = "no certificate for *.slipway.localhost was found"
        guesses.append(Guess("stack local", "plain HTTP", reason, "`slipway init --certificates`, or ingress.tls"))
    guesses.append(
        Guess(
            "dev, prod",
            "contexts, hosts and cluster.ingressNamespace",
            "placeholders",
            "stacks/Pulumi.dev.yaml and Pulumi.prod.yaml",
        )
    )
    if origin.is_of_this_machine(line := origin.requirement()):
        guesses.append(Guess("requirement", line, "a path of this machine", requirements))
    return guesses
