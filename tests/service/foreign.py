"""Apps of anyone beside the stacks' own services, and what the program declares for them."""

from __future__ import annotations

from typing import Any

from slipway.ops.program.recorder import Program

# Only `null` takes out what defaults.yaml says of every service.
UNSTATED: dict[str, Any] = {"variables": None, "env": {"LOG_LEVEL": None, "LOG_FORMAT": None}}
SHOP: dict[str, Any] = {
    "contract": "none",
    "ports": {"http": 3000},
    "probes": {"ready": {"path": "/health"}},
    "ingress": {"host": "shop.example.com", "tls": {"issuer": "letsencrypt"}},
}
WORKER: dict[str, Any] = {"kind": "worker", "args": ["mailer"]}


def settings_of(service: dict[str, Any]) -> dict[str, Any]:
    """Return the changes of a stack file that add the service `shop`."""
    env = {**UNSTATED["env"], **service.get("env", {})}
    return {"services.shop": {**UNSTATED, **service, "env": env}}


def objects_of(program: Program, kind: str) -> dict[str, dict[str, Any]]:
    return {name: manifest for (other, name), manifest in program.manifests().items() if other == kind}


def template_of(program: Program) -> dict[str, Any]:
    return objects_of(program, "Deployment")["shop"]["spec"]["template"]


def pod_of(program: Program) -> dict[str, Any]:
    return template_of(program)["spec"]


def container_of(program: Program) -> dict[str, Any]:
    return pod_of(program)["containers"][0]
