"""From stacks/defaults.yaml and stacks/Pulumi.<stack>.yaml to `Settings`, or to every mistake in them at once.

1. What the stack file says is laid over defaults.yaml: mappings key by key, anything else as a whole; `null` takes a
   default out.
2. Each service is laid over `slipway:service`, in the same way.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import checks
import files
import pulumi
from engine_yaml import Node, Unreadable, read
from mistakes import PREFIX, Key, Mistake, all_mistakes, dotted, refuse, told
from pulumi.runtime import config as pulumi_config
from pydantic import TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel
from settings import (
    BACKING,
    CERTIFICATE_FILES,
    MIGRATION_PASSWORD,
    PROJECT,
    REGISTRY_PASSWORD,
    ROOT,
    SECRET_SOURCES,
    Settings,
    StackName,
    advice,
    password_of,
)
from suggestions import nearest

STACKS = ROOT / "stacks"
DEFAULTS = "defaults.yaml"
SERVICE = "service"
RELEASE = "release"
CANDIDATE = "candidate"
INTERNAL = {RELEASE: "go back with `./slipway rollback`", CANDIDATE: "`./slipway up` gives it"}
SECTIONS = frozenset(field.alias or name for name, field in Settings.model_fields.items())
_SECTION_KEYS = frozenset(f"{PREFIX}{name}" for name in (*SECTIONS, SERVICE))

# Where anything will do for a secret, as long as there is one.
FORGIVING = ("local", "dev")
LEAST_SECRET = 16
# What the API server takes, all keys of one Secret together.
LARGEST_SECRET = 2**20
_PLACEHOLDER = re.compile(
    r"(your|my|the)?(changeme|changeit|change|replaceme|replace|password|passwd|pass|secret|signingkey|apikey|key|token"
    r"|todo|tbd|fixme|example|sample|default|dummy|placeholder|test|testing|foo|bar|admin|root|none|null)+"
)

# What Pulumi itself reads in a stack file.
_TOP_KEYS = frozenset({"config", "environment", "encryptionsalt", "encryptedkey", "secretsprovider"})


def load() -> Settings:
    """The settings of the stack in use; `pulumi.RunError` naming every mistake if there is one."""
    stack = pulumi.get_stack()
    own, shared = read_files(stack)
    texts = _texts()
    if recorded := RELEASE in texts and RELEASE not in own.settings.items():
        own = shared = Written(Node({}), [])  # what was recorded is whole
    tree = _without_candidate(effective(_located(texts, own.settings), shared.settings), texts)
    mistakes = [*own.mistakes, *shared.mistakes, *_secret_mistakes(stack, tree, texts), *_image_mistakes(tree)]
    return of_release(stack, tree, mistakes) if recorded else judged(stack, tree, mistakes)


def load_candidate() -> Settings | None:
    """What `./slipway up` tries beside the release in force; None but in the first step of a canary."""
    stack, texts = pulumi.get_stack(), _texts()
    tree = candidate_in({name: _parsed(text) for name, text in texts.items()})
    return judged(stack, tree, _secret_mistakes(stack, tree, texts)) if tree else None


def candidate_in(values: Mapping[str, Any]) -> Node | None:
    """The settings of the candidate among those of a stack, if there is one. Secrets come from where the stack's do."""
    if CANDIDATE not in values:
        return None
    sources = {name: values[name] for name in map(to_camel, SECRET_SOURCES) if name in values}
    return Node({**Node.of(values[CANDIDATE]).items(), **Node.of(sources).items()})


def _without_candidate(tree: Node, texts: Mapping[str, str]) -> Node:
    """What the release in force says, without the secrets that only the candidate reads."""
    candidate = candidate_in({name: _parsed(text) for name, text in texts.items()})
    if candidate is None:
        return tree
    beside = {CANDIDATE, *needed_secrets(candidate)} - needed_secrets(tree)
    return Node({name: node for name, node in tree.items().items() if name not in beside}, tree.place)


