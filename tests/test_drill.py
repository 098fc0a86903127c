"""`./slipway drill`: what is put into a stack is taken out again, whatever happens, and the report tells of it."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from local.certificates import HOSTS, SERVER, Folder, Leaf
from ops import cluster as clusters
from ops import doctor, drill, drills, engine_state, stage
from ops.cluster import Cluster, NoCluster, Object
from ops.doctor import Lock
from ops.drills import DRILLS
from ops.engine_state import NoState
from ops.stage import NotPutBack, Stage, Unmet
from ops.traffic import EXPIRED, Answer, Measured, Target, asked
from tests import namespace as ns
from tests.api_server import ApiServer, cluster

TWO_PODS = {"services.api.autoscaling": {"min": 2, "max": 3}}
OWNERS = [{"manager": "pulumi", "operation": "Apply"}]
Answers = Callable[[httpx2.Request, "Stack"], httpx2.Response | None]


def one(found: Object, **more: Any) -> Object:
    """The object as it is asked for by its name."""
    return {**found, "metadata": {**found["metadata"], "managedFields": OWNERS}, **more}


@dataclass
class Stack(ApiServer):
    """The dev stack as it should be. It does what it is told, as soon as somebody looks."""

    told: list[str] = field(default_factory=list[str])
    answers: Answers = lambda _request, _stack: None
    """What it answers instead."""
    pods: list[Object] = field(default_factory=lambda: [ns.pod("aaaaa"), ns.pod("bbbbb")])
    replicas: dict[str, int] = field(default_factory=lambda: {"mysql": 1, "redis": 1})
    pods_allowed: int = 8
    further: bool = False

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.objects = self._objects()
        if (answer := self.answers(request, self)) is not None:
            return answer
        if request.method != "GET":
            return self._changed(request, json.loads(request.content or "{}"))
        *_, kind, name = request.url.path.split("/")
        if kind in ("statefulsets", "resourcequotas", "deployments"):
            found = self._named().get(f"{kind}/{name}")
            return httpx2.Response(200, json=found) if found else httpx2.Response(404)
        return super().__call__(request)

    def _objects(self) -> dict[str, list[Object]]:
        stores = [name for name, replicas in self.replicas.items() if replicas]
        refused = ns.condition("ReplicaFailure", "True", "FailedCreate", "exceeded quota: quota")
        extra = ns.deployment(drills.FURTHER) if self.further else None
        its_set: Object = {
            "metadata": ns.meta("drill-1", "set-drill", ("Deployment", "drill", "deployment-drill")),
            "spec": {"replicas": 1},
            "status": {"replicas": 0, "conditions": [refused] if self.pods_allowed < 7 else []},
        }
        made = ns.owned_pod("drill-1-x", ("ReplicaSet", "drill-1", "set-drill"), {"app.kubernetes.io/name": "drill"})
        event = ns.event(its_set, "ReplicaSet", "FailedCreate", "exceeded quota: quota, used: pods=6")
        return {
            "deployments": [ns.deployment(), *([extra] if extra else [])],
            "replicasets": [ns.replica_set("new"), *([its_set] if extra else [])],
            "statefulsets": [ns.stateful_set(name, self.replicas[name]) for name in self.replicas],
            "pods": [
                *(pod for pod in self.pods),
                *(ns.store_pod(name) for name in stores),
                *([made] if extra and self.pods_allowed >= 7 else []),
            ],
            "events": [event] if extra else [],
        }

    def _named(self) -> dict[str, Object]:
        named = {f"statefulsets/{name}": one(ns.stateful_set(name)) for name in self.replicas}
        named["resourcequotas/quota"] = {
            "metadata": {"name": "quota", "managedFields": OWNERS},
            "spec": {"hard": {"pods": "8"}},
            "status": {"used": {"pods": "6"}},
        }
        named["deployments/api"] = ns.deployment() | {
            "spec": ns.deployment()["spec"] | {"template": {"spec": {"containers": [ns.container()]}}}
        }
        return named

    def _changed(self, request: httpx2.Request, body: Object) -> httpx2.Response:
        *_, kind, name = request.url.path.split("/")
        how = " without grace" if request.url.params.get("gracePeriodSeconds") == "0" else ""
        self.told.append(f"{request.method} {kind}/{name}{how} {json.dumps(body)}")
        if kind == "statefulsets" and "spec" in body:
            self.replicas[name] = body["spec"]["replicas"]
        if kind == "resourcequotas" and "spec" in body:
            self.pods_allowed = int(body["spec"]["hard"]["pods"])
        if name in ("deployments", drills.FURTHER):
            self.further = request.method == "POST"
        if name == "eviction":
            self._leaves(kind)
        if kind == "pods" and request.method == "DELETE":
            self._leaves(name)
        return httpx2.Response(200, json={})

    def _leaves(self, name: str) -> None:
        self.pods = [pod for pod in self.pods if pod["metadata"]["name"] != name]
        self.pods.append(ns.pod(f"new{len(self.told)}"))


@dataclass
class Users:
    """Traffic without a network: in each look at what they found a second has gone by."""

    target: Target
    fresh: bool = False
    come: Callable[[float], str] = lambda _: "200"
    answers: list[Answer] = field(default_factory=list[Answer])

    def __enter__(self) -> Users:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @property
    def seconds(self) -> float:
        return len(self.answers) / 20

    def measured(self, since: float = 0, until: float = float("inf")) -> Measured:
        for _ in range(20):
            self.answers.append(Answer(self.seconds, 0.02, self.come(self.seconds)))
        return Measured([answer for answer in self.answers if since <= answer.due < until])


@pytest.fixture(autouse=True)
def no_time_passes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(stage.time, "sleep", lambda _: None)
    monkeypatch.setattr(drill, "REPORTS", tmp_path / ".slipway" / "drills")
    monkeypatch.setattr(drill, "ROOT", tmp_path)
    monkeypatch.setattr(doctor, "backend", lambda: f"file://{tmp_path}")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """`run(Stack(), "drain")`: that drill on that stack; the exit code and its report as data."""

    def command(server: Stack, name: str, come: Callable[[float], str] = lambda _: "200") -> tuple[int, Object]:
        monkeypatch.setattr(clusters, "connect", lambda _stack, _settings: cluster(server, TWO_PODS))
        monkeypatch.setattr(drill, "Traffic", lambda target, fresh: Users(target, fresh, come))
        capsys.readouterr()
        code = drill.command(name, "dev", as_json=True)
        [found] = json.loads(capsys.readouterr().out)["drills"]
        return code, found

    return command


def staged(server: Stack) -> Stage:
    found: Any = Users(Target("http://served.localhost"))
    return Stage(cluster(server, TWO_PODS), "api", found)


# What is changed is put back

REPLICAS = ("apps/v1", "StatefulSet", "redis", ("spec", "replicas"))
PUT_BACK = [
    'PATCH statefulsets/redis {"spec": {"replicas": 0}}',
    'PATCH statefulsets/redis {"spec": {"replicas": 1}}',
    f"PATCH statefulsets/redis {json.dumps({'metadata': {'managedFields': OWNERS}})}",
]


def test_a_field_is_what_it_was_and_whose_it_was_after():
    server = Stack()
    with (found := staged(server)).kept(*REPLICAS) as before:
        found.patch(*REPLICAS, 0)
        assert server.told == PUT_BACK[:1]
    assert before["spec"]["replicas"] == 1
    assert server.told == PUT_BACK


@pytest.mark.parametrize("error", [Unmet, KeyboardInterrupt])
def test_so_it_is_after_a_failure_and_after_ctrl_c(error: type[BaseException]):
    server = Stack()
    with pytest.raises(error), (found := staged(server)).kept(*REPLICAS):
        found.patch(*REPLICAS, 0)
        raise error
    assert server.told == PUT_BACK


def test_an_api_server_that_is_away_for_a_moment_is_asked_again():
    away = iter([True, True])

    def answers(request: httpx2.Request, stack: Stack) -> None:
        if len(stack.told) == 1 and request.method == "PATCH" and next(away, False):
            raise httpx2.ConnectError("[Errno 111] Connection refused")

    server = Stack(answers=answers)
    with (found := staged(server)).kept(*REPLICAS):
        found.patch(*REPLICAS, 0)
    assert server.told == PUT_BACK


def test_what_cannot_be_put_back_is_told_with_where_to_look(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stage, "PUT_BACK_SECONDS", -1)
    server = Stack()
    found = staged(server)
    with (
        pytest.raises(NotPutBack, match=r"StatefulSet/redis: spec.replicas .* See ./slipway drift -s dev"),
        found.kept(*REPLICAS),
    ):
        server.answers = lambda _request, _stack: httpx2.Response(500, text="no")


def test_a_second_ctrl_c_does_not_keep_things_from_being_put_back(capsys: pytest.CaptureFixture[str]):
    def answers(request: httpx2.Request, stack: Stack) -> None:
        if request.method == "PATCH" and len(stack.told) == 1:
            os.kill(os.getpid(), signal.SIGINT)

    server = Stack(answers=answers)
    with (found := staged(server)).kept(*REPLICAS):
        found.patch(*REPLICAS, 0)
    assert server.told == PUT_BACK
    assert "things are being put back" in capsys.readouterr().err


def test_what_is_not_there_is_no_place_for_a_fault():
    server = Stack(answers=lambda _request, _stack: httpx2.Response(404))
    with pytest.raises(Unmet, match="StatefulSet/redis is not there"), staged(server).kept(*REPLICAS):
        pass


def test_an_object_of_somebody_else_is_neither_taken_over_nor_deleted():
    server = Stack()
    api = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "api"}}
    with pytest.raises(Unmet, match="Deployment/api is there already"), staged(server).made(api):
        pass
    assert server.told == []


def test_the_pods_of_an_adopted_service_are_its_own_whatever_name_they_bear():
    labels = {**ns.labels("shop-backend", owner="api"), "pod-template-hash": "5d8"}
    adopted = ns.owned_pod("shop-backend-5d8-x", ("ReplicaSet", "shop-backend-5d8", "set-x"), labels)
    assert staged(Stack(pods=[adopted])).ready() == {"shop-backend-5d8-x"}


# The drills


@pytest.mark.feature("O3", part="a pod is killed, in a fake cluster")
def test_a_killed_pod_is_deleted_without_grace_and_another_one_takes_its_place(run: Any, tmp_path: Path):
    server = Stack()
    code, found = run(server, "kill-pod")
    assert (code, found["verdict"]) == (0, "passed")
    assert server.told == [f"DELETE pods/api-{ns.POD_HASHES['new']}-aaaaa without grace {{}}"]
    assert found["traffic"]["lost"] == 0
    report = (tmp_path / found["file"]).read_text()
    assert report.startswith("# kill-pod: passed\n")
    assert "| another pod is ready in its place within 60 s | after 0.0 s | yes |" in report
    assert "./slipway status -s dev" in report


def test_more_requests_lost_than_a_crash_may_cost_fail_the_drill(run: Any):
    code, found = run(Stack(), "kill-pod", lambda second: "502" if 1 <= second < 1.6 else "200")
    assert (code, found["verdict"]) == (1, "failed")
    [lost] = [check for check in found["checks"] if "requests are lost" in check["expected"]]
    assert (lost["expected"], lost["passed"]) == ("at most 10 requests are lost", False)
    assert lost["seen"].startswith("12 502, of ")
    assert found["traffic"]["lostBy"] == {"502": 12}


def test_a_long_outage_fails_the_drill_although_few_requests_are_lost(run: Any):
    code, found = run(Stack(), "kill-pod", lambda second: "502" if second in (1, 1.05) else "200")
    assert code == 0
    assert found["traffic"]["longestOutageSeconds"] == 0.1
    [check] = [check for check in found["checks"] if "without a 200" in check["expected"]]
    assert check["passed"]


def test_each_pod_is_evicted_as_soon_as_the_disruption_budget_allows_it(run: Any):
    refusals = iter([True, False, True, False])

    def answers(request: httpx2.Request, _: Stack) -> httpx2.Response | None:
        budget = {"message": "Cannot evict pod as it would violate the pod's disruption budget."}
        is_refused = request.url.path.endswith("/eviction") and next(refusals)
        return httpx2.Response(429, json=budget) if is_refused else None

    server = Stack(answers=answers)
    code, _ = run(server, "drain")
    assert code == 0
    pods = [re.findall(r"POST (\S+)-(\w+)/eviction", line)[0][1] for line in server.told]
    assert pods == ["aaaaa", "bbbbb"]


def test_a_full_quota_refuses_one_more_pod_and_makes_it_when_there_is_room(run: Any):
    server = Stack()
    code, found = run(server, "full-quota")
    assert code == 0, found
    quota = [line.partition(" ")[2] for line in server.told if "quota" in line]
    hard = [f"resourcequotas/quota {json.dumps({'spec': {'hard': {'pods': pods}}})}" for pods in ("6", "8", "8")]
    assert quota[:3] == hard
    expected = [check["expected"] for check in found["checks"]]
    assert "./slipway status names the cause: quota within 30 s" in expected
    assert not server.further


def test_what_a_drill_waits_for_in_vain_is_told_after_the_fault_is_taken_out(run: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(drills, "is_refused", lambda _: False)
    times = iter(range(0, 100_000, 20))
    monkeypatch.setattr(stage.time, "monotonic", lambda: next(times))
    server = Stack()
    code, found = run(server, "full-quota")
    assert (code, found["verdict"]) == (1, "failed")
    assert found["endedBy"] == "not within 30 s: a further pod is refused: FailedCreate: exceeded quota"
    assert (server.pods_allowed, server.further) == (8, False)


def test_ctrl_c_ends_the_drill_with_a_report_and_everything_put_back(run: Any, tmp_path: Path):
    def answers(request: httpx2.Request, stack: Stack) -> None:
        if stack.pods_allowed == 6 and request.method == "POST":
            raise KeyboardInterrupt

    server = Stack(answers=answers)
    code, found = run(server, "full-quota")
    assert (code, found["endedBy"]) == (1, "it was stopped by hand")
    assert server.pods_allowed == 8
    assert "It did not come to its end: it was stopped by hand." in (tmp_path / found["file"]).read_text()


class User:
    """Somebody whose tokens are taken as long as the key is that they were signed with."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.refresh()

    def refresh(self) -> None:
        self.access = self.file.read_text()

    def is_known_by(self, token: str) -> bool:
        return token == self.file.read_text()


