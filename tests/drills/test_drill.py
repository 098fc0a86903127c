"""`./slipway drill`: which drills run, on which stacks, and what their reports say."""

from __future__ import annotations

import fcntl
import json
import re
from pathlib import Path
from typing import Any

import httpx2
import pytest

from slipway.objects import Object
from slipway.ops.cluster import connection as clusters
from slipway.ops.cluster.connection import ClusterError, StackCluster
from slipway.ops.diagnosis import locks
from slipway.ops.diagnosis.locks import Lock
from slipway.ops.drills import context, drill, faults, report, requirements
from slipway.ops.drills.catalogue import DRILLS, Drill
from slipway.ops.drills.report import Report
from slipway.ops.drills.traffic import Measurement
from slipway.ops.program import engine_state
from slipway.ops.program.engine_state import EngineError
from tests import namespace as ns
from tests.api_server import ApiServer, cluster, settings
from tests.drills.fake_stack import TWO_PODS, FakeStack

pytestmark = pytest.mark.usefixtures("no_time_passes")


@pytest.mark.feature("O3", part="a pod is killed, in a fake cluster")
def test_a_killed_pod_is_deleted_without_grace_and_another_one_takes_its_place(run: Any, tmp_path: Path):
    server = FakeStack()
    code, result = run(server, "kill-pod")
    assert (code, result["verdict"]) == (0, "passed")
    assert server.changes == [f"DELETE pods/api-{ns.POD_HASHES['new']}-aaaaa without grace {{}}"]
    assert result["traffic"]["lost"] == 0
    report = (tmp_path / result["file"]).read_text()
    assert report.startswith("# kill-pod: passed\n")
    assert "| another pod is ready in its place within 60 s | after 0.0 s | yes |" in report
    assert "./slipway status -s dev" in report


def test_more_requests_lost_than_a_crash_may_cost_fail_the_drill(run: Any):
    code, result = run(FakeStack(), "kill-pod", lambda second: "502" if 1 <= second < 1.6 else "200")
    assert (code, result["verdict"]) == (1, "failed")
    [lost] = [check for check in result["checks"] if "requests are lost" in check["expected"]]
    assert (lost["expected"], lost["passed"]) == ("at most 10 requests are lost", False)
    assert lost["seen"].startswith("12 502, of ")
    assert result["traffic"]["lostBy"] == {"502": 12}


def test_a_long_outage_fails_the_drill_although_few_requests_are_lost(run: Any):
    code, result = run(FakeStack(), "kill-pod", lambda second: "502" if second in (1, 1.05) else "200")
    assert code == 0
    assert result["traffic"]["longestOutageSeconds"] == 0.1
    [check] = [check for check in result["checks"] if "without a 200" in check["expected"]]
    assert check["passed"]


def test_each_pod_is_evicted_as_soon_as_the_disruption_budget_allows_it(run: Any):
    refusals = iter([True, False, True, False])

    def answers(request: httpx2.Request, _: FakeStack) -> httpx2.Response | None:
        budget = {"message": "Cannot evict pod as it would violate the pod's disruption budget."}
        is_refused = request.url.path.endswith("/eviction") and next(refusals)
        return httpx2.Response(429, json=budget) if is_refused else None

    server = FakeStack(answers=answers)
    code, _ = run(server, "drain")
    assert code == 0
    pods = [re.findall(r"POST (\S+)-(\w+)/eviction", line)[0][1] for line in server.changes]
    assert pods == ["aaaaa", "bbbbb"]


def test_a_full_quota_refuses_one_more_pod_and_makes_it_when_there_is_room(run: Any):
    server = FakeStack()
    code, result = run(server, "full-quota")
    assert code == 0, result
    quota = [line.partition(" ")[2] for line in server.changes if "quota" in line]
    hard = [f"resourcequotas/quota {json.dumps({'spec': {'hard': {'pods': pods}}})}" for pods in ("6", "8", "8")]
    assert quota[:3] == hard
    expected = [check["expected"] for check in result["checks"]]
    assert "./slipway status names the cause: quota within 30 s" in expected
    assert not server.further


