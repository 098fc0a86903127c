"""The first requests to a release: each service with an address answers at its check path, as its users reach it.

`./slipway up` sends them after an update and notes on the record of the release when they were answered;
`./slipway promote` requires that note, or sends them itself. Nothing fails because of them: the update has succeeded.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

import httpx2
import pulumi
import typer
from urllib3.exceptions import HTTPError

from slipway import releases
from slipway.naming import RELEASE
from slipway.ops.cluster import connection
from slipway.ops.cluster.connection import ClusterError, RefusedError, StackCluster
from slipway.ops.drills.drill import AUTHORITY
from slipway.ops.drills.traffic import Target
from slipway.ops.program import config, engine_state
from slipway.ops.program.engine_state import EngineError
from slipway.settings.settings import Settings

# A new address takes a moment: the ingress controller has to read it, and a certificate may have to be issued.
RETRY_SECONDS = 15.0


def record(stack: str) -> None:
    """Send the first requests, and note on the release in force that they were answered.

    If they were not, report it, and take back the note of an earlier update to the same release.
    """
    try:
        settings = config.settings(stack)
        if problems := send(settings):
            typer.echo("\n".join([f"{stack}: not answered as it should be:", *_indented(problems)]), err=True)
        if release := engine_state.in_force(engine_state.export(stack)):
            note = None if problems else now()
            annotate(connection.connect(stack, settings), release.revision, releases.FIRST_REQUEST, note)
    except (ClusterError, RefusedError, EngineError, httpx2.HTTPError, pulumi.RunError) as error:
        typer.echo(f"warning: {stack}: the first requests are not recorded: {error}", err=True)


def send(settings: Settings, sleep: Callable[[float], None] = time.sleep) -> list[str]:
    """Send a request to each service with an address; return what is wrong, empty if all is well."""
    urls = {
        name: service.ingress.url_of(service.check_path)
        for name, service in settings.services.items()
        if service.ingress
    }
    local = {name for name, service in settings.services.items() if service.ingress and _is_local(settings, name)}
    until = time.monotonic() + RETRY_SECONDS
    problems = [_answer(name, url, local=name in local) for name, url in urls.items()]
    while any(problems) and time.monotonic() < until:
        sleep(1)
        problems = [_answer(name, url, local=name in local) for name, url in urls.items()]
    return [problem for problem in problems if problem]


def annotate(cluster: StackCluster, revision: str, key: str, text: str | None) -> None:
    """Note something on the record of a release; None takes a note back.

    Raises RefusedError without the right to, and ClusterError.
    """
    cluster.patch("v1", "ConfigMap", f"{RELEASE}-{revision}", {"metadata": {"annotations": {key: text}}})


def now() -> str:
    """Return the present time as records of releases have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _is_local(settings: Settings, service: str) -> bool:
    """Return whether the authority of `make up` has signed the service's certificate."""
    ingress = settings.services[service].ingress
    return bool(ingress and ingress.tls and ingress.tls.secret_files) and AUTHORITY.is_file()


def _answer(service: str, url: str, *, local: bool) -> str:
    """Return what is wrong with the answer at a URL; empty for an answer below 400."""
    target = Target(url, AUTHORITY if local else None)
    try:
        with target.pool() as pool:
            status = pool.request("GET", target.path, redirect=False).status
    except (HTTPError, OSError) as error:
        return f"{service}: {url}: {error}"
    return "" if status < 400 else f"{service}: {url} answers {status}, and not 200 (its `check` in the stack file)"


def _indented(lines: list[str]) -> list[str]:
    return [f"  {line}" for line in lines]