@pytest.mark.parametrize(("rolls", "passed"), [("api", True), ("mysql", False)])
def test_a_leaked_key_is_replaced_and_only_its_readers_restart(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, rolls: str, passed: bool
):
    file = tmp_path / "signing-key"
    file.write_text("leaked")
    monkeypatch.setattr(drills, "ROOT", tmp_path)

    @contextmanager
    def visitor(_: Stage) -> Generator[User]:
        yield User(file)

    monkeypatch.setattr(drills, "visitor", visitor)
    came = iter([{"api": "1", "mysql": "1"}, {"api": "1", "mysql": "1", rolls: "2"}])
    monkeypatch.setattr(drills, "revisions", lambda _: next(came))
    monkeypatch.setattr(Stage, "deploy", lambda _: None)
    users: Any = Users(Target("http://served.localhost"))
    found = Stage(cluster(Stack(), {"secretFiles": "."}), "api", users)
    drills.leaked_secret(found)
    assert file.read_text() != "leaked"
    assert file.stat().st_mode & 0o777 == 0o600
    assert [check.passed for check in found.checks] == [True, True, True, passed]


@pytest.mark.parametrize(("code", "told"), [(0, ""), (1, "ERROR 1044 (42000): Access denied")])
def test_mysql_is_asked_by_the_client_in_its_own_pod(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int, told: str
):
    script = f"#!/bin/sh\nprintf '%s\\n' \"$@\" > '{tmp_path}/words'\necho '{told}' >&2\nexit {code}\n"
    (tmp_path / "kubectl").write_text(script)
    (tmp_path / "kubectl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    try:
        staged(Stack()).sql("DO SLEEP(1)")
    except Unmet as error:
        came = str(error)
    else:
        came = ""
    assert came.removeprefix("MySQL has not done it: ") == told
    words = (tmp_path / "words").read_text().splitlines()
    place = ["--context", "dev", "-n", "slipway-dev", "exec", "mysql-0", "-c", "mysql", "--"]
    assert words == [*place, "mysql", "--defaults-file=/run/mysqld/login.cnf", "--execute=DO SLEEP(1)", "slipway"]


def test_a_user_of_a_drill_is_forgotten_although_they_could_not_sign_up(monkeypatch: pytest.MonkeyPatch):
    said: list[str] = []
    monkeypatch.setattr(Stage, "sql", lambda _, statements: said.append(statements))
    found = staged(Stack())
    found.traffic.target = Target("http://served.localhost:1/")
    with pytest.raises(Unmet, match="POST /v1/users is not answered"), drills.visitor(found):
        pass
    [statements] = said
    assert re.findall(r"DELETE (?:\w )?FROM (\w+)", statements) == ["reviews", "shops", "users"]
    assert statements.count("drill-") == 3


def test_the_certificate_of_the_drill_has_expired_and_nothing_else_is_wrong_with_it(tmp_path: Path):
    Folder(tmp_path).authority("ca", "drill CA")
    Folder(tmp_path).issue(Leaf("tls", HOSTS[0], (SERVER,), names=HOSTS))
    good = {name: (tmp_path / name).read_text() for name in ("tls.crt", "tls.key")}
    bad = {name: drills.base64.b64decode(text).decode() for name, text in drills.expired(tmp_path).items()}
    assert [answered_with(certificate, tmp_path) for certificate in (good, bad)] == ["200", EXPIRED]


def answered_with(certificate: dict[str, str], folder: Path) -> str:
    """What comes of a request to a server with that certificate, verified with the authority in the folder."""
    for name, text in certificate.items():
        (folder / f"served-{name}").write_text(text)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "served-tls.crt", folder / "served-tls.key")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve_one, args=(listening, context), daemon=True).start()
        url = f"https://api.slipway.localhost:{listening.getsockname()[1]}"
        with Target(url, folder / "ca.crt").pool(keeps=False) as pool:
            return asked(pool, "/")


