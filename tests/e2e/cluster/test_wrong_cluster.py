"""Nothing is deleted through a context that leads to another server than the last update."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT, kubectl, pulumi, run, up

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.fixture
def other_server(tmp_path: Path) -> dict[str, str]:
    """Return variables with which the context `slipway-local` leads to an address that the stack does not name.

    It is the same API server under another name, so a wrong deletion would be seen in the local cluster.
    """
    kubeconfig = json.loads((ROOT / ".slipway" / "kubeconfig").read_text())
    for entry in kubeconfig["clusters"]:
        entry["cluster"]["server"] = entry["cluster"]["server"].replace("127.0.0.1", "localhost")
    (tmp_path / "kubeconfig").write_text(json.dumps(kubeconfig))
    return {"KUBECONFIG": str(tmp_path / "kubeconfig")}


def recorded_urns() -> set[str]:
    """Return the URNs in the state of the stack."""
    return {resource["urn"] for resource in json.loads(pulumi("stack", "export").stdout)["deployment"]["resources"]}


def live_objects() -> set[str]:
    kinds = "deployments,services,configmaps,secrets,networkpolicies,ingresses,persistentvolumeclaims"
    return set(kubectl("get", kinds, "-o", "name").split())


@pytest.mark.parametrize("operation", ["destroy", "refresh"])
def test_slipway_changes_nothing_through_another_server(other_server: dict[str, str], operation: str):
    stack, objects = recorded_urns(), live_objects()
    done = run("./slipway", operation, "-s", "local", "--yes", ok=False, env=other_server)
    assert done.returncode == 1
    assert done.stderr.startswith("error: stacks/Pulumi.local.yaml: slipway:cluster.server: context 'slipway-local'")
    assert (recorded_urns(), live_objects()) == (stack, objects)


@pytest.mark.parametrize("operation", ["destroy", "refresh"])
def test_pulumi_deletes_nothing_through_another_server(other_server: dict[str, str], operation: str):
    """The engine drops retained objects from the state without calling the provider; the next update adopts them."""
    stack, objects = recorded_urns(), live_objects()
    done = pulumi(operation, "--yes", "--skip-preview", ok=False, env=other_server)
    assert done.returncode != 0
    assert "context 'slipway-local' leads to https://localhost:6443 now" in done.stdout + done.stderr
    assert live_objects() == objects
    up()
    assert (recorded_urns(), live_objects()) == (stack, objects)


def test_the_state_names_the_server_and_keeps_no_credentials():
    kubeconfig = json.loads((ROOT / ".slipway" / "kubeconfig").read_text())
    user = kubeconfig["users"][0]["user"]
    state = pulumi("stack", "export").stdout
    assert kubeconfig["clusters"][0]["cluster"]["server"] in state
    for secret in ("client-key-data", "client-certificate-data"):
        assert user[secret] not in state


def test_slipway_refresh_works_on_the_clusters_own_server_and_from_any_folder(tmp_path: Path):
    before = recorded_urns()
    done = run(str(ROOT / "slipway"), "refresh", "-s", "local", "--yes", cwd=tmp_path)
    assert "local: refresh on https://127.0.0.1:6443 (context slipway-local)" in done.stderr
    assert recorded_urns() == before
    pulumi("preview", "--expect-no-changes")


def test_a_kubeconfig_whose_parts_lie_in_three_files_and_whose_user_runs_a_program_is_enough(tmp_path: Path):
    """Context, cluster and user are in one file each; the certificate comes from an exec plugin of version v1."""
    kubeconfig = json.loads((ROOT / ".slipway" / "kubeconfig").read_text())
    version, user = "client.authentication.k8s.io/v1", kubeconfig["users"][0]
    script = tmp_path / "login.py"
    script.write_text(
        "import base64, json\n"
        f"user = {user['user']!r}\n"
        "pem = lambda key: base64.b64decode(user[key]).decode()\n"
        "status = {'clientCertificateData': pem('client-certificate-data'), 'clientKeyData': pem('client-key-data')}\n"
        f"print(json.dumps({{'apiVersion': {version!r}, 'kind': 'ExecCredential', 'status': status}}))\n"
    )
    plugin = {"apiVersion": version, "command": "python3", "args": [str(script)], "interactiveMode": "Never"}
    parts = {
        "contexts": kubeconfig["contexts"],
        "clusters": kubeconfig["clusters"],
        "users": [{"name": user["name"], "user": {"exec": plugin}}],
    }
    for name, entries in parts.items():
        (tmp_path / name).write_text(json.dumps({name: entries}))
    env = {"KUBECONFIG": os.pathsep.join(str(tmp_path / name) for name in parts)}
    pulumi("preview", "--expect-no-changes", env=env)
    pulumi("refresh", "--yes", "--skip-preview", env=env)
    assert "healthy" in run("./slipway", "status", "-s", "local", env=env).stdout
