"""`slipway new service` and `slipway new stack`: add to this project's files as text, so that comments stay."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from slipway import files
from slipway.ops.program.recorder import stacks
from slipway.ops.project import answers, github, guess, init, origin, record, stack_copy, templates
from slipway.ops.project.answers import Wishes
from slipway.ops.project.errors import ProjectError
from slipway.ops.project.guess import App, Guess
from slipway.ops.project.sources import Sources
from slipway.project import ROOT
from slipway.settings.stack_file import broken_rule, stack_tier
from slipway.settings.types.scalars import StackName

STACKS = ROOT / "stacks"
IMAGES, SERVICES = "slipway:images", "slipway:services"


def add_service(name: str, wishes: Wishes) -> list[str]:
    """Add a service to defaults.yaml, and its image to each file that has images. Return what there is to say of it."""
    if guess.name_of(Path(name)) != name:
        raise ProjectError(f"{name}: {answers.NAME_RULE}")
    answers.check(wishes)
    before = {file: file.read_text() for file in sorted(STACKS.glob("*.yaml"))}
    if used := [file.name for file, text in before.items() if name in _entries(text, SERVICES)]:
        raise ProjectError(f"stacks/{used[0]} has a service {name} already")
    app = _app(name, before, wishes)
    after = {file: _with_service(file, text, app) for file, text in before.items()}
    sharing = _images_of_the_root(before) if app.context else []
    if sharing:
        after[ROOT / ".dockerignore"] = init.with_lines(ROOT / ".dockerignore", [app.context])
        what, reason = f"{name}: its folder is no part of the image", "which is built from the root"
        app.guesses.append(Guess(what, ", ".join(sharing), reason, ".dockerignore"))
    record.write_and_record(ROOT, after)
    return [*map(str, app.guesses), *_address(app)]


def _address(app: App) -> list[str]:
    if app.is_worker:
        return []
    inside = Guess(f"{app.name}: address", "inside the cluster only", "nobody asked", "its `ingress` in a stack")
    return [str(inside), f"to call it: `needs: [{app.name}]` in the caller, which reaches it as http://{app.name}"]


def _images_of_the_root(texts: dict[Path, str]) -> list[str]:
    """Return the images whose context is the project's root, which holds the folders of all services."""
    images = (_section(text, IMAGES).items() for text in texts.values())
    return sorted({name for entries in images for name, image in entries if (image or {}).get("context") == "."})


def add_stack(name: str, like: str) -> list[Guess]:
    """Add a stack file, a copy of another one. Return what in it is a guess."""
    if rule := broken_rule(StackName, name):
        raise ProjectError(f"{name}: {rule}")
    if like not in stacks():
        raise ProjectError(f"there is no stack {like} to copy. Give one with --like: {', '.join(stacks())}")
    file = STACKS / f"Pulumi.{name}.yaml"
    if file.exists():
        raise ProjectError(f"stacks/{file.name} is there already, and nothing is overwritten")
    text = (STACKS / f"Pulumi.{like}.yaml").read_text()
    copy, guesses = stack_copy.copied(text, like, name)
    record.write_and_record(ROOT, {file: copy})
    return guesses


def add_workflows(*, replace: bool) -> list[str]:
    """Write the workflows that this project lacks; with `replace`, those that differ as well. Return what to say."""
    is_in_infra = (ROOT / "infra" / "requirements.txt").is_file()
    wanted = github.files(ROOT, "infra/requirements.txt" if is_in_infra else "requirements.txt")
    if origin.clone() == ROOT:
        del wanted[ROOT / github.ACTION]  # that of Slipway's own repository runs the sources
    written, kept = github.to_write(ROOT, wanted, replace=replace)
    for file in written:
        file.parent.mkdir(parents=True, exist_ok=True)
    files.write(written)
    return [*(f"wrote {file.relative_to(ROOT).as_posix()}" for file in written), *map(str, kept)]


