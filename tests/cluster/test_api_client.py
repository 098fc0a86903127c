"""Requests to the API server of a context, as kubectl sends them: TLS, proxies, and all kinds of credentials."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import sys
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from lightkube.resources.core_v1 import ConfigMap

from slipway.cluster.api_client import AsyncTransport, client, http, proxy_to
from slipway.cluster.credentials import Credentials
from slipway.cluster.kubeconfig import Access, KubeconfigError
from tests.cluster.conftest import NAME, Server

V1 = "client.authentication.k8s.io/v1"


def data(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


# --- TLS


def test_the_certificate_is_expected_for_tls_server_name(server: Server):
    assert server.get()["host"].startswith("127.0.0.1")
    with pytest.raises(httpx2.ConnectError, match="IP address mismatch"):
        server.get({}, {"tls-server-name": None})


def test_the_authority_may_stand_in_the_kubeconfig_itself(server: Server):
    inline = {"certificate-authority-data": data(server.pki.certificate("ca")), "certificate-authority": "/none/such"}
    assert server.get({}, inline)["certificate"] == ""


def test_a_server_of_another_authority_is_not_trusted_unless_the_kubeconfig_says_so(server: Server):
    unknown = {"certificate-authority": None}
    with pytest.raises(httpx2.ConnectError, match=r"self-signed certificate|unable to get local issuer"):
        server.get({}, unknown)
    trusting = {**unknown, "insecure-skip-tls-verify": True, "tls-server-name": None}
    assert server.get({}, trusting)["certificate"] == ""


@pytest.mark.parametrize("inline", [True, False])
def test_a_client_certificate_is_presented_from_a_file_or_from_the_kubeconfig(server: Server, inline: bool):
    certificate, key = server.pki.certificate("jane"), server.pki.key("jane")
    files = {"client-certificate": str(certificate), "client-key": str(key)}
    texts = {"client-certificate-data": data(certificate), "client-key-data": data(key)}
    assert server.get(texts if inline else files)["certificate"] == "jane"


def test_nothing_of_a_client_certificate_stays_on_disk(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    user = {"client-certificate": str(server.pki.certificate("jane")), "client-key": str(server.pki.key("jane"))}
    assert server.get(user)["certificate"] == "jane"
    assert list(tmp_path.iterdir()) == []


# --- credentials


def test_a_token_file_is_read_again_when_somebody_rotates_it(server: Server, tmp_path: Path):
    token = tmp_path / "token"
    token.write_text("good\n")
    with http(server.access({"tokenFile": str(token), "token": "old"})) as api:
        api.get("/version")
        token.write_text("renewed\n")
        api.get("/version")
    assert [request["Authorization"] for request in server.requests] == ["Bearer good", "Bearer renewed"]


def test_user_name_and_impersonation_are_sent(server: Server):
    headers = server.get({"username": "jane", "password": "pw", "as": "root", "as-groups": ["a", "b"], "as-uid": "7"})
    assert headers["Authorization"] == f"Basic {base64.b64encode(b'jane:pw').decode()}"
    assert (headers["Impersonate-User"], headers["groups"], headers["Impersonate-Uid"]) == ("root", "a,b", "7")


PLUGIN = """\
import json, os, pathlib, sys
runs = pathlib.Path(sys.argv[1])
runs.write_text(runs.read_text() + os.environ["KUBERNETES_EXEC_INFO"] + "\\n" if runs.exists() else
                os.environ["KUBERNETES_EXEC_INFO"] + "\\n")
