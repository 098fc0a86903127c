"""An S3-compatible object store and a key management service on this machine: moto (Apache-2.0), fetched from PyPI."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

from local.bootstrap.downloads import cached_folder
from local.bootstrap.python_packages import find_uv, pip_install
from local.paths import clone_paths
from local.progress import Screen, Task
from tests.e2e.conftest import ROOT, environment, eventually

MOTO = "moto[s3,server]==5.2.5"
BUCKET, REGION = "states", "us-east-1"
# It checks no signature, but it reads the name of the service from it.
SIGNATURE = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{}/aws4_request, SignedHeaders=host, Signature=0"


@dataclass(frozen=True)
class ObjectStore:
    """A bucket, and keys that encrypt."""

    port: int
    http: urllib3.PoolManager

    @property
    def backend_url(self) -> str:
        """The bucket as a backend of Pulumi."""
        return f"s3://{BUCKET}?endpoint=127.0.0.1:{self.port}&disableSSL=true&s3ForcePathStyle=true&region={REGION}"

    @property
    def variables(self) -> dict[str, str]:
        """The login, as AWS's SDK reads it."""
        return {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL_KMS": f"http://127.0.0.1:{self.port}",
        }

    def request(self, method: str, path: str, body: bytes = b"") -> bytes:
        """Send a request to the bucket; return its answer."""
        url, login = f"http://127.0.0.1:{self.port}/{BUCKET}{path}", {"Authorization": SIGNATURE.format("s3")}
        answer = self.http.request(method, url, body=body, headers=login)
        assert answer.status < 300, (answer.status, answer.data)
        return answer.data

    def keys(self, prefix: str) -> list[str]:
        """Return the names of the objects below a prefix."""
        return re.findall(r"<Key>(.+?)</Key>", self.request("GET", f"?list-type=2&prefix={prefix}").decode())

    def create_key(self, alias: str) -> None:
        """Create a key of the key management service under an alias."""
        key: str = self._kms("CreateKey", {})["KeyMetadata"]["KeyId"]
        self._kms("CreateAlias", {"AliasName": f"alias/{alias}", "TargetKeyId": key})

    def _kms(self, action: str, body: dict[str, Any]) -> Any:
        headers = {
            "X-Amz-Target": f"TrentService.{action}",
            "Content-Type": "application/x-amz-json-1.1",
            "Authorization": SIGNATURE.format("kms"),
        }
        answer = self.http.request("POST", f"http://127.0.0.1:{self.port}/", body=json.dumps(body), headers=headers)
        assert answer.status == 200, answer.data
        return json.loads(answer.data)


@contextmanager
def running(folder: Path) -> Generator[ObjectStore]:
    """Start the server on a free port with an empty bucket; its log is in the folder."""
    packages = _packages(folder)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with (folder / "moto.log").open("w") as log:
        server = subprocess.Popen(
            command, cwd=folder, env={**environment(), "PYTHONPATH": str(packages)}, stdout=log, stderr=log
        )
    try:
        store = ObjectStore(port, urllib3.PoolManager(retries=False))
        eventually(lambda: _answers(store), 60, "the object store answers")
        store.request("PUT", "")
        yield store
    finally:
        server.terminate()
        server.wait(10)


def _answers(store: ObjectStore) -> bool:
    with suppress(urllib3.exceptions.HTTPError):
        return store.http.request("GET", f"http://127.0.0.1:{store.port}/moto-api/").status == 200
    return False


def _packages(folder: Path) -> Path:
    """Return the folder with the server's packages, which is filled once for all clones."""
    paths, task = clone_paths(ROOT), Task("moto", folder / "pip.log", Screen(sys.stderr), threading.Event())
    name = re.sub(r"[^\w.-]+", "-", MOTO)
    return cached_folder(
        paths.cache / name, lambda new: pip_install(task, paths, find_uv(task, paths), "--target", new, MOTO)
    )
