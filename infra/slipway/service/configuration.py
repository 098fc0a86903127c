"""Configuration of a service's pods: variables and secrets, which roll them, and a file that they reload.

Variables and secrets are immutable objects named by their content. A change creates new ones, and the pods roll; the
old ones stay while a revision for `kubectl rollout undo` refers to them (retention.py). The config file keeps its name,
and running pods reload it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pulumi
import yaml
from pulumi_kubernetes import core

from slipway.naming import content_name
from slipway.scope import Scope
from slipway.service import external_secrets, inputs
from slipway.service.inputs import Config
from slipway.settings.names import MIGRATION_PASSWORD, password_of


def declare(scope: Scope) -> Config:
    """Declare the configuration objects of a service. Return their names for its pods."""
    secrets = _secrets(scope)
    env = inputs.environment(scope)
    return Config(
        env=_named_by_content(scope, f"{scope.title}-env", env) if env else None,
        file=_file(scope),
        secret=secret(scope, f"{scope.title}-secret", secrets, _retained(scope)) if secrets else None,
        authorities=_authorities(scope),
    )


def for_migration(scope: Scope, config: Config) -> Config:
    """Return the configuration for a migration, which logs in to MySQL with the account for migrations, if any."""
    user = scope.settings.mysql and scope.settings.mysql.migration_user
    if user is None or "mysql" not in scope.service.needs:
        return config
    title = f"{scope.title}-migration"
    env = {**inputs.environment(scope), "MYSQL_USER": user}
    # The app reads the password of whatever account it uses under the same name.
    secrets = {**_secrets(scope), password_of("mysql"): MIGRATION_PASSWORD}
    return replace(
        config,
        env=_named_by_content(scope, f"{title}-env", env),
        secret=secret(scope, f"{title}-secret", secrets, _retained(scope)),
    )


def secret(scope: Scope, title: str, keys: Mapping[str, str], opts: pulumi.ResourceOptions) -> pulumi.Input[str]:
    """Declare an object with secrets, given by key. Return its name, which changes with its content."""
    if scope.settings.secret_store:
        return external_secrets.declare(scope, title, keys, scope.settings.secret_store, opts)
    values = pulumi.Output.all(**{key: scope.settings.secret(name) for key, name in keys.items()})
    return _secret(scope, title, values, opts)


def secret_file(
    scope: Scope, title: str, file: str, names: Sequence[str], text: Callable[[Mapping[str, str]], str]
) -> pulumi.Input[str]:
    """Declare an object with one file that holds secrets among other text, which `text` returns for their values.

    Return its name, which changes with its content.
    """
    if scope.settings.secret_store and names:
        keys = {name: name for name in names}
        template = {file: external_secrets.template(names, text)}
        return external_secrets.declare(scope, title, keys, scope.settings.secret_store, scope.child(), template)
    # Without a name the engine returns an empty list in place of a mapping.
    values = pulumi.Output.all(**{name: scope.settings.secret(name) for name in names})
    content = pulumi.Output.secret(values.apply(lambda values: {file: text(dict(values))}))
    return _secret(scope, title, content, scope.child())


def _secret(scope: Scope, title: str, values: pulumi.Output[Any], opts: pulumi.ResourceOptions) -> pulumi.Output[str]:
    # The name reveals that the content changed, not the content: 8 digits of a SHA-256 over all values.
    name = pulumi.Output.unsecret(values.apply(lambda data: content_name(title, data)))
    declared = core.v1.Secret(
        title, metadata=scope.meta(name), type="Opaque", string_data=values, immutable=True, opts=opts
    )
    return declared.metadata.name


def _secrets(scope: Scope) -> dict[str, str]:
    """Return the secrets that a service reads, each under its own name."""
    return {name: name for name in scope.settings.secrets_of(scope.name)}


def _retained(scope: Scope) -> pulumi.ResourceOptions:
    """Return options that retain an object when it is superseded; that of a canary is deleted with the canary."""
    if scope.track:
        return scope.child()
    return pulumi.ResourceOptions(parent=scope.parent, provider=scope.retaining, retain_on_delete=True)


def _authorities(scope: Scope) -> pulumi.Output[str] | None:
    """Declare the CA certificates of managed stores; None where the public authorities suffice."""
    data = scope.settings.authority_files(scope.name)
    return _named_by_content(scope, f"{scope.title}-authorities", data) if data else None


def _named_by_content(scope: Scope, name: str, data: dict[str, str]) -> pulumi.Output[str]:
    declared = core.v1.ConfigMap(
        name,
        metadata=scope.meta(content_name(name, data)),
        data=data,
        immutable=True,
        opts=_retained(scope),
    )
    return declared.metadata.name


def _file(scope: Scope) -> pulumi.Output[str] | None:
    if not scope.service.file:
        return None
    file = core.v1.ConfigMap(
        f"{scope.title}-file",
        metadata=scope.meta(f"{scope.title}-file"),
        data={"config.yaml": yaml.safe_dump(scope.service.file)},
        opts=scope.child(),
    )
    return file.metadata.name
