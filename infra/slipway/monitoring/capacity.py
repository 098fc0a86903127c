"""Alerts on what runs out: pods, quota, volumes, memory, certificates. Most need the metrics of the cluster.

kube-state-metrics, the kubelet and cert-manager report these; only Prometheus of the operator scrapes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from slipway.monitoring.alerts import Rule, alert
from slipway.monitoring.selectors import selector
from slipway.monitoring.service_alerts import THRESHOLD, labels_of
from slipway.naming import ENVIRONMENT
from slipway.settings.sections.slo import Severity
from slipway.settings.settings import Settings

THRESHOLDS = (70, 85, 95)
# cert-manager renews a certificate 30 days before it expires, if that is valid for 90.
EXPIRY_DAYS: tuple[tuple[int, Severity], ...] = ((14, "ticket"), (3, "page"))


def groups(settings: Settings, *, cluster_metrics: bool) -> Iterator[dict[str, Any]]:
    """Yield the rule groups of services and of the stack. `cluster_metrics`: Prometheus has those of the cluster."""
    for name in settings.services:
        rules = list(_replicas(settings, name))
        if cluster_metrics:
            rules += [*_autoscaler(settings, name), *_certificates(settings, name)]
        if rules:
            yield {"name": f"capacity-{name}", "rules": rules}
    if cluster_metrics:
        containers = [*settings.services, *settings.servers]
        rules = [rule for name in containers for rule in _containers(settings, name)]
        rules += [*_quota(settings), *_volumes(settings)]
        yield {"name": "capacity", "rules": rules}


def _replicas(settings: Settings, name: str) -> Iterator[Rule]:
    """Yield alerts on how close a service is to the maximum of its autoscaler, by the instances that answer."""
    service = settings.services[name]
    if service.replicas or service.metrics_in_force is None:
        return
    bounds = service.autoscaling
    yield from _alerts_by_threshold(
        "ReplicasNearMaximum",
        f"count(up{{{selector(settings, name)}}} == 1) / {bounds.max}",
        labels_of(settings, name),
        f"{name} has {{}} % of the pods that its autoscaler may create.",
        f"{{{{ $value | humanizePercentage }}}} of at the most {bounds.max} pods have been running for 15 minutes; "
        "beyond that they get slower.",
        hold="15m",
        # At its minimum a service is never short of pods.
        thresholds=[threshold for threshold in THRESHOLDS if bounds.min < bounds.max * threshold / 100],
    )


def _alerts_by_threshold(
    name: str,
    share: str,
    labels: Mapping[str, str],
    summary: str,
    description: str,
    *,
    hold: str,
    thresholds: Sequence[int] = THRESHOLDS,
    last: Severity = "ticket",
) -> Iterator[Rule]:
    """Yield an alert for each percentage that a share reaches; `last` is the severity of the highest one of all.

    The summary has `{}` in place of the percentage.
    """
    for threshold in thresholds:
        yield alert(
            name,
            f"{share} >= {threshold / 100:g}",
            last if threshold == THRESHOLDS[-1] else "ticket",
            {**labels, THRESHOLD: str(threshold)},
            summary.format(threshold),
            description,
            hold=hold,
        )


def _autoscaler(settings: Settings, name: str) -> Iterator[Rule]:
    bounds = settings.services[name].autoscaling
    if settings.services[name].replicas or bounds.min == bounds.max:
        return
    own = f'namespace="{settings.namespace}",horizontalpodautoscaler="{name}"'
    yield alert(
        "AutoscalerAtMaximum",
        f"kube_horizontalpodautoscaler_status_desired_replicas{{{own}}}\n"
        f">= kube_horizontalpodautoscaler_spec_max_replicas{{{own}}}",
        "ticket",
        labels_of(settings, name),
        f"The autoscaler of {name} cannot add pods any more.",
        "It has wanted its maximum of {{ $value }} pods for 15 minutes: more load makes them slower.",
        hold="15m",
    )


def _containers(settings: Settings, name: str) -> Iterator[Rule]:
    own, labels = f'namespace="{settings.namespace}",container="{name}"', labels_of(settings, name)
    restarts = f"increase(kube_pod_container_status_restarts_total{{{own}}}[15m])"
    yield alert(
        "ContainerRestarts",
        f"{restarts} > 2",
        "ticket",
        labels,
        f"A container of {name} starts again and again.",
        "{{ $labels.pod }} was restarted {{ $value | humanize }} times in 15 minutes.",
    )
    yield alert(
        "ContainerOutOfMemory",
        f'kube_pod_container_status_last_terminated_reason{{{own},reason="OOMKilled"}} == 1\n'
        f"and on(namespace, pod, container)\n"
        f"{restarts} > 0",
        "ticket",
        labels,
        f"A container of {name} was killed, as it used more memory than its limit.",
        "{{ $labels.pod }} was killed and started again in the last 15 minutes.",
    )


def _certificates(settings: Settings, name: str) -> Iterator[Rule]:
    """Yield alerts on certificates that cert-manager should have renewed. Nobody reports on those of others."""
    ingress = settings.services[name].ingress
    if ingress is None or ingress.tls is None or ingress.tls.issuer is None:
        return
    for secret in settings.certificates(name):
        expiry = "certmanager_certificate_expiration_timestamp_seconds"
        # Where Prometheus does not honor labels, `namespace` is that of cert-manager itself.
        either = (f'{expiry}{{{key}="{settings.namespace}",name="{secret}"}}' for key in _NAMESPACE_LABELS)
        expires = " or ".join(either)
        for days, severity in EXPIRY_DAYS:
            yield alert(
                "CertificateExpiresSoon",
                f"({expires}) - time() < {days * 86400}",
                severity,
                {**labels_of(settings, name), "days": str(days)},
                f"The certificate {secret} of {name} expires in less than {days} days.",
                "It expires in {{ $value | humanizeDuration }}; cert-manager should have renewed it by now.",
                hold="1h",
            )


_NAMESPACE_LABELS = ("namespace", "exported_namespace")


def _quota(settings: Settings) -> Iterator[Rule]:
    of = f'kube_resourcequota{{namespace="{settings.namespace}",resourcequota="quota",type='
    # A limit of 0 forbids what it limits; it is never short.
    share = f'{of}"used"}} / ignoring(type) ({of}"hard"}} > 0)'
    labels = labels_of(settings, ENVIRONMENT)
    yield from _alerts_by_threshold(
        "QuotaNearLimit",
        share,
        labels,
        "{} % of the namespace's quota is used.",
        "{{ $labels.resource }}: {{ $value | humanizePercentage }} of the quota has been used for 15 minutes; "
        "beyond it no pod starts, so that rollouts and the autoscaler stand still.",
        hold="15m",
    )
    yield alert(
        "QuotaFullSoon",
        f'predict_linear({of}"used"}}[3d], 7 * 86400) > ignoring(type) ({of}"hard"}} > 0)\nand\n{share} > 0.5',
        "ticket",
        labels,
        "The namespace's quota will not last a week.",
        "{{ $labels.resource }}: at the rate of the last three days {{ $value | humanize }} will be in use in a week.",
        hold="1h",
    )


def _volumes(settings: Settings) -> Iterator[Rule]:
    own = f'{{namespace="{settings.namespace}"}}'
    share = f"kubelet_volume_stats_used_bytes{own} / kubelet_volume_stats_capacity_bytes{own}"
    labels = labels_of(settings, ENVIRONMENT)
    yield from _alerts_by_threshold(
        "VolumeNearlyFull",
        share,
        labels,
        "{} % of a volume is used.",
        "{{ $labels.persistentvolumeclaim }} is filled to {{ $value | humanizePercentage }}; a database on a full "
        "volume stops.",
        hold="5m",
        last="page",
    )
    yield alert(
        "VolumeFullSoon",
        f"predict_linear(kubelet_volume_stats_available_bytes{own}[6h], 4 * 86400) < 0\nand\n{share} > 0.5",
        "ticket",
        labels,
        "A volume will be full within four days.",
        "{{ $labels.persistentvolumeclaim }}: at the rate of the last six hours it is full within four days.",
        hold="1h",
    )
