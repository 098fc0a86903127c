"""The drills: a fault each, what users may notice of it, and what to do when they notice more."""

from __future__ import annotations

import base64
import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from secrets import token_urlsafe
from typing import TypeAlias

from files import explained, read_bytes

from ops import engine_state, held, status
from ops.ailments import Label
from ops.cluster import Cluster, Object, at, name_of
from ops.engine_state import NoState
from ops.recorder import ROOT
from ops.stage import Stage
from ops.traffic import EXPIRED, RATE
from ops.visitor import visitor

SIGNING_KEY = "signing-key"
# The local authority, as `make up` leaves it.
AUTHORITY = ROOT / ".slipway" / "tls"
# The Deployment of the pod for which there is no room.
FURTHER = "drill"
# What the fault is left in for, once its effect is there.
FAULT_SECONDS = 10
READY_SECONDS, LEAVE_SECONDS, STORE_SECONDS = 60, 90, 120
# MySQL is locked that often, for that long each: longer than the API waits for it.
BURSTS, LOCK_SECONDS = 5, 2
# The app gives MySQL up after 0.9 s; the rest is the way there, on a busy node.
ANSWER_SECONDS = 1.5
# What a crash may cost: what the pod has in hand, and its half of the requests of the second until the ingress knows.
IN_FLIGHT = RATE // 2

Condition: TypeAlias = Callable[[Cluster, str], str]
"""Why a drill cannot be done on a stack, to this service; nothing if it can."""


@dataclass(frozen=True)
class Drill:
    """A fault, and what is expected of a stack that has it."""

    name: str
    does: str
    expects: str
    act: Callable[[Stage], None]
    """Put the fault in, look at its effect, and take it out again."""
    runbook: tuple[str, ...]
    """What to do if it fails, or if it is no drill."""
    needs: tuple[Condition, ...] = ()
    lost: int = 0
    """Requests that may be lost."""
    instead: tuple[str, ...] = ()
    """Answers that are right while the fault is there, besides 200."""
    outage: float = float("inf")
    """Seconds without a 200 that there may be at the most."""
    fresh: bool = False
    """Whether each request comes on a connection of its own."""


# What a drill needs


def two_pods(found: Cluster, service: str) -> str:
    """Nobody can do without the only one."""
    fewest = found.settings.services[service].fewest
    return "" if fewest > 1 else f"{service} may have {fewest} pod: without it nobody is served; autoscaling.min: 2"


def own_store(name: str, found: Cluster, _: str) -> str:
    """A managed one is not ours to stop."""
    return "" if name in found.settings.servers else f"the stack does not run {name} itself"


def kubectl(_: Cluster, __: str) -> str:
    """It runs the client in MySQL's pod."""
    return "" if shutil.which("kubectl") else "`kubectl` is not on the PATH; see `. ./activate`"


def own_certificate(found: Cluster, _: str) -> str:
    """Others renew theirs at once, or could not put it back."""
    if not certificates(found):
        return (
            "the stack does not hold its certificates itself (tls: {secretFiles: true}); who issues them replaces them"
        )
    key = AUTHORITY / "ca.key"
    return "" if key.is_file() else f"{key.relative_to(ROOT)}, which signs, is not there; `make up` makes it"


def own_secret(found: Cluster, service: str) -> str:
    """Secrets in a file can be rotated without a change to the stack file."""
    if SIGNING_KEY not in found.settings.services[service].secrets:
        return f"{service} has no {SIGNING_KEY}"
    if not found.settings.secret_files:
        return f"the stack has no slipway:secretFiles; rotate by `pulumi config set --secret {SIGNING_KEY}` and `up`"
    return ""


def nothing_pending(found: Cluster, _: str) -> str:
    """Else the drill would deploy it."""
    try:
        engine_state.pulumi("preview", "--expect-no-changes", "-s", found.stack)
    except NoState as error:
        return f"`pulumi up` has more to do than the drill; ./slipway up -s {found.stack} first ({error})"
    return ""


# What they do


def kill_pod(stage: Stage) -> None:
    """One pod crashes."""
    before = stage.ready()
    victim = min(before)
    stage.cluster.delete("v1", "Pod", victim, gracePeriodSeconds="0")
    stage.note(f"Pod/{victim} is killed: deleted without grace, one of {len(before)}")
    stage.until(lambda: bool(stage.ready() - before), READY_SECONDS, "another pod is ready in its place")


