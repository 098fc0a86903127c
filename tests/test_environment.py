"""A stack touches its own cluster and no other."""

from __future__ import annotations

import os
from pathlib import Path

import environment
import pulumi
import pytest
import yaml
from environment import check_context
from settings import Cluster

from ops.recorder import Program
from tests.conftest import WITHOUT_STORES, Changed


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Contexts dev and prod in one file, prod with another server in a second one; this is an update, no preview."""
    first, second = tmp_path / "config", tmp_path / "other"
    first.write_text(contexts(dev="https://10.0.0.1:6443", prod="https://10.0.0.2:6443"))
    second.write_text(contexts(prod="https://10.9.9.9:6443", staging="https://10.0.0.3:6443"))
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(map(str, (first, tmp_path / "missing", second))))
    monkeypatch.setattr("pulumi.runtime.is_dry_run", lambda: False)
    monkeypatch.setattr("pulumi.get_stack", lambda: "dev")
    return first


def contexts(**servers: str) -> str:
    return yaml.safe_dump(
        {
            "current-context": next(iter(servers)),
            "clusters": [{"name": f"{name}-cluster", "cluster": {"server": url}} for name, url in servers.items()],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": name, "context": {"cluster": f"{name}-cluster", "user": "u"}} for name in servers],
        }
    )


def refusal(cluster: Cluster) -> str | None:
    try:
        return check_context(cluster)
    except pulumi.RunError as error:
        return str(error)


def test_a_context_of_any_file_on_the_path_is_found(kubeconfig: Path):
    assert refusal(Cluster(context="dev")) is None
    assert refusal(Cluster(context="staging", server=r"https://10\.0\.0\.3:6443")) is None


def test_a_context_that_is_not_there_is_refused_with_those_that_are(kubeconfig: Path):
    with pytest.raises(pulumi.RunError, match=r"'qa' is not in the kubeconfig \(found: .*dev.*\).*nothing was changed"):
        check_context(Cluster(context="qa"))


def test_a_preview_goes_on_without_the_context(kubeconfig: Path, monkeypatch: pytest.MonkeyPatch):
    warned: list[str] = []
    monkeypatch.setattr("pulumi.runtime.is_dry_run", lambda: True)
    monkeypatch.setattr("pulumi.log.warn", warned.append)
    check_context(Cluster(context="qa"))
    assert "This preview compares with the last known state only" in warned[0]


def test_the_right_name_with_another_server_is_refused(kubeconfig: Path):
    with pytest.raises(pulumi.RunError, match=r"'dev' leads to https://10\.0\.0\.1:6443, which does not match"):
        check_context(Cluster(context="dev", server=r"https://10\.0\.0\.2:6443"))


def test_of_two_contexts_with_one_name_the_first_file_s_counts(kubeconfig: Path):
    assert refusal(Cluster(context="prod", server=r"https://10\.0\.0\.2:6443")) is None
    assert refusal(Cluster(context="prod", server=r"https://10\.0\.0\.3:6443"))


def test_the_pattern_has_to_match_the_whole_url(kubeconfig: Path):
    with pytest.raises(pulumi.RunError):
        check_context(Cluster(context="dev", server=r"https://10"))


def test_the_credentials_of_a_context_come_from_the_file_that_has_it(kubeconfig: Path):
    assert environment.kubeconfig("staging").cluster.server == "https://10.0.0.3:6443"
    assert environment.kubeconfig("prod").cluster.server == "https://10.0.0.2:6443"


def hard(program: Program) -> dict[str, str]:
    return program.manifests()["ResourceQuota", "quota"]["spec"]["hard"]


@pytest.mark.feature("I3", part="declared")
def test_the_namespace_may_use_twice_what_its_services_need_at_their_most(changed: Changed):
    web = {"services.web": {"replicas": 3, "resources": {"cpu": "100m", "memory": "1Gi"}}}
    quota = hard(changed("dev", {**WITHOUT_STORES, **web}))
    assert quota["pods"] == "10"
    assert quota["requests.cpu"] == "800m"
    assert quota["requests.memory"] == quota["limits.memory"] == f"{2 * 2 * 64 + 2 * 3 * 1024}Mi"
    assert quota["services.loadbalancers"] == quota["services.nodeports"] == "0"


def test_a_quota_in_the_stack_file_wins(changed: Changed):
    quota = hard(changed("dev", {"quota": {"cpu": "8", "memory": "16Gi", "pods": 40}}))
    assert (quota["requests.cpu"], quota["limits.memory"], quota["pods"]) == ("8", "16Gi", "40")


def test_a_container_that_names_no_size_gets_a_small_one(changed: Changed):
    [limit] = changed("dev", {}).manifests()["LimitRange", "defaults"]["spec"]["limits"]
    assert limit["type"] == "Container"
    assert set(limit["defaultRequest"]) == {"cpu", "memory", "ephemeral-storage"}
    assert limit["default"]["memory"] == limit["defaultRequest"]["memory"]


def test_the_registry_s_password_reaches_the_nodes_and_is_marked_secret(changed: Changed):
    program = changed("dev", {"registry": {"username": "puller"}})
    [secret] = [resource for resource in program.resources if resource.name == "registry"]
    assert secret.inputs["type"] == "kubernetes.io/dockerconfigjson"
    assert secret.secret_keys == {"stringData"}
    assert program.manifests()["ServiceAccount", "api"]["imagePullSecrets"] == [{"name": "registry"}]


def test_an_open_registry_needs_no_password(changed: Changed):
    program = changed("dev", {})
    assert ("Secret", "registry") not in program.manifests()
    assert "imagePullSecrets" not in program.manifests()["ServiceAccount", "api"]
