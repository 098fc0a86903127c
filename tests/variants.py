"""Stacks with settings that the four stack files do not use, so that tests cover every kind of object."""

from __future__ import annotations

from typing import Any

from slipway.ops.program.recorder import Program, stacks
from tests.conftest import WITHOUT_STORES, recorded

JOB = {"args": ["migrate"]}
SCHEDULE = {"args": ["report", "--day"], "cron": "30 3 * * *", "timeZone": "Asia/Tokyo"}
WEB = {
    "args": ["web"],
    "needs": ["api"],
    "resources": {"cpu": "50m", "memory": "64Mi"},
    "ingress": {"host": "www.example.com", "path": "/shop", "tls": {"issuer": "letsencrypt"}},
    "secrets": ["signing-key"],
}
GATEWAY = {"host": "api.example.com", "gateway": {"name": "public", "namespace": "ingress"}}
STORE = {"name": "vault", "entries": "maps", "path": "slipway/prod", "versions": {"signing-key": "2"}}
IMAGE = f"registry.example.com/tools@sha256:{'0' * 64}"
CUSTOMIZED = {
    "serviceAccount": {"annotations": {"iam.gke.io/gcp-service-account": "api@shops.iam.gserviceaccount.com"}},
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "dedicated", "value": "api", "effect": "NoExecute", "tolerationSeconds": 60}],
    "priorityClass": "high",
    "initContainers": {"fill": {"image": IMAGE, "command": ["/fill"], "mounts": {"geo": "/geo"}}},
    "sidecars": {"proxy": {"image": IMAGE, "ports": {"proxy": 9901}, "probe": {"port": 9901, "tcp": True}}},
    "volumes": {
        "geo": {"mountPath": "/var/geo", "emptyDir": "64Mi", "readOnly": True},
        "terms": {"mountPath": "/etc/terms", "configMap": "terms"},
        "uploads": {"mountPath": "/var/uploads", "claim": "uploads"},
    },
    "pullSecrets": ["hub"],
    "patch": {
        "Deployment": {"spec": {"minReadySeconds": 5, "template": {"spec": {"affinity": None}}}},
        "Job": {"spec": {"ttlSecondsAfterFinished": 600}},
        "CronJob": {"spec": {"suspend": True}},
        "Service": {"spec": {"ports": [{"name": "http", "appProtocol": "http"}]}},
        "NetworkPolicy": {"metadata": {"labels": {"team": "shops"}}},
    },
}

# Name -> stack file it starts from, and the changes to it.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "gateway": ("prod", {"services.api.ingress": GATEWAY}),
    "secret-store": ("prod", {"secretStore": STORE}),
    "jobs": ("prod", {"services.api.migration": JOB, "services.api.schedules": {"report": SCHEDULE}}),
    "two-services": ("prod", {"services.web": WEB, "services.api.egress": [{"cidr": "10.20.0.0/16", "ports": [3306]}]}),
    "images": (
        "dev",
        {
            "image": None,
            "images": {
                "shop": {"repository": "ghcr.io/acme/shop", "target": "release"},
                "pages": {"repository": "registry.example.com/pages", "builder": "daemonless"},
            },
            "registries": {"ghcr.io": {"username": "puller"}, "registry.example.com": {"username": "me"}},
            "services.api": {"image": "shop", "migration": JOB, "schedules": {"report": SCHEDULE}},
            "services.web.image": "pages",
        },
    ),
    "registry": ("staging", {"registry": {"username": "robot$puller"}}),
    "fixed-replicas": ("staging", {"services.api.autoscaling": None, "services.api.replicas": 3}),
    "monitoring": ("dev", {"cluster.monitoringNamespace": "monitoring"}),
    "tracing": (
        "prod",
        {"tracing": {"endpoint": "https://otlp.example.com", "ratio": 0.1, "cidr": "10.20.0.7/32"}},
    ),
    "operator": (
        "prod",
        {
            "cluster.monitoringNamespace": "monitoring",
            "monitoring": {"source": "operator", "labels": {"release": "prometheus"}},
            "services.api.slo": {"availability": 99.9},
            "services.web": None,
        },
    ),
    "prometheus": (
        "dev",
        {
            **WITHOUT_STORES,
            "services.web": None,
            "services.api.slo": {"availability": 99.9},
            "tracing": {"source": "cluster", "image": IMAGE},
            "monitoring": {
                "source": "cluster",
                "image": IMAGE,
                "alertmanagerImage": IMAGE,
                "receivers": {
                    "pager": {
                        "kind": "webhook",
                        "severities": ["page"],
                        "egress": [{"cidr": "10.40.0.0/24", "ports": [443]}],
                    }
                },
            },
        },
    ),
    "customized-pods": (
        "prod",
        {
            **{f"services.api.{key}": value for key, value in CUSTOMIZED.items()},
            "services.api.schedules": {"report": SCHEDULE},
        },
    ),
    "bare": ("dev", {f"services.api.{key}": None for key in ("ingress", "file", "secrets", "env")}),
}
# All of them at once.
OPTIONS = {
    key: value
    for name in ("gateway", "jobs", "two-services", "registry", "monitoring")
    for key, value in VARIANTS[name][1].items()
}
VARIANTS["options"] = ("prod", {**OPTIONS, "secretStore": STORE})

NAMES = [*stacks(), *VARIANTS]


def model(name: str) -> Program:
    """Return what the program declares for a stack or a variant, recorded once."""
    return recorded(*VARIANTS.get(name, (name, {})))