def drain(stage: Stage) -> None:
    """Each pod is asked to leave, as `kubectl drain` does it."""
    leaving = stage.ready()
    for pod in sorted(leaving):
        stage.until(partial(stage.cluster.evict, pod), LEAVE_SECONDS, f"the disruption budget lets Pod/{pod} go")
    stage.until(lambda: not leaving & set(map(name_of, stage.pods())), LEAVE_SECONDS, "all of them are gone")
    stage.until(lambda: len(stage.ready()) >= stage.fewest, READY_SECONDS, "as many others are ready")


def redis_down(stage: Stage) -> None:
    """Redis is away; what it counts is counted all the same, then and later."""
    with visitor(stage) as user:
        shop = user.adds_a_shop()
        with stage.kept("apps/v1", "StatefulSet", "redis", ("spec", "replicas")):
            stage.patch("apps/v1", "StatefulSet", "redis", ("spec", "replicas"), 0)
            stage.until(lambda: not stage.pods("redis"), LEAVE_SECONDS, "Redis is gone")
            review = user.reviews(shop)
            counted = "a review that is written meanwhile is counted"
            stage.until(lambda: user.counted(shop, "reviews") == 1, 15, counted)
            stage.pause(FAULT_SECONDS)
        stage.until(lambda: bool(stage.ready("redis")), STORE_SECONDS, "Redis is ready again")
        user.likes(review)
        stage.until(lambda: user.counted(shop, "likes") == 1, 30, "a like after that is counted")


def mysql_slow(stage: Stage) -> None:
    """A table that every page needs is locked again and again."""
    restarts, begin = stage.restarts(), stage.traffic.seconds
    stage.note(f"shops is locked {BURSTS} times for {LOCK_SECONDS} s")
    for _ in range(BURSTS):
        stage.sql(f"LOCK TABLES shops WRITE; DO SLEEP({LOCK_SECONDS}); UNLOCK TABLES")
        stage.pause(1)
    end = stage.traffic.seconds
    stage.until(stage.serves(end), 10, "everybody is answered with 200 again")
    stage.until(lambda: len(stage.ready()) >= stage.fewest, 10, f"{stage.fewest} pods are ready")
    found = stage.traffic.measured(begin, end)
    seen = f"{found.lost['503']} of {found.sent} were answered with 503"
    stage.expect("who cannot be answered is told so with 503", seen, passed=found.lost["503"] > 0)
    seen = f"99 of 100 within {found.p99:.2f} s, the slowest after {found.slowest:.2f} s"
    quick = found.p99 <= ANSWER_SECONDS and found.slowest <= 2 * ANSWER_SECONDS
    stage.expect(f"99 of 100 answers within {ANSWER_SECONDS} s, all within twice that", seen, passed=quick)
    again = [name for name, count in stage.restarts().items() if count > restarts.get(name, 0)]
    stage.expect("no pod is started again", ", ".join(again) or "none was", passed=not again)


def expired_certificate(stage: Stage) -> None:
    """What the ingress shows is out of date. All of the stack's Secrets at once: the ingress takes any that fits."""
    names, data = certificates(stage.cluster), expired(AUTHORITY)
    with ExitStack() as back:
        for name in names:
            back.enter_context(stage.kept("v1", "Secret", name, ("data",)))
        begin = stage.traffic.seconds
        for name in names:
            stage.patch("v1", "Secret", name, ("data",), data)
        stage.until(lambda: stage.asked() == EXPIRED, 30, f"who verifies is refused: {EXPIRED}")
        stage.pause(FAULT_SECONDS / 2)
        headline = status.headline(stage.status())
        stage.note(
            f"./slipway status says meanwhile: {headline}. It looks at pods; only who connects sees a certificate"
        )
        lost = stage.traffic.measured(begin).lost[EXPIRED]
        stage.expect("users are refused, too", f"{lost} requests were", passed=lost > 0)
    end = stage.traffic.seconds
    stage.until(stage.serves(end), 30, "with the good certificate everybody is served again")


def full_quota(stage: Stage) -> None:
    """Whoever runs goes on, nobody else comes."""
    quota, path = ("v1", "ResourceQuota", "quota"), ("spec", "hard", "pods")
    with ExitStack() as back:
        before = back.enter_context(stage.kept(*quota, path))
        stage.patch(*quota, path, at(before, "status", "used", "pods"))
        back.enter_context(stage.made(further_pod(stage)))
        stage.until(partial(is_refused, stage.cluster), 30, "a further pod is refused: FailedCreate: exceeded quota")
        named = f"./slipway status names the cause: {Label.QUOTA.value}"
        stage.until(lambda: any(cause.label is Label.QUOTA for cause in stage.status().causes), 30, named)
        stage.pause(FAULT_SECONDS)
        stage.patch(*quota, path, at(before, *path))
        stage.until(lambda: bool(stage.pods(FURTHER)), READY_SECONDS, "with room again the pod is made")
    stage.until(lambda: not stage.pods(FURTHER), LEAVE_SECONDS, "it is gone")


