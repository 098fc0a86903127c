"""From stacks/defaults.yaml and stacks/Pulumi.<stack>.yaml to `Settings`, or to one message with all their errors."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Any

import pulumi
from pydantic import TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from slipway.naming import instance
from slipway.settings import checks
from slipway.settings.engine_values import engine_texts, parse_text, with_locations
from slipway.settings.engine_yaml import Node
from slipway.settings.errors import InvalidSetting, Key, invalid_settings, messages, raise_errors
from slipway.settings.layers import effective
from slipway.settings.names import UNRECORDED
from slipway.settings.secret_checks import check_image_files, check_secrets, required_secrets, services
from slipway.settings.sections.section import tolerated_errors
from slipway.settings.settings import CANDIDATE, RELEASE, SECTIONS, SERVICE, Settings
from slipway.settings.source_files import StackFile, read_files
from slipway.settings.tiers import TIERS, Tier, tier_of
from slipway.settings.types.scalars import LabelValue, StackName


def load() -> Settings:
    """Return the settings of the current stack. Raise `pulumi.RunError` with all errors in them."""
    stack = pulumi.get_stack()
    own, shared = read_files(stack)
    texts = engine_texts()
    if recorded := RELEASE in texts and RELEASE not in own.settings.items():
        own = shared = StackFile(Node({}), [])  # what a release recorded is complete
    tree = _without_candidate(effective(with_locations(texts, own.settings), shared.settings), texts)
    errors = [*own.errors, *shared.errors, *check_secrets(stack, tree, texts), *check_image_files(tree)]
    return settings_of_release(stack, tree, errors) if recorded else validated_settings(stack, tree, errors)


def load_candidate() -> Settings | None:
    """Return what `./slipway up` tries beside the release in force. None but in the first step of a canary."""
    stack, texts = pulumi.get_stack(), engine_texts()
    tree = candidate_in({name: parse_text(text) for name, text in texts.items()})
    return validated_settings(stack, tree, check_secrets(stack, tree, texts)) if tree else None


def candidate_in(values: Mapping[str, Any]) -> Node | None:
    """Return the settings of a candidate among those of its stack, with the stack's own tier and source of secrets."""
    if CANDIDATE not in values:
        return None
    unrecorded = {name: values[name] for name in map(to_camel, UNRECORDED) if name in values}
    return Node({**Node.of(values[CANDIDATE]).items(), **Node.of(unrecorded).items()})


def _without_candidate(tree: Node, texts: Mapping[str, str]) -> Node:
    """Return the settings of the release in force, without the secrets that only the candidate reads."""
    candidate = candidate_in({name: parse_text(text) for name, text in texts.items()})
    if candidate is None:
        return tree
    left_out = {CANDIDATE, *required_secrets(candidate)} - required_secrets(tree)
    return Node({name: node for name, node in tree.items().items() if name not in left_out}, tree.location)


def stack_tier(stack: str) -> Tier:
    """Return the tier of a stack. Its files may be invalid otherwise."""
    if stack in TIERS:
        return TIERS[stack]
    own, shared = read_files(stack)
    return tier_of(stack, effective(own.settings, shared.settings).items().get("tier", Node(None)).value)


def validated_settings(stack: str, tree: Node, errors: Iterable[InvalidSetting]) -> Settings:
    """Return the settings of a stack. Raise `pulumi.RunError` with the given errors and all others."""
    settings, invalid = _validate(_sections(stack, tree))
    found = [*errors, *_check_names(stack, tree), *invalid, *(checks.check(settings) if settings else ())]
    if found or not settings:
        raise_errors(f"stacks/Pulumi.{stack}.yaml", found, lambda key: tree.nearest(key).location)
    return settings


def settings_of_release(stack: str, tree: Node, errors: Iterable[InvalidSetting]) -> Settings:
    """Return the settings of a recorded release. Rules that were added since it ran are warnings only.

    Raise `pulumi.RunError` with the given errors, and if today's program cannot read the settings at all.
    """
    tolerated: list[str] = []
    token = tolerated_errors.set(tolerated)
    try:
        settings, invalid = _validate(_sections(stack, tree))
    finally:
        tolerated_errors.reset(token)
    source = f"release {tree.nearest((RELEASE, 'revision')).value}, as today's program reads it,"
    fatal = [*errors, *_check_stack_name(stack), *(invalid if not settings else ())]
    if fatal or not settings:
        raise_errors(source, fatal, lambda _: None)
    broken = [*invalid, *_check_names(stack, tree), *checks.check(settings)]
    for line in dict.fromkeys([*tolerated, *messages(broken, lambda _: None)]):
        pulumi.log.warn(f"{source} breaks a rule: {line}")
    return settings


