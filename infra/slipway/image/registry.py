"""Pushes and reads images without a Docker daemon, over the registry API, with the login of `docker login` here.

See github.com/opencontainers/distribution-spec. Libraries for this were tried: oras 0.2.43 waits 131 s for a registry
that is down and knows no login but bearer tokens; python-dxf has had no release since May 2025.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from typing import Any
from urllib.parse import urljoin

import pulumi
from docker import auth
from docker.errors import DockerException
from requests import PreparedRequest, RequestException, Response, Session
from requests.adapters import HTTPAdapter
from requests.exceptions import SSLError
from requests.utils import parse_dict_header
from urllib3 import Retry

from slipway.image.oci import INDEX, MANIFEST, Blob, OciImage

# Those of OCI, and Docker's older names of the same.
_DOCKER = "application/vnd.docker.distribution.manifest"
_MANIFESTS = ", ".join([MANIFEST, INDEX, f"{_DOCKER}.v2+json", f"{_DOCKER}.list.v2+json"])
CONNECT_SECONDS, ANSWER_SECONDS = 5, 30
# Every request may be repeated: blobs are named by their content.
RETRIES = Retry(
    2,
    backoff_factor=0.5,
    status_forcelist=(429, 502, 503, 504),
    allowed_methods=None,
    raise_on_status=False,
    respect_retry_after_header=False,
)


def push(image: OciImage, repository: str, tag: str) -> bool:
    """Push the image under the tag. Return False if the registry had it already, which takes one request.

    Raises `pulumi.RunError` if the registry refuses.
    """
    registry = _Registry(repository)
    if registry.has(f"manifests/{tag}", image.manifest):
        return False
    for blob in image.blobs:
        if not registry.has(f"blobs/{blob.digest}", blob):
            registry.upload(blob)
    # Last: a manifest may only refer to blobs that exist, and an index to manifests.
    for manifest in image.manifests:
        registry.put(f"manifests/{manifest.digest}", manifest.content, manifest.media_type)
    registry.put(f"manifests/{tag}", image.manifest.content, image.manifest.media_type)
    return True


def has(manifest: Blob, repository: str, tag: str) -> bool:
    """Return whether the registry has this manifest under the tag. Raises `pulumi.RunError` as `push` does."""
    return _Registry(repository).has(f"manifests/{tag}", manifest)


def manifest(repository: str, digest: str) -> dict[str, Any]:
    """Return the manifest of an image, or the index of one of several platforms. Raises `pulumi.RunError`."""
    return json.loads(_Registry(repository).content(f"manifests/{digest}", headers={"Accept": _MANIFESTS}))


def blob(repository: str, digest: str) -> bytes:
    """Return a layer or the configuration of an image. Raises `pulumi.RunError`."""
    return _Registry(repository).content(f"blobs/{digest}")


def tagged_manifest(repository: str, tag: str) -> Blob | None:
    """Return what the tag names; None if there is none. Raises `pulumi.RunError` as `push` does."""
    return _Registry(repository).tagged_manifest(tag)


def unreachable(repository: str) -> str:
    """Return why the registry of a repository does not answer this machine; empty if it does."""
    return _Registry(repository).unreachable()


def origin(host: str) -> str:
    """Return the URL of the registry API. As with Docker, only a registry on this machine may be without TLS."""
    server = "registry-1.docker.io" if host == "docker.io" else host
    return f"{'http' if is_local(host) else 'https'}://{server}/"


def is_local(host: str) -> bool:
    """Return whether a registry is on this machine, going by its name."""
    return bool(re.fullmatch(r"((.+\.)?localhost|127(\.\d+){3})(:\d+)?", host))


class _Registry:
    """One repository of a registry. Raises `pulumi.RunError` for every unexpected response."""

    def __init__(self, repository: str) -> None:
        self._host, _, self._name = repository.partition("/")
        self._origin = origin(self._host)
        self._authorization = ""
        self._session = Session()
        # Requests to this machine use no proxy.
        self._session.trust_env = not is_local(self._host)
        self._session.auth = self._authorize
        self._session.mount(self._origin, HTTPAdapter(max_retries=RETRIES))

    def unreachable(self) -> str:
        try:
            self._session.get(f"{self._origin}v2/", timeout=(CONNECT_SECONDS, ANSWER_SECONDS))
        except RequestException as error:
            return self._unreachable(error)
        return ""

    def has(self, path: str, blob: Blob) -> bool:
        answer = self._request("HEAD", path, (200, 404), headers={"Accept": blob.media_type})
        # Without the header, a path that ends in the digest proves as much; a tag could belong to another image.
        digest = answer.headers.get("Docker-Content-Digest") or path.rpartition("/")[2]
        return answer.status_code == 200 and digest == blob.digest

    def content(self, path: str, **options: Any) -> bytes:
        """Return what is stored at a path that ends in its digest. Raises `pulumi.RunError` for other bytes."""
        digest = path.rpartition("/")[2]
        content = self._request("GET", path, (200,), **options).content
        if f"sha256:{hashlib.sha256(content).hexdigest()}" != digest:
            raise pulumi.RunError(
                f"image registry {self._host} has other bytes for {self._name}@{digest}: do not use it"
            )
        return content

    def tagged_manifest(self, tag: str) -> Blob | None:
        answer = self._request("GET", f"manifests/{tag}", (200, 404), headers={"Accept": MANIFEST})
        return Blob(MANIFEST, answer.content) if answer.status_code == 200 else None

    def upload(self, blob: Blob) -> None:
        opened = self._request("POST", "blobs/uploads/", (202,))
        at = urljoin(opened.url, opened.headers.get("Location", ""))
        self.put(at, blob.content, "application/octet-stream", params={"digest": blob.digest})

    def put(self, path: str, content: bytes, media_type: str, **options: Any) -> None:
        self._request("PUT", path, (201,), content, headers={"Content-Type": media_type}, **options)

    def _request(
        self, method: str, path: str, expected: tuple[int, ...], content: bytes = b"", **options: Any
    ) -> Response:
        try:
            answer = self._send(method, path, content, **options)
            if answer.status_code == 401 and answer.url.startswith(self._origin):
                self._authorization = self._log_in(answer.headers.get("WWW-Authenticate", ""))
                answer = self._send(method, path, content, **options) if self._authorization else answer
        except RequestException as error:
            raise pulumi.RunError(self._unreachable(error)) from None
        if answer.status_code not in expected:
            raise pulumi.RunError(self._refusal(method, answer))
        return answer

    def _send(self, method: str, path: str, content: bytes, **options: Any) -> Response:
        url = urljoin(f"{self._origin}v2/{self._name}/", path)
        # A file is sent in pieces, each within the timeout; bytes would have to be sent as a whole within it.
        body = io.BytesIO(content) if content else None
        return self._session.request(method, url, data=body, timeout=(CONNECT_SECONDS, ANSWER_SECONDS), **options)

    def _authorize(self, request: PreparedRequest) -> PreparedRequest:
        # An upload may be redirected to storage elsewhere, which has signed URLs and must not get the login.
        if self._authorization and str(request.url).startswith(self._origin):
            request.headers["Authorization"] = self._authorization
        return request

    def _log_in(self, challenge: str) -> str:
        """Return the Authorization header that a challenge asks for; empty without a login for it."""
        self._authorization = ""
        scheme, _, details = challenge.partition(" ")
        login = self._login()
        basic = f"{login['username']}:{login['password']}".encode() if login.get("username") else b""
        header = f"Basic {base64.b64encode(basic).decode()}" if basic else ""
        if scheme.lower() == "basic":
            return header
        challenge_fields = parse_dict_header(details)
        if scheme.lower() != "bearer" or "realm" not in challenge_fields:
            return ""
        # The challenge names the scope of this one request; the whole push needs these two.
        request = {"service": challenge_fields.get("service", ""), "scope": f"repository:{self._name}:pull,push"}
        timeout = (CONNECT_SECONDS, ANSWER_SECONDS)
        if token := login.get("identitytoken"):
            form = {**request, "grant_type": "refresh_token", "client_id": "slipway", "refresh_token": token}
            answer = self._session.post(challenge_fields["realm"], data=form, timeout=timeout)
        else:
            headers = {"Authorization": header} if header else {}
            answer = self._session.get(challenge_fields["realm"], params=request, headers=headers, timeout=timeout)
        tokens = answer.json() if answer.ok else {}
        return f"Bearer {tokens.get('token') or tokens.get('access_token')}" if tokens else ""

    def _login(self) -> dict[str, str]:
        """Return what `docker login` stored for the registry, in a file or a credential helper; keys in lower case."""
        try:
            stored: dict[str, Any] = auth.load_config().resolve_authconfig(self._host) or {}
        except (DockerException, ValueError) as error:
            raise pulumi.RunError(
                f"the login for image registry {self._host} cannot be read from Docker's config.json ({error}). "
                f"Run `docker login {self._host}` again. Nothing was changed."
            ) from None
        return {key.lower(): str(value) for key, value in stored.items() if value}

    def _unreachable(self, error: RequestException) -> str:
        cause: BaseException = error
        while cause.__cause__ or cause.__context__:
            cause = cause.__cause__ or cause.__context__ or cause
        fix = "Start it, or correct slipway:image.repository."
        if isinstance(error, SSLError):
            fix = "Name the file of its CA in REQUESTS_CA_BUNDLE; only a registry on this machine may do without TLS."
        reason = (isinstance(cause, OSError) and cause.strerror) or cause
        return f"image registry {self._host} cannot be reached ({reason}). {fix} Nothing was changed."

    def _refusal(self, method: str, answer: Response) -> str:
        fix = "Its log should say why."
        if answer.status_code in (401, 403):
            fix = f"Log in as somebody who may push there: `docker login {self._host}`."
        elif answer.status_code == 404:
            fix = "Create the repository there, or correct slipway:image.repository."
        detail = f": {' '.join(answer.text.split())[:200]}" if answer.text else ""
        return (
            f"image registry {self._host} refuses {self._name}: {method} was answered with {answer.status_code} "
            f"{answer.reason}{detail}. {fix} Nothing was changed."
        )
