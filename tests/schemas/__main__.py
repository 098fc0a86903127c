"""`python -m tests.schemas`: generate the schemas of our custom resources from their definitions (needs Go)."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import yaml

from slipway.schemas import CUSTOM, custom_file
from tests.schemas import prometheus_operator
from tests.schemas.modules import downloaded

KEDA = "github.com/kedacore/keda/v2@v2.21.0"
FLUX = "github.com/fluxcd"
# Module and path of each definition.
DEFINITIONS = [
    ("sigs.k8s.io/gateway-api@v1.5.1", "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"),
    (
        "github.com/external-secrets/external-secrets@v1.3.2",
        "config/crds/bases/external-secrets.io_externalsecrets.yaml",
    ),
    (
        "github.com/traefik/traefik/v3@v3.7.13",
        "docs/content/reference/dynamic-configuration/traefik.io_middlewares.yaml",
    ),
    (KEDA, "config/crd/bases/keda.sh_scaledobjects.yaml"),
    (KEDA, "config/crd/bases/keda.sh_triggerauthentications.yaml"),
    (
        "github.com/kyverno/kyverno@v1.19.1",
        "config/crds/policies.kyverno.io/policies.kyverno.io_namespacedimagevalidatingpolicies.yaml",
    ),
    (f"{FLUX}/source-controller@v1.9.6", "config/crd/bases/source.toolkit.fluxcd.io_ocirepositories.yaml"),
    (f"{FLUX}/kustomize-controller@v1.9.6", "config/crd/bases/kustomize.toolkit.fluxcd.io_kustomizations.yaml"),
    ("github.com/argoproj/argo-cd/v3@v3.5.7", "manifests/crds/application-crd.yaml"),
]


def main() -> None:
    """Write one file per kind, for v1 where the API server serves it, else for the version that is stored."""
    for module, path in DEFINITIONS:
        _write(downloaded(module) / path, f"{path} of Go module {module}")
    with tempfile.TemporaryDirectory() as folder:
        for file in prometheus_operator.definitions(Path(folder)):
            _write(file, prometheus_operator.ORIGIN)


def _write(file: Path, origin: str) -> None:
    """Write the schema of a definition."""
    definition = yaml.safe_load(file.read_text())["spec"]
    served = {version["name"]: version for version in definition["versions"] if version["served"]}
    version = served.get("v1") or next(version for version in served.values() if version["storage"])
    schema = _strict(version["schema"]["openAPIV3Schema"])
    # Controllers write it; nobody declares it.
    schema["properties"].pop("status", None)
    schema = {"$comment": f"{origin}, without descriptions and status, unknown fields refused.", **schema}
    written = custom_file(f"{definition['group']}/{version['name']}", definition["names"]["kind"])
    written.write_text(json.dumps(schema, indent=1) + "\n")
    print(written.relative_to(CUSTOM.parent.parent))


def _strict(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema without Kubernetes' extensions, and with unknown fields refused."""
    result = {key: value for key, value in schema.items() if key != "description" and not key.startswith("x-")}
    if "properties" in schema:
        result["properties"] = {name: _strict(field) for name, field in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            result["additionalProperties"] = False
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            result[key] = _strict(schema[key])
    return result


if __name__ == "__main__":
    main()
