"""The stack file and defaults.yaml as they are written: their keys, and errors that do not depend on any setting."""

from __future__ import annotations

from dataclasses import dataclass, replace

from slipway import files
from slipway.project import CONFIG, PROJECT, ROOT
from slipway.settings.engine_yaml import Node, StackFileSyntaxError, read
from slipway.settings.errors import PREFIX, InvalidSetting, dotted, raise_errors
from slipway.settings.settings import CANDIDATE, RELEASE, SECTIONS, SERVICE
from slipway.suggestions import nearest

STACKS = ROOT / "stacks"
DEFAULTS = "defaults.yaml"
INTERNAL = {RELEASE: "go back with `./slipway rollback`", CANDIDATE: "`./slipway up` gives it"}
_SECTION_KEYS = frozenset(f"{PREFIX}{name}" for name in (*SECTIONS, SERVICE))
# The keys beside `config:` that Pulumi itself reads.
_TOP_KEYS = frozenset({"config", "environment", "encryptionsalt", "encryptedkey", "secretsprovider"})


@dataclass(frozen=True)
class StackFile:
    """The content of one file."""

    config: Node
    """The mapping `config:`, with its keys as the engine knows them: `slipway:image`."""
    errors: list[InvalidSetting]
    readable: bool = True
    """Whether it is a YAML mapping at all."""

    @property
    def settings(self) -> Node:
        """The values by key without `slipway:`."""
        own = {key.removeprefix(PREFIX): node for key, node in self.config.items().items() if key.startswith(PREFIX)}
        return Node(own, self.config.location)


def read_files(stack: str) -> tuple[StackFile, StackFile]:
    """Return the stack's own file, empty if there is none, and defaults.yaml. Refuse files that are no YAML mapping."""
    files = _read(f"Pulumi.{stack}.yaml"), read_defaults()
    if not all(file.readable for file in files):
        raise_errors(f"stacks/Pulumi.{stack}.yaml", [error for file in files for error in file.errors], lambda _: None)
    return files


def read_defaults() -> StackFile:
    """Return defaults.yaml. A secret in it is an unknown key: each stack encrypts its own."""
    defaults = _read(DEFAULTS)
    known = [*SECTIONS, SERVICE]
    unknown = [InvalidSetting.unknown((name,), known) for name in defaults.settings.items() if name not in known]
    return replace(defaults, errors=[*defaults.errors, *unknown])


def _read(name: str) -> StackFile:
    file = STACKS / name
    if not file.is_file():
        return StackFile(Node({}), [])
    try:
        root, yaml_errors = read(files.read_bytes(file), f"{STACKS.name}/{name}")
    except StackFileSyntaxError as error:
        return StackFile(Node({}), [error.error], readable=False)
    errors = [*yaml_errors]
    config = root.items().get("config", Node(None, root.location))
    if not isinstance(config.value, dict):
        rule = "there is no mapping `config:`, which all settings stand in"
        errors.append(InvalidSetting((), rule, location=config.location))
    for key, node in root.items().items():
        if key not in _TOP_KEYS:
            rule = InvalidSetting.unknown((key,), _TOP_KEYS).rule
            errors.append(InvalidSetting((), f"{dotted((key,))}: {rule}", location=node.location))
    keys = _full_keys(config, errors)
    for internal, instead in INTERNAL.items():
        if f"{PREFIX}{internal}" in keys:
            errors.append(InvalidSetting((internal,), f"has no place in a file; {instead}"))
    return StackFile(Node(keys, config.location), errors)


def _full_keys(config: Node, errors: list[InvalidSetting]) -> dict[str, Node]:
    """Return the values by full key, as the engine does: `slipway:config:image` means `slipway:image`.

    A key without a namespace is one of the project's own name, so `image` means `slipway:image` in this project only.
    """
    full_keys: dict[str, Node] = {}
    for key, node in config.items().items():
        namespace, _, name = key.rpartition(":")
        namespace = namespace.removesuffix(":config")
        full = f"{namespace or PROJECT}:{name}"
        if full in full_keys:
            rule = f"is given twice, the second time as {key}"
            errors.append(InvalidSetting((name,), rule, location=node.location))
        elif ":" in namespace:
            rule = f"{dotted((key,))}: is no key; one looks like {PREFIX}image"
            errors.append(InvalidSetting((), rule, location=node.location))
        elif not full.startswith(PREFIX) and (nearest(namespace, [CONFIG]) or f"{PREFIX}{key}" in _SECTION_KEYS):
            rule = f'{dotted((key,))}: unknown key; did you mean "{PREFIX}{name}"?'
            errors.append(InvalidSetting((), rule, location=node.location))
        # At this level the engine does not know null: it passes an empty text, and writes one back into the file.
        full_keys[full] = Node(None, node.location) if node.value == "" and full in _SECTION_KEYS else node
    return full_keys