@dataclass(frozen=True)
class Written:
    """What a file says, and what is wrong with it as a file."""

    config: Node
    """The mapping `config:`, with its keys as the engine knows them: `slipway:image`."""
    mistakes: list[Mistake]
    readable: bool = True

    @property
    def settings(self) -> Node:
        """The values by key without `slipway:`."""
        own = {key.removeprefix(PREFIX): node for key, node in self.config.items().items() if key.startswith(PREFIX)}
        return Node(own, self.config.place)


def read_files(stack: str) -> tuple[Written, Written]:
    """The stack's own file, empty for a stack without one, and defaults.yaml; refuses what is no YAML mapping."""
    files = _read(f"Pulumi.{stack}.yaml"), read_defaults()
    if not all(file.readable for file in files):
        refuse(f"stacks/Pulumi.{stack}.yaml", [mistake for file in files for mistake in file.mistakes], lambda _: None)
    return files


def read_defaults() -> Written:
    """What all stacks share. A secret has no place there: each stack encrypts its own."""
    written = _read(DEFAULTS)
    known = [*SECTIONS, SERVICE]
    unknown = [name for name in written.settings.items() if name not in known]
    return replace(written, mistakes=[*written.mistakes, *(Mistake.unknown((name,), known) for name in unknown)])


def _read(name: str) -> Written:
    file = STACKS / name
    if not file.is_file():
        return Written(Node({}), [])
    try:
        root, found = read(files.read_bytes(file), f"{STACKS.name}/{name}")
    except Unreadable as error:
        return Written(Node({}), [error.mistake], readable=False)
    mistakes = [*found]
    config = root.items().get("config", Node(None, root.place))
    if not isinstance(config.value, dict):
        mistakes.append(Mistake((), "there is no mapping `config:`, which all settings stand in", place=config.place))
    for key, node in root.items().items():
        if key not in _TOP_KEYS:
            mistakes.append(
                Mistake((), f"{dotted((key,))}: {Mistake.unknown((key,), _TOP_KEYS).rule}", place=node.place)
            )
    keys = _full_keys(config, mistakes)
    for internal, instead in INTERNAL.items():
        if f"{PREFIX}{internal}" in keys:
            mistakes.append(Mistake((internal,), f"has no place in a file; {instead}"))
    return Written(Node(keys, config.place), mistakes)


def _full_keys(config: Node, mistakes: list[Mistake]) -> dict[str, Node]:
    """Keys as the engine makes them: `image` is short for `slipway:image`, `slipway:config:image` an old form of it."""
    found: dict[str, Node] = {}
    for key, node in config.items().items():
        namespace, _, name = key.rpartition(":")
        full = f"{namespace.removesuffix(':config') or PROJECT}:{name}"
        if full in found:
            mistakes.append(Mistake((name,), f"is given twice, the second time as {key}", place=node.place))
        elif ":" in namespace.removesuffix(":config"):
            mistakes.append(Mistake((), f"{dotted((key,))}: is no key; one looks like {PREFIX}image", place=node.place))
        elif not full.startswith(PREFIX) and nearest(namespace, [PROJECT]):
            mistakes.append(
                Mistake((), f'{dotted((key,))}: unknown key; did you mean "{PREFIX}{name}"?', place=node.place)
            )
        # The engine knows no null here: it hands over an empty text, and writes one when it writes the file anew.
        found[full] = Node(None, node.place) if node.value == "" and full in _SECTION_KEYS else node
    return found


def effective(own: Node, shared: Node) -> Node:
    """What holds for a stack: its own values over those of all stacks, each service over `slipway:service`."""
    merged = _laid_over(own, shared)
    every, services = (merged.items().get(name, Node(None)) for name in (SERVICE, "services"))
    if not isinstance(every.value, dict) or not isinstance(services.value, dict):
        return merged
    each: dict[str, Node] = {}
    for name in services.value:
        # From the lowest layer up, so that a `null` in the stack file takes out what `slipway:service` says, too.
        layers = [side.items()["services"].items().get(name) for side in (shared, own) if "services" in side.items()]
        each[name] = functools.reduce(lambda under, over: _laid_over(over, under), filter(None, layers), every)
    return Node({**merged.items(), "services": Node(each, services.place)}, merged.place)


