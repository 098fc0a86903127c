"""The faults of the drills: each function puts one in, checks its effect, and takes it out again."""

from __future__ import annotations

import base64
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from secrets import token_urlsafe

from slipway.files import file_errors, read_bytes
from slipway.objects import Object, dig, items, mapping, name_of
from slipway.ops.cluster.connection import StackCluster
from slipway.ops.cluster.snapshot import take_snapshot
from slipway.ops.diagnosis import status
from slipway.ops.diagnosis.cause import Label
from slipway.ops.drills.context import DrillContext
from slipway.ops.drills.requirements import AUTHORITY, SIGNING_KEY, certificate_secrets
from slipway.ops.drills.test_user import DrillUser, test_user
from slipway.ops.drills.traffic import EXPIRED
from slipway.project import ROOT

# Name of the Deployment whose pod the quota refuses.
EXTRA_DEPLOYMENT = "drill"
# How long a fault stays in once its effect is there.
FAULT_SECONDS = 10
READY_SECONDS, LEAVE_SECONDS, STORE_SECONDS = 60, 90, 120
# MySQL is locked this often, each time for longer than the API waits for it.
LOCKS, LOCK_SECONDS = 5, 2
# The app gives MySQL up after 0.9 s; the rest is the way there, on a busy node.
ANSWER_SECONDS = 1.5


def kill_pod(context: DrillContext) -> None:
    """Crash one pod."""
    before = context.ready_pods()
    victim = min(before)
    context.cluster.delete("v1", "Pod", victim, gracePeriodSeconds="0")
    context.note(f"Pod/{victim} is killed: deleted without grace, one of {len(before)}")
    context.wait_until(lambda: bool(context.ready_pods() - before), READY_SECONDS, "another pod is ready in its place")


def drain(context: DrillContext) -> None:
    """Evict every pod, as `kubectl drain` does."""
    leaving = context.ready_pods()
    for pod in sorted(leaving):
        evict = partial(context.cluster.evict, pod)
        context.wait_until(evict, LEAVE_SECONDS, f"the disruption budget lets Pod/{pod} go")
    context.wait_until(lambda: not leaving & set(map(name_of, context.pods())), LEAVE_SECONDS, "all of them are gone")
    context.wait_until(
        lambda: len(context.ready_pods()) >= context.min_replicas, READY_SECONDS, "as many others are ready"
    )


def redis_down(context: DrillContext) -> None:
    """Stop Redis. In the reference app, what is written during the outage and after it is counted all the same."""
    redis, replicas = ("apps/v1", "StatefulSet", "redis"), ("spec", "replicas")
    with test_user(context) as user:
        shop, review = user.add_shop() if user else "", ""
        with context.restored(*redis, replicas):
            context.patch(*redis, replicas, 0)
            context.wait_until(lambda: not context.pods("redis"), LEAVE_SECONDS, "Redis is gone")
            if user:
                review = user.add_review(shop)
                counted = "a review written without Redis is counted"
                context.wait_until(lambda: user.count(shop, "reviews") == 1, 15, counted)
            context.pause(FAULT_SECONDS)
        context.wait_until(lambda: bool(context.ready_pods("redis")), STORE_SECONDS, "Redis is ready again")
        if user:
            user.like(review)
            context.wait_until(lambda: user.count(shop, "likes") == 1, 30, "a like after that is counted")


def mysql_slow(context: DrillContext) -> None:
    """Lock a table that every page needs, again and again."""
    restarts, begin = context.restarts(), context.traffic.seconds
    context.note(f"shops is locked {LOCKS} times for {LOCK_SECONDS} s")
    for _ in range(LOCKS):
        context.sql(f"LOCK TABLES shops WRITE; DO SLEEP({LOCK_SECONDS}); UNLOCK TABLES")
        context.pause(1)
    end = context.traffic.seconds
    context.wait_until(context.all_answered(end), 10, "all requests are answered with 200 again")
    pods = context.min_replicas
    context.wait_until(lambda: len(context.ready_pods()) >= pods, 10, f"{pods} pods are ready")
    _check_answers_under_lock(context, begin, end)
    restarted = [name for name, count in context.restarts().items() if count > restarts.get(name, 0)]
    context.check("no pod restarts", ", ".join(restarted) or "none did", passed=not restarted)


