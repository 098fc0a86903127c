"""The message for a request that the API server refuses: the request, the answer, and what helps."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import httpx2

from slipway.cluster.api_retry import FORBIDDEN

_VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_ADVICE = {
    401: "The credentials of the kubeconfig are not, or no longer, accepted: sign in to the cluster again",
    404: "It is not in the cluster, or the cluster does not know this kind of object",
    409: "It was changed or created by somebody else at the same time: run the command again",
    429: "The API server is overloaded: run the command again later",
}
_RETRY_LATER = "The API server, or a proxy before it, fails: run the command again later"


@dataclass(frozen=True)
class ApiRequest:
    """A request to the API server, in the terms of RBAC."""

    verb: str
    resource: str
    """With its group, such as `deployments.apps`; with its subresource, such as `pods/log`."""
    name: str
    namespace: str

    @classmethod
    def of(cls, request: httpx2.Request) -> ApiRequest:
        """Parse method and path, which may begin with the path of a proxy."""
        parts = request.url.path.strip("/").split("/")
        start = next((index for index, part in enumerate(parts) if part in ("api", "apis")), None)
        if start is None:
            return cls(_VERBS.get(request.method, request.method), request.url.path, "", "")
        group = f".{parts[start + 1]}" if parts[start] == "apis" and parts[start + 1 :] else ""
        rest = [*parts[start + (3 if group else 2) :], "", "", ""]
        # /api/v1/namespaces/shop is the Namespace itself, .../shop/pods is something in it.
        namespace = rest[1] if rest[0] == "namespaces" and rest[2] else ""
        plural, name, subresource, *_ = rest[2:] if namespace else rest
        verb = _VERBS.get(request.method, request.method)
        resource = f"{plural}{group}{f'/{subresource}' if subresource else ''}"
        return cls("list" if verb == "get" and not name else verb, resource, name, namespace)

    @property
    def text(self) -> str:
        """Return the request in words: `get cronjobs.batch mysql-backup in namespace slipway-dev`."""
        where = f" in namespace {self.namespace}" if self.namespace else ""
        return f"{self.verb} {self.resource}{f' {self.name}' if self.name else ''}{where}"

    @property
    def needed_right(self) -> str:
        """Return the right that the user needs, and the command that checks it."""
        resource, _, subresource = self.resource.partition("/")
        options = [f"--subresource={subresource}"] * bool(subresource) + [f"-n {self.namespace}"] * bool(self.namespace)
        check = " ".join(["kubectl auth can-i", self.verb, resource, *options])
        return f"The user of the kubeconfig needs the right to {self.verb} {self.resource}; see `{check}`"


def message(response: httpx2.Response) -> str:
    """Return the request, what the API server answered, and what helps where that is known."""
    request, reason = ApiRequest.of(response.request), _reason(response)
    # A quota and Pod Security are 403, too, and no right helps against them.
    if response.status_code == FORBIDDEN and " cannot " in reason:
        advice = request.needed_right
    else:
        advice = _ADVICE.get(response.status_code, _RETRY_LATER if response.is_server_error else "")
    text = f"cannot {request.text}: HTTP {response.status_code} from the API server: {reason}"
    return f"{text.rstrip('.')}. {advice}" if advice else text


def error_message(error: httpx2.HTTPError) -> str:
    """Return the message for an HTTP error of lightkube; without a response, the server that does not answer."""
    if isinstance(error, httpx2.HTTPStatusError):
        return message(error.response)
    server = "the API server"
    with suppress(RuntimeError):  # an error without a request
        server = f"{server} {error.request.url.copy_with(raw_path=b'')}"
    return f"{server} does not answer: {error or type(error).__name__}"


def _reason(response: httpx2.Response) -> str:
    try:
        return str(response.json()["message"])
    except (ValueError, KeyError, TypeError):
        return response.text[:200] or response.reason_phrase
