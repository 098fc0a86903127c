"""The client of Prometheus: at its address, through the API server, and what it says when there is no answer."""

from __future__ import annotations

import math
from typing import Any

import httpx2
import pytest

from slipway.ops.cluster import connection
from slipway.ops.monitoring import firing, prometheus
from slipway.ops.monitoring.prometheus import PrometheusError
from tests import api_server
from tests.monitoring.conftest import settings_of
from tests.ops.monitoring.fake_prometheus import NOW, OPERATOR, URL, FakePrometheus, monitored

IMAGE = "docker.io/prom/prometheus@sha256:" + "0" * 64
IN_CLUSTER: dict[str, Any] = {"monitoring": {"source": "cluster", "image": IMAGE}}


def refused(answer: httpx2.Response | Exception) -> str:
    def respond(_: httpx2.Request) -> httpx2.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    with pytest.raises(PrometheusError) as error:
        prometheus.at_address(URL, httpx2.MockTransport(respond)).query("up")
    return str(error.value)


def test_a_query_returns_each_series_with_its_labels_and_value():
    server = FakePrometheus({"up": [({"service": "api"}, 1), ({"service": "web"}, 0)]})
    assert [(series.labels, series.value) for series in server.client.query("up > 0 and on() vector(1)")] == [
        ({"service": "api"}, 1),
        ({"service": "web"}, 0),
    ]
    assert server.queries == ["up > 0 and on() vector(1)"]


def test_a_query_over_time_returns_the_values_of_each_step():
    [series] = FakePrometheus({"up": 2}).client.query_range("up", NOW - 30, NOW, 15)
    assert series.points == [(NOW - 30, 2), (NOW - 15, 2), (NOW, 2)]


def test_what_is_no_number_counts_as_no_value():
    assert FakePrometheus({"up": math.nan}).client.value("up") is None
    assert FakePrometheus({}).client.value("up") is None
    assert FakePrometheus({"up": 0.5}).client.value("up") == 0.5


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (httpx2.ConnectError("[Errno 111] Connection refused"), "does not answer: [Errno 111] Connection refused"),
        (httpx2.Response(503, text="<html>"), "answers HTTP 503 Service Unavailable"),
        (httpx2.Response(400, json={"status": "error", "error": "1:3: parse error"}), ": 1:3: parse error"),
        (
            httpx2.Response(200, text="<html>a login</html>"),
            "no answer of the API of Prometheus: '<html>a login</html>'",
        ),
    ],
    ids=["no connection", "a proxy", "a wrong query", "another server"],
)
def test_what_prometheus_does_not_answer_is_one_message_with_its_address(
    answer: httpx2.Response | Exception, words: str
):
    assert refused(answer).startswith(f"Prometheus at {URL}")
    assert words in refused(answer)


def test_the_prometheus_of_a_stack_is_reached_through_the_api_server():
    server = FakePrometheus({"up": 3})
    stack = api_server.cluster(server, IN_CLUSTER)
    client = prometheus.connect("dev", stack.settings, stack)
    assert client.value('sum(up{namespace="slipway-dev"})') == 3
    assert server.queries == ['sum(up{namespace="slipway-dev"})']
    assert server.paths == ["/api/v1/namespaces/slipway-dev/services/prometheus:9090/proxy/api/v1/query"]


def test_a_stack_whose_prometheus_is_not_there_says_which_one():
    answer = httpx2.Response(404, json={"message": 'services "prometheus" not found'})
    stack = api_server.cluster(lambda _: answer, IN_CLUSTER)
    with pytest.raises(
        PrometheusError, match=r"Prometheus of stack dev \(Service/prometheus in slipway-dev\) does not"
    ):
        prometheus.connect("dev", stack.settings, stack).query("up")


@pytest.mark.parametrize(
    ("monitoring", "words"),
    [
        ({"monitoring": {"source": "none"}}, "stack dev is not monitored. Set source to cluster or operator"),
        (OPERATOR, "does not say where its Prometheus answers. Set url (stacks/Pulumi.dev.yaml"),
    ],
)
def test_a_stack_without_an_address_of_prometheus_is_told_what_to_set(monitoring: dict[str, Any], words: str):
    with pytest.raises(PrometheusError) as error:
        prometheus.connect("dev", settings_of("dev", monitoring))
    assert words in str(error.value)


# Alerts


def alert(name: str, severity: str, namespace: str = "slipway-dev", state: str = "firing") -> dict[str, Any]:
    labels = {"alertname": name, "severity": severity, "namespace": namespace, "service": "api"}
    summary = f"{name} of api."
    return {"labels": labels, "annotations": {"summary": summary}, "state": state, "activeAt": "2026-11-21T11:58:00Z"}


def test_firing_alerts_are_those_of_the_stack_and_pages_come_first():
    server = FakePrometheus(
        active=[
            alert("Tickets", "ticket"),
            alert("Pages", "page"),
            alert("Pending", "page", state="pending"),
            alert("Foreign", "page", namespace="kube-system"),
        ]
    )
    found, notes = firing.alerts(api_server.cluster(server, IN_CLUSTER))
    assert [item.name for item in found] == ["Pages", "Tickets"]
    assert notes == []


def test_a_prometheus_that_does_not_answer_is_one_line_and_no_failure():
    found, [note] = firing.alerts(api_server.cluster(api_server.ApiServer(is_down=True), IN_CLUSTER))
    assert found == []
    assert note.startswith("firing alerts are not known: Prometheus of stack dev")
    assert "\n" not in note


@pytest.mark.parametrize("monitoring", [{"monitoring": {"source": "none"}}, OPERATOR], ids=["none", "no address"])
def test_a_stack_that_names_no_prometheus_is_not_asked_about(
    monitoring: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(connection.StackCluster, "service_get", lambda *_: pytest.fail("it was asked"))
    assert firing.alerts(api_server.cluster(FakePrometheus(), monitoring)) == ([], [])


def test_the_client_is_used_with_the_address_of_the_stack_file():
    assert prometheus.connect("dev", monitored()).name == f"Prometheus at {URL}"
