"""An HPA scales the API by requests that prometheus-adapter serves. An outage of metrics takes no pod away."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import pytest
import urllib3

from slipway.monitoring.scaling import FORECAST, FORECAST_METRIC, POD_METRIC, POD_REQUESTS
from slipway.objects import quantity
from tests.e2e.conftest import LOCAL, NAMESPACE, Replicas, edited, eventually, kubectl, running_pods, up
from tests.e2e.load import Load
from tests.e2e.monitoring import STORES, node_address
from tests.neighbours.controllers import operator_objects, prometheus_adapter
from tests.neighbours.prometheus_server import PrometheusServer
from tests.neighbours.scaling.pods import (
    BY_CPU,
    DOWN_SECONDS,
    MAX,
    MIN,
    OUTAGE_SECONDS,
    RATE,
    TARGET,
    UP_SECONDS,
    ready,
    wanted,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(7200)]

BY_REQUESTS = f"      autoscaling: {{min: {MIN}, max: {MAX}, by: hpa, rps: {TARGET}, forecast: {{ahead: 15m}}}}\n"
CONTEXT = "    context: slipway-local\n"
# Requests per second for which the minimum of pods is enough, and that reach each of them.
LOW_RATE = 10
METRICS_SECONDS = 180


@contextmanager
def deployed_by_requests() -> Generator[None]:
    """Scale the API by requests during the block."""
    try:
        with edited() as edit:
            edit(LOCAL, BY_CPU, BY_REQUESTS)
            edit(LOCAL, STORES, f"  slipway:monitoring: {{source: operator}}\n{STORES}")
            edit(LOCAL, CONTEXT, f"{CONTEXT}    monitoringNamespace: {prometheus_adapter.NAMESPACE}\n")
            up()
            yield
    finally:
        up()


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Generator[PrometheusServer]:
    """The stack's rules in a Prometheus, and an adapter that serves their results to the HPA of the API."""
    folder = tmp_path_factory.mktemp("prometheus")
    with (
        operator_objects.defined(),
        deployed_by_requests(),
        operator_objects.prometheus(folder, node_address()) as server,
        prometheus_adapter.installed(server.url),
    ):
        yield server


def metrics(api: str, path: str) -> list[dict[str, Any]]:
    """Return what an API of metrics answers for the namespace of the stack; nothing while it knows no such metric."""
    answer = kubectl("get", "--raw", f"/apis/{api}/namespaces/{NAMESPACE}/{path}", ok=False)
    return json.loads(answer)["items"] if answer else []


def served(version: str) -> dict[str, float | None]:
    """Return the requests per second of each pod, as the HPA reads them."""
    items = metrics(f"custom.metrics.k8s.io/{version}", f"pods/*/{POD_METRIC}")
    return {item["describedObject"]["name"]: quantity(item["value"]) for item in items}


def served_forecast() -> list[float | None]:
    """Return the requests per second that are expected, as the HPA reads them."""
    items = metrics("external.metrics.k8s.io/v1beta1", f"{FORECAST_METRIC}?labelSelector=service%3Dapi")
    return [quantity(item["value"]) for item in items]


def recorded(prometheus: PrometheusServer, series: str) -> dict[str, float]:
    """Return the samples of a series of the API by pod, as exact as quantities of Kubernetes are: to a thousandth."""
    samples = prometheus.query(f'{series}{{namespace="{NAMESPACE}",service="api"}}')
    return {sample["metric"].get("pod", ""): int(float(sample["value"][1]) * 1000) / 1000 for sample in samples}


@pytest.mark.feature("F2")
def test_load_adds_pods_and_its_end_takes_them_away(prometheus: PrometheusServer, api: urllib3.HTTPSConnectionPool):
    with Load(api, "/v1/shops", rate=LOW_RATE) as low:
        eventually(lambda: wanted("api") == MIN, DOWN_SECONDS, "the API has its minimum")
    with Load(api, "/v1/shops", rate=RATE) as load:
        eventually(lambda: ready("api") == MAX, UP_SECONDS, "the API has its maximum")
        time.sleep(60)
    eventually(lambda: ready("api") == MIN, DOWN_SECONDS, "the API has its minimum again")
    assert low.lost == load.lost == []


@pytest.mark.feature("F3", part="prometheus-adapter itself serves the recorded values by it")
@pytest.mark.parametrize("version", ["v1beta1", "v1beta2"])
def test_the_api_of_custom_metrics_answers_the_recorded_requests_of_each_pod(
    prometheus: PrometheusServer, api: urllib3.HTTPSConnectionPool, version: str
):
    def is_recorded() -> bool:
        values = served(version)
        return (
            values.keys() == running_pods("api").keys()
            and all(values.values())
            and values == recorded(prometheus, POD_REQUESTS)
        )

    with Load(api, "/v1/shops", rate=LOW_RATE):
        eventually(is_recorded, METRICS_SECONDS, "each pod has a value above 0, and it is the recorded one")


@pytest.mark.feature("F3", part="prometheus-adapter itself serves the recorded forecast by it")
def test_the_api_of_external_metrics_answers_the_recorded_forecast(
    prometheus: PrometheusServer, api: urllib3.HTTPSConnectionPool
):
    # Without a week of history the forecast is zero, and not missing.
    with Load(api, "/v1/shops", rate=LOW_RATE):
        eventually(lambda: served_forecast() == [0], METRICS_SECONDS, "the forecast is zero")
    assert list(recorded(prometheus, FORECAST).values()) == [0]


Outage = tuple[Callable[[], None], Callable[[], None]]
# Not by the names of the programs: `-k` finds those in the name of this file.
OUTAGES: dict[str, Callable[[PrometheusServer], Outage]] = {
    "serving": lambda _: (prometheus_adapter.stop, prometheus_adapter.start),
    "recording": lambda prometheus: (prometheus.stop, prometheus.start),
}


@pytest.mark.feature("F2", part="an outage of the metrics takes no pod away, by prometheus-adapter: has not run so far")
@pytest.mark.parametrize("missing", OUTAGES)
def test_an_outage_of_metrics_takes_no_pod_away_even_without_load(
    prometheus: PrometheusServer, api: urllib3.HTTPSConnectionPool, missing: str
):
    stop, start = OUTAGES[missing](prometheus)
    with Load(api, "/v1/shops", rate=RATE) as load:
        eventually(lambda: ready("api") == MAX, UP_SECONDS, "the API has its maximum")
        pods = running_pods("api").keys()
        stop()
        time.sleep(60)
    try:
        with Replicas("api") as replicas:
            time.sleep(OUTAGE_SECONDS)
        assert replicas.observed == {MAX}
        assert running_pods("api").keys() == pods
        assert load.lost == []
    finally:
        start()
    eventually(lambda: wanted("api") == MIN, DOWN_SECONDS, "the pods go once the metrics are back")
