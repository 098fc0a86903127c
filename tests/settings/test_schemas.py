"""The API server would take every object as it is: no unknown field, no wrong type, in any version we support."""

from __future__ import annotations

import copy
from typing import Any

import kubernetes_validate
import pytest

from slipway import schemas
from slipway.schemas import NEWEST, OLDEST, VERSIONS
from tests.variants import NAMES, VARIANTS, model

every_version = pytest.mark.parametrize("version", VERSIONS)


@pytest.mark.parametrize("name", NAMES)
@every_version
@pytest.mark.feature("N3")
def test_every_object_is_valid(name: str, version: str):
    manifests = model(name).manifests()
    assert manifests
    assert {key: found for key, manifest in manifests.items() if (found := schemas.errors(manifest, version))} == {}


def test_the_variants_bring_every_kind_there_is():
    """A kind nobody declares here would be checked by nobody."""
    kinds = {kind for name in NAMES for kind, _ in model(name).manifests()}
    assert kinds >= {"HTTPRoute", "ExternalSecret", "Job", "CronJob", "Secret", "Ingress", "HorizontalPodAutoscaler"}
    added = {name: {kind for kind, _ in model(name).manifests()} - _kinds(VARIANTS[name][0]) for name in VARIANTS}
    assert added["gateway"] == {"HTTPRoute"}
    assert added["secret-store"] == {"ExternalSecret"}
    assert added["jobs"] == {"CronJob"}
    assert added["operator"] == {"PodMonitor", "PrometheusRule"}


def _kinds(name: str) -> set[str]:
    return {kind for kind, _ in model(name).manifests()}


SLIPS: list[tuple[str, str, dict[str, Any], str]] = [
    ("Deployment", "spec", {"replicass": 3}, "'replicass' was unexpected"),
    ("Deployment", "spec", {"replicas": "3"}, "spec.replicas: '3' is not of type 'integer'"),
    ("Service", "spec", {"ports": [{"name": "http"}]}, "spec.ports.0: 'port' is a required property"),
    ("HTTPRoute", "spec", {"hostname": ["a"]}, "'hostname' was unexpected"),
    ("HTTPRoute", "spec", {"hostnames": ["not a host"]}, "spec.hostnames.0: 'not a host' does not match"),
    ("ExternalSecret", "spec", {"refreshPolicy": "Sometimes"}, "spec.refreshPolicy: 'Sometimes' is not one of"),
    ("ExternalSecret", "metadata", {"label": {}}, "'label' was unexpected"),
]


@pytest.mark.parametrize(("kind", "part", "slip", "said"), SLIPS)
@every_version
def test_a_slip_is_seen_and_named(kind: str, part: str, slip: dict[str, Any], said: str, version: str):
    manifest = next(found for (of, _), found in model("options").manifests().items() if of == kind)
    wrong = {**copy.deepcopy(manifest), part: {**manifest[part], **slip}}
    assert not schemas.errors(manifest, version)
    [error] = schemas.errors(wrong, version)
    assert said in error


def test_a_kind_without_a_schema_is_not_passed_over():
    with pytest.raises(LookupError, match=r"example\.com/v1 Widget is neither known to Kubernetes 1\.37"):
        schemas.errors({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {}}, NEWEST)


def test_our_reading_of_the_schemas_is_that_of_kubernetes_validate():
    deployment = model("prod").manifests()["Deployment", "api"]
    assert kubernetes_validate.validate(deployment, OLDEST, strict=True) == OLDEST
    with pytest.raises(kubernetes_validate.ValidationError) as refused:
        kubernetes_validate.validate({**deployment, "sped": {}}, OLDEST, strict=True)
    assert schemas.errors({**deployment, "sped": {}}, OLDEST) == [f": {refused.value.message}"]
