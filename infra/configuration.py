"""What a service's pods are told: variables and secrets that roll them, and a file they read again.

Variables and secrets are immutable objects named by their content. A change makes new ones, and the pods roll; the old
ones stay as long as a revision that `kubectl rollout undo` could go back to names them (retention.py). The config file
keeps its name: running pods read it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import external_secrets
import pod
import pulumi
import yaml
from naming import content_name
from pulumi_kubernetes import core
from scope import Scope
from settings import MIGRATION_PASSWORD, password_of


def declare(scope: Scope) -> pod.Config:
    """All configuration objects of a service; the names a pod refers to them by."""
    secrets = _secrets(scope)
    return pod.Config(
        env=_named_by_content(scope, f"{scope.title}-env", pod.environment(scope)),
        file=_file(scope),
        secret=secret(scope, f"{scope.title}-secret", secrets, _retained(scope)) if secrets else None,
        authorities=_authorities(scope),
    )


def for_migration(scope: Scope, config: pod.Config) -> pod.Config:
    """The same for the pod of a migration, which logs in to MySQL by the account for that, if there is one."""
    user = scope.settings.mysql and scope.settings.mysql.migration_user
    if user is None or "mysql" not in scope.service.needs:
        return config
    title = f"{scope.title}-migration"
    env = {**pod.environment(scope), "MYSQL_USER": user}
    # The app finds the password under the name it knows.
    secrets = {**_secrets(scope), password_of("mysql"): MIGRATION_PASSWORD}
    return replace(
        config,
        env=_named_by_content(scope, f"{title}-env", env),
        secret=secret(scope, f"{title}-secret", secrets, _retained(scope)),
    )


def secret(scope: Scope, title: str, keys: Mapping[str, str], opts: pulumi.ResourceOptions) -> pulumi.Input[str]:
    """The object that holds secrets, `keys` naming the one under each key; its name changes with what is in it."""
    if scope.settings.secret_store:
        return external_secrets.declare(scope, title, keys, scope.settings.secret_store, opts)
    values = pulumi.Output.all(**{key: scope.settings.secret(name) for key, name in keys.items()})
    # The name tells that the content changed, not what it is: 8 digits of a SHA-256 over all the values.
    name = pulumi.Output.unsecret(values.apply(lambda data: content_name(title, data)))
    made = core.v1.Secret(
        title,
        metadata=scope.meta(name),
        type="Opaque",
        string_data=values,
        immutable=True,
        opts=opts,
    )
    return made.metadata.name


def _secrets(scope: Scope) -> dict[str, str]:
    """What a service reads, each under its own name."""
    return {name: name for name in scope.settings.secrets_of(scope.name)}


def _retained(scope: Scope) -> pulumi.ResourceOptions:
    """A canary takes with it what only its pods have read."""
    if scope.track:
        return scope.child()
    return pulumi.ResourceOptions(parent=scope.parent, provider=scope.retaining, retain_on_delete=True)


def _authorities(scope: Scope) -> pulumi.Output[str] | None:
    """The certificates by which pods know managed servers; None where the public authorities will do."""
    data = scope.settings.authorities_of(scope.name)
    return _named_by_content(scope, f"{scope.title}-authorities", data) if data else None


def _named_by_content(scope: Scope, name: str, data: dict[str, str]) -> pulumi.Output[str]:
    made = core.v1.ConfigMap(
        name,
        metadata=scope.meta(content_name(name, data)),
        data=data,
        immutable=True,
        opts=_retained(scope),
    )
    return made.metadata.name


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