def _check_answers_under_lock(context: DrillContext, begin: float, end: float) -> None:
    """Check that requests were refused quickly while the table was locked."""
    measurement = context.traffic.measured(begin, end)
    refused = measurement.lost["503"]
    seen = f"{refused} of {measurement.sent} were answered with 503"
    context.check("requests that MySQL holds up are answered with 503", seen, passed=refused > 0)
    seen = f"99 of 100 within {measurement.p99:.2f} s, the slowest after {measurement.slowest:.2f} s"
    is_quick = measurement.p99 <= ANSWER_SECONDS and measurement.slowest <= 2 * ANSWER_SECONDS
    context.check(f"99 of 100 answers within {ANSWER_SECONDS} s, all within twice that", seen, passed=is_quick)


def expired_certificate(context: DrillContext) -> None:
    """Have the ingress serve an expired certificate.

    All of the stack's Secrets get it at once, because the ingress takes any that fits the host.
    """
    names, data = certificate_secrets(context.cluster), expired_tls_data(AUTHORITY)
    with ExitStack() as restorations:
        for name in names:
            restorations.enter_context(context.restored("v1", "Secret", name, ("data",)))
        begin = context.traffic.seconds
        for name in names:
            context.patch("v1", "Secret", name, ("data",), data)
        refused = f"clients that verify it refuse: {EXPIRED}"
        context.wait_until(lambda: context.request_once() == EXPIRED, 30, refused)
        context.pause(FAULT_SECONDS / 2)
        context.note(
            f"./slipway status reports meanwhile: {status.headline(context.status())}. It looks at pods; only a "
            "connection shows the certificate"
        )
        lost = context.traffic.measured(begin).lost[EXPIRED]
        context.check("users refuse it, too", f"{lost} requests failed", passed=lost > 0)
    end = context.traffic.seconds
    context.wait_until(context.all_answered(end), 30, "with the good certificate all requests are served again")


def full_quota(context: DrillContext) -> None:
    """Fill the quota: running pods go on, a further one is refused."""
    quota, limit = ("v1", "ResourceQuota", "quota"), ("spec", "hard", "pods")
    with ExitStack() as restorations:
        before = restorations.enter_context(context.restored(*quota, limit))
        context.patch(*quota, limit, dig(before, "status.used.pods"))
        restorations.enter_context(context.temporary_object(extra_deployment(context)))
        refused = "a further pod is refused: FailedCreate: exceeded quota"
        context.wait_until(partial(is_pod_refused, context.cluster), 30, refused)
        context.wait_until(
            lambda: any(cause.label is Label.QUOTA for cause in context.status().causes),
            30,
            f"./slipway status names the cause: {Label.QUOTA}",
        )
        context.pause(FAULT_SECONDS)
        context.patch(*quota, limit, dig(before, "", *limit))
        context.wait_until(
            lambda: bool(context.pods(EXTRA_DEPLOYMENT)), READY_SECONDS, "with room again the pod is created"
        )
    context.wait_until(lambda: not context.pods(EXTRA_DEPLOYMENT), LEAVE_SECONDS, "it is gone")


def leaked_secret(context: DrillContext) -> None:
    """Replace the key that signs tokens, as if it had leaked. The new key stays."""
    settings = context.settings
    file = ROOT / str(settings.secret_files) / SIGNING_KEY
    with test_user(context) as user:
        stolen, before = user.access if user else "", revisions(context.cluster)
        if user:
            accepted = user.is_accepted(stolen)
            context.check("a token signed with the leaked key is accepted", "it is", passed=accepted)
        replace_secret_file(file, token_urlsafe(32))
        context.note(f"there is a new {SIGNING_KEY} in {file.relative_to(ROOT)}; `pulumi up` brings it to the pods")
        context.deploy()
        if user:
            _check_tokens(context, user, stolen)
    restarted = {name for name, revision in revisions(context.cluster).items() if revision != before.get(name)}
    readers = {name for name in settings.services if SIGNING_KEY in settings.secrets_of(name)}
    expected = f"only {', '.join(sorted(readers))} restarts"
    context.check(expected, ", ".join(sorted(restarted)), passed=restarted == readers)


