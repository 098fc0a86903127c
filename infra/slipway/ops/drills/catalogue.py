"""The drills: a fault each, what users may notice of it, and what to do when they notice more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from slipway.ops.drills import faults
from slipway.ops.drills.context import DrillContext
from slipway.ops.drills.requirements import (
    SIGNING_KEY,
    Requirement,
    cleans_up,
    kubectl,
    nothing_pending,
    own_certificate,
    own_secret,
    own_store,
    reference_api,
    two_pods,
)
from slipway.ops.drills.traffic import EXPIRED, RATE

# What a crash may cost: the requests that the pod was answering, and its half of those that arrive in the second until
# the ingress knows.
IN_FLIGHT = RATE // 2


@dataclass(frozen=True)
class Drill:
    """A fault, and what is expected of a stack that has it."""

    name: str
    does: str
    expects: str
    act: Callable[[DrillContext], None]
    """Puts the fault in, checks its effect, and takes it out again."""
    runbook: tuple[str, ...]
    """What to do if the drill fails, or if the fault is real."""
    requirements: tuple[Requirement, ...] = ()
    max_lost: int = 0
    """How many requests may be lost."""
    accepted_answers: tuple[str, ...] = ()
    """Answers besides 200 that are right while the fault is there."""
    max_outage: float = float("inf")
    """How many seconds may pass without a 200."""
    fresh_connections: bool = False
    """Whether each request comes on a connection of its own."""


DRILLS = (
    Drill(
        "kill-pod",
        "Deletes one pod of the service without grace: a crash.",
        "Another pod replaces it; at most the requests it was answering are lost; others are served in seconds.",
        faults.kill_pod,
        (
            "./slipway status -s STACK: is the pod replaced? If not, it names the cause.",
            "Requests lost for longer than a second or two: the ingress still sends them to a pod that is gone; look "
            "at the EndpointSlices, and at how soon the ingress follows them.",
            "The other pods cannot take the load: raise autoscaling.min in stacks/Pulumi.STACK.yaml.",
        ),
        requirements=(two_pods,),
        max_lost=IN_FLIGHT,
        max_outage=5,
    ),
    Drill(
        "drain",
        "Evicts every pod of the service, one after the other, as `kubectl drain` of its node would.",
        "The disruption budget lets them go one at a time, and no request is lost.",
        faults.drain,
        (
            "It hangs: `kubectl get pdb`: with ALLOWED DISRUPTIONS 0 a pod is not ready; ./slipway status says why.",
            "Requests are lost: a pod ends before the ingress stops sending to it; raise its drain.delaySeconds.",
        ),
        requirements=(two_pods,),
    ),
    Drill(
        "redis-down",
        "Stops Redis, and starts it again.",
        "No request fails, though some are slower. In the reference app, what is written without Redis and after it is "
        "counted.",
        faults.redis_down,
        (
            "./slipway logs -s STACK redis --previous: why it ended. It starts again with the data on its volume.",
            "Requests fail without it: the app waits for it; look for `redis` in ./slipway logs -s STACK api.",
            "Ratings stay behind after it is back: `recounting is interrupted` in the same logs says why.",
        ),
        requirements=(partial(own_store, "redis"), cleans_up),
    ),
    Drill(
        "mysql-slow",
        f"Locks a table of MySQL {faults.LOCKS} times for {faults.LOCK_SECONDS} s.",
        "Requests are answered with 200, or with 503 after a short wait; no pod restarts; all is well soon after.",
        faults.mysql_slow,
        (
            "kubectl exec mysql-0 -- mysql --defaults-file=/run/mysqld/login.cnf --execute='SHOW PROCESSLIST': who "
            "holds the lock, and for how long; KILL ends it.",
            "Answers take longer than a second: the time the app waits for MySQL is in app/internal/store/mysql.",
            "Pods restart: liveness must not depend on MySQL; ./slipway status tells which probe killed them.",
        ),
        requirements=(reference_api, partial(own_store, "mysql"), kubectl),
        accepted_answers=("503",),
    ),
    Drill(
        "expired-certificate",
        "Puts a certificate that expired yesterday into the Secrets of the Ingresses.",
        "Clients that verify it refuse it, and say why; with the good one back, all requests are served.",
        faults.expired_certificate,
        (
            "openssl s_client -connect HOST:443 -servername HOST </dev/null | openssl x509 -noout -dates",
            "The local stack: rm .slipway/tls/tls.crt && make up. With an issuer: kubectl describe certificate.",
            "./slipway status does not see it: monitor the expiry date from outside.",
        ),
        requirements=(own_certificate,),
        accepted_answers=(EXPIRED,),
        fresh_connections=True,
    ),
    Drill(
        "full-quota",
        "Fills the namespace's quota of pods, and asks for one more.",
        "Running pods lose no request; the further pod is refused, and status says why; with room it is created.",
        faults.full_quota,
        (
            "kubectl describe quota: which limit is reached.",
            "Finished or forgotten pods take room: kubectl get pods; delete what nobody needs.",
            "More is needed: raise slipway:quota in stacks/Pulumi.STACK.yaml, or take it out: then it is computed.",
        ),
    ),
    Drill(
        "leaked-secret",
        f"Replaces {SIGNING_KEY} by `pulumi up`, as if it had leaked. The new one stays.",
        "Only its readers restart; no request is lost. The reference app refuses tokens signed with the former key.",
        faults.leaked_secret,
        (
            "`pulumi up` failed: the new key is in its file already; run ./slipway up -s STACK again.",
            "Old tokens are still accepted: signing-key-previous among the service's secrets makes them valid.",
            "Other services restart: they name the key under secrets: in the stack files without need.",
            "If a store's password leaked, replace that too; and find out where it leaked.",
        ),
        requirements=(own_secret, cleans_up, nothing_pending),
    ),
)
