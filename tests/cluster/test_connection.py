"""A stack touches its own cluster and no other."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from slipway.cluster.connection import check_context, check_server, client
from slipway.cluster.credentials import Credentials
from slipway.cluster.exec_credential import pinned
from slipway.cluster.kubeconfig import Access, Kubeconfig, KubeconfigError, load
from slipway.settings.sections.stack import Cluster
from tests import api_server
from tests.conftest import Changed
from tests.paths import INFRA


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two kubeconfig files, with contexts dev and prod and with prod on another server, during an update."""
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
        check_context(cluster)
    except pulumi.RunError as error:
        return str(error)
    return None


def test_a_context_of_any_file_on_the_path_is_found(kubeconfig: Path):
    assert refusal(Cluster(context="dev")) is None
    assert refusal(Cluster(context="staging", server=r"https://10\.0\.0\.3:6443")) is None


def test_an_unknown_context_is_refused_with_the_known_ones(kubeconfig: Path):
    with pytest.raises(pulumi.RunError, match=r"'qa' is not in .*\(contexts there: dev.*\).*nothing was changed"):
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


def test_the_first_of_two_contexts_of_one_name_is_used(kubeconfig: Path):
    assert refusal(Cluster(context="prod", server=r"https://10\.0\.0\.2:6443")) is None
    assert refusal(Cluster(context="prod", server=r"https://10\.0\.0\.3:6443"))


def test_the_pattern_has_to_match_the_whole_url(kubeconfig: Path):
    with pytest.raises(pulumi.RunError):
        check_context(Cluster(context="dev", server=r"https://10"))


def test_an_update_whose_server_does_not_answer_ends_before_anything_changes(kubeconfig: Path):
    with pytest.raises(pulumi.RunError, match=r"https://127.0.0.1:9 \(context 'dev', stack dev\) cannot be reached"):
        check_server(Access("dev", {"server": "https://127.0.0.1:9"}))


def test_an_update_whose_exec_program_is_missing_ends_before_anything_changes(kubeconfig: Path):
    plugin = {"exec": {"command": "/none/such", "apiVersion": "client.authentication.k8s.io/v1"}}
    with pytest.raises(pulumi.RunError, match=r"/none/such is not installed.*; nothing was changed"):
        check_server(Access("dev", {"server": "https://127.0.0.1:9"}, plugin))


def test_an_unreadable_certificate_authority_is_reported_in_one_message_in_a_preview_too(
    changed: Changed, monkeypatch: pytest.MonkeyPatch
):
    cluster = {"server": "https://10.0.0.1:6443", "certificate-authority": "/none/such.crt"}
    monkeypatch.setattr(
        "slipway.cluster.connection.load", lambda: Kubeconfig({"dev": {"cluster": "c"}}, {"c": cluster})
    )
    with pytest.raises(pulumi.RunError, match=r"context 'dev' names /none/such.crt, which cannot be read"):
        changed("dev", {})


def test_a_hook_whose_exec_program_is_gone_fails_with_one_message(kubeconfig: Path, tmp_path: Path):
    content = yaml.safe_load(kubeconfig.read_text())
    content["users"][0]["user"] = {"exec": {"command": "/none/such", "apiVersion": "client.authentication.k8s.io/v1"}}
    kubeconfig.write_text(yaml.safe_dump(content))
    with pytest.raises(pulumi.RunError, match=r"the API server cannot be reached: .* /none/such is not installed"):
        client(api_server.settings())


# --- `pulumi destroy` and `pulumi refresh`, which do not run the program

SECRETS = {"token": "hunter2-token", "client-certificate-data": "aHVudGVyMg==", "client-key-data": "aHVudGVyMg=="}
CLUSTER = {"server": "https://10.0.0.1:6443", "tls-server-name": "api", "proxy-url": "http://proxy:3128"}


