"""Whatever the API server answers, each verb of `./slipway` ends with one message and no traceback."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from slipway import __main__ as verbs
from slipway.ops.cluster import connection, refusal
from slipway.ops.program import config, engine_state
from slipway.ops.releases import backup
from slipway.settings.engine_yaml import Node
from slipway.settings.source_files import StackFile, read_defaults
from tests import api_server
from tests.conftest import with_changes
from tests.releases.test_backup import CLUSTER as WITH_MYSQL

SHOP = "/apis/batch/v1/namespaces/shop/cronjobs"


@pytest.mark.parametrize(
    ("method", "path", "text"),
    [
        ("GET", f"{SHOP}/report", "get cronjobs.batch report in namespace shop"),
        ("GET", SHOP, "list cronjobs.batch in namespace shop"),
        ("POST", SHOP, "create cronjobs.batch in namespace shop"),
        ("PATCH", f"{SHOP}/report", "patch cronjobs.batch report in namespace shop"),
        ("DELETE", f"{SHOP}/report", "delete cronjobs.batch report in namespace shop"),
        ("GET", "/api/v1/namespaces/shop/pods/api-1/log", "get pods/log api-1 in namespace shop"),
        ("POST", "/api/v1/namespaces/shop/pods/api-1/eviction", "create pods/eviction api-1 in namespace shop"),
        ("GET", "/api/v1/namespaces/shop", "get namespaces shop"),
        ("GET", "/api/v1/namespaces", "list namespaces"),
        ("GET", "/api/v1/nodes", "list nodes"),
        ("GET", f"/k8s/clusters/c-1{SHOP}", "list cronjobs.batch in namespace shop"),
        ("GET", "/version", "get /version"),
        ("GET", "/apis", "list "),
    ],
)
def test_a_refused_request_is_told_by_its_verb_its_object_and_where(method: str, path: str, text: str):
    assert refusal.ApiRequest.of(httpx2.Request(method, f"https://10.0.0.1{path}")).text == text


RBAC = 'cronjobs.batch "report" is forbidden: User "dev" cannot get resource "cronjobs" in API group "batch"'
QUOTA = 'pods "x" is forbidden: exceeded quota: quota, requested: pods=1'


@pytest.mark.parametrize(
    ("code", "body", "helps"),
    [
        (401, "Unauthorized", ". The credentials of the kubeconfig are not, or no longer, accepted: sign in"),
        (403, RBAC, ". The user of the kubeconfig needs the right to get cronjobs.batch; see `kubectl auth can-i get"),
        (403, QUOTA, ""),
        (
            404,
            'cronjobs.batch "report" not found',
            ". It is not in the cluster, or the cluster does not know this kind",
        ),
        (409, "the object has been modified", ". It was changed or created by somebody else at the same time: run"),
        (422, "spec is invalid", ""),
        (429, "too many requests", ". The API server is overloaded: run the command again later"),
        (500, "etcd is away", ". The API server, or a proxy before it, fails: run the command again later"),
    ],
)
def test_a_refusal_has_the_words_of_the_server_and_what_helps(code: int, body: str, helps: str):
    request = httpx2.Request("GET", f"https://10.0.0.1{SHOP}/report")
    message = refusal.message(httpx2.Response(code, json={"message": body}, request=request))
    beginning = f"cannot get cronjobs.batch report in namespace shop: HTTP {code} from the API server: {body}"
    assert message.startswith(beginning + helps)
    assert bool(helps) == (message != beginning)


def test_the_right_to_a_part_of_an_object_can_be_looked_up_as_told():
    request = httpx2.Request("GET", "https://10.0.0.1/api/v1/namespaces/shop/pods/api-1/log")
    body = {"message": 'pods "api-1" is forbidden: User "dev" cannot get resource "pods/log"'}
    message = refusal.message(httpx2.Response(403, json=body, request=request))
    assert message.endswith(
        "needs the right to get pods/log; see `kubectl auth can-i get pods --subresource=log -n shop`"
    )


def test_an_answer_of_a_proxy_in_plain_text_is_told_too():
    request = httpx2.Request("GET", f"https://10.0.0.1{SHOP}")
    assert "HTTP 503 from the API server: no server is available. " in refusal.message(
        httpx2.Response(503, text="no server is available", request=request)
    )


# --- each verb --------------------------------------------------------------------------------------------------------

STATE = {"version": 3, "deployment": {"resources": []}}
# Not `port-forward`, which is kubectl, nor `history`, which shows what the engine knows where the cluster says nothing.
VERBS = [
    "status",
    "logs",
    "backup",
    "backup --list",
    "restore --yes",
    "adopt --yes",
    "rollback --yes",
    "drift",
    "drill kill-pod",
]


def engine(*arguments: str) -> str:
    answers: dict[str, Any] = {"export": STATE, "history": [], "--json": {"url": "file:///var/empty"}}
    return json.dumps(answers[arguments[1]])


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """`run(verb, server)` returns what a verb says on stderr for stack dev, whose cluster has this API server."""
    own = StackFile(Node.of(with_changes("dev", WITH_MYSQL)), [])
    monkeypatch.setattr(config, "read_files", lambda _: (own, read_defaults()))
    monkeypatch.setattr(engine_state, "pulumi", engine)

    def run_verb(verb: str, server: Callable[[httpx2.Request], httpx2.Response]) -> str:
        found = api_server.cluster(server, WITH_MYSQL)
        for module in (connection, backup):
            monkeypatch.setattr(module, "connect", lambda *_: found)
        monkeypatch.setattr(sys, "argv", ["slipway", *verb.split(), "-s", "dev"])
        with pytest.raises(SystemExit) as ended:
            verbs.main()
        assert ended.value.code not in (0, None)
        return capsys.readouterr().err

    return run_verb


def refusing(code: int) -> Callable[[httpx2.Request], httpx2.Response]:
    def server(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/version":
            return httpx2.Response(200, json={})
        return httpx2.Response(code, json={"kind": "Status", "code": code, "message": f"not for you ({code})"})

    return server


def gone(request: httpx2.Request) -> httpx2.Response:
    """Answer the first question only, as a cluster does that goes away meanwhile."""
    if request.url.path == "/version":
        return httpx2.Response(200, json={})
    raise httpx2.ConnectError("[Errno 111] Connection refused", request=request)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("code", [401, 403, 409, 500, 503])
def test_a_verb_that_the_api_server_refuses_ends_with_one_message(run: Callable[..., str], verb: str, code: int):
    told = run(verb, refusing(code))
    assert f"not for you ({code})" in told
    assert f"HTTP {code} from the API server" in told


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_whose_api_server_goes_away_meanwhile_says_which(run: Callable[..., str], verb: str):
    told = run(verb, gone)
    assert "Connection refused" in told


def test_a_restore_that_may_not_read_the_schedule_stops_nothing(run: Callable[..., str]):
    asked: list[str] = []

    def server(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.method)
        return refusing(403)(request)

    run("restore --yes", server)
    assert set(asked) == {"GET"}


CRON_JOB: dict[str, Any] = {
    "metadata": {"name": "mysql-backup", "uid": "1"},
    "spec": {
        "schedule": "",
        "jobTemplate": {"spec": {"template": {"spec": {"containers": [{"name": "mysql", "args": ["backup"]}]}}}},
    },
}


DEPLOYMENT = {"spec": {"replicas": 2, "selector": {}, "template": {}}}


@pytest.mark.parametrize(
    ("code", "replicas", "told"),
    [
        (
            403,
            [0, 2],
            "needs the right to create jobs.batch; see `kubectl auth can-i create jobs.batch -n slipway-dev`",
        ),
        (504, [0], "api stay stopped. Job mysql-backup-restore-... may still run: see its log."),
    ],
    ids=["not allowed", "made or not"],
)
def test_a_restore_whose_job_is_not_made_starts_again_what_it_stopped_and_only_then(
    run: Callable[..., str], code: int, replicas: list[int], told: str
):
    scaled: list[int] = []

    def server(request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        if request.method == "PATCH":
            scaled.append(json.loads(request.content)["spec"]["replicas"])
        if request.method == "POST":
            return httpx2.Response(code, json={"code": code, "message": 'User "dev" cannot create resource "jobs"'})
        if path.endswith("/pods"):
            return httpx2.Response(200, json={"items": []})
        return httpx2.Response(200, json=CRON_JOB if "cronjobs" in path else DEPLOYMENT)

    assert told in run("restore --yes", server)
    assert scaled == replicas


def test_the_services_that_a_lost_restore_leaves_stopped_are_told(run: Callable[..., str]):
    def server(request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        if request.method == "POST":
            return httpx2.Response(201, json={"metadata": {"name": "mysql-backup-restore-1"}})
        if path.endswith("/pods"):
            ours = "job-name" in str(request.url)
            return httpx2.Response(500 if ours else 200, json={"code": 500, "message": "etcd is away", "items": []})
        return httpx2.Response(200, json=CRON_JOB if "cronjobs" in path else DEPLOYMENT)

    told = run("restore --yes", server)
    assert "api stay stopped. Job mysql-backup-restore-1 may still run: see its log." in told
    assert "etcd is away" in told