def test_an_expectation_that_is_not_met_is_reported_after_the_fault_is_taken_out(
    run: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(faults, "is_pod_refused", lambda _: False)
    times = iter(range(0, 100_000, 20))
    monkeypatch.setattr(context.time, "monotonic", lambda: next(times))
    server = FakeStack()
    code, result = run(server, "full-quota")
    assert (code, result["verdict"]) == (1, "failed")
    assert result["endedBy"] == "not within 30 s: a further pod is refused: FailedCreate: exceeded quota"
    assert (server.pods_allowed, server.further) == (8, False)


def test_ctrl_c_ends_the_drill_with_a_report_and_everything_put_back(run: Any, tmp_path: Path):
    def answers(request: httpx2.Request, stack: FakeStack) -> None:
        if stack.pods_allowed == 6 and request.method == "POST":
            raise KeyboardInterrupt

    server = FakeStack(answers=answers)
    code, result = run(server, "full-quota")
    assert (code, result["endedBy"]) == (1, "it was stopped by hand")
    assert server.pods_allowed == 8
    assert "The drill ended early: it was stopped by hand." in (tmp_path / result["file"]).read_text()


@pytest.mark.parametrize("stack", ["staging", "prod"])
def test_a_stack_with_users_is_spared(stack: str):
    with pytest.raises(drill.DrillError, match=f"stack {stack} is of tier {stack}; drills break things"):
        drill.command("kill-pod", stack, as_json=False)


def test_an_unknown_drill_is_refused_with_a_list_of_known_ones():
    with pytest.raises(drill.DrillError, match=r"no drill 'pull-plug'. Drills: kill-pod, .*, or all"):
        drill.command("pull-plug", "dev", as_json=False)


ROLLING = ns.deployment("api", updatedReplicas=1, replicas=3)
ILL = [
    ({"deployments": []}, "NOT HEALTHY: api is not deployed"),
    ({"deployments": [ROLLING]}, "rolling out: api"),
]


@pytest.mark.parametrize(("changes", "why"), ILL)
def test_a_stack_that_is_not_well_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, list[Object]], why: str
):
    class Ill(FakeStack):
        def _objects(self) -> dict[str, list[Object]]:
            return super()._objects() | changes

    server = Ill()
    monkeypatch.setattr(clusters, "connect", lambda _stack, _settings: cluster(server, TWO_PODS))
    with pytest.raises(drill.DrillError, match=f"no drill on stack dev now: {why}; see ./slipway status -s dev"):
        drill.command("kill-pod", "dev", as_json=False)
    assert server.changes == []