@pytest.fixture
def providers(changed: Changed, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The inputs of both providers of dev, as they are in the state."""
    kubeconfig = Kubeconfig({"dev": {"cluster": "c", "user": "u"}}, {"c": CLUSTER}, {"u": SECRETS})
    monkeypatch.setattr("slipway.cluster.connection.load", lambda: kubeconfig)
    declared = changed("dev", {}).resources
    return [one.inputs for one in declared if one.type == "pulumi:providers:kubernetes"]


def test_the_state_pins_the_server_and_has_no_credentials(providers: list[dict[str, Any]]):
    assert len(providers) == 2
    for inputs in providers:
        pinned_access = load(inputs["kubeconfig"]).access(inputs["context"])
        assert pinned_access.cluster == CLUSTER
        assert pinned_access.user["exec"]["args"] == ["exec_credential.py", "dev", "https://10.0.0.1:6443"]
        assert "hunter2" not in json.dumps(inputs)
        assert "aHVudGVyMg" not in json.dumps(inputs)


def test_a_cluster_is_told_from_another_by_its_context_alone(providers: list[dict[str, Any]]):
    assert [inputs["clusterIdentifier"] for inputs in providers] == ["dev", "dev"]


def test_without_the_context_a_preview_gets_no_path_of_this_machine_into_the_state(changed: Changed):
    [first, second] = [
        resource.inputs for resource in changed("dev", {}).resources if resource.type == "pulumi:providers:kubernetes"
    ]
    assert first["kubeconfig"] == second["kubeconfig"] == ""


def test_a_pinned_kubeconfig_contains_its_authority_and_no_exec_plugin_for_an_anonymous_user(tmp_path: Path):
    (tmp_path / "ca.crt").write_text("PEM")
    access = Access("dev", {"server": "https://x", "certificate-authority": str(tmp_path / "ca.crt")}, {"as": "root"})
    result = load(pinned(access)).access()
    assert result.cluster == {"server": "https://x", "certificate-authority-data": base64.b64encode(b"PEM").decode()}
    assert result.user == {"as": "root"}


@pytest.mark.parametrize(
    ("cluster", "user"),
    [({}, {"username": "jane", "password": "pw"}), ({"proxy-url": "http://jane:pw@proxy:3128"}, {"token": "t"})],
)
def test_no_kubeconfig_is_pinned_that_would_bring_a_password_into_the_state(cluster: Any, user: Any):
    assert pinned(Access("dev", {"server": "https://x", **cluster}, user)) == ""


def exec_credential(server: str, kubeconfig: Path, *program: str) -> dict[str, Any]:
    """Return the answer of the exec plugin to the provider, which runs it in the folder of the program."""
    command = [sys.executable, *(program or ["exec_credential.py"]), "dev", server]
    env = {**os.environ, "KUBECONFIG": str(kubeconfig)}
    return json.loads(subprocess.run(command, cwd=INFRA, env=env, check=True, capture_output=True, text=True).stdout)


@pytest.fixture
def with_users(tmp_path: Path):
    """`with_users({"token": ...})`: a kubeconfig whose context dev leads to 10.0.0.1 with that user."""

    def write(user: dict[str, Any]) -> Path:
        content = {
            "clusters": [{"name": "c", "cluster": {"server": "https://10.0.0.1:6443"}}],
            "users": [{"name": "u", "user": user}],
            "contexts": [{"name": "dev", "context": {"cluster": "c", "user": "u"}}],
        }
        (tmp_path / "users").write_text(yaml.safe_dump(content))
        return tmp_path / "users"

    return write


def test_a_provider_of_the_state_gets_the_credentials_of_the_user_who_runs_pulumi(with_users: Any, tmp_path: Path):
    pem = {"client-certificate-data": base64.b64encode(b"CERT").decode()}
    pem["client-key-data"] = base64.b64encode(b"KEY").decode()
    (tmp_path / "token").write_text("from a file\n")
    answers = [
        exec_credential("https://10.0.0.1:6443", with_users(user))["status"]
        for user in ({"token": "t"}, pem, {"tokenFile": str(tmp_path / "token")})
    ]
    certificate = {"clientCertificateData": "CERT", "clientKeyData": "KEY"}
    assert answers == [{"token": "t"}, certificate, {"token": "from a file"}]


def test_a_project_without_the_file_has_the_module_of_the_package_in_its_state(
    with_users: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("slipway.cluster.exec_credential.INFRA", tmp_path)
    state = json.loads(pinned(Access("dev", {"server": "https://10.0.0.1:6443"}, {"token": "t"})))
    [*program, context, server] = state["users"][0]["user"]["exec"]["args"]
    assert (context, server) == ("dev", "https://10.0.0.1:6443")
    assert exec_credential(server, with_users({"token": "t"}), *program)["status"] == {"token": "t"}


def test_a_provider_of_the_state_gets_none_when_the_context_leads_elsewhere(with_users: Any):
    answer = exec_credential("https://10.0.0.9:6443", with_users({"token": "hunter2"}))
    assert "status" not in answer
    assert answer["kind"].startswith(
        "context 'dev' leads to https://10.0.0.1:6443 now, and this stack was last updated on https://10.0.0.9:6443."
    )
    assert "hunter2" not in json.dumps(answer)


def test_the_provider_shows_why_there_are_no_credentials(with_users: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KUBECONFIG", str(with_users({"token": "t"})))
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    monkeypatch.chdir(INFRA)
    access = load(pinned(Access("dev", {"server": "https://10.0.0.9:6443"}, {"token": "t"}))).access()
    with pytest.raises(KubeconfigError, match=r"this stack was last updated on https://10.0.0.9:6443"):
        Credentials(access).current()
