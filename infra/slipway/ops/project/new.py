"""`slipway new service` and `slipway new stack`: add to this project's files as text, so that comments stay."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from slipway import files
from slipway.ops.program.recorder import stacks
from slipway.ops.project import guess, init, templates
from slipway.ops.project.guess import App, Guess
from slipway.ops.project.init import ProjectError
from slipway.ops.project.sources import Sources
from slipway.project import ROOT
from slipway.settings.stack_file import stack_tier
from slipway.settings.tiers import TIERS

STACKS = ROOT / "stacks"
IMAGES, SERVICES = "slipway:images", "slipway:services"


def add_service(name: str, image: str, port: int, health: str) -> list[Guess]:
    """Add a service to defaults.yaml, and its image to each file that has images. Return what was guessed."""
    if guess.name_of(Path(name)) != name:
        raise ProjectError(f"{name}: take lower case letters, digits and `-`, at most 30, a letter first")
    before = {file: file.read_text() for file in sorted(STACKS.glob("*.yaml"))}
    if used := [file.name for file, text in before.items() if name in _entries(text, SERVICES)]:
        raise ProjectError(f"stacks/{used[0]} has a service {name} already")
    app = _app(name, before, init.Wishes(image=image, port=port, health=health))
    after = {file: _with_service(file, text, app) for file, text in before.items()}
    _write_and_record(before, after)
    return [
        *app.guesses,
        Guess(f"{name}: address", "inside the cluster only", "nobody asked", "its `ingress` in a stack"),
    ]


def add_stack(name: str, like: str) -> str:
    """Add a stack file, a copy of another one. Return its path."""
    if like not in stacks():
        raise ProjectError(f"there is no stack {like} to copy. Give one with --like: {', '.join(stacks())}")
    file = STACKS / f"Pulumi.{name}.yaml"
    if file.exists():
        raise ProjectError(f"stacks/{file.name} is there already, and nothing is overwritten")
    text = _copied((STACKS / f"Pulumi.{like}.yaml").read_text(), like, name)
    _write_and_record({}, {file: text})
    return f"stacks/{file.name}"


def _app(name: str, texts: dict[Path, str], wishes: init.Wishes) -> App:
    """Return the service: from an image of others, from a folder of sources, or another program of the one image."""
    folders = [folder for folder in (ROOT / name, ROOT / "services" / name) if folder.is_dir()]
    if wishes.image:
        return init.third_party(name, wishes)
    if folders:
        known = [other for text in texts.values() for other in _entries(text, SERVICES)]
        context = folders[0].relative_to(ROOT).as_posix()
        return init.with_wishes(guess.of_sources(Sources(folders[0]), name, context, known), wishes)
    raise ProjectError(f"there is no folder {name}/ or services/{name}/ with its sources. Make one, or give --image")


def _with_service(file: Path, text: str, app: App) -> str:
    """Return a file of stacks/ with the service: all of it in defaults.yaml, elsewhere where its image comes from."""
    if file.name == "defaults.yaml":
        place = templates.Place(_registry(text), "", "", "", "")
        if not app.image:
            text = added(text, IMAGES, f"    {templates.image_of(app, place)}\n")
        return added(text, SERVICES, templates.service(app))
    images = _entries(text, IMAGES)
    return text if app.image or not images else added(text, IMAGES, _like_first(text, images[0], app))


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
    content = yaml.safe_load(text) or {}
    return list((content.get("config") or {}).get(section) or {})


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


def _copied(text: str, like: str, name: str) -> str:
    """Return the text of a stack's file for another stack: its own names and hosts, without encrypted values."""
    text = re.sub(r"^(encryptionsalt|encryptedkey|secretsprovider):.*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"^  [\w:-]+:\s*(\{\s*secure:.*\}|\n    secure:.*)\n", "", text, flags=re.MULTILINE)
    renamed = re.compile(rf"(?<![\w]){re.escape(like)}(?![\w])")
    lines = [line if "slipway:tier:" in line else renamed.sub(name, line) for line in text.splitlines(keepends=True)]
    text = "".join(line for line in lines if name not in TIERS or "slipway:tier:" not in line)
    if name in TIERS or "slipway:tier:" in text:
        return text
    return re.sub(r"^config:\n", f"config:\n  slipway:tier: {stack_tier(like).name}\n", text, flags=re.MULTILINE)


def _write_and_record(before: dict[Path, str], after: dict[Path, str]) -> None:
    """Write the files, and record the objects of all stacks. If the program refuses them, the former files are back."""
    files.write(after)
    try:
        init.record(ROOT)
    except ProjectError:
        files.write(before)
        for file in after.keys() - before.keys():
            file.unlink()
        raise
