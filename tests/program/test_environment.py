"""The namespace of a stack: its quota and defaults, and the password of the registry."""

from __future__ import annotations

import pytest

from slipway.objects import SECRET
from slipway.ops.program.recorder import Program
from tests.conftest import WITHOUT_STORES, Changed


def hard(program: Program) -> dict[str, str]:
    return program.manifests()["ResourceQuota", "quota"]["spec"]["hard"]


@pytest.mark.feature("I3", part="declared")
def test_the_quota_is_twice_what_the_services_need_at_full_scale(changed: Changed):
    web = {"services.web": {"replicas": 3, "resources": {"cpu": "100m", "memory": "1Gi"}}}
    quota = hard(changed("dev", {**WITHOUT_STORES, **web}))
    # And one pod of cert-manager, of 10m and 64Mi, while it requests the certificate of api.
    assert quota["pods"] == "11"
    assert quota["requests.cpu"] == "810m"
    assert quota["requests.memory"] == quota["limits.memory"] == f"{2 * 2 * 64 + 2 * 3 * 1024 + 64}Mi"
    assert (quota["services.loadbalancers"], quota["services.nodeports"]) == ("0", "1")


def test_a_quota_in_the_stack_file_wins(changed: Changed):
    quota = hard(changed("dev", {"quota": {"cpu": "8", "memory": "16Gi", "pods": 40}}))
    assert (quota["requests.cpu"], quota["limits.memory"], quota["pods"]) == ("8", "16Gi", "40")


def test_a_container_without_resources_gets_small_ones(changed: Changed):
    [limit] = changed("dev", {}).manifests()["LimitRange", "defaults"]["spec"]["limits"]
    assert limit["type"] == "Container"
    assert set(limit["defaultRequest"]) == {"cpu", "memory", "ephemeral-storage"}
    assert limit["default"]["memory"] == limit["defaultRequest"]["memory"]


def test_the_registry_s_password_reaches_the_nodes_and_is_marked_secret(changed: Changed):
    program = changed("dev", {"registry": {"username": "puller"}})
    [secret] = [resource for resource in program.resources if resource.name == "registry"]
    assert secret.inputs["type"] == "kubernetes.io/dockerconfigjson"
    assert secret.inputs["stringData"] == {".dockerconfigjson": SECRET}
    assert program.manifests()["ServiceAccount", "api"]["imagePullSecrets"] == [{"name": "registry"}]


def test_an_open_registry_needs_no_password(changed: Changed):
    program = changed("dev", {})
    assert ("Secret", "registry") not in program.manifests()
    assert "imagePullSecrets" not in program.manifests()["ServiceAccount", "api"]