def serve_one(listening: socket.socket, context: ssl.SSLContext) -> None:
    connection, _ = listening.accept()
    try:
        with context.wrap_socket(connection, server_side=True) as secure:
            secure.recv(1000)
            secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    except ssl.SSLError:
        pass  # who does not trust it says so


def test_what_tells_the_pods_of_a_workload_from_its_former_ones():
    store = ns.stateful_set("mysql")
    store["status"]["updateRevision"] = "mysql-5d8f"
    found = cluster(
        ApiServer(
            {
                "deployments": [ns.deployment()],
                "statefulsets": [store],
                "replicasets": [ns.replica_set("old"), ns.replica_set("new")],
            }
        )
    )
    assert drills.revisions(found) == {"api": f"api-{ns.POD_HASHES['new']}", "mysql": "mysql-5d8f"}


# When there is no drill


@pytest.mark.parametrize("stack", ["staging", "prod"])
def test_a_stack_with_users_is_spared(stack: str):
    with pytest.raises(drill.NoDrill, match=f"{stack} is spared"):
        drill.command("kill-pod", stack, as_json=False)


def test_an_unknown_drill_is_answered_with_those_there_are():
    with pytest.raises(drill.NoDrill, match=r"no drill 'pull-plug'. Drills: kill-pod, .*, or all"):
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
    class Ill(Stack):
        def _objects(self) -> dict[str, list[Object]]:
            return super()._objects() | changes

    server = Ill()
    monkeypatch.setattr(clusters, "connect", lambda _stack, _settings: cluster(server, TWO_PODS))
    with pytest.raises(drill.NoDrill, match=f"no drill on stack dev now: {why}; see ./slipway status -s dev"):
        drill.command("kill-pod", "dev", as_json=False)
    assert server.told == []