def _laid_over(own: Node, under: Node | None) -> Node:
    if under is None or not isinstance(own.value, dict) or not isinstance(under.value, dict):
        return own
    merged = dict(under.value)
    for key, node in own.value.items():
        if node.value is None and key in merged:
            del merged[key]
        else:
            merged[key] = _laid_over(node, merged.get(key))
    return Node(merged, own.place)


def judged(stack: str, tree: Node, mistakes: Iterable[Mistake]) -> Settings:
    """The settings in an effective tree; `pulumi.RunError` with these mistakes and all others if there is one."""
    found = [*mistakes, *_stack_name(stack), *_unknown_names(tree), *_given_twice(tree)]
    settings, wrong = _validated(_sections(tree))
    found += wrong
    if settings:
        found += checks.mistakes(settings, stack)
    if found or not settings:
        refuse(f"stacks/Pulumi.{stack}.yaml", found, lambda key: tree.nearest(key).place)
    return settings


def of_release(stack: str, tree: Node, mistakes: Iterable[Mistake]) -> Settings:
    """The settings of a recorded release. It was complete once: what has become a rule since is a warning only.

    `pulumi.RunError` for these mistakes, and if today's program cannot read the settings at all.
    """
    found = [*mistakes, *_stack_name(stack)]
    advised: list[str] = []
    token = advice.set(advised)
    try:
        settings, wrong = _validated(_sections(tree))
    finally:
        advice.reset(token)
    source = f"release {tree.nearest((RELEASE, 'revision')).value}, as today's program reads it,"
    if found or not settings:
        refuse(source, [*found, *(wrong if not settings else ())], lambda _: None)
    broken = [*wrong, *_unknown_names(tree), *_given_twice(tree), *checks.mistakes(settings, stack)]
    for line in dict.fromkeys([*advised, *told(broken, lambda _: None)]):
        pulumi.log.warn(f"{source} breaks a rule: {line}")
    return settings


def _sections(tree: Node) -> dict[str, Any]:
    return {name: node.plain() for name, node in tree.items().items() if name in SECTIONS}


def _stack_name(stack: str) -> Iterator[Mistake]:
    """Every object carries the stack's name in a label: one mistake here, not one in each of them."""
    try:
        TypeAdapter(StackName).validate_python(stack)
    except ValidationError as error:
        rule = error.errors()[0]["msg"].removeprefix("Value error, ")
        yield Mistake(
            (), f"the stack's name {rule}; this one has {len(stack)} characters. Rename it: pulumi stack rename"
        )


def _unknown_names(tree: Node) -> Iterator[Mistake]:
    known = [*SECTIONS, SERVICE, *needed_secrets(tree)]
    for name, node in tree.items().items():
        if name not in known:
            yield Mistake.unknown((name,), known)
        if name == SERVICE and not isinstance(node.value, dict):
            yield Mistake((name,), "should be a mapping")


def _services(tree: Node) -> dict[str, Node]:
    return tree.items().get("services", Node({})).items()


def _given_twice(tree: Node) -> Iterator[Mistake]:
    """Report repeated items of lists that are sets. `args` and what is in `file` may say a thing twice."""
    for name, service in _services(tree).items():
        at: Key = ("services", name)
        egress = service.items().get("egress", Node(None)).value
        lists = {(key,): service.items().get(key) for key in ("needs", "secrets")}
        items = enumerate(egress) if isinstance(egress, list) else ()
        lists |= {("egress", index, "ports"): item.items().get("ports") for index, item in items}
        for key, node in lists.items():
            values = node.plain() if node and isinstance(node.value, list) else []
            for index, value in _repeated(values):
                yield Mistake((*at, *key, index), "is in the list twice", None if key == ("secrets",) else value)


def _repeated(values: list[Any]) -> Iterator[tuple[int, Hashable]]:
    """Yield each item that is equal to an earlier one, with its index.

    Mappings and lists are left out: in these lists they are an error of their own.
    """
    earlier: set[Hashable] = set()
    for index, value in enumerate(values):
        if isinstance(value, Hashable):
            if value in earlier:
                yield index, value
            earlier.add(value)