def leaked_secret(stage: Stage) -> None:
    """Somebody knows the key that signs tokens: it is replaced, and stays so."""
    settings = stage.settings
    file = ROOT / str(settings.secret_files) / SIGNING_KEY
    with visitor(stage) as user:
        stolen, before = user.access, revisions(stage.cluster)
        stage.expect("a token signed with the leaked key is taken", "it is", passed=user.is_known_by(stolen))
        replace(file, token_urlsafe(32))
        stage.note(f"there is a new {SIGNING_KEY} in {file.relative_to(ROOT)}; `pulumi up` brings it to the pods")
        stage.deploy()
        # Each is asked on a connection of its own, so that all pods are.
        refused = lambda: not any(user.is_known_by(stolen) for _ in range(10))  # noqa: E731
        stage.until(refused, 30, "by none of the pods the stolen token is taken")
        user.refresh()
        known = user.is_known_by(user.access)
        stage.expect("who is logged in gets a token that is taken", "it is" if known else "it is not", passed=known)
    rolled = {name for name, revision in revisions(stage.cluster).items() if revision != before.get(name)}
    readers = {name for name in settings.services if SIGNING_KEY in settings.secrets_of(name)}
    stage.expect(f"only {', '.join(sorted(readers))} restarts", ", ".join(sorted(rolled)), passed=rolled == readers)


# What they need for it


def certificates(found: Cluster) -> list[str]:
    """The names of the Secrets with certificates that the stack itself fills."""
    ingresses = {name: service.ingress for name, service in found.settings.services.items()}
    return [f"{name}-tls" for name, one in ingresses.items() if one and one.tls and one.tls.secret_files]


def expired(authority: Path) -> dict[str, str]:
    """Content of a Secret: a certificate of the authority in that folder that ended yesterday, and its key."""
    # Only the local stack holds its certificates itself, and every other verb does without local/.
    from local.certificates import DAYS, HOSTS, SERVER, Folder, Leaf  # noqa: PLC0415

    # The folder is its owner's alone, and gone after it.
    with tempfile.TemporaryDirectory(prefix="slipway-drill-") as name:
        folder = Folder(Path(name), datetime.now(UTC) - timedelta(days=DAYS + 1))
        for file in ("ca.crt", "ca.key"):
            (folder.path / file).write_bytes(read_bytes(authority / file))
        folder.issue(Leaf("tls", HOSTS[0], (SERVER,), names=HOSTS))
        return {file: base64.b64encode((folder.path / file).read_bytes()).decode() for file in ("tls.crt", "tls.key")}


def replace(file: Path, text: str) -> None:
    """Give a secret's file another content, in one move and readable by its owner alone."""
    latter = file.with_name(f".{file.name}.drill")
    with explained():
        latter.touch(0o600)
        latter.write_text(text)
        latter.replace(file)


def further_pod(stage: Stage) -> Object:
    """A Deployment of one pod like those of the service, which no Service finds and which needs nothing."""
    found = stage.cluster.one("apps/v1", "Deployment", stage.service)
    own: Object = at(found, "spec", "template", "spec") or {}
    kept = ("serviceAccountName", "automountServiceAccountToken", "enableServiceLinks", "securityContext")
    parts = ("name", "image", "imagePullPolicy", "securityContext", "resources")
    containers = [{key: one[key] for key in parts if key in one} for one in own.get("containers") or []]
    labels = {"app.kubernetes.io/name": FURTHER}
    pod: Object = {**{key: own[key] for key in kept if key in own}, "containers": containers}
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": FURTHER}, "spec": spec}


def is_refused(found: Cluster) -> bool:
    """Whether the quota has kept that pod from being made."""
    events = found.items("events", fieldSelector="reason=FailedCreate")
    return any(
        str(at(one, "involvedObject", "name")).startswith(f"{FURTHER}-") and "exceeded quota" in one.get("message", "")
        for one in events
    )


def revisions(found: Cluster) -> dict[str, str]:
    """What tells the pods a workload has from those it had, by its name."""
    now = held.look(found)
    newest = {name_of(one): name_of(now.newest_set(one) or {}) for one in now.deployments}
    return newest | {name_of(one): at(one, "status", "updateRevision") for one in now.stateful_sets}