def _check_tokens(context: DrillContext, user: DrillUser, stolen: str) -> None:
    """Check that the former token is refused, and that the user gets a new one."""
    # Each request has its own connection, so that ten of them reach every pod.
    is_refused = lambda: not any(user.is_accepted(stolen) for _ in range(10))  # noqa: E731
    context.wait_until(is_refused, 30, "no pod accepts the stolen token")
    user.refresh()
    accepted = user.is_accepted(user.access)
    expected = "a user who is logged in gets a token that is accepted"
    context.check(expected, "yes" if accepted else "no", passed=accepted)


def expired_tls_data(authority: Path) -> dict[str, str]:
    """Return the data of a Secret: a certificate that ended yesterday, signed by the authority in that folder, and its
    key."""
    # Only the local stack holds its certificates itself, and every other verb does without local/.
    from local.node.certificates import DAYS, HOSTS, SERVER, CertificateFolder, Leaf  # noqa: PLC0415

    # Only its owner can read the folder, and it is deleted at the end.
    with tempfile.TemporaryDirectory(prefix="slipway-drill-") as name:
        folder = CertificateFolder(Path(name), datetime.now(UTC) - timedelta(days=DAYS + 1))
        for file in ("ca.crt", "ca.key"):
            (folder.path / file).write_bytes(read_bytes(authority / file))
        folder.issue(Leaf("tls", HOSTS[0], (SERVER,), names=HOSTS))
        return {file: base64.b64encode((folder.path / file).read_bytes()).decode() for file in ("tls.crt", "tls.key")}


def replace_secret_file(file: Path, text: str) -> None:
    """Replace the content of a secret's file atomically; only its owner can read it."""
    replacement = file.with_name(f".{file.name}.drill")
    with file_errors():
        replacement.touch(0o600)
        replacement.write_text(text)
        replacement.replace(file)


def extra_deployment(context: DrillContext) -> Object:
    """Return a Deployment of one pod like those of the service, which no Service selects and which needs nothing."""
    deployment = context.cluster.get("apps/v1", "Deployment", context.service)
    service_pod = mapping(deployment, "spec.template.spec")
    pod_fields = ("serviceAccountName", "automountServiceAccountToken", "enableServiceLinks", "securityContext")
    container_fields = ("name", "image", "imagePullPolicy", "securityContext", "resources")
    containers = [_picked(container, container_fields) for container in items(service_pod, "containers")]
    labels = {"app.kubernetes.io/name": EXTRA_DEPLOYMENT}
    pod = {**_picked(service_pod, pod_fields), "containers": containers}
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": EXTRA_DEPLOYMENT}, "spec": spec}


def _picked(source: Object, fields: tuple[str, ...]) -> Object:
    return {field: source[field] for field in fields if field in source}


def is_pod_refused(cluster: StackCluster) -> bool:
    """Whether the quota has refused a pod of the extra Deployment."""
    return any(
        str(dig(event, "involvedObject.name")).startswith(f"{EXTRA_DEPLOYMENT}-")
        and "exceeded quota" in event.get("message", "")
        for event in cluster.items("events", fieldSelector="reason=FailedCreate")
    )


def revisions(cluster: StackCluster) -> dict[str, str]:
    """Return the current revision of each Deployment and StatefulSet: it changes when their pods are replaced."""
    snapshot = take_snapshot(cluster)
    newest = {
        name_of(deployment): name_of(snapshot.newest_replica_set(deployment) or {})
        for deployment in snapshot.deployments
    }
    return newest | {
        name_of(stateful_set): dig(stateful_set, "status.updateRevision") for stateful_set in snapshot.stateful_sets
    }