def _app(name: str, texts: dict[Path, str], wishes: Wishes) -> App:
    """Return the service: from an image of others, another program of an image here, or from a folder of sources."""
    folders = [folder for folder in (ROOT / name, ROOT / "services" / name) if folder.is_dir()]
    if wishes.image:
        known = sorted({image for text in texts.values() for image in _entries(text, IMAGES)})
        is_ours = wishes.image in known
        if not is_ours:
            guess.check_pinned(wishes.image, known)
        app = guess.of_image(name, wishes.image, wishes.port, wishes.health, worker=wishes.worker)
        if is_ours:
            app.guess("program", f"the default one of the image {wishes.image}", "nothing says which", "command")
        return app
    if wishes.worker:
        raise ProjectError("--worker goes with --image; whether sources listen on a port is read from them")
    if folders:
        known = [other for text in texts.values() for other in _entries(text, SERVICES)]
        context = folders[0].relative_to(ROOT).as_posix()
        return answers.with_wishes(guess.of_sources(Sources(folders[0]), name, context, known), wishes)
    raise ProjectError(f"there is no folder {name}/ or services/{name}/ with its sources. Make one, or give --image")


def _with_service(file: Path, text: str, app: App) -> str:
    """Return a file of stacks/ with the service: all of it in defaults.yaml, elsewhere where its image comes from."""
    if file.name == "defaults.yaml":
        if not app.image:
            text = added(text, IMAGES, f"    {templates.image_of(app, _registry(text))}\n")
        return added(text, SERVICES, templates.service(app))
    images = _entries(text, IMAGES)
    if images and not app.image:
        text = added(text, IMAGES, _like_first(text, images[0], app))
    return _with_size(file, text, app)


def _with_size(file: Path, text: str, app: App) -> str:
    """Return a stack's file with small numbers of pods where `slipway init` writes them: where rules are advice."""
    tier = stack_tier(file.name[len("Pulumi.") : -len(".yaml")])
    if tier.rules == "mandatory":
        return text
    try:
        return added(text, SERVICES, templates.sized(app, templates.SMALL))
    except ProjectError:  # in one line: the defaults hold, which are valid in every tier
        return text


def _like_first(text: str, first: str, app: App) -> str:
    """Return the entry of an image that comes from the same place as the first one of the file."""
    entry = re.search(rf"^    {re.escape(first)}:.*\n(?:(?:     .*)?\n)*", text, re.MULTILINE)
    lines = entry[0] if entry else ""
    own = f"\\1builder: daemonless, package: {app.package}" if app.package else ""
    lines = re.sub(r"(, )builder: daemonless(, package: [^,}]+)?", own, lines)
    return re.sub(rf"(?<![\w-]){re.escape(first)}(?![\w-])", app.name, lines)


def _registry(text: str) -> str:
    """Return the registry of the images in defaults.yaml, without their names."""
    repository = re.search(r"repository: (\S+)/[\w.-]+", text)
    return repository[1] if repository else "registry.example.com"


def _entries(text: str, section: str) -> list[str]:
    return list(_section(text, section))


def _section(text: str, section: str) -> dict[str, dict[str, object] | None]:
    content = yaml.safe_load(text) or {}
    return (content.get("config") or {}).get(section) or {}


def added(text: str, section: str, entry: str) -> str:
    """Return the text of a stack file with an entry at the end of a section, which is made if it is missing."""
    lines = text.splitlines(keepends=True)
    heads = [index for index, line in enumerate(lines) if re.match(rf"  {section}:\s*(#.*)?$", line.rstrip("\n"))]
    if not heads and re.search(rf"^\s*{section}:", text, re.MULTILINE):
        raise ProjectError(f"{section} is not a mapping over several lines; add this to it:\n{entry}")
    if heads:
        end = _end_of_block(lines, heads[0], 2)
        return "".join([*lines[:end], entry, *lines[end:]])
    start = next((index for index, line in enumerate(lines) if line.startswith("config:")), None)
    if start is None:
        raise ProjectError(f"there is no mapping `config:`; add this to it:\n  {section}:\n{entry}")
    end = _end_of_block(lines, start, 0)
    return "".join([*lines[:end], f"  {section}:\n{entry}", *lines[end:]])


def _end_of_block(lines: list[str], head: int, indent: int) -> int:
    """Return the index after the last line that is further indented than the head of a block."""
    end = head + 1
    for index in range(head + 1, len(lines)):
        line = lines[index]
        if line.strip() and len(line) - len(line.lstrip(" ")) <= indent:
            break
        if line.strip():
            end = index + 1
    return end
