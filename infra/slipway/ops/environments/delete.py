"""`./slipway env delete`: nothing of an environment is left, in the cluster, in the backend and in this clone."""

from __future__ import annotations

import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

import pulumi
import typer

from slipway.ops.cluster import connection
from slipway.ops.cluster.connection import StackCluster
from slipway.ops.environments import create, registered, stack_file
from slipway.ops.environments.errors import EnvError
from slipway.ops.environments.registered import Environment
from slipway.ops.errors import UserError
from slipway.ops.program.check import GOLDEN
from slipway.ops.releases import destroy
from slipway.project import ROOT

NAMESPACE_SECONDS = 300
POLL_SECONDS = 1


def command(name: str) -> None:
    """Delete an environment and check that nothing is left. Deleting it again does nothing.

    Raises EnvError for a stack that `./slipway env create` has not made, and if something cannot be deleted.
    """
    stack_file.check_name(name)
    environment = registered.find(name)
    if environment is None:
        stack_file.check_ours(name)
    else:
        _destroy(environment)
        registered.remove(name)
    removed = _remove_files(name)
    if environment or removed:
        typer.echo(f"{name}: the stack is gone{''.join(f', {file} too' for file in removed)}", err=True)
    else:
        typer.echo(f"{name}: there is no such environment, and nothing of it is left", err=True)


def idle(seconds: float) -> int:
    """Delete the environments without a change for so long.

    Return 1 if one cannot be deleted, or there is a stack whose tag cannot be read; the others are deleted.
    """
    environments, problems = registered.environments()
    for problem in problems:
        typer.echo(f"error: {problem}", err=True)
    now, code = datetime.now(UTC), 1 if problems else 0
    for environment in environments:
        if environment.idle_seconds(now) < seconds or environment.is_updating:
            continue
        typer.echo(f"{environment.name}: last changed {environment.changed:%Y-%m-%d %H:%M} UTC", err=True)
        try:
            command(environment.name)
        except (UserError, pulumi.RunError) as error:
            typer.echo(f"error: {error}", err=True)
            code = 1
    return code


def _destroy(environment: Environment) -> None:
    """Destroy the objects of an environment, and wait until its namespace is gone."""
    name = environment.name
    create.restore_file(environment)
    content = stack_file.of_base(environment.base, name)
    # As its base is today: the settings of the last update may be of a program that this checkout does not have.
    stack_file.write(environment.base, name, content)
    cluster = connection.connect(name, stack_file.settings_of(name, content))
    if not environment.is_empty and destroy.command("destroy", name, yes=True) != 0:
        raise EnvError(f"{name}: not everything was deleted; see above. Then run it again: ./slipway env delete {name}")
    _wait_for_namespace(cluster)


def _wait_for_namespace(cluster: StackCluster) -> None:
    end = time.monotonic() + NAMESPACE_SECONDS
    while cluster.get("v1", "Namespace", cluster.namespace):
        if time.monotonic() > end:
            raise EnvError(
                f"{cluster.stack}: namespace {cluster.namespace} is still there after {NAMESPACE_SECONDS} s. See what "
                f"holds it: kubectl --context {cluster.context} get namespace {cluster.namespace} -o yaml"
            )
        time.sleep(POLL_SECONDS)
    typer.echo(f"{cluster.stack}: namespace {cluster.namespace} is gone", err=True)


def _remove_files(name: str) -> list[str]:
    """Remove what this clone has of an environment, and return what that was."""
    secrets = ROOT / stack_file.secrets_folder(name)
    paths: list[Path] = [stack_file.path(name), GOLDEN / f"{name}.yaml", secrets]
    present = [path for path in paths if path.exists()]
    for path in present:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return [path.relative_to(ROOT).as_posix() for path in present]
