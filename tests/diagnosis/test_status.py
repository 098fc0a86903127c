"""`./slipway status`: one screen whose first line and exit code say whether a stack is well."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, replace
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from slipway import __main__ as slipway
from slipway.cluster.kubeconfig import Kubeconfig
from slipway.objects import Object
from slipway.ops.cluster import connection as clusters
from slipway.ops.cluster.connection import ClusterError, StackCluster
from slipway.ops.cluster.dev_build import DevBuild
from slipway.ops.cluster.snapshot import take_snapshot
from slipway.ops.diagnosis import certificates, status
from slipway.ops.monitoring import firing
from slipway.ops.monitoring.prometheus import Alert
from tests import namespace as ns
from tests.api_server import URL, ApiServer, cluster
from tests.namespace import condition

SECRET = "q7wLrT2vN8xZ"


def scaler() -> Object:
    target = {"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 80}}}
    used = {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 7, "averageValue": "4m"}}}
    return {
        "metadata": ns.meta("api", "hpa-api"),
        "spec": {
            "scaleTargetRef": {"kind": "Deployment", "name": "api"},
            "minReplicas": 1,
            "maxReplicas": 2,
            "metrics": [target],
        },
        "status": {"currentMetrics": [used]},
    }


def well(**changes: Any) -> ApiServer:
    """The dev stack as it should be."""
    stores = ("mysql", "redis")
    objects: dict[str, list[Object]] = {
        "deployments": [ns.deployment()],
        "replicasets": [ns.replica_set("old", replicas=0), ns.replica_set("new")],
        "statefulsets": [ns.stateful_set(name) for name in stores],
        "pods": [ns.pod("aaaaa"), ns.pod("bbbbb"), *(ns.store_pod(name) for name in stores)],
        "persistentvolumeclaims": [ns.claim(f"{name}-data", service=name) for name in stores],
        "jobs": [
            ns.job("api-migration-1a2b3c4d", "api-migration", condition("Complete", "True", since=70)),
            ns.job("mysql-backup-29384756", "mysql-backup", condition("Complete", "True", since=7200)),
        ],
        "horizontalpodautoscalers": [scaler()],
        "nodes": [ns.node()],
        "secrets": [{"data": {"signing-key": base64.b64encode(SECRET.encode()).decode()}}],
    }
    return ApiServer({**objects, **changes})


def broken() -> ApiServer:
    late = condition("Progressing", "False", "ProgressDeadlineExceeded", "timed out progressing")
    sick = ns.pod(**ns.crashed(137, "OOMKilled"))
    return well(
        deployments=[ns.deployment("api", late, readyReplicas=1, updatedReplicas=1, replicas=3)],
        replicasets=[ns.replica_set("old"), ns.replica_set("new", replicas=1)],
        pods=[ns.pod("a", age="old"), sick, ns.store_pod("mysql"), ns.store_pod("redis")],
    )


def read_status(server: ApiServer, changes: dict[str, Any] | None = None) -> tuple[status.Status, str]:
    """Return the status, and its screen."""
    stack = cluster(server, changes)
    snapshot = replace(take_snapshot(stack), now=ns.NOW)
    result = status.read(stack, snapshot)
    return result, status.screen(result, snapshot)


NOTES = ["https://api.dev.example.com is answered with another certificate"]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch):
    """`run(server, "status", "-s", "dev")`: the verb on that API server; exit code, stdout, stderr."""

    def verb(server: ApiServer, *arguments: str) -> tuple[int, str, str]:
        def connected(_stack: str, _settings: Any) -> StackCluster:
            return cluster(server)

        monkeypatch.setattr(clusters, "connect", connected)
        monkeypatch.setattr(
            certificates, "ServedCertificates", lambda _settings: SimpleNamespace(notes=lambda _cluster: NOTES)
        )
        result = CliRunner().invoke(slipway.app, [*arguments, "-s", "dev"])
        return result.exit_code, result.stdout, result.stderr

    return verb


@pytest.mark.feature("L3", part="status of a stack that is well")
def test_a_stack_that_is_well_is_one_screen():
    result, screen = read_status(well())
    assert result.healthy
    lines = screen.splitlines()
    assert lines[0] == "healthy"
    assert lines[1] == "stack dev, namespace slipway-dev, context dev"
    words = " ".join(screen.split())
    assert f"api v2 {ns.DIGEST[:19]} 2/2 (1-2) 7/80% complete" in words
    assert "https://api.dev.example.com" in words
    assert "mysql mysql:3306 1/1 mysql-data 1Gi Bound" in words
    assert "api-migration done 70s ago" in words
    assert "mysql-backup done 2h ago" in words
    assert len(lines) < 24


@pytest.mark.feature("L3", part="status of a stack that is not well")
def test_a_stack_that_is_not_well_says_so_first_and_why():
    result, screen = read_status(broken())
    assert not result.healthy
    first, *rest = screen.splitlines()
    pod = f"Pod/api-{ns.POD_HASHES['new']}-x2x4k, container api"
    assert first == f"NOT HEALTHY: out of memory: {pod}"
    assert "  memory limit 64Mi" in rest
    assert "  next: ./slipway config show -s dev | grep services.api.resources" in rest
    assert "  so: Deployment/api: ProgressDeadlineExceeded: timed out progressing" in rest
    assert "v2 (serving: v1) sha256:111111111111" in screen
    assert "\tfailed\t" in screen


@pytest.mark.feature("H3", part="`status` shows what is firing")
def test_firing_alerts_are_shown_before_all_else_and_do_not_make_a_stack_unhealthy():
    stack = cluster(well())
    snapshot = replace(take_snapshot(stack), now=ns.NOW)
    since = ns.ago(720)
    alert = Alert("ErrorBudgetFastBurn", "firing", "page", "api", "api spends its error budget too fast.", since)
    result = replace(status.read(stack, snapshot), alerts=[alert])
    lines = status.screen(result, snapshot).splitlines()
    assert lines[0] == "healthy"
    assert lines[3] == "firing for 12m: page ErrorBudgetFastBurn: api spends its error budget too fast."
    assert json.loads(status.as_json(result))["alerts"][0]["name"] == "ErrorBudgetFastBurn"


def test_the_verb_asks_the_prometheus_of_a_monitored_stack(run: Any, monkeypatch: pytest.MonkeyPatch):
    alert = Alert("InstanceDown", "firing", "page", "api", "A pod of api does not answer.", "2026-11-21T11:58:00Z")
    monkeypatch.setattr(firing, "alerts", lambda _: ([alert], ["firing alerts are not known: refused"]))
    code, out, _ = run(well(), "status")
    assert code == 0
    assert "page InstanceDown: A pod of api does not answer." in out
    assert "note: firing alerts are not known: refused\n" in out


def test_the_exit_code_is_the_health(run: Any):
    assert run(well(), "status")[0] == 0
    code, out, _ = run(broken(), "status")
    assert (code, out.split(":")[0]) == (1, "NOT HEALTHY")


def test_json_holds_everything_the_screen_does(run: Any):
    code, out, err = run(broken(), "status", "--json")
    data = json.loads(out)
    assert (code, err, data["healthy"]) == (1, "", False)
    assert [cause["label"] for cause in data["causes"]] == ["out of memory"]
    [service] = data["services"]
    assert (service["version"], service["digest"], service["serving"]) == ("v2", ns.DIGEST, ["v1"])
    assert (service["ready"], service["wanted"], service["answers"]) == (1, 2, True)
    assert service["autoscaling"] == {"min": 1, "max": 2, "cpuPercent": 7, "cpuPercentTarget": 80}


def test_a_cluster_out_of_reach_is_one_message_that_names_context_and_server(run: Any):
    code, out, err = run(ApiServer(is_down=True), "status")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert URL in err
    assert "context 'dev'" in err
    assert "Connection refused" in err


def test_an_unknown_stack_has_the_exit_code_for_cannot_tell(run: Any):
    result = CliRunner().invoke(slipway.app, ["status", "-s", "qa"])
    assert result.exit_code == 2
    assert "there is no stacks/Pulumi.qa.yaml" in result.stderr


def test_without_the_right_to_list_pods_it_cannot_tell(run: Any):
    server = well()
    server.forbidden = ("pods",)
    code, _, err = run(server, "status")
    assert code == 2
    assert "pods is forbidden" in err


def test_kinds_that_we_may_not_read_are_named_and_left_out():
    server = well()
    server.forbidden = ("nodes", "secrets")
    result, screen = read_status(server)
    assert result.healthy
    assert screen.splitlines()[-1] == "not readable with these rights: nodes, secrets"


def test_a_context_that_leads_to_another_server_is_refused(monkeypatch: pytest.MonkeyPatch):
    found = cluster(ApiServer(), {"cluster.server": "https://10\\.0\\.0\\.2"})
    kubeconfig = Kubeconfig({"dev": {"cluster": "dev"}}, {"dev": found.access.cluster})
    monkeypatch.setattr("slipway.cluster.connection.load", lambda: kubeconfig)
    with pytest.raises(ClusterError, match=r"context 'dev' leads to https://10.0.0.1:6443, which does not match"):
        clusters.connect("dev", found.settings)


NOT_WELL = [
    ({"deployments": []}, "NOT HEALTHY: api is not deployed"),
    ({"deployments": [ns.deployment("api", readyReplicas=0)]}, "NOT HEALTHY: api has 0 of 1 pods"),
    ({"statefulsets": [ns.stateful_set("redis")]}, "NOT HEALTHY: mysql has 0 of 1 pods"),
]


@pytest.mark.parametrize(("changes", "first"), NOT_WELL)
def test_a_missing_workload_is_not_healthy_even_without_a_cause(changes: dict[str, Any], first: str):
    result, screen = read_status(well(**changes))
    assert not result.healthy
    assert screen.splitlines()[0] == first


def test_a_rollout_in_progress_is_healthy_while_enough_pods_serve():
    moving = ns.deployment("api", condition("Progressing", "True", "ReplicaSetUpdated"), updatedReplicas=1, replicas=3)
    result, screen = read_status(well(deployments=[moving]))
    assert result.healthy
    assert screen.splitlines()[0] == "healthy; rolling out: api"


def test_an_autoscaler_that_asks_for_more_pods_than_there_are_yet_is_healthy():
    grown = ns.deployment("api", readyReplicas=1)
    assert read_status(well(deployments=[grown]))[0].healthy


def test_a_failed_job_is_shown_as_failed_and_one_that_never_ran_as_never():
    failed = condition("Failed", "True", "BackoffLimitExceeded", "Job has reached the specified backoff limit", 30)
    result, _ = read_status(well(jobs=[ns.job("api-migration-1a2b3c4d", "api-migration", failed)]))
    assert [(run.job, run.state) for run in result.jobs] == [("api-migration", "failed"), ("mysql-backup", "never")]


def test_a_managed_store_is_shown_and_does_not_count_as_unhealthy():
    managed = {"mysql": {"source": "managed", "host": "db.example.com", "cidr": "10.0.0.0/8"}}
    result, screen = read_status(well(), managed)
    assert result.healthy
    assert "db.example.com:3306 (managed)" in screen


@pytest.mark.feature("B10", part="status")
def test_secrets_of_the_namespace_are_masked_in_the_evidence():
    sick = ns.pod(**ns.crashed())
    server = well(pods=[sick, ns.store_pod("mysql"), ns.store_pod("redis")])
    server.logs = {f"{sick['metadata']['name']}/api previous": f"cannot use {SECRET}\n"}
    screen = read_status(server)[1]
    assert "cannot use ***" in screen
    assert SECRET not in screen


def test_a_note_is_the_last_line_and_changes_no_exit_code(run: Any):
    code, out, _ = run(well(), "status")
    assert (code, out.splitlines()[-1]) == (0, f"note: {NOTES[0]}")
    assert json.loads(run(well(), "status", "--json")[1])["notes"] == NOTES


def test_a_build_of_dev_is_a_note_with_what_puts_the_release_back(run: Any):
    mark = DevBuild("ada", "laptop", 7, "2026-11-21T08:00:00Z", "r/api:src-0@sha256:1", "src-0")
    developed = ns.deployment()
    developed["metadata"]["annotations"] = {"slipway/dev-build": json.dumps(asdict(mark))}
    note, *_ = json.loads(run(well(deployments=[developed]), "status", "--json")[1])["notes"]
    assert note.startswith("Deployment/api runs a build of ./slipway dev (ada@laptop, process 7, since ")
    assert note.endswith("to put that back: Ctrl-C there, or ./slipway up -s dev")


def test_a_worker_is_rolled_out_and_has_no_address():
    found = cluster(well(), {"services.api": {"kind": "worker", "migration": None, "check": None}})
    [service] = status.read(found, take_snapshot(found)).services
    assert (service.rollout, service.address) == ("complete", "none (a worker)")
    silent = replace(service, answers=False)
    assert "no pod answers" not in " ".join(status._service_row(silent, take_snapshot(found)))  # pyright: ignore[reportPrivateUsage]