DRILLS = (
    Drill(
        "kill-pod",
        "Deletes one pod of the service without grace: a crash.",
        "Another one is ready in its place; lost is at most what the pod had in hand; nobody waits for a 200 for long.",
        kill_pod,
        (
            "./slipway status -s STACK: is the pod replaced? If not, the cause stands there.",
            "Requests lost for longer than a second or two: the ingress still sends them to a pod that is gone; look "
            "at the EndpointSlices, and at how soon the ingress acts upon them.",
            "The others cannot bear the load: raise autoscaling.min in stacks/Pulumi.STACK.yaml.",
        ),
        needs=(two_pods,),
        lost=IN_FLIGHT,
        outage=5,
    ),
    Drill(
        "drain",
        "Has every pod of the service leave, one after the other, as `kubectl drain` of its node would.",
        "The disruption budget lets them go one at a time, and no request is lost.",
        drain,
        (
            "It hangs: `kubectl get pdb`: with ALLOWED DISRUPTIONS 0 a pod is not ready; ./slipway status says why.",
            "Requests are lost: a pod ends before the ingress lets go of it; raise drain.delaySeconds of the service.",
        ),
        needs=(two_pods,),
    ),
    Drill(
        "redis-down",
        "Takes Redis away, and brings it back.",
        "No request fails, slower ones may be; what is written meanwhile and after that is counted.",
        redis_down,
        (
            "./slipway logs -s STACK redis --previous: why it ended. It comes back with what was on its volume.",
            "Requests fail without it: the app waits for it; look for `redis` in ./slipway logs -s STACK api.",
            "Ratings stay behind after it is back: `recounting is interrupted` in the same logs says why.",
        ),
        needs=(partial(own_store, "redis"), partial(own_store, "mysql"), kubectl),
    ),
    Drill(
        "mysql-slow",
        f"Locks a table of MySQL {BURSTS} times for {LOCK_SECONDS} s.",
        "Requests are answered with 200, or with 503 once MySQL is given up; no pod restarts; all is well soon after.",
        mysql_slow,
        (
            "kubectl exec mysql-0 -- mysql --defaults-file=/run/mysqld/login.cnf --execute='SHOW PROCESSLIST': who "
            "holds the lock, and for how long; KILL ends it.",
            "Answers take longer than a second: the time the app waits for MySQL is in app/internal/store/mysql.",
            "Pods restart: liveness must not depend on MySQL; ./slipway status tells which probe killed them.",
        ),
        needs=(partial(own_store, "mysql"), kubectl),
        instead=("503",),
    ),
    Drill(
        "expired-certificate",
        "Puts a certificate that ended yesterday into the Secrets of the Ingresses.",
        "Who verifies is refused, with the reason; with the good one back, everybody is served.",
        expired_certificate,
        (
            "openssl s_client -connect HOST:443 -servername HOST </dev/null | openssl x509 -noout -dates",
            "The local stack: rm .slipway/tls/tls.crt && make up. With an issuer: kubectl describe certificate.",
            "./slipway status does not see it: watch the days left from outside.",
        ),
        needs=(own_certificate,),
        instead=(EXPIRED,),
        fresh=True,
    ),
    Drill(
        "full-quota",
        "Uses the namespace's quota of pods up, and asks for one more.",
        "Running pods serve on without a loss; the further pod is refused, and status says why; with room it is made.",
        full_quota,
        (
            "kubectl describe quota: what is used up, and by how much.",
            "Finished or forgotten pods take room: kubectl get pods; what nobody deployed from here may go.",
            "More is needed: raise slipway:quota in stacks/Pulumi.STACK.yaml, or take it out: then it is computed.",
        ),
    ),
    Drill(
        "leaked-secret",
        f"Replaces {SIGNING_KEY} as if somebody knew it, by `pulumi up`. The new one stays.",
        "Tokens signed with the former one are refused; only its readers restart; no request is lost.",
        leaked_secret,
        (
            "`pulumi up` failed: the new key is in the file all the same; ./slipway up -s STACK goes on.",
            "Old tokens are still taken: is signing-key-previous among the service's secrets? It has them taken.",
            "Other services restart: what they name under secrets: in the stack files is too much.",
            "Was it a password of a store: replace that one, too; and find out where it leaked.",
        ),
        needs=(own_secret, partial(own_store, "mysql"), kubectl, nothing_pending),
    ),
)
