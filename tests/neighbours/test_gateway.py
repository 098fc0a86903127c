"""The API behind a Gateway (Gateway API) instead of its Ingress. The local Traefik has only Ingress enabled."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml

from tests.e2e.canaries import canary, canary_objects, deploy_bad_canary, slipway_up
from tests.e2e.conftest import LOCAL, NEEDS, ROOT, Edit, eventually, kubectl, outputs, pulumi, run, up, version
from tests.e2e.load import Load

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

INGRESS = """        className: traefik
        tls: {secretFiles: true}
"""
ROUTED = "        gateway: {name: public, namespace: ingress}\n"
# Too small a share for the ratio of two pods.
PERCENT = 10
GROUP = "gateway.networking.k8s.io"
KINDS = ("gatewayclasses", "gateways", "httproutes", "grpcroutes", "tlsroutes", "referencegrants", "backendtlspolicies")


def ingress_kubectl(*arguments: str) -> str:
    return run("kubectl", "--context", "slipway-local", "-n", "ingress", *arguments).stdout


def definitions() -> str:
    """Return the folder of the Gateway API's definitions, of the version that Traefik was built with."""
    module = f"sigs.k8s.io/gateway-api@{_version('sigs.k8s.io/gateway-api')}"
    downloaded = run("go", "mod", "download", "-json", module, cwd=ROOT / "local" / "ingress")
    return f"{json.loads(downloaded.stdout)['Dir']}/config/crd/standard"


def _version(module: str) -> str:
    return run("go", "list", "-m", "-f", "{{.Version}}", module, cwd=ROOT / "local" / "ingress").stdout.strip()


def public_gateway() -> list[dict[str, Any]]:
    """Return a Gateway with the local certificate, and the RBAC rules that Traefik needs for it."""
    rules = [
        {"apiGroups": [""], "resources": ["configmaps", "namespaces"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [GROUP], "resources": list(KINDS), "verbs": ["get", "list", "watch"]},
        {"apiGroups": [GROUP], "resources": [f"{kind}/status" for kind in KINDS], "verbs": ["update"]},
    ]
    rbac, role = "rbac.authorization.k8s.io", {"name": "slipway:gateway"}
    traefik = {"kind": "ServiceAccount", "name": "traefik", "namespace": "ingress"}
    files = {file: (ROOT / ".slipway" / "tls" / file).read_bytes() for file in ("tls.crt", "tls.key")}
    listener = {
        "name": "https",
        "protocol": "HTTPS",
        "port": 8443,  # the port of Traefik, which its Service maps to 443
        "tls": {"certificateRefs": [{"name": "public"}]},
        "allowedRoutes": {"namespaces": {"from": "All"}},
    }
    here = {"name": "public", "namespace": "ingress"}
    return [
        {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": role, "rules": rules},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": role,
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", **role},
            "subjects": [traefik],
        },
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": here,
            "type": "kubernetes.io/tls",
            "data": {file: base64.b64encode(content).decode() for file, content in files.items()},
        },
        {
            "apiVersion": f"{GROUP}/v1",
            "kind": "GatewayClass",
            "metadata": {"name": "traefik"},
            "spec": {"controllerName": "traefik.io/gateway-controller"},
        },
        {
            "apiVersion": f"{GROUP}/v1",
            "kind": "Gateway",
            "metadata": here,
            "spec": {"gatewayClassName": "traefik", "listeners": [listener]},
        },
    ]


@pytest.fixture(scope="module", autouse=True)
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Generator[None]:
    """Create a Gateway; after the tests it is deleted, and Traefik gets its former arguments."""
    up()
    folder, file = definitions(), tmp_path_factory.mktemp("gateway") / "gateway.yaml"
    before = json.loads(ingress_kubectl("get", "deployment", "traefik", "-o", "json"))
    arguments = before["spec"]["template"]["spec"]["containers"][0]["args"]
    ingress_kubectl("apply", "--server-side", "-f", folder)
    try:
        _write(file, public_gateway())
        ingress_kubectl("apply", "-f", str(file))
        file.unlink()
        restart_with([*arguments, "--providers.kubernetesgateway=true"])
        ingress_kubectl("wait", "gateway/public", "--for=condition=Programmed", "--timeout=60s")
        yield
    finally:
        up()
        restart_with(arguments)
        for kind in ("gateway/public", "secret/public", "clusterrole/slipway:gateway"):
            ingress_kubectl("delete", kind, "--ignore-not-found")
        ingress_kubectl("delete", "clusterrolebinding/slipway:gateway", "--ignore-not-found")
        ingress_kubectl("delete", "--ignore-not-found", "-f", folder)


