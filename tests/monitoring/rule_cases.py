"""For each alert, series on which it fires, and series on which it stays silent, in the notation of promtool.

`0+5x60` is a counter that starts at 0 and grows by 5 each minute, for an hour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

API = 'namespace="slipway-prod",service="api"'
POD = f'{API},instance="10.0.0.1:9090"'
OTHER = f'{API},instance="10.0.0.2:9090"'
IN_POD = 'namespace="slipway-prod",pod="api-1",container="api"'
HPA = 'namespace="slipway-prod",horizontalpodautoscaler="api"'
QUOTA = 'namespace="slipway-prod",resourcequota="quota",resource="pods"'
CLAIM = 'namespace="slipway-prod",persistentvolumeclaim="mysql-data"'
CERTIFICATE = "certmanager_certificate_expiration_timestamp_seconds"

Series = Mapping[str, str]
"""Values by series."""


@dataclass(frozen=True)
class Case:
    """Series of one service on which its alert fires, and on which it does not."""

    alert: str
    bad: Series
    good: Series
    at: str
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    """Labels that the alert takes from its series."""
    of: Mapping[str, str] = field(default_factory=dict[str, str])
    """Labels of the rules that fire; others of the same name stay silent."""
    service: str = "api"


def requests(failed_per_minute: int, minutes: int, total: int = 10000) -> Series:
    """Return the counters of an API of whose requests a few fail all the time."""
    return {
        f'http_requests_total{{{POD},code="200"}}': f"0+{total - failed_per_minute}x{minutes}",
        f'http_requests_total{{{POD},code="503"}}': f"0+{failed_per_minute}x{minutes}",
    }


def durations(fast: int, total: int, minutes: int = 60) -> Series:
    """Return the histogram of an API that answers some requests within 250 ms, and all within 1 s."""
    bounds = {"0.1": 0, "0.25": fast, "0.5": fast, "1": total, "+Inf": total}
    name = "http_request_duration_seconds"
    series = {f'{name}_bucket{{{POD},le="{bound}"}}': f"0+{count}x{minutes}" for bound, count in bounds.items()}
    return {**series, f"{name}_count{{{POD}}}": f"0+{total}x{minutes}"}


def up(running: int, down: int = 0) -> Series:
    """Return the targets of an API."""
    values = ["1"] * running + ["0"] * down
    return {f'up{{{API},instance="10.0.1.{number}:9090"}}': f"{value}x60" for number, value in enumerate(values)}


def cache(hits: int, misses: int) -> Series:
    """Return the counters of an API's cache."""
    counts = {"hit": hits, "miss": misses}
    name = "app_cache_operations_total"
    return {f'{name}{{{POD},kind="shop",result="{result}"}}': f"0+{n}x60" for result, n in counts.items()}


def pool(in_use: str) -> Series:
    """Return the connections of a pod to MySQL."""
    labels = f'{POD},db_name="requests"'
    return {f"go_sql_in_use_connections{{{labels}}}": in_use, f"go_sql_max_open_connections{{{labels}}}": "10x60"}


def quota(used: str, minutes: int = 60) -> Series:
    """Return the use of a quota of 100 pods."""
    name = "kube_resourcequota"
    return {f'{name}{{{QUOTA},type="used"}}': used, f'{name}{{{QUOTA},type="hard"}}': f"100x{minutes}"}


def volume(used: str, available: str) -> Series:
    """Return the use of a volume of 100 bytes."""
    values = {"used": used, "available": available, "capacity": "100x200"}
    return {f"kubelet_volume_stats_{key}_bytes{{{CLAIM}}}": text for key, text in values.items()}


INSTANCE = {"instance": "10.0.0.1:9090"}
STEADY_ERRORS = {
    f'http_requests_total{{{POD},code="500"}}': "0+5x60",
    f'http_requests_total{{{POD},code="200"}}': "0+95x60",
}
NEW_ERRORS = {**STEADY_ERRORS, f'http_requests_total{{{POD},code="500"}}': "0x20 0+5x40"}
RESTARTS = "kube_pod_container_status_restarts_total"
KILLED = f'kube_pod_container_status_last_terminated_reason{{{IN_POD},reason="OOMKilled"}}'
THE_POD = {"pod": "api-1", "container": "api"}
THE_QUOTA = {"resourcequota": "quota", "resource": "pods"}
THE_CLAIM = {"persistentvolumeclaim": "mysql-data"}
DESIRED = f"kube_horizontalpodautoscaler_status_desired_replicas{{{HPA}}}"
MAXIMUM = f"kube_horizontalpodautoscaler_spec_max_replicas{{{HPA}}}"

