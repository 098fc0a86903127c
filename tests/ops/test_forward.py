"""`./slipway port-forward`: what kubectl is asked to do, and what it is not asked."""

from __future__ import annotations

import os
from typing import Any

import pytest

from slipway.ops.cluster import port_forward
from slipway.ops.cluster.port_forward import PortForwardError
from slipway.ops.errors import UnknownServiceError
from tests.api_server import ApiServer, cluster
from tests.diagnosis.test_status import run
from tests.monitoring_objects.declared import IMAGE

__all__ = ["run"]

PLACE = "--context dev --namespace slipway-dev"


@pytest.mark.feature("L3", part="port-forward")
@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (["api"], "deployment/api 8080:8080"),
        (["api", "18080"], "deployment/api 18080:8080"),
        (["api", "--admin"], "deployment/api 9090:9090"),
        (["mysql"], "statefulset/mysql 3306:3306"),
        (["redis", "16379"], "statefulset/redis 16379:6379"),
    ],
    ids=" ".join,
)
def test_a_port_of_this_machine_leads_to_a_pod(run: Any, monkeypatch: pytest.MonkeyPatch, asked: list[str], told: str):
    became: list[list[str]] = []
    monkeypatch.setattr(port_forward.shutil, "which", str)
    monkeypatch.setattr(os, "execvp", lambda _program, command: became.append(command))
    code, _, _ = run(ApiServer({}), "port-forward", *asked)
    assert code == 0
    assert became == [f"kubectl {PLACE} port-forward {told}".split()]


def test_only_what_the_stack_runs_has_a_port():
    with pytest.raises(UnknownServiceError, match=r"no service 'apis' here.+: api, mysql, redis"):
        port_forward.command_line(cluster(ApiServer({})), "apis")


def test_the_servers_of_monitoring_have_a_port_where_the_stack_runs_them():
    own = cluster(ApiServer({}), {"monitoring": {"source": "cluster", "image": IMAGE}})
    assert port_forward.command_line(own, "prometheus")[-2:] == ["statefulset/prometheus", "9090:9090"]
    with pytest.raises(UnknownServiceError, match="no service 'alertmanager' here"):
        port_forward.command_line(own, "alertmanager")


def test_a_store_has_no_port_for_metrics():
    with pytest.raises(PortForwardError, match="mysql is a store, and has one port only: leave the name admin out"):
        port_forward.command_line(cluster(ApiServer({})), "mysql", port_name="admin")


def test_a_named_port_of_a_service_is_led_to_and_a_worker_has_none():
    ports = {"http": 3000, "admin": None, "extra": {"grpc": {"port": 9999}}}
    shop = cluster(ApiServer({}), {"services.api.ports": ports})
    assert port_forward.command_line(shop, "api")[-1] == "3000:3000"
    assert port_forward.command_line(shop, "api", port_name="grpc")[-1] == "9999:9999"
    with pytest.raises(PortForwardError, match=r"api has no port admin. Its ports: http, grpc"):
        port_forward.command_line(shop, "api", port_name="admin")
    worker = cluster(ApiServer({}), {"services.mailer": {"kind": "worker"}})
    with pytest.raises(PortForwardError, match="mailer listens on no port"):
        port_forward.command_line(worker, "mailer")


def test_without_kubectl_it_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(port_forward.shutil, "which", lambda _: None)
    with pytest.raises(PortForwardError, match="kubectl is not on the PATH"):
        port_forward.forward(["kubectl"])
