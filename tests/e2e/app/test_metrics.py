"""What the pods of the reference app export to Prometheus, read from each pod of the running stack."""

from __future__ import annotations

import pytest

from slipway.ops.releases.canary_metrics import parse
from tests.e2e.conftest import NAMESPACE, kubectl, running_pods, up, variable

pytestmark = pytest.mark.e2e

RUNTIME = {"go_goroutines", "go_memstats_heap_alloc_bytes", "process_cpu_seconds_total", "process_open_fds"}
REQUESTS = {"http_requests_total", "http_request_duration_seconds_bucket", "http_requests_in_flight"}
STORES = {"go_sql_in_use_connections", "go_sql_max_open_connections", "go_sql_wait_count_total"}
OWN = {"app_build_info", "app_slow_queries_total", "app_recount_backlog", "app_request_body_budget_bytes"}


def series(pod: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Return labels and values of the series of a pod, by name."""
    page = kubectl("get", "--raw", f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}:9090/proxy/metrics")
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for name, labels, value in parse(page):
        found.setdefault(name, []).append((labels, value))
    return found


@pytest.mark.feature("H1")
def test_each_pod_exports_requests_errors_durations_and_the_go_runtime():
    up()
    for service, own in {"api": STORES, "web": set[str]()}.items():
        for pod in running_pods(service):
            found = series(pod)
            assert RUNTIME | REQUESTS | OWN | own <= found.keys(), f"{pod}: {sorted(found)}"
            codes = {labels["code"] for labels, _ in found["http_requests_total"]}
            assert {"200", "500"} <= codes, "errors have a series before the first one"
            [(build, value)] = found["app_build_info"]
            assert value == 1
            assert build["version"]


def test_the_pools_of_the_api_share_its_part_of_the_connections():
    share = int(variable("MYSQL_CONNECTIONS"))
    for pod in running_pods("api"):
        largest = {labels["db_name"]: value for labels, value in series(pod)["go_sql_max_open_connections"]}
        assert sum(largest.values()) == share
        assert largest["background"] < largest["requests"]