def test_an_update_that_is_under_way_is_not_disturbed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor, "held", lambda _stack: [Lock("root", "ci", 7, "12:00")])
    with pytest.raises(drill.NoDrill, match=r"it is locked by an update that is running: root@ci, process 7"):
        drill.fit(cluster(Stack()))


def test_two_drills_at_once_are_one_too_many(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(clusters, "connect", lambda _stack, _settings: cluster(Stack(), TWO_PODS))
    drill.REPORTS.mkdir(parents=True)
    with (drill.REPORTS / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(drill.NoDrill, match="another drill is running"):
            drill.command("kill-pod", "dev", as_json=False)


LACKING = [
    ("kill-pod", {"services.api.autoscaling": {"min": 1, "max": 2}}, "api may have 1 pod"),
    ("redis-down", {"redis": {"source": "managed", "host": "r.example.com", "cidr": "10.0.0.0/8"}}, "run redis itself"),
    ("expired-certificate", {}, "does not hold its certificates itself"),
    ("leaked-secret", {}, "rotate by `pulumi config set --secret signing-key`"),
    ("leaked-secret", {"services.api.secrets": []}, "api has no signing-key"),
]


@pytest.mark.parametrize(("name", "changes", "why"), LACKING)
def test_a_drill_says_what_a_stack_lacks_for_it(name: str, changes: dict[str, Any], why: str):
    [chosen] = drill.named(name)
    assert why in drill.lacks(chosen, cluster(Stack(), changes), "api")


def test_a_secret_is_not_rotated_together_with_something_else(monkeypatch: pytest.MonkeyPatch):
    def pulumi(*arguments: str) -> str:
        raise NoState("no changes were expected but changes were proposed")

    monkeypatch.setattr(engine_state, "pulumi", pulumi)
    told = drills.nothing_pending(cluster(Stack()), "api")
    assert "./slipway up -s dev first" in told


def test_all_leaves_out_what_cannot_be_done_and_does_the_rest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    done: list[str] = []

    def do(chosen: drills.Drill, found: Cluster, service: str) -> drill.Report:
        done.append(chosen.name)
        return drill.Report(chosen, "dev", drill.datetime.now(drill.UTC), 1, [], [], Measured([]))

    monkeypatch.setattr(clusters, "connect", lambda _stack, _settings: cluster(Stack(), TWO_PODS))
    monkeypatch.setattr(drill, "do", do)
    monkeypatch.setattr(drills.shutil, "which", lambda name: name)
    assert drill.command("all", "dev", as_json=False) == 0
    assert done == ["kill-pod", "drain", "redis-down", "mysql-slow", "full-quota"]
    assert "expired-certificate is left out" in capsys.readouterr().err


def test_every_drill_is_listed_and_says_what_to_do_when_it_fails():
    listed = drill.listing()
    for found in DRILLS:
        assert found.name in listed
        assert found.runbook
    assert len(DRILLS) == 7


def test_a_local_address_leads_to_this_machine_and_is_verified_with_the_local_authority(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    settings = cluster(Stack(), {"secretFiles": ".", "services.api.ingress.tls": {"secretFiles": True}}).settings
    monkeypatch.setattr(drill, "AUTHORITY", tmp_path / "ca.crt")
    with pytest.raises(drill.NoDrill, match=r"ca.crt, by which https://api.dev.example.com/v1/shops is verified"):
        drill.target(settings, "api")
    (tmp_path / "ca.crt").touch()
    assert drill.target(settings, "api").ca == tmp_path / "ca.crt"


def test_a_cluster_out_of_reach_is_no_place_for_a_drill():
    with pytest.raises(NoCluster):
        drill.fit(cluster(ApiServer(is_down=True)))
