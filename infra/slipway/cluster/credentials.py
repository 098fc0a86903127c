"""Credentials of a kubeconfig's user: a token, a certificate, a password, or a program that prints one of them.

Such a program is an exec plugin of client-go, as managed clusters have it (aws, gke-gcloud-auth-plugin, kubelogin).
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from slipway.cluster.kubeconfig import Access, Entry, KubeconfigError

_GROUP = "client.authentication.k8s.io"
_VERSIONS = (f"{_GROUP}/v1", f"{_GROUP}/v1beta1")
# A program that waits for input nobody gives must not hang an update.
_EXEC_SECONDS = 60
_OF_CLUSTER = ("server", "tls-server-name", "insecure-skip-tls-verify", "proxy-url", "disable-compression")


@dataclass(frozen=True)
class Credential:
    """A bearer token, or a client certificate and its key as PEM."""

    token: str = ""
    certificate: str = ""
    key: str = ""
    expires: datetime | None = None

    @property
    def is_expired(self) -> bool:
        """Whether it has passed the expiry that the exec plugin gave it."""
        return self.expires is not None and self.expires <= datetime.now(UTC)


class Credentials:
    """Credentials of a user. Runs an exec plugin once, and again when its credential expires or is refused."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._user = access.user
        self._lock = threading.Lock()
        self._from_plugin: Credential | None = None
        if self._user.get("auth-provider"):
            raise KubeconfigError(
                f"{self._where} uses `auth-provider`, which Kubernetes 1.26 has removed: use the exec plugin of your "
                "provider (`kubelogin`, `gke-gcloud-auth-plugin`, ...)"
            )

    def current(self) -> Credential:
        """Return the current credential. A token file is read each time, since kubelets and agents rotate it."""
        if path := self._user.get("tokenFile"):
            return Credential(_read(path, self._where).strip(), *self._certificate())
        if self._user.get("token") or "username" in self._user or not self._user.get("exec"):
            return Credential(str(self._user.get("token") or ""), *self._certificate())
        with self._lock:
            if self._from_plugin is None or self._from_plugin.is_expired:
                self._from_plugin = _run_plugin(self._user["exec"], self._access)
            return self._from_plugin

    def renew(self, refused: Credential) -> bool:
        """Discard a credential that the API server has refused. Return whether there is another one."""
        with self._lock:
            if self._from_plugin == refused:
                self._from_plugin = None
        return bool(self._user.get("exec") or self._user.get("tokenFile")) and self.current() != refused

    def headers(self, credential: Credential) -> list[tuple[str, str]]:
        """Return the request headers for authorization and impersonation."""
        user, headers = self._user, list[tuple[str, str]]()
        if credential.token:
            headers.append(("Authorization", f"Bearer {credential.token}"))
        elif "username" in user:
            login = f"{user['username']}:{user.get('password') or ''}".encode()
            headers.append(("Authorization", f"Basic {base64.b64encode(login).decode()}"))
        if user.get("as"):
            headers.append(("Impersonate-User", str(user["as"])))
        if user.get("as-uid"):
            headers.append(("Impersonate-Uid", str(user["as-uid"])))
        headers += [("Impersonate-Group", str(group)) for group in user.get("as-groups") or []]
        extra: dict[str, list[str]] = user.get("as-user-extra") or {}
        return headers + [(f"Impersonate-Extra-{key}", value) for key, values in extra.items() for value in values]

    @property
    def _where(self) -> str:
        return f"the user of context {self._access.context!r}"

    def _certificate(self) -> tuple[str, str]:
        certificate = pem(self._user, "client-certificate", self._where)
        return certificate, pem(self._user, "client-key", self._where) if certificate else ""


def pem(entry: Entry, key: str, where: str) -> str:
    """Return a certificate or key of a kubeconfig entry. Inline data (`-data`) takes precedence over a file."""
    if data := entry.get(f"{key}-data"):
        try:
            return base64.b64decode(data, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError, TypeError):
            raise KubeconfigError(f"{where} has a `{key}-data` that is not base64 of PEM") from None
    return _read(entry[key], where) if entry.get(key) else ""


def _read(path: str, where: str) -> str:
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise KubeconfigError(f"{where} names {path}, which cannot be read ({type(error).__name__})") from None


