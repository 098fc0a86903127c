"""`make observability`: what it starts beside the local stack, and what it refuses."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from local import down
from local.bootstrap.toolchain import Toolchain
from local.errors import SetupFailedError
from local.node.cluster import superseded
from local.node.names import NODE_ADDRESS
from local.observability import start
from local.paths import ClonePaths
from local.progress import Screen
from tests.paths import REPOSITORY

PROGRAMS = {
    name: Path(f"/cache/{part}-1.0.0-0123456789ab") / name
    for name, part in {"jaeger": "jaeger", "victoria-logs": "victoria-logs", "vlagent": "victoria-logs"}.items()
}
TEXT = (REPOSITORY / "local" / start.OBJECTS).read_text()


def objects(text: str = TEXT) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(start.objects(text, PROGRAMS)))


def of(kind: str) -> dict[str, dict[str, Any]]:
    """Return the objects of a kind by name."""
    return {found["metadata"]["name"]: found for found in objects() if found["kind"] == kind}


def pods() -> dict[str, dict[str, Any]]:
    """Return the pod of each workload by name."""
    return {name: found["spec"]["template"]["spec"] for name, found in {**of("Deployment"), **of("DaemonSet")}.items()}


def clone(folder: Path, context: str = "slipway-local") -> ClonePaths:
    paths = ClonePaths(folder / "clone", folder / "cache")
    paths.create()
    paths.stack_file.parent.mkdir()
    paths.stack_file.write_text(f"config:\n  slipway:cluster:\n    context: {context}\n")
    paths.sources.symlink_to(REPOSITORY / "local")
    return paths


@pytest.mark.parametrize("version", ["1.34", "1.37"])
def test_the_objects_are_valid(version: str) -> None:
    assert len(objects()) == TEXT.count("\nkind: ")
    for found in objects():
        kubernetes_validate.validate(found, version, strict=True)


def test_all_objects_are_in_one_namespace_that_can_be_deleted() -> None:
    cluster_wide = {"Namespace", "ClusterRole", "ClusterRoleBinding"}
    namespaces = {found["metadata"].get("namespace") for found in objects() if found["kind"] not in cluster_wide}
    assert namespaces == {start.NAMESPACE}
    assert {f"{kind.lower()}/{name}" for kind in ("Deployment", "DaemonSet") for name in of(kind)} == {*start.WORKLOADS}


def test_images_are_named_by_the_build_and_never_pulled() -> None:
    containers = {name: pod["containers"][0] for name, pod in pods().items()}
    assert {name: container["image"] for name, container in containers.items()} == {
        name: f"slipway.local/{name}:0123456789ab" for name in PROGRAMS
    }
    assert {container["imagePullPolicy"] for container in containers.values()} == {"Never"}


def test_a_new_configuration_restarts_jaeger() -> None:
    def annotations(text: str) -> dict[str, str]:
        [jaeger] = [o for o in objects(text) if o["kind"] == "Deployment" and o["metadata"]["name"] == "jaeger"]
        return jaeger["spec"]["template"]["metadata"]["annotations"]

    assert annotations(TEXT) != annotations(TEXT.replace("max_traces: 20000", "max_traces: 10000"))


def test_only_the_reader_of_log_files_is_root_has_a_token_and_sees_the_node() -> None:
    for name, pod in pods().items():
        reads_files = name == "vlagent"
        own, security = pod["securityContext"], pod["containers"][0]["securityContext"]
        assert (own["runAsUser"] == 0) is reads_files
        assert pod.get("automountServiceAccountToken", True) is reads_files
        assert any("hostPath" in volume for volume in pod["volumes"]) is reads_files
        assert security == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
    mounts = [mount for mount in pods()["vlagent"]["containers"][0]["volumeMounts"] if mount["name"] != "tmp"]
    assert [mount["mountPath"] for mount in mounts] == ["/var/log/containers", "/run/slipway/cluster/data/pod-logs"]
    assert all(mount["readOnly"] for mount in mounts)
    [rule] = of("ClusterRole")["slipway:vlagent"]["rules"]
    assert rule == {"apiGroups": [""], "resources": ["pods", "nodes", "namespaces"], "verbs": ["get", "list", "watch"]}


def test_connections_are_denied_but_for_spans_lines_names_and_the_api_server() -> None:
    policies = {name: policy["spec"] for name, policy in of("NetworkPolicy").items()}
    assert policies["default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    opened = {
        (name, side, port["port"])
        for name, policy in policies.items()
        for side in ("ingress", "egress")
        for rule in policy.get(side, [])
        for port in rule["ports"]
    }
    assert opened == {
        ("jaeger", "ingress", 4318),
        ("victoria-logs", "ingress", 9428),
        ("vlagent", "egress", 9428),
        ("vlagent", "egress", 53),
        ("vlagent", "egress", 6443),
    }
    assert policies["vlagent"]["egress"][-1]["to"] == [{"ipBlock": {"cidr": f"{NODE_ADDRESS}/32"}}]


def test_the_message_shows_settings_that_lead_to_the_collector() -> None:
    text = re.search(r"  slipway:tracing:\n(?:    .*\n)+", start.MESSAGE)
    assert text
    tracing = yaml.safe_load(text[0])["slipway:tracing"]
    service = of("Service")["jaeger"]
    assert tracing["endpoint"] == f"http://jaeger.{start.NAMESPACE}:{service['spec']['ports'][0]['port']}"
    assert tracing["namespace"] == start.NAMESPACE
    assert tracing["podLabels"] == of("Deployment")["jaeger"]["spec"]["template"]["metadata"]["labels"]


def test_make_up_builds_none_of_it(tmp_path: Path) -> None:
    built = Toolchain(clone(tmp_path), None).to_build(native=True)
    assert {program.name for program in built} == {"cluster", "ingress", "pulumi"}


def test_make_up_removes_earlier_builds_of_its_own_images_only() -> None:
    present = ["slipway.local/cluster:old", "slipway.local/cluster:new", "slipway.local/jaeger:a", "docker.io/x:1"]
    assert superseded(present, ["slipway.local/cluster:new"]) == ["slipway.local/cluster:old"]


REFUSED = [("another-cluster", "another-cluster"), ("slipway-local", "does not run")]


@pytest.mark.parametrize(("context", "words"), REFUSED, ids=["another cluster", "not running"])
def test_without_the_native_cluster_nothing_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: str, words: str
) -> None:
    monkeypatch.setattr(down, "RUN", tmp_path / "run")
    monkeypatch.setattr(start, "other_clone", lambda _paths: None)
    with pytest.raises(SetupFailedError, match=words):
        start.run(clone(tmp_path, context), Screen(io.StringIO()))
