"""The stack file of an environment: that of its base, with a namespace, hosts and secrets of its own.

It is written anew by every `./slipway env create`, so that an environment follows its base. The engine's own keys and
the secrets in it are kept.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from slipway import files
from slipway.ops.environments.errors import EnvError
from slipway.ops.program import config
from slipway.settings import source_files
from slipway.settings.engine_yaml import Node
from slipway.settings.errors import PREFIX
from slipway.settings.layers import effective
from slipway.settings.settings import Settings
from slipway.settings.source_files import read_defaults, read_files
from slipway.settings.stack_file import broken_rule, validated_settings
from slipway.settings.tiers import TIERS
from slipway.settings.types.scalars import DnsLabel, StackName

Content = dict[str, Any]
"""The mapping `config:`, with keys as `slipway:namespace`."""
MADE_BY = "made by `./slipway env create`"


def path(stack: str) -> Path:
    """Return where the engine looks for the file of a stack."""
    return source_files.STACKS / f"Pulumi.{stack}.yaml"


def secrets_folder(name: str) -> str:
    """Return where an environment has its secrets if its base has them in files, seen from the project's root."""
    return f".slipway/environments/{name}"


def check_name(name: str) -> None:
    """Raise EnvError if no environment can have this name. It becomes part of paths, of its namespace and hosts."""
    if name in TIERS:
        raise EnvError(
            f"stack {name} was not {MADE_BY}, so it is left alone: {name} is the name of a tier. "
            "Environments have other names, such as pr-123"
        )
    for kind in (StackName, DnsLabel):
        if rule := broken_rule(kind, name):
            shown = name or "an empty text"
            raise EnvError(f"{shown}: the name of an environment {rule}; it becomes part of its namespace and hosts")


def check_ours(name: str) -> None:
    """Raise EnvError if there is a file of this name that was not made for an environment."""
    if path(name).is_file() and MADE_BY not in files.read_text(path(name)).partition("\n")[0]:
        raise EnvError(f"stacks/Pulumi.{name}.yaml was not {MADE_BY}, so it is left alone. Take another name")


def of_base(base: str, name: str) -> Content:
    """Return the content for an environment, without secrets."""
    settings = config.settings(base)
    own = {key: value for key, value in read_files(base)[0].config.plain().items() if not _is_secret(value)}
    content: Content = _renamed(copy.deepcopy(own), {host: host_of(host, name) for host in _hosts(settings)})
    content |= {
        f"{PREFIX}tier": settings.tier,
        f"{PREFIX}namespace": namespace_of(settings.namespace, base, name),
    }
    if settings.secret_files:
        content[f"{PREFIX}secretFiles"] = secrets_folder(name)
    _set_hosts(content, settings, name)
    _leave_monitoring(content, settings)
    return content


def settings_of(name: str, content: Content) -> Settings:
    """Return the settings that this content gives. Raises what a run of the program would raise."""
    return validated_settings(name, tree_of(content), [])


def tree_of(content: Content) -> Node:
    """Return the effective settings, validated or not."""
    own = {key.removeprefix(PREFIX): value for key, value in content.items() if key.startswith(PREFIX)}
    return effective(Node.of(own), read_defaults().settings)


def write(base: str, name: str, content: Content) -> None:
    """Write the file. Keeps what the engine has in it, and the secrets."""
    before: Content = yaml.safe_load(files.read_text(path(name))) or {} if path(name).is_file() else {}
    kept = {key: value for key, value in (before.get("config") or {}).items() if _is_secret(value)}
    # At this level the engine warns of null, and means the same by an empty text.
    settings = {key: "" if value is None else value for key, value in content.items()}
    document = {**before, "config": {**settings, **kept}}
    head = f"# {name}: a copy of {base}, {MADE_BY}, which writes it anew; `./slipway env delete {name}` removes it.\n"
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)
    files.write({path(name): head + text})


def namespace_of(namespace: str, base: str, name: str) -> str:
    """Return the namespace of an environment: `slipway-pr-123` beside `slipway-dev`."""
    return f"{namespace.removesuffix(f'-{base}')}-{name}"


def host_of(host: str, name: str) -> str:
    """Return a host of an environment: `pr-123-api.dev.example.com` beside `api.dev.example.com`.

    In front of the first label, so that DNS records and certificates for `*.dev.example.com` serve it, too.
    """
    first, _, rest = host.partition(".")
    is_whole_domain = first == "*" or "." not in rest
    return f"{first}.{name}.{rest}" if first == "*" else f"{name}.{host}" if is_whole_domain else f"{name}-{host}"


def _is_secret(value: Any) -> bool:
    return isinstance(value, dict) and list(value) == ["secure"]  # pyright: ignore[reportUnknownArgumentType]


def _hosts(settings: Settings) -> set[str]:
    return {host for service in settings.services.values() if service.ingress for host in service.ingress.all_hosts}


def _renamed(value: Any, hosts: Mapping[str, str]) -> Any:
    """Return a value with each of the hosts in its texts replaced, such as in a variable PUBLIC_URL."""
    if isinstance(value, dict):
        return {key: _renamed(item, hosts) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return [_renamed(item, hosts) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if not isinstance(value, str) or not hosts:
        return value
    names = "|".join(map(re.escape, sorted(hosts, key=len, reverse=True)))
    return re.sub(rf"(?<![\w.-])(?:{names})(?![\w.-])", lambda match: hosts[match[0]], value)


def _set_hosts(content: Content, settings: Settings, name: str) -> None:
    """Give each service hosts of its own, also where those of the base are in defaults.yaml."""
    services: Content = content.setdefault(f"{PREFIX}services", {})
    for service, section in settings.services.items():
        if ingress := section.ingress:
            own = services[service] = services.get(service) or {}
            route = own["ingress"] = own.get("ingress") or {}
            route |= {"host": host_of(ingress.host, name)} if ingress.host else {}
            route |= {"hosts": [host_of(host, name) for host in ingress.hosts]} if ingress.hosts else {}


def _leave_monitoring(content: Content, settings: Settings) -> None:
    """Take monitoring out, so that nobody is paged. Where pods are scaled by its data, take out the receivers only."""
    key, defaults = f"{PREFIX}monitoring", read_defaults().settings.items().get("monitoring", Node(None))
    if any(service.is_scaled_by_keda for service in settings.services.values()):
        content[key] = _without("receivers", content.get(key) or {}, defaults.items())
        return
    content.pop(key, None)
    if defaults.value is not None:
        content[key] = None


def _without(key: str, section: Content, defaults: Mapping[str, Node]) -> Content:
    """Return a section without a key; `null` removes one that is in defaults.yaml."""
    rest = {name: value for name, value in section.items() if name != key}
    return {**rest, key: None} if key in defaults else rest
