"""A fake image registry that logs its requests, and refuses them as a test tells it to."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import re
import threading
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

BASIC = "Basic " + base64.b64encode(b"me:canary-\xc3\xa9").decode()


@dataclass
class FakeRegistry:
    """A registry that stores what it receives, by the distribution specification."""

    host: str = ""
    manifests: dict[str, bytes] = field(default_factory=dict[str, bytes])
    blobs: dict[str, bytes] = field(default_factory=dict[str, bytes])
    requests: list[str] = field(default_factory=list[str])
    """`HEAD manifests/src-1`, each with the Authorization it came with behind it."""
    challenge: str = ""
    """WWW-Authenticate for requests without `authorization`. Default: no login is needed."""
    authorization: str = "Bearer good"
    tokens: dict[str, Any] = field(default_factory=dict[str, Any])
    """The fields that the token endpoint received."""
    refusals: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    """Statuses to answer with instead of the right ones, by method."""
    uploads_to: str = ""
    """Host to which uploads are redirected, if any."""

    def done(self) -> list[str]:
        """`HEAD manifests`, in order."""
        return [request.split("/")[0] for request in self.requests]


def handler(registry: FakeRegistry) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None: ...

        def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body if self.command != "HEAD" else b"")

        def handle_request(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            url, given = urlsplit(self.path), self.headers.get("Authorization", "")
            if url.path == "/token":
                self.token({**parse_qs(url.query), **parse_qs(body.decode())}, given)
                return
            path = re.sub("^/v2/.*?/?(?=$|manifests/|blobs/)", "", url.path)
            registry.requests.append(f"{self.command} {path} {given}".strip())
            if statuses := registry.refusals.get(self.command):
                self.answer(
                    statuses.pop(0), b'{"errors":\r\n  [{"message": "because of this"}]}', headers=self.challenge()
                )
            elif registry.challenge and given != registry.authorization:
                self.answer(401, headers=self.challenge())
            else:
                getattr(self, self.command.lower())(path, parse_qs(url.query), body)

        do_GET = do_HEAD = do_POST = do_PUT = handle_request

        def challenge(self) -> dict[str, str]:
            text = registry.challenge.format(host=registry.host)
            return {"WWW-Authenticate": text} if text else {}

        def token(self, form: dict[str, list[str]], given: str) -> None:
            registry.tokens = {name: values[0] for name, values in form.items()}
            good = given == BASIC or registry.tokens.get("refresh_token") == "canary"
            self.answer(200 if good else 401, json.dumps({"token": "good"} if good else {}).encode())

        def head(self, path: str, query: dict[str, list[str]], body: bytes) -> None:
            kept = {f"manifests/{tag}": content for tag, content in registry.manifests.items()}
            kept |= {f"manifests/{digest_of(content)}": content for content in registry.manifests.values()}
            kept |= {f"blobs/{digest}": content for digest, content in registry.blobs.items()}
            if path in kept:
                self.answer(200, kept[path], {"Docker-Content-Digest": digest_of(kept[path])})
            else:
                self.answer(404)

        def get(self, path: str, query: dict[str, list[str]], body: bytes) -> None:
            if path:
                self.head(path, query, body)
            else:
                self.answer(200)

        def post(self, path: str, query: dict[str, list[str]], body: bytes) -> None:
            base = f"http://{registry.uploads_to}" if registry.uploads_to else ""
            self.answer(202, headers={"Location": f"{base}{self.path}1?state=a%3D%3D"})

        def put(self, path: str, query: dict[str, list[str]], body: bytes) -> None:
            if path.startswith("manifests/"):
                named = re.findall(r"sha256:[0-9a-f]{64}", body.decode())
                assert self.headers["Content-Type"] == json.loads(body).get("mediaType", "")
                registry.manifests[path.partition("/")[2]] = body
                known = {*registry.blobs, *registry.manifests}
                self.answer(201 if known >= set(named) else 400)
            else:
                assert query == {"state": ["a=="], "digest": [digest_of(body)]}
                registry.blobs[digest_of(body)] = body
                self.answer(201)

    return Handler


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def serve_registry() -> Generator[FakeRegistry]:
    """Serve an empty registry on this machine until the test ends."""
    registry = FakeRegistry()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(registry))
    registry.host = f"127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield registry
    server.shutdown()
    server.server_close()