def _run_plugin(plugin: Any, access: Access) -> Credential:
    """Return the credential that an exec plugin prints. Raises KubeconfigError if it is missing or fails."""
    where = f"the exec plugin of context {access.context!r}"
    if not isinstance(plugin, dict) or not isinstance(plugin.get("command"), str):
        raise KubeconfigError(f"{where} has no `command`")
    version = plugin.get("apiVersion")
    if version not in _VERSIONS:
        raise KubeconfigError(f"{where} has apiVersion {version!r}; Kubernetes knows {' and '.join(_VERSIONS)}")
    command = [plugin["command"], *map(str, plugin.get("args") or [])]
    interactive = plugin.get("interactiveMode") != "Never" and sys.stdin is not None and sys.stdin.isatty()
    if plugin.get("interactiveMode") == "Always" and not interactive:
        raise KubeconfigError(f"{where} ({command[0]}) needs a terminal to ask on (interactiveMode: Always)")
    output = _output(command, _environment(plugin, access, interactive=interactive), where, plugin, interactive)
    return _credential(output, version, f"{where} ({command[0]})")


def _environment(plugin: Entry, access: Access, *, interactive: bool) -> dict[str, str]:
    spec: Entry = {"interactive": interactive}
    if plugin.get("provideClusterInfo"):
        spec["cluster"] = _cluster_info(access)
    info = {"apiVersion": plugin["apiVersion"], "kind": "ExecCredential", "spec": spec}
    named = {str(entry["name"]): str(entry["value"]) for entry in plugin.get("env") or []}
    return {**os.environ, **named, "KUBERNETES_EXEC_INFO": json.dumps(info)}


def _cluster_info(access: Access) -> Entry:
    extensions: list[Entry] = access.cluster.get("extensions") or []
    config = [entry["extension"] for entry in extensions if entry.get("name") == f"{_GROUP}/exec"]
    return {**cluster_without_files(access), **({"config": config[0]} if config else {})}


def cluster_without_files(access: Access) -> Entry:
    """Return how to reach the cluster, with the certificate authority as data."""
    cluster = {key: access.cluster[key] for key in _OF_CLUSTER if key in access.cluster}
    if authority := pem(access.cluster, "certificate-authority", f"the cluster of context {access.context!r}"):
        cluster["certificate-authority-data"] = base64.b64encode(authority.encode()).decode()
    return cluster


def _output(command: list[str], env: dict[str, str], where: str, plugin: Entry, interactive: bool) -> str:
    try:
        done = subprocess.run(
            command,
            env=env,
            text=True,
            check=False,
            stdin=None if interactive else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            # A user at a terminal sees its instructions, such as an address to open; else it goes to the error message.
            stderr=None if interactive else subprocess.PIPE,
            timeout=None if interactive else _EXEC_SECONDS,
        )
    except OSError as error:
        hint = f" {plugin['installHint']}" if plugin.get("installHint") else ""
        cause = "is not installed" if isinstance(error, FileNotFoundError) else f"cannot be run ({error.strerror})"
        raise KubeconfigError(f"{where}: {command[0]} {cause}.{hint}") from None
    except subprocess.TimeoutExpired:
        raise KubeconfigError(f"{where}: {command[0]} did not end within {_EXEC_SECONDS} s") from None
    if done.returncode != 0:
        lines = (done.stderr or "").strip().splitlines()
        raise KubeconfigError(
            f"{where}: `{' '.join(command)}` failed with exit code {done.returncode}: {' '.join(lines[-3:])[:500]}"
        )
    return done.stdout


def _credential(output: str, version: str, where: str) -> Credential:
    # No message quotes the output, since it contains the credential.
    try:
        answer = json.loads(output)
    except ValueError:
        raise KubeconfigError(f"{where} printed something that is not JSON") from None
    kind = answer.get("kind") if isinstance(answer, dict) else None
    if kind != "ExecCredential":
        raise KubeconfigError(f"{where} printed no ExecCredential{f' but {kind!r}' if kind else ''}")
    if answer.get("apiVersion") != version:
        raise KubeconfigError(
            f"{where} answers in apiVersion {answer.get('apiVersion')!r}, the kubeconfig asks for {version!r}"
        )
    status: Any = answer.get("status") or {}
    token, certificate, key = (
        str(status.get(name) or "") for name in ("token", "clientCertificateData", "clientKeyData")
    )
    if not token and not (certificate and key):
        raise KubeconfigError(f"{where} printed neither a token nor a certificate with its key")
    return Credential(token, certificate, key, _time(status.get("expirationTimestamp"), where))


def _time(text: Any, where: str) -> datetime | None:
    if not text:
        return None
    try:
        time = datetime.fromisoformat(str(text))
    except ValueError:
        raise KubeconfigError(f"{where} printed an expirationTimestamp that is no time") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