def _write(file: Path, objects: list[dict[str, Any]]) -> None:
    file.touch(mode=0o600)
    file.write_text(yaml.safe_dump_all(objects))


def restart_with(arguments: list[str]) -> None:
    """Restart Traefik with other arguments."""
    path = "/spec/template/spec/containers/0/args"
    patch = json.dumps([{"op": "replace", "path": path, "value": arguments}])
    ingress_kubectl("patch", "deployment", "traefik", "--type=json", "-p", patch)
    ingress_kubectl("rollout", "status", "deployment/traefik", "--timeout=120s")


def conditions() -> dict[str, str]:
    """Return the conditions of the API's route."""
    route = json.loads(kubectl("get", "httproute", "api", "-o", "json"))
    return {
        condition["type"]: condition["status"]
        for parent in route["status"]["parents"]
        for condition in parent["conditions"]
    }


@pytest.mark.feature("E2")
def test_one_key_moves_the_api_from_its_ingress_to_a_gateway_and_back_with_no_request_lost(
    edit: Edit, api: urllib3.HTTPSConnectionPool
):
    with Load(api, "/v1/shops") as load:
        time.sleep(2)
        edit(LOCAL, INGRESS, ROUTED)
        up()
        time.sleep(5)
        assert kubectl("get", "ingress", "-o", "name") == "ingress.networking.k8s.io/web\n"
        assert conditions() == {"Accepted": "True", "ResolvedRefs": "True"}
        pulumi("preview", "--expect-no-changes")
        edit(LOCAL, ROUTED, INGRESS)
        up()
        time.sleep(5)
    assert kubectl("get", "httproutes", "-o", "name") == ""
    assert load.sent > 10 * 50
    assert load.lost == []


@pytest.mark.feature("D7", part="weighted by a Gateway: promoted, 0 lost")
def test_a_good_canary_behind_a_gateway_is_promoted_and_no_request_is_lost(
    edit: Edit, api: urllib3.HTTPSConnectionPool
):
    edit(LOCAL, INGRESS, ROUTED)
    edit(LOCAL, NEEDS, canary(PERCENT))
    slipway_up()
    edit("app/cmd/api/main.go", "package main", "package main // to be promoted by a Gateway")
    served = version(api)
    with Load(api, "/v1/shops") as load:
        time.sleep(2)
        output = slipway_up()
        time.sleep(3)
    assert "local: api: the canary is good: " in output
    assert load.lost == []
    assert version(api) == outputs()["version"] != served
    eventually(lambda: canary_objects() == "", 60, "no object of the canary is left")


@pytest.mark.feature("D7", part="weighted by a Gateway: a bad one gets its share and no more")
def test_a_bad_canary_behind_a_gateway_gets_just_its_weight_until_it_is_withdrawn(
    edit: Edit, api: urllib3.HTTPSConnectionPool
):
    edit(LOCAL, INGRESS, ROUTED)
    up()
    edit(LOCAL, NEEDS, canary(PERCENT))
    slipway_up()
    served = version(api)
    bad = deploy_bad_canary(edit, api)
    assert bad.done.returncode == 1, bad.done.stdout + bad.done.stderr
    assert "answers were errors (5xx)" in bad.done.stderr
    assert bad.answered > 500
    # One request more or less counts at the start and at the end of the canary.
    assert abs(bad.failed - bad.answered * PERCENT / 100) <= 2
    assert version(api) == served
    eventually(lambda: canary_objects() == "", 60, "no object of the canary is left")
    pulumi("preview", "--expect-no-changes")