def _validated(values: dict[str, Any]) -> tuple[Settings | None, list[Mistake]]:
    """The settings, and what is wrong; a key nobody knows does not keep the others from being judged."""
    try:
        return Settings.model_validate(values), []
    except ValidationError as error:
        found = list(all_mistakes(error, Settings))
        unknown = [wrong["loc"] for wrong in error.errors() if wrong["type"] == "extra_forbidden"]
    if not unknown:
        return None, found
    for key in unknown:
        section: Any = values
        for part in key[:-1]:
            section = section[part]
        del section[key[-1]]
    settings, others = _validated(values)
    return settings, [*found, *others]


def _texts() -> dict[str, str]:
    """What the engine says, by key without `slipway:`: mappings and lists as JSON, anything else as its text."""
    everything: dict[str, str] = {**pulumi_config.get_config_env(), **pulumi_config.CONFIG.get()}
    return {key.removeprefix(PREFIX): text for key, text in everything.items() if key.startswith(PREFIX)}


def _secret_keys() -> set[str]:
    """The keys with an encrypted value, or with one somewhere inside."""
    keys = {*pulumi_config.get_config_secret_keys_env(), *pulumi_config._SECRET_KEYS.get()}  # pyright: ignore[reportPrivateUsage]
    return {key.removeprefix(PREFIX) for key in keys}


def _located(texts: dict[str, str], written: Node) -> Node:
    """What the engine handed over, with the places of what is written; secret values stay out of it."""
    found: dict[str, Node] = {}
    for name, text in texts.items():
        at = written.items().get(name)
        if name in _secret_keys() or name not in {*SECTIONS, SERVICE}:
            found[name] = at or Node(None)
        elif at and not isinstance(at.value, dict | list) and handed_over(at.value) == text:
            found[name] = at
        else:
            found[name] = _beside(_parsed(text), at)
    return Node(found, written.place)


def handed_over(value: Any) -> str:
    """A value of a stack file as the engine hands it to the program."""
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value)


def _parsed(text: str) -> Any:
    """What broke on the way to JSON is text, and judged as such; the engine's word for nothing is an empty text."""
    try:
        return json.loads(text) if text[:1] in ("{", "[") else text or None
    except (ValueError, RecursionError):
        return text


def _beside(given: Any, written: Node | None) -> Node:
    """A given value with the places and the order of what is written."""
    if written is None:
        return Node.of(given)
    if isinstance(given, dict) and isinstance(written.value, dict):
        keys = [*(key for key in written.value if key in given), *(key for key in given if key not in written.value)]
        return Node({key: _beside(given[key], written.value.get(key)) for key in keys}, written.place)
    if isinstance(given, list) and isinstance(written.value, list) and len(given) == len(written.value):
        return Node([_beside(*pair) for pair in zip(given, written.value, strict=True)], written.place)
    # The engine makes a moment of a date without quotes.
    return written if given == f"{written.value} 00:00:00 +0000 UTC" else Node.of(given, written.place)


def needed_secrets(tree: Node) -> set[str]:
    """The secrets a stack has to bring, as far as it can be read: mistakes elsewhere must not hide a missing one."""
    values = {name: node.plain() for name, node in tree.items().items()}
    lists = [service.items().get("secrets", Node([])).plain() for service in _services(tree).values()]
    listed = {name for names in lists if isinstance(names, list) for name in names if isinstance(name, str)}
    listed |= {password_of(name) for name in BACKING if values.get(name) is not None}
    mysql = values.get("mysql")
    listed |= {MIGRATION_PASSWORD} if isinstance(mysql, dict) and mysql.get("migrationUser") else set()
    return (set() if values.get("secretStore") else listed) | ({REGISTRY_PASSWORD} if values.get("registry") else set())


