"""What `./slipway doctor` finds of an API server."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest

from slipway.cluster.versions import LOCAL, NEWEST, OLDEST
from slipway.ops.access.permissions import Permission, on
from slipway.ops.access.roles import deployer
from slipway.ops.prerequisites import api_server
from slipway.ops.prerequisites.result import Finding
from tests import api_server as fake
from tests.conftest import recorded
from tests.paths import REPOSITORY

Answer = Callable[[httpx2.Request], httpx2.Response]


def client(answer: Answer) -> httpx2.Client:
    return httpx2.Client(base_url="https://10.0.0.1:6443", transport=httpx2.MockTransport(answer))


def of_version(version: str, skew: float = 0) -> httpx2.Client:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=skew), usegmt=True)
    return client(lambda _: httpx2.Response(200, json={"gitVersion": version}, headers={"Date": date}))


@pytest.mark.parametrize(
    ("version", "state"),
    [
        ("v1.33.9", "failed"),
        (f"v{OLDEST}.0", "ok"),
        (f"v{NEWEST}.2-gke.1200", "ok"),
        ("v1.99.0", "unknown"),
    ],
)
def test_only_a_version_within_the_supported_window_is_taken(version: str, state: str):
    assert api_server.version(of_version(version)).state == state


def test_an_old_server_is_named_with_the_window():
    [problem] = api_server.version(of_version("v1.28.3-eks-1")).problems
    assert problem.cause == f"it is Kubernetes v1.28.3-eks-1; supported are {OLDEST} to {NEWEST}"
    assert OLDEST in problem.fix


def test_a_server_that_is_away_or_refuses_the_login_has_its_own_fix():
    def away(_: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("[Errno 111] Connection refused")

    [unreachable] = api_server.version(client(away)).problems
    [expired] = api_server.version(client(lambda _: httpx2.Response(401))).problems
    assert "Connection refused" in unreachable.cause
    assert expired.fix == "log in to the cluster again"


@pytest.mark.parametrize(("skew", "words"), [(-300, "ahead of"), (300, "behind")])
def test_a_clock_that_is_minutes_off_is_named_with_its_direction(skew: float, words: str):
    [problem] = api_server.clock(of_version("v1.36.0", skew)).problems
    assert words in problem.cause
    assert "timedatectl" in problem.fix


def test_a_clock_that_is_right_is_fine():
    assert api_server.clock(of_version("v1.36.0", 2)).state == "ok"


def test_the_page_about_configuration_names_the_supported_versions():
    page = (REPOSITORY / "docs" / "configuration.md").read_text()
    assert f"schemas of Kubernetes {OLDEST}, {LOCAL} and {NEWEST}; the local cluster runs {LOCAL}" in " ".join(
        page.split()
    )


class Reviews:
    """Answers SelfSubjectAccessReviews as RBAC would for these permissions."""

    def __init__(self, granted: set[Permission]) -> None:
        self.granted, self.asked = granted, list[Permission]()

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        asked: dict[str, Any] = json.loads(request.content)["spec"]["resourceAttributes"]
        resource = f"{asked['resource']}/{asked['subresource']}".rstrip("/")
        permission = Permission(asked["namespace"], asked["group"], resource, asked["verb"], asked["name"])
        self.asked.append(permission)
        wider = permission._replace(name="")
        return httpx2.Response(201, json={"status": {"allowed": bool({permission, wider} & self.granted)}})


def test_the_rights_that_access_prints_are_enough_and_each_is_asked_for():
    needed = deployer(recorded("dev"), fake.settings("dev"))
    reviews = Reviews(needed)
    found = api_server.rights("dev", client(reviews), needed)
    assert found == Finding(f"all {len(needed)} of a deployer")
    assert set(reviews.asked) >= needed


def test_rights_that_are_missing_are_named_by_namespace_with_the_command_that_grants_them():
    needed = on("shop", "deployments", ("create", "patch"), group="apps") | on(
        "", "namespaces", ("get",), names=["shop"]
    )
    [cluster, namespace] = api_server.rights("dev", client(Reviews(set())), needed).problems
    assert cluster.cause == "no right in the cluster to get namespaces shop"
    assert namespace.cause == "no right in namespace shop to create, patch deployments.apps"
    assert "./slipway access deployer -s dev" in namespace.fix


def test_an_administrator_is_asked_for_nothing_else():
    reviews = Reviews({Permission("", "*", "*", "*")})
    assert api_server.rights("dev", client(reviews), on("shop", "pods", ("list",))).fact == "all"
    assert len(reviews.asked) == 1


def test_a_server_that_answers_no_review_leaves_the_rights_unknown():
    server = client(lambda _: httpx2.Response(404, json={}))
    assert api_server.rights("dev", server, on("shop", "pods", ("list",))).state == "unknown"


def discovery(lacking: str = "") -> Answer:
    """Serve all kinds that the stack prod declares, but for those of one group."""
    kinds = {(m["apiVersion"], m["kind"]) for m in recorded("prod").manifests().values()}

    def answer(request: httpx2.Request) -> httpx2.Response:
        api = request.url.path.removeprefix("/apis/").removeprefix("/api/")
        if lacking and api.startswith(lacking):
            return httpx2.Response(404)
        return httpx2.Response(200, json={"resources": [{"kind": kind} for version, kind in kinds if version == api]})

    return answer


def test_every_kind_that_the_stack_declares_has_to_be_served():
    found = api_server.kinds(client(discovery()), recorded("prod"))
    assert (found.state, found.problems) == ("ok", ())


def test_a_kind_that_is_not_served_is_named_with_the_software_that_brings_it():
    secret = {"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret"}
    program: Any = SimpleNamespace(manifests=lambda: {("ExternalSecret", "api"): secret})
    [problem] = api_server.kinds(client(discovery("external-secrets.io")), program).problems
    assert problem.cause == "the cluster has no ExternalSecret of external-secrets.io/v1"
    assert "install the External Secrets Operator in the cluster" in problem.fix


def test_kinds_that_may_not_be_read_are_not_held_against_the_cluster():
    server = client(lambda _: httpx2.Response(403))
    assert api_server.kinds(server, recorded("prod")).problems == ()


@pytest.mark.parametrize(("status", "state"), [(200, "ok"), (404, "failed"), (503, "failed")])
def test_metrics_have_to_be_served_where_an_autoscaler_is_declared(status: int, state: str):
    assert api_server.has_autoscaler(recorded("prod"))
    found = api_server.metrics(client(lambda _: httpx2.Response(status)), fake.settings("dev"))
    assert found.state == state
