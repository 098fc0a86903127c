"""Stack files with values at the limits of the settings: the longest names, the smallest and the largest numbers.

The settings may refuse a case; one that they accept has to be accepted by the API server as well
(tests/e2e/program/test_api_validation.py).
"""

from __future__ import annotations

import random
from typing import Any

Changes = dict[str, Any]

LONG = "a" + "b" * 39
"""The longest name a service, a schedule or a namespace may have."""
HOST = ".".join(["a" * 63, "b" * 63, "c" * 63, "example.com"])
CLOCK: Changes = {"args": ["report"], "cron": "30 3 * * *"}
SIZE: Changes = {"cpu": "50m", "memory": "64Mi"}


def _service(**fields: Any) -> Changes:
    return {"resources": SIZE, "autoscaling": {"min": 1, "max": 2}, **fields}


def _ingress(**fields: Any) -> Changes:
    return {"services.api.ingress": {"host": "api.example.com", "tls": {"issuer": "ca"}, **fields}}


EDGES: list[Changes] = [
    {"services.api.autoscaling": {"min": 1, "max": 1}},
    {"services.api.autoscaling": {"min": 100, "max": 100, "cpuPercent": 95}},
    {"services.api.autoscaling": {"min": 1, "max": 100, "cpuPercent": 10}},
    {"services.api.autoscaling": None, "services.api.replicas": 1},
    {"services.api.autoscaling": None, "services.api.replicas": 100},
    {"services.api.resources": {"cpu": "1m", "memory": "8Mi"}},
    {"services.api.resources": {"cpu": 0.001, "memory": "16Mi", "cpuLimit": "0.5"}},
    {"services.api.resources": {"cpu": "9999.999", "memory": "1023Gi"}},
    {"services.api.resources": {"cpu": "1", "cpuLimit": "1000m", "memory": "1Gi"}},
    {"services.api.resources": {"cpu": "007", "memory": "9999Mi"}},
    {"services.api.drain": {"preStopSeconds": 0, "delaySeconds": 2, "shutdownSeconds": 300}},
    {"services.api.drain": {"preStopSeconds": 60, "delaySeconds": 60, "shutdownSeconds": 300}},
    {"services.api.drain": {"preStopSeconds": 2, "delaySeconds": 0, "shutdownSeconds": 15}},
    {"services.api.startupSeconds": 5, "services.api.progressSeconds": 6},
    {"services.api.startupSeconds": 600, "services.api.progressSeconds": 3600},
    _ingress(path="/v1/"),
    _ingress(path="/-._~/A"),
    _ingress(path="/.well-known/a"),
    _ingress(path="/" + "a" * 252),
    _ingress(path="//"),
    _ingress(path="/a//b"),
    _ingress(path="/a/../b"),
    _ingress(path="/."),
    _ingress(host=HOST, className=LONG),
    _ingress(tls={"secretName": LONG}),
    _ingress(tls=None),
    _ingress(awaitSeconds=0),
    _ingress(hosts=["a.example.com", HOST], paths=["/a", "/b/"]),
    _ingress(hosts=[f"a{number}.example.com" for number in range(15)], paths=[f"/{number}" for number in range(16)]),
    _ingress(path="/v1.0~/", stripPrefix=True, className="nginx"),
    _ingress(annotations={"a.example.com/" + "K" * 63: "é\n" * 1000}),
    {"services.api.serviceAnnotations": {"a.example.com/note": ""}},
    {"services.api.egress": [{"cidr": "0.0.0.0/0", "ports": [1, 65535]}]},
    {"services.api.egress": [{"cidr": "::/0", "ports": [443]}]},
    {"services.api.egress": [{"cidr": "2001:DB8::/32", "ports": [443]}]},
    {"services.api.egress": [{"cidr": "::ffff:10.0.0.0/104", "ports": [443]}]},
    {"services.api.egress": [{"cidr": "10.0.0.1/32", "ports": [443]}]},
    {"services.api.egress": [{"cidr": "10.0.0.0/08", "ports": [443]}]},
    {"services.api.egress": [{"cidr": "10.0.0.0/8", "ports": [1], "lastPort": 65535, "protocol": "UDP"}]},
    {"services.api.egress": [{"cidr": "10.0.0.0/8", "ports": [1], "lastPort": 1, "protocol": "SCTP"}]},
    {"services.api.egress": [{"cidr": "169.254.169.254/31", "ports": [80]}, {"cidr": "fd00::/8", "ports": [80]}]},
    {"cluster.dns": {"namespace": LONG, "podLabels": {"a.example.com/dns": "default"}, "port": 65535}},
    {"cluster.dns.cidrs": ["169.254.20.10/32", "fd00::10/128", "169.254.0.0/16"]},
    {"cluster.ingressCidrs": ["10.30.0.0/16", "2001:db8::/32", "192.0.2.1/32"]},
    {"services.api.migration": {"args": ["x"], "deadlineSeconds": 10, "retries": 0}},
    {"services.api.migration": {"args": [""], "deadlineSeconds": 86400, "retries": 10}},
    {"services.api.schedules": {"a" * 40: CLOCK}},
    {"services.api.schedules": {"a" * 48: CLOCK}},
    {"services.api.schedules": {"a": {**CLOCK, "cron": "*/59 0-23/23 1,31 1-12 0-6"}}},
    {"services.api.schedules": {"a": {**CLOCK, "cron": "0 0 * * 7"}}},
    {"services.api.schedules": {"a": {**CLOCK, "cron": "5/10 0 * * 0-7"}}},
    {"services.api.schedules": {"a": {**CLOCK, "cron": "00 09 01 01 00"}}},
    {"services.api.schedules": {"a": {**CLOCK, "cron": "*/99999999999999999999 0 * * *"}}},
    {"services.api.schedules": {"a": {**CLOCK, "timeZone": "America/Argentina/ComodRivadavia"}}},
    {"services.api.schedules": {"a": {**CLOCK, "timeZone": "US/Eastern"}}},
    {"services.api.schedules": {"a": {**CLOCK, "timeZone": "Factory"}}},
    {"services.api.schedules": {"a": {**CLOCK, "timeZone": "Etc/GMT+12"}}},
    {"services.api.schedules": {"b-c": CLOCK}, "services.api-b": _service(schedules={"c": CLOCK})},
    {"services.api.env": {"A": "", "B" * 253: "é😀\n\t", "C_1": "x" * 60_000}},
    {"services.api.file": {"text": "ü" * 20_000, "list": [1, 2.5, None, True, {"a": {}}]}},
    {"services.api.secrets": ["a", "b" * 63, "signing-key"]},
    {"services.api.selector": {"app": "api"}},
    {"services.api.selector": {"a.b-c.example.com/" + "K" * 63: "V" * 63}},
    {"services.api.selector": {"a..b/app": "api"}},
    {"services.api.selector": {"-a/app": "api"}},
    {"services.api.selector": {"x" * 189 + "/app": "api"}},
    {"services.api.selector": {"été": "api"}},
    {"services.api.selector": {"app": "été"}},
    {f"services.{LONG}": _service(ingress={"host": "long.example.com", "tls": {"issuer": LONG}}, file={"a": 1})},
    {f"services.{LONG}": _service(migration={"args": ["migrate"]}, needs=["api"])},
    {f"services.{LONG}": _service(schedules={"daily": CLOCK})},
    {f"services.{LONG[:11]}": _service(schedules={LONG: CLOCK})},
    {f"services.{LONG[:12]}": _service(schedules={LONG: CLOCK})},
    {"services.default": _service()},
    {"services.default-deny": _service()},
    {"services.quota": _service()},
    {"services.registry": _service()},
    {"services.kubernetes": _service()},
    {"services.slipway": _service()},
    {"services.defaults": _service()},
    {"namespace": LONG},
    {"namespace": "default"},
    {"cluster.ingressNamespace": LONG, "cluster.monitoringNamespace": LONG},
    {"registry": {"username": "robot$puller:\"'"}},
    {"mysql.storage": "1Mi", "redis.storage": "999999Gi", "mysql.storageClass": LONG, "mysql.backup.keep": 1000},
    {"mysql.database": "a" * 32, "mysql.user": "b_" + "1" * 30, "mysql.resources": {"cpu": "1m", "memory": "1Gi"}},
    {"mysql.backup.cron": "59 23 31 12 0", "mysql.backup.timeZone": "UTC"},
    {"quota": {"cpu": "9999", "memory": "9999Gi", "pods": 5000}},
    {"image": {"source": "prebuilt", "digest": "sha256:" + "0" * 64, "tag": "A" * 63, "repository": "r.example.com/a"}},
    {"image": {"source": "prebuilt", "digest": "sha256:" + "0" * 64, "repository": "acme/shop-api"}},
    {
        "image": {
            "source": "prebuilt",
            "digest": "sha256:" + "0" * 64,
            "repository": "r.example.com/" + "a/" * 100 + "b",
        }
    },
]


def cases(combined: int = 10) -> list[Changes]:
    """Return each edge alone, then combinations of four. The list is the same in each run."""
    dice = random.Random(12)  # noqa: S311 - the choice of edges is not secret
    combinations = [dice.sample(EDGES, 4) for _ in range(combined)]
    return [*EDGES, *({key: value for edge in edges for key, value in edge.items()} for edges in combinations)]