CASES = [
    # 1 % of the requests fail, 20 times what the objective allows. 0.02 % are within it.
    Case("ErrorBudgetFastBurn", requests(100, 90), requests(2, 90), "80m", of={"slo": "availability"}),
    Case(
        "ErrorBudgetFastBurn", durations(80, 100, 90), durations(100, 100, 90), "80m", of={"slo": "latency-p99-250ms"}
    ),
    Case("ErrorBudgetSlowBurn", requests(20, 1500), requests(2, 1500), "24h", of={"slo": "availability"}),
    Case("InstanceDown", {f"up{{{POD}}}": "1x10 0x10"}, {f"up{{{POD}}}": "1x20"}, "15m", INSTANCE),
    # One that has never answered is starting.
    Case("InstanceDown", {f"up{{{POD}}}": "1x10 0x10"}, {f"up{{{POD}}}": "0x20"}, "15m", INSTANCE),
    Case("ServiceDown", {f"up{{{POD}}}": "1x10 0x10"}, {f"up{{{POD}}}": "0x20", f"up{{{OTHER}}}": "1x20"}, "15m"),
    # Prometheus has no target at all: not even `up` is there.
    Case("ServiceDown", {}, up(1), "5m"),
    Case("HighP99Latency", durations(90, 100), durations(100, 100), "20m"),
    # Without requests there is no percentile.
    Case("HighP99Latency", durations(90, 100), durations(0, 0), "20m"),
    Case(
        "HighLatencyWithIncreasingErrors",
        {**durations(80, 100), **NEW_ERRORS},
        {**durations(80, 100), **STEADY_ERRORS},
        "30m",
    ),
    Case(
        "HighLatencyWithIncreasingErrors",
        {**durations(80, 100), **NEW_ERRORS},
        {**durations(95, 100), **NEW_ERRORS},
        "30m",
    ),
    # Of a request of 250m: 14 s of CPU a minute are 93 %, 12 s are 80 %, where the autoscaler is content.
    Case(
        "HighCpu",
        {f"process_cpu_seconds_total{{{POD}}}": "0+14x60"},
        {f"process_cpu_seconds_total{{{POD}}}": "0+12x60"},
        "30m",
    ),
    Case(
        "HighMemory",
        {f"process_resident_memory_bytes{{{POD}}}": "260000000x60"},
        {f"process_resident_memory_bytes{{{POD}}}": "240000000x60"},
        "20m",
        INSTANCE,
    ),
    Case("ReplicasNearMaximum", up(10), up(6), "30m"),
    Case("ReplicasNearMaximum", up(9), up(2), "30m", of={"threshold": "85"}),
    Case(
        "AutoscalerAtMaximum",
        {DESIRED: "10x60", MAXIMUM: "10x60"},
        {DESIRED: "9x60", MAXIMUM: "10x60"},
        "30m",
        {"horizontalpodautoscaler": "api"},
    ),
    Case(
        "ContainerRestarts",
        {f"{RESTARTS}{{{IN_POD}}}": "0+1x60"},
        {f"{RESTARTS}{{{IN_POD}}}": "0x40 1x20"},
        "45m",
        THE_POD,
    ),
    Case(
        "ContainerOutOfMemory",
        {f"{RESTARTS}{{{IN_POD}}}": "0x40 1x20", KILLED: "1x60"},
        {f"{RESTARTS}{{{IN_POD}}}": "1x60", KILLED: "1x60"},
        "45m",
        {**THE_POD, "reason": "OOMKilled"},
    ),
    Case("QuotaNearLimit", quota("96x60"), quota("60x60"), "30m", THE_QUOTA, service="slipway"),
    # From 50 pods on, one more each three hours: a hundred and six in a week.
    Case("QuotaFullSoon", quota("50+0.005x400", 400), quota("60x400", 400), "300m", THE_QUOTA, service="slipway"),
    Case(
        "VolumeNearlyFull", volume("96x200", "4x200"), volume("60x200", "40x200"), "30m", THE_CLAIM, service="slipway"
    ),
    Case(
        "VolumeFullSoon",
        volume("50+0.05x200", "50-0.05x200"),
        volume("60x200", "40x200"),
        "180m",
        THE_CLAIM,
        service="slipway",
    ),
    # promtool begins at the epoch: 180,000 s are two days later.
    *(
        Case(
            "CertificateExpiresSoon",
            {f'{CERTIFICATE}{{{key}="slipway-prod",name="api-tls"}}': "180000x100"},
            {f'{CERTIFICATE}{{{key}="slipway-prod",name="api-tls"}}': "1800000x100"},
            "80m",
            {key: "slipway-prod", "name": "api-tls"},
        )
        for key in ("namespace", "exported_namespace")
    ),
    Case("CacheHitRateLow", cache(100, 200), cache(200, 100), "40m"),
    Case(
        "SlowQueries",
        {f'app_slow_queries_total{{{POD},db_name="requests"}}': "0+20x60"},
        {f'app_slow_queries_total{{{POD},db_name="requests"}}': "0+2x60"},
        "20m",
    ),
    Case("DatabasePoolNearLimit", pool("10x60"), pool("5x60"), "20m"),
    Case("DatabasePoolFullSoon", pool("2+0.15x60"), pool("6x60"), "50m"),
    Case(
        "RecountBacklog",
        {f"app_recount_backlog{{{POD}}}": "5000x60"},
        {f"app_recount_backlog{{{POD}}}": "10x60"},
        "20m",
    ),
]