def _secret_mistakes(stack: str, tree: Node, texts: dict[str, str]) -> Iterator[Mistake]:
    for section in _secret_keys() & {*SECTIONS, SERVICE}:
        for key in [*_encrypted(tree.nearest((section,)), (section,))] or [(section,)]:
            yield Mistake(key, "holds a secure: value, which would be stored in clear; a secret is a key of its own")
    folder = tree.items().get("secretFiles", Node(None)).value
    if isinstance(folder, str):
        yield from _missing_files(
            "secretFiles", folder, [*needed_secrets(tree), *(CERTIFICATE_FILES if _has_own_ca(tree) else ())]
        )
        yield from _unfit_files(tree, folder)
        return
    # That a secret of today is weak keeps nobody from going back.
    forgiving = stack in FORGIVING or RELEASE in texts
    for name in needed_secrets(tree):
        command = f"pulumi config set --secret {name} -s {stack}"
        if not texts.get(name, "").strip():
            yield Mistake((name,), f"secret is missing or empty; set it: {command}")
        elif name not in _secret_keys():
            yield Mistake((name,), f"secret stands there in clear; encrypt it: {command}")
        elif weakness := _weakness(texts[name], least_length(tree, name), forgiving=forgiving):
            yield Mistake((name,), f"secret {weakness}; set another: {command}")


def least_length(tree: Node, name: str) -> int:
    """Return how many characters the services demand of a secret; 0 if none of them says."""
    lengths = [service.nearest(("secretLengths", name)).value for service in _services(tree).values()]
    return max((length for length in lengths if isinstance(length, int)), default=0)


def _weakness(secret: str, least: int, *, forgiving: bool) -> str | None:
    """Return what is wrong with a secret, without the secret itself. What the app refuses is refused everywhere."""
    letters = re.sub(r"[^a-z]", "", secret.lower())
    placeholder = _PLACEHOLDER.fullmatch(letters) or len({*secret.lower()}) < 5 or secret in "1234567890" * 9
    if placeholder and not forgiving:
        return "is a placeholder"
    shortest = least if forgiving else max(least, LEAST_SECRET)
    return f"is shorter than {shortest} characters" if len(secret.strip().encode()) < shortest else None


def _unfit_files(tree: Node, folder: str) -> Iterator[Mistake]:
    """Secrets in files that the app or the API server refuses."""
    for name in needed_secrets(tree):
        file, least = ROOT / folder / name, least_length(tree, name)
        size = len(files.read_bytes(file).strip()) if file.is_file() else least
        if 0 < size < least:
            yield Mistake(("secretFiles",), f"{folder}/{name} is shorter than the {least} characters the app demands")
        if size > LARGEST_SECRET:
            yield Mistake(("secretFiles",), f"{folder}/{name} has {size} bytes; a Secret holds {LARGEST_SECRET}")


def _encrypted(node: Node, at: Key) -> Iterator[Key]:
    """Where there is a `{secure: ...}`."""
    if list(node.items()) == ["secure"]:
        yield at
    entries = enumerate(node.value) if isinstance(node.value, list) else node.items().items()
    for key, inner in entries:
        yield from _encrypted(inner, (*at, key))


def _image_mistakes(tree: Node) -> Iterator[Mistake]:
    folder = tree.items().get("imageFiles", Node(None)).value
    servers = [name for name in BACKING if name in tree.items() and tree.items()[name].value is not None]
    for name in servers if isinstance(folder, str) else ():
        said = tree.items()[name].items()
        if "image" not in said and said.get("source", Node("cluster")).value == "cluster":
            yield from _missing_files("imageFiles", str(folder), [name])


def _missing_files(key: str, folder: str, names: Iterable[str]) -> Iterator[Mistake]:
    for name in names:
        file = ROOT / folder / name
        if not file.is_file() or not files.read_text(file).strip():
            yield Mistake((key,), f"{folder}/{name} is missing or empty; `make up` makes it")


def _has_own_ca(tree: Node) -> bool:
    """Whether some service takes its certificate from the folder."""
    return any(service.nearest(("ingress", "tls", "secretFiles")).value is True for service in _services(tree).values())