def test_no_drill_begins_during_an_update(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(locks, "state_locks", lambda _stack: [Lock("root", "ci", 7, "12:00")])
    with pytest.raises(drill.DrillError, match=r"it is locked by an update that is running: root@ci, process 7"):
        drill.require_settled(cluster(FakeStack()))


def test_a_second_drill_at_the_same_time_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(clusters, "connect", lambda _stack, _settings: cluster(FakeStack(), TWO_PODS))
    report.REPORTS.mkdir(parents=True)
    with (report.REPORTS / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(drill.DrillError, match="another drill is running"):
            drill.command("kill-pod", "dev", as_json=False)


LACKING = [
    ("kill-pod", {"services.api.autoscaling": {"min": 1, "max": 2}}, "api may have 1 pod"),
    ("redis-down", {"redis": {"source": "managed", "host": "r.example.com", "cidr": "10.0.0.0/8"}}, "run redis itself"),
    ("expired-certificate", {}, "does not hold its certificates itself"),
    ("leaked-secret", {}, "rotate by `pulumi config set --secret slipway:signing-key`"),
    ("leaked-secret", {"services.api.secrets": []}, "api has no signing-key"),
    ("mysql-slow", {"services.api.check": "/health"}, "it uses the API of the reference app (check: /v1/shops)"),
]


@pytest.mark.parametrize(("name", "changes", "why"), LACKING)
def test_a_drill_says_what_a_stack_lacks_for_it(name: str, changes: dict[str, Any], why: str):
    [chosen] = drill.select_drills(name)
    assert why in drill.unmet_requirement(chosen, cluster(FakeStack(), changes), "api")


def test_a_secret_is_not_rotated_together_with_something_else(monkeypatch: pytest.MonkeyPatch):
    def pulumi(*arguments: str) -> str:
        raise EngineError("no changes were expected but changes were proposed")

    monkeypatch.setattr(engine_state, "pulumi", pulumi)
    assert "./slipway up -s dev first" in requirements.nothing_pending(cluster(FakeStack()), "api")


def test_all_skips_impossible_drills_and_runs_the_rest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    done: list[str] = []

    def run_drill(chosen: Drill, _: StackCluster, service: str) -> Report:
        done.append(chosen.name)
        return Report(chosen, "dev", drill.datetime.now(drill.UTC), 1, [], [], Measurement([]))

    monkeypatch.setattr(clusters, "connect", lambda _stack, _settings: cluster(FakeStack(), TWO_PODS))
    monkeypatch.setattr(drill, "run", run_drill)
    monkeypatch.setattr(requirements.shutil, "which", lambda name: name)
    assert drill.command("all", "dev", as_json=False) == 0
    assert done == ["kill-pod", "drain", "redis-down", "mysql-slow", "full-quota"]
    assert "expired-certificate is left out" in capsys.readouterr().err


def test_every_drill_is_listed_and_says_what_to_do_when_it_fails():
    listed = drill.listing()
    assert [one["drill"] for one in json.loads(drill.listing_json())] == [one.name for one in DRILLS]
    for each in DRILLS:
        assert each.name in listed
        assert each.runbook
    assert len(DRILLS) == 7


def test_a_local_address_leads_to_this_machine_and_is_verified_with_the_local_authority(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    settings = cluster(FakeStack(), {"secretFiles": ".", "services.api.ingress.tls": {"secretFiles": True}}).settings
    monkeypatch.setattr(drill, "AUTHORITY", tmp_path / "ca.crt")
    with pytest.raises(drill.DrillError, match=r"ca.crt, by which https://api.dev.example.com/v1/shops is verified"):
        drill.target(settings, "api")
    (tmp_path / "ca.crt").touch()
    assert drill.target(settings, "api").ca == tmp_path / "ca.crt"


def test_traffic_goes_to_the_path_that_the_service_says_answers(monkeypatch: pytest.MonkeyPatch):
    ingress = {"host": "api.dev.example.com", "tls": {"issuer": "dev-ca"}}
    checked = {"services.api.ingress": ingress, "services.api.check": "/health"}
    assert drill.target(cluster(FakeStack(), checked).settings, "api").url == "https://api.dev.example.com/health"
    probed = {**checked, "services.api.check": None, "services.api.ports": {"admin": None}}
    probes = {"services.api.probes": {"ready": {"path": "/ready"}}}
    assert drill.target(cluster(FakeStack(), {**probed, **probes}).settings, "api").path == "/ready"
    assert drill.target(cluster(FakeStack(), {**checked, "services.api.check": None}).settings, "api").path == "/"


def test_an_unreachable_cluster_is_refused_for_drills():
    with pytest.raises(ClusterError):
        drill.require_settled(cluster(ApiServer(is_down=True)))


def test_drills_send_their_requests_to_the_first_host_below_a_prefix_that_is_stripped():
    hosts = {"hosts": ["a.example.com", "b.example.com"], "path": "/shop", "className": "traefik"}
    for strip, url in ((True, "http://a.example.com/shop/v1/shops"), (False, "http://a.example.com/v1/shops")):
        stack = settings("dev", {"services.api.ingress": {**hosts, "stripPrefix": strip}})
        assert drill.target(stack, "api").url == url
