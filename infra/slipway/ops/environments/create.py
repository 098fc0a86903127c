"""`./slipway env create`: a stack like its base, with a namespace, hosts, secrets and data of its own.

Every step can be run again: for an environment that exists it is an update, after its base and this checkout.
"""

from __future__ import annotations

import typer

from slipway import files
from slipway.naming import INSTANCE, instance
from slipway.objects import dig
from slipway.ops.cluster import connection
from slipway.ops.cluster.connection import StackCluster
from slipway.ops.environments import data, registered, secrets, sleep, stack_file
from slipway.ops.environments.errors import EnvError
from slipway.ops.environments.registered import Environment
from slipway.ops.program import config, engine_state
from slipway.ops.program.engine_state import EngineError
from slipway.ops.program.recorder import stack_config
from slipway.ops.releases import up
from slipway.ops.streams import stdout_to_stderr
from slipway.settings.engine_yaml import read
from slipway.settings.settings import Settings
from slipway.settings.tiers import TIERS


def command(name: str, base: str, dump: str) -> int:
    """Create an environment, or update it; with `dump`, restore that backup of the base. Print its addresses.

    Returns 1 if the update failed.
    Raises EnvError for a name that is taken, a base that shares its data, and a tier that forbids it.
    """
    stack_file.check_name(name)
    if dump:
        data.check_name(dump)
    stack_config(base)  # an unknown stack is refused before anything is done
    base_settings = config.settings(base)
    _check_base(base, base_settings, name)
    content = stack_file.of_base(base, name)
    settings = stack_file.settings_of(name, content)
    cluster = connection.connect(name, settings)
    environment = _registered(name, base, cluster)
    restore_file(environment)
    stack_file.write(base, name, content)
    made = secrets.create_missing(environment, base_settings, content)
    typer.echo(f"{name}: stacks/Pulumi.{name}.yaml is like {base}; new secrets: {', '.join(made) or 'none'}", err=True)
    if sleep.is_asleep(cluster):
        sleep.wake(cluster)
    with stdout_to_stderr():
        code = up.command(name, yes=True, rolls_back=True)
    if code != 0:
        typer.echo(f"error: {name}: not up. Run it again, or ./slipway env delete {name}", err=True)
        return 1
    if dump:
        with stdout_to_stderr():
            data.restore(base, name, dump)
        sleep.wait_until_ready(cluster)
    typer.echo(f"{name}: up in namespace {settings.namespace}", err=True)
    for address in addresses(settings):
        typer.echo(address)
    return 0


def addresses(settings: Settings) -> list[str]:
    """Return the addresses of the services that clients outside the cluster reach."""
    return [service.ingress.url for service in settings.services.values() if service.ingress]


def opened(name: str) -> StackCluster:
    """Return the cluster of a stack. An environment gets its file again where this clone lacks it."""
    if not stack_file.path(name).is_file() and (environment := registered.find(name)):
        restore_file(environment)
    stack_config(name)
    return connection.connect(name, config.settings(name))


def _check_base(base: str, settings: Settings, name: str) -> None:
    """Raise EnvError for a base that is never copied, or whose data the environment would share."""
    if not TIERS[settings.tier].allows_env:
        raise EnvError(f"stack {base} is of tier {settings.tier}, which is never copied. Give another one with --from")
    if shared := [store for store, section in settings.stores.items() if section.source == "managed"]:
        raise EnvError(
            f"stack {base} uses a managed {' and '.join(shared)}, so {name} would write to the data of {base}. Give "
            "--from a stack that runs its stores itself (source: cluster)"
        )


def _registered(name: str, base: str, cluster: StackCluster) -> Environment:
    """Return the environment, whose stack is created where there is none. Raises EnvError if its name is taken."""
    environment = registered.find(name)
    if environment is None:
        stack_file.check_ours(name)
    if environment and environment.base != base:
        raise EnvError(
            f"{name} is a copy of {environment.base}, not of {base}. Give --from {environment.base}, or first: "
            f"./slipway env delete {name}"
        )
    namespace = cluster.get("v1", "Namespace", cluster.namespace)
    # A new one has none yet, even of this name: a colleague may have made that, with the state in another backend.
    if namespace and (environment is None or dig(namespace, "metadata.labels", INSTANCE) != instance(name)):
        raise EnvError(
            f"there is a namespace {cluster.namespace} already, which this environment has not made; take another name"
        )
    if environment:
        return environment
    # A file without a stack is left from another backend: its secrets are of no use.
    stack_file.path(name).unlink(missing_ok=True)
    provider = read(files.read_bytes(stack_file.path(base)), base)[0].items().get("secretsprovider")
    return registered.register(name, base, str(provider.value) if provider else "")


def restore_file(environment: Environment) -> None:
    """Take the stack file, with its secrets, from the last update where this clone lacks it."""
    if stack_file.path(environment.name).is_file():
        return
    try:
        engine_state.pulumi("config", "refresh", "--force", "-s", environment.name)
    except EngineError as error:
        if "no previous deployment" not in str(error):
            raise