def _sections(stack: str, tree: Node) -> dict[str, Any]:
    """Return the values of all sections, with the tier of a stack that is named like one."""
    values = {name: node.plain() for name, node in tree.items().items() if name in SECTIONS}
    return {**values, "tier": stack} if stack in TIERS else values


def _validate(values: dict[str, Any]) -> tuple[Settings | None, list[InvalidSetting]]:
    """Return the settings, and all errors in them. Unknown keys are taken out, so that the rest is validated too."""
    try:
        return Settings.model_validate(values), []
    except ValidationError as error:
        errors = list(invalid_settings(error, Settings))
        unknown = [detail["loc"] for detail in error.errors() if detail["type"] == "extra_forbidden"]
    if not unknown:
        return None, errors
    for key in unknown:
        _delete(values, key)
    settings, others = _validate(values)
    return settings, [*errors, *others]


def _delete(values: Any, key: Key) -> None:
    *sections, last = key
    for section in sections:
        values = values[section]
    del values[last]


def _check_names(stack: str, tree: Node) -> Iterator[InvalidSetting]:
    yield from _check_stack_name(stack)
    yield from _check_tier(stack, tree)
    yield from _check_sections(tree)
    yield from repeated_items(tree)


def _check_stack_name(stack: str) -> Iterator[InvalidSetting]:
    """Report an invalid stack name once. Each object has it in a label, and would be refused for it."""
    if rule := broken_rule(StackName, stack):
        length = f"this one has {len(stack)} characters. Rename it: pulumi stack rename"
        yield InvalidSetting((), f"the stack's name {rule}; {length}")
    elif rule := broken_rule(LabelValue, instance(stack)):
        yield InvalidSetting((), f"{instance(stack)} {rule}. Shorten `name` in Pulumi.yaml, or the stack's name")


def broken_rule(type_: Any, value: str) -> str:
    """Return what a value of a stack file should be; empty if it is that."""
    try:
        TypeAdapter(type_).validate_python(value)
    except ValidationError as error:
        return error.errors()[0]["msg"].removeprefix("Value error, ")
    return ""


def _check_tier(stack: str, tree: Node) -> Iterator[InvalidSetting]:
    """Report a missing tier, and one that contradicts the stack's name."""
    tier = tree.items().get("tier")
    if stack in TIERS and tier and tier.value != stack:
        yield InvalidSetting(("tier",), f"a stack named {stack} is always of tier {stack}; leave it out", tier.value)
    if stack not in TIERS and tier is None:
        rule = f"is required: the name {stack} does not say which of {', '.join(TIERS)} this environment is"
        yield InvalidSetting(("tier",), rule, example="prod")


def _check_sections(tree: Node) -> Iterator[InvalidSetting]:
    known = [*SECTIONS, SERVICE, *required_secrets(tree)]
    for name, node in tree.items().items():
        if name not in known:
            yield InvalidSetting.unknown((name,), known)
        if name == SERVICE and not isinstance(node.value, dict):
            yield InvalidSetting((name,), "should be a mapping")


def repeated_items(tree: Node) -> Iterator[InvalidSetting]:
    """Report repeated items of lists that are sets. `args` and lists in `file` may repeat an item."""
    for name, service in services(tree).items():
        at: Key = ("services", name)
        egress = service.items().get("egress", Node(None)).value
        lists = {(key,): service.items().get(key) for key in ("needs", "secrets")}
        items = enumerate(egress) if isinstance(egress, list) else ()
        lists |= {("egress", index, "ports"): item.items().get("ports") for index, item in items}
        for key, node in lists.items():
            values = node.plain() if node and isinstance(node.value, list) else []
            for index, value in _repeated(values):
                yield InvalidSetting((*at, *key, index), "is in the list twice", None if key == ("secrets",) else value)


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
