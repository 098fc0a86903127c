"""The series that rules may read: those of the reference app, of Prometheus itself, and of the cluster's exporters."""

from __future__ import annotations

import re
from pathlib import Path

from tests.paths import REPOSITORY

# What Prometheus adds to each target it scrapes.
OF_PROMETHEUS = {"up": {"job", "instance"}}
# kube-state-metrics: docs/metrics/ of its repository, one page a kind.
OF_KUBE_STATE_METRICS = {
    "kube_horizontalpodautoscaler_spec_max_replicas": {"horizontalpodautoscaler"},
    "kube_horizontalpodautoscaler_status_desired_replicas": {"horizontalpodautoscaler"},
    "kube_pod_container_status_last_terminated_reason": {"pod", "container", "reason"},
    "kube_pod_container_status_restarts_total": {"pod", "container"},
    "kube_resourcequota": {"resourcequota", "resource", "type"},
}
# The kubelet: pkg/kubelet/metrics/collectors/volume_stats.go of Kubernetes.
OF_KUBELET = {
    "kubelet_volume_stats_available_bytes": {"persistentvolumeclaim"},
    "kubelet_volume_stats_capacity_bytes": {"persistentvolumeclaim"},
    "kubelet_volume_stats_used_bytes": {"persistentvolumeclaim"},
}
# cert-manager: pkg/metrics/metrics.go and internal/collectors/certificate_collector.go of its repository.
OF_CERT_MANAGER = {"certmanager_certificate_expiration_timestamp_seconds": {"name", "exported_namespace"}}
OF_CLUSTER = OF_KUBE_STATE_METRICS | OF_KUBELET | OF_CERT_MANAGER
# What Prometheus of each source adds to the series of an app.
ADDED = {"namespace", "service"}

PAGE = REPOSITORY / "app" / "metrics.txt"


def of_app(service: str, page: Path = PAGE) -> dict[str, set[str]]:
    """Return the series of a fresh pod of the reference app, with their labels; a test of the app wrote them."""
    api, web = page.read_text().split("\n\n")[:2]
    lines = (api if service == "api" else web).splitlines()
    return {line.split()[0].rstrip(":"): set(line.partition(":")[0].split()[1:]) for line in lines}


def buckets(page: Path = PAGE) -> list[float]:
    """Return the bounds of the reference app's histogram of response times."""
    [bounds] = set(re.findall(r"^http_request_duration_seconds_bucket .*: (.*) \+Inf$", page.read_text(), re.MULTILINE))
    return [float(bound) for bound in bounds.split()]
