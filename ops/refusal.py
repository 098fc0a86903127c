"""The one message for what the API server refuses: what was asked of which object, its answer, and what is needed."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import httpx2

FORBIDDEN = 403
_VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_NEEDED = {
    401: "The credentials of the kubeconfig are not, or no longer, accepted: sign in to the cluster again",
    404: "It is not in the cluster, or the cluster does not know this kind of object",
    409: "It was changed or made by somebody else meanwhile: run the command again",
    429: "The API server is overloaded: run the command again later",
}
_LATER = "The API server, or a proxy before it, fails: run the command again later"


@dataclass(frozen=True)
class Asked:
    """A request to the API server, in the words of RBAC."""

    verb: str
    resource: str
    """With its group, such as `deployments.apps`; `pods/log` for a part of an object."""
    name: str
    namespace: str

    @classmethod
    def of(cls, request: httpx2.Request) -> Asked:
        """Read the verb and the object from method and path, also behind a proxy's own path."""
        parts = request.url.path.strip("/").split("/")
        start = next((index for index, part in enumerate(parts) if part in ("api", "apis")), None)
        if start is None:
            return cls(_VERBS.get(request.method, request.method), request.url.path, "", "")
        group = f".{parts[start + 1]}" if parts[start] == "apis" and parts[start + 1 :] else ""
        rest = [*parts[start + (3 if group else 2) :], "", "", ""]
        # /api/v1/namespaces/shop is the Namespace itself, .../shop/pods is something in it.
        namespace = rest[1] if rest[0] == "namespaces" and rest[2] else ""
        plural, name, part, *_ = rest[2:] if namespace else rest
        verb = _VERBS.get(request.method, request.method)
        resource = f"{plural}{group}{f'/{part}' if part else ''}"
        return cls("list" if verb == "get" and not name else verb, resource, name, namespace)

    @property
    def told(self) -> str:
        """The request in a few words: `get cronjobs.batch mysql-backup in namespace slipway-dev`."""
        where = f" in namespace {self.namespace}" if self.namespace else ""
        return f"{self.verb} {self.resource}{f' {self.name}' if self.name else ''}{where}"

    @property
    def needed(self) -> str:
        """The right that the user needs, and how to see whether they have it."""
        resource, _, part = self.resource.partition("/")
        options = [f"--subresource={part}"] * bool(part) + [f"-n {self.namespace}"] * bool(self.namespace)
        check = " ".join(["kubectl auth can-i", self.verb, resource, *options])
        return f"The user of the kubeconfig needs the right to {self.verb} {self.resource}; see `{check}`"


def message(answer: httpx2.Response) -> str:
    """Return what was asked, what the API server said, and what helps where that is known."""
    asked, said = Asked.of(answer.request), _said(answer)
    # A quota and Pod Security are 403, too, and no right helps against them.
    if answer.status_code == FORBIDDEN and " cannot " in said:
        helps = asked.needed
    else:
        helps = _NEEDED.get(answer.status_code, _LATER if answer.is_server_error else "")
    told = f"cannot {asked.told}: HTTP {answer.status_code} from the API server: {said}"
    return f"{told.rstrip('.')}. {helps}" if helps else told


def of(error: httpx2.HTTPError) -> str:
    """Return the same for an error of a client; of one that got no answer, which server that is."""
    if isinstance(error, httpx2.HTTPStatusError):
        return message(error.response)
    server = "the API server"
    with suppress(RuntimeError):  # an error without a request
        server = f"{server} {error.request.url.copy_with(raw_path=b'')}"
    return f"{server} does not answer: {error or type(error).__name__}"


def _said(answer: httpx2.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:200] or answer.reason_phrase
