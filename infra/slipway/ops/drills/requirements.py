"""What a stack must have for a drill. Each function returns why a drill is impossible, or nothing if it is possible."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import TypeAlias

from slipway.ops.cluster.connection import StackCluster
from slipway.ops.program import engine_state
from slipway.ops.program.engine_state import EngineError
from slipway.project import ROOT, config_key

SIGNING_KEY = "signing-key"
# The local certificate authority, as `make up` leaves it.
AUTHORITY = ROOT / ".slipway" / "tls"

# The list of shops: a service with it as `check` has the API of the reference app (app/), with users and shops.
REFERENCE_CHECK = "/v1/shops"

Requirement: TypeAlias = Callable[[StackCluster, str], str]
"""Takes the cluster and the service under traffic; returns why the drill is impossible there, or nothing."""


def has_reference_api(cluster: StackCluster, service: str) -> bool:
    """Return whether drills may create users and shops, and so see more than requests to `check`."""
    return cluster.settings.services[service].check == REFERENCE_CHECK


def reference_api(cluster: StackCluster, service: str) -> str:
    """Require the API and the tables of the reference app."""
    if has_reference_api(cluster, service):
        return ""
    return f"it uses the API of the reference app (check: {REFERENCE_CHECK}), and {service} is another app"


def two_pods(cluster: StackCluster, service: str) -> str:
    """Require a second pod, which serves while the first one is gone."""
    min_replicas = cluster.settings.services[service].min_replicas
    return (
        ""
        if min_replicas > 1
        else f"{service} may have {min_replicas} pod: without it nobody is served; autoscaling.min: 2"
    )


def own_store(name: str, cluster: StackCluster, _: str) -> str:
    """Require a store that the stack runs itself: a managed one is not ours to stop."""
    return "" if name in cluster.settings.servers else f"the stack does not run {name} itself"


def kubectl(_: StackCluster, __: str) -> str:
    """Require kubectl, which runs the client in MySQL's pod."""
    return "" if shutil.which("kubectl") else "`kubectl` is not on the PATH; see `. ./activate`"


def cleans_up(cluster: StackCluster, service: str) -> str:
    """Require a way to delete the test user's data, if the drill creates one."""
    if not has_reference_api(cluster, service):
        return ""
    return own_store("mysql", cluster, service) or kubectl(cluster, service)


def own_certificate(cluster: StackCluster, _: str) -> str:
    """Require certificates from files: an issuer would renew the expired one at once, or could not put it back."""
    if not certificate_secrets(cluster):
        return "the stack does not hold its certificates itself (tls: {secretFiles: true}); their issuer replaces them"
    key = AUTHORITY / "ca.key"
    return "" if key.is_file() else f"{key.relative_to(ROOT)}, which signs, is not there; `make up` makes it"


def own_secret(cluster: StackCluster, service: str) -> str:
    """Require the signing key in a file: then it can be rotated without a change to the stack file."""
    if SIGNING_KEY not in cluster.settings.services[service].secrets:
        return f"{service} has no {SIGNING_KEY}"
    if not cluster.settings.secret_files:
        key = config_key(SIGNING_KEY)
        return f"the stack has no slipway:secretFiles; rotate by `pulumi config set --secret slipway:{key}` and `up`"
    return ""


def nothing_pending(cluster: StackCluster, _: str) -> str:
    """Require a stack without undeployed changes: the drill's update would deploy them."""
    try:
        engine_state.pulumi("preview", "--expect-no-changes", "-s", cluster.stack)
    except EngineError as error:
        return f"`pulumi up` has more to do than the drill; ./slipway up -s {cluster.stack} first ({error})"
    return ""


def certificate_secrets(cluster: StackCluster) -> list[str]:
    """Return the names of the Secrets with certificates that the stack itself fills."""
    ingresses = {name: service.ingress for name, service in cluster.settings.services.items()}
    return [
        f"{name}-tls" for name, ingress in ingresses.items() if ingress and ingress.tls and ingress.tls.secret_files
    ]