status = json.loads(os.environ["STATUS"])
status = status[min(len(runs.read_text().splitlines()), len(status)) - 1] if isinstance(status, list) else status
print(json.dumps({"apiVersion": sys.argv[2], "kind": "ExecCredential", "status": status}))
"""


@pytest.fixture
def plugin(tmp_path: Path):
    """`plugin({"token": ...}, ...)`: a user with an exec plugin that prints this status, one of a list at each run."""
    script, runs = tmp_path / "plugin.py", tmp_path / "runs"
    script.write_text(PLUGIN)

    def user(status: Any, version: str = V1, **more: Any) -> dict[str, Any]:
        command = {"command": sys.executable, "args": [str(script), str(runs), version]}
        env = [{"name": "STATUS", "value": json.dumps(status)}]
        return {"exec": {"apiVersion": version, **command, "env": env, "interactiveMode": "IfAvailable", **more}}

    user.runs = lambda: [json.loads(line) for line in runs.read_text().splitlines()]  # type: ignore[attr-defined]
    return user


@pytest.mark.parametrize("version", [V1, "client.authentication.k8s.io/v1beta1"])
def test_an_exec_plugin_of_either_version_gives_the_token(server: Server, plugin: Any, version: str):
    assert server.get(plugin({"token": "good"}, version))["Authorization"] == "Bearer good"
    assert plugin.runs() == [{"apiVersion": version, "kind": "ExecCredential", "spec": {"interactive": False}}]


def test_an_exec_plugin_may_give_a_client_certificate(server: Server, plugin: Any):
    certificate, key = (path.read_text() for path in (server.pki.certificate("jane"), server.pki.key("jane")))
    assert server.get(plugin({"clientCertificateData": certificate, "clientKeyData": key}))["certificate"] == "jane"


def test_an_exec_plugin_gets_the_cluster_if_it_asks_for_it(server: Server, plugin: Any):
    config = [{"name": "client.authentication.k8s.io/exec", "extension": {"audience": "x"}}]
    server.get(plugin({"token": "good"}, provideClusterInfo=True), {"extensions": config})
    [info] = plugin.runs()
    assert info["spec"]["cluster"] == {
        "server": server.url,
        "tls-server-name": NAME,
        "certificate-authority-data": data(server.pki.certificate("ca")),
        "config": {"audience": "x"},
    }


def test_an_exec_plugin_runs_once_until_its_credential_is_refused(server: Server, plugin: Any):
    with http(server.access(plugin([{"token": "good"}, {"token": "renewed"}]))) as api:
        assert [api.get("/version").status_code for _ in range(2)] == [200, 200]
        assert len(plugin.runs()) == 1
        server.tokens.remove("good")
        assert api.get("/version").status_code == 200
    assert [request["Authorization"][7:] for request in server.requests] == ["good", "good", "good", "renewed"]


def test_an_exec_plugin_runs_again_when_its_credential_has_expired(server: Server, plugin: Any):
    expired = {"token": "good", "expirationTimestamp": "2020-01-01T00:00:00Z"}
    with http(server.access(plugin([expired, {"token": "renewed"}]))) as api:
        api.get("/version")
    assert server.requests[-1]["Authorization"] == "Bearer renewed"


def test_lightkube_and_asyncio_clients_sign_in_alike(server: Server, plugin: Any):
    access = server.access(plugin({"token": "good"}))
    assert client(access, "shop").get(ConfigMap, "c").metadata.name == "c"  # type: ignore[union-attr]

    async def get() -> int:
        async with httpx2.AsyncClient(base_url=access.server, transport=AsyncTransport(access)) as api:
            return (await api.get("/version")).status_code

    assert asyncio.run(get()) == 200
    assert [request["Authorization"] for request in server.requests] == ["Bearer good", "Bearer good"]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"command": "/none/such/login"}, r"exec plugin of context 'dev': /none/such/login is not installed. get it"),
    ({"command": "false", "args": []}, r"exec plugin of context 'dev': `false` failed with exit code 1"),
    ({"command": "sh", "args": ["-c", "echo no session >&2; exit 3"]}, r"failed with exit code 3: no session"),
    ({"command": "echo", "args": ["hunter2"]}, r"\(echo\) printed something that is not JSON"),
    ({"command": "echo", "args": ['{"token": "hunter2"}']}, r"\(echo\) printed no ExecCredential"),
    ({"apiVersion": "client.authentication.k8s.io/v1alpha1"}, r"has apiVersion '.*v1alpha1'; Kubernetes knows"),
    ({"args": ["{script}", "{runs}", "other/v1"]}, r"answers in apiVersion 'other/v1', the kubeconfig asks for"),
    ({"env": [{"name": "STATUS", "value": "{}"}]}, r"printed neither a token nor a certificate with its key"),
    ({"env": [{"name": "STATUS", "value": '{"token": "a", "expirationTimestamp": "x"}'}]}, r"that is no time"),
    ({"interactiveMode": "Always"}, r"needs a terminal to ask on"),
    ({"command": None}, r"exec plugin of context 'dev' has no `command`"),
]


@pytest.mark.parametrize(("change", "message"), REFUSED)
def test_an_exec_plugin_that_fails_is_reported_in_one_message_without_its_output(
    server: Server, plugin: Any, tmp_path: Path, change: dict[str, Any], message: str
):
    user = plugin({"token": "good"}, installHint="get it")
    placed = json.dumps(change).replace("{script}", f"{tmp_path}/plugin.py").replace("{runs}", f"{tmp_path}/r")
    with pytest.raises(KubeconfigError, match=message) as refused:
        http(server.access({"exec": {**user["exec"], **json.loads(placed)}}))
    assert "hunter2" not in str(refused.value)
    assert server.requests == []


@pytest.mark.parametrize(
    ("user", "message"),
    [
        ({"tokenFile": "/none/such"}, "the user of context 'dev' names /none/such, which cannot be read"),
        ({"client-certificate-data": "%%"}, "has a `client-certificate-data` that is not base64 of PEM"),
        ({"client-certificate": "/etc/hostname"}, "a client certificate that cannot be used with its key"),
        ({"auth-provider": {"name": "gcp"}}, "uses `auth-provider`, which Kubernetes 1.26 has removed"),
    ],
)
def test_unusable_credentials_are_reported_in_one_message(server: Server, user: dict[str, Any], message: str):
    with pytest.raises(KubeconfigError, match=message):
        http(server.access(user))


def test_a_refusal_that_no_renewal_mends_is_the_answer_of_the_server(server: Server, plugin: Any):
    server.tokens.clear()
    with http(server.access(plugin({"token": "bad"}))) as api:
        assert api.get("/version").status_code == 401
    assert len(plugin.runs()) == 2


def test_static_credentials_take_precedence_over_an_exec_plugin(plugin: Any):
    user = {**plugin({"token": "good"}), "token": "static"}
    assert Credentials(Access("dev", {"server": "https://x"}, user)).current().token == "static"


# --- proxies


@pytest.fixture
def proxy(server: Server) -> Generator[tuple[str, list[str]]]:
    """The address of an HTTP proxy that leads to the server, and the requests that it got."""
    requested: list[str] = []

    def tunnel(incoming: socket.socket) -> None:
        requested.append(incoming.recv(4096).decode().splitlines()[0])
        incoming.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        outgoing = socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])))
        for source, target in ((incoming, outgoing), (outgoing, incoming)):
            threading.Thread(target=copied, args=(source, target), daemon=True).start()

    def serve() -> None:
        while True:
            try:
                tunnel(listening.accept()[0])
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", requested


def copied(source: socket.socket, target: socket.socket) -> None:
    while chunk := source.recv(65536):
        target.sendall(chunk)


def test_proxy_url_leads_to_a_server_that_is_known_to_the_proxy_alone(server: Server, proxy: tuple[str, list[str]]):
    url, requested = proxy
    hidden = server.access({"token": "good"}, {"server": "https://cluster.invalid:6443", "proxy-url": url})
    with http(hidden) as api:
        assert api.get("/version").status_code == 200
    assert requested == ["CONNECT cluster.invalid:6443 HTTP/1.1"]


PROXIES = [
    ("https://10.0.0.1:6443", {"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
    ("https://127.0.0.1:6443", {"HTTPS_PROXY": "http://p:1"}, None),
    ("https://10.0.0.1:6443", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8"}, None),
    ("https://a.example.com", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": ".example.com"}, None),
    ("https://a.example.com", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, None),
    ("https://10.0.0.1:6443", {"HTTP_PROXY": "http://p:1"}, None),
    ("https://10.0.0.1:6443", {}, None),
]


@pytest.mark.parametrize(("server_url", "env", "expected"), PROXIES)
def test_the_environments_proxy_is_chosen_as_go_does(
    monkeypatch: pytest.MonkeyPatch, server_url: str, env: dict[str, str], expected: str | None
):
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert proxy_to(Access("dev", {"server": server_url})) == expected


def test_a_socks_proxy_of_the_kubeconfig_can_be_used_and_another_kind_is_refused(server: Server):
    for scheme in ("socks5", "socks5h"):
        http(server.access({}, {"proxy-url": f"{scheme}://127.0.0.1:1080"})).close()
    with pytest.raises(KubeconfigError, match="has a `proxy-url` that begins with none of http://, https://"):
        http(server.access({}, {"proxy-url": "ftp://127.0.0.1"}))
