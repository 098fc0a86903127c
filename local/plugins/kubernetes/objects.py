"""Names of objects in ids and messages, and the errors of the API server."""

from slipway.objects import Object, dig, items, name_of


class UnreachableError(Exception):
    """The API server does not answer, or the kubeconfig does not say how to reach it."""


class ApiError(Exception):
    """The API server answered with an error. `reason` is its machine-readable name, such as AlreadyExists."""

    def __init__(self, code: int, status: Object) -> None:
        self.code = code
        self.reason: str = status.get("reason") or ""
        self.causes: list[Object] = items(status, "details.causes")
        super().__init__(status.get("message") or f"HTTP {code}")

    @property
    def is_expected_in_preview(self) -> bool:
        """Whether the deployment itself may succeed after this error of a dry run.

        404: the deployment also creates the namespace or the custom resource definition. 409: the object replaces one
        of the same name. 403: users with read-only access may run previews, too. Quota, pod security and other
        admission plugins also answer 403, but not with the word "cannot".
        """
        if self.code == 403:
            return " cannot " in str(self)
        return self.code in (404, 409) and self.reason != "Conflict"


def namespace_of(obj: Object) -> str:
    """Return the namespace; empty for cluster-scoped objects."""
    return dig(obj, "metadata.namespace") or ""


def id_of(obj: Object) -> str:
    """Return the id under which Pulumi knows the object: `namespace/name`, or the name alone."""
    return f"{namespace_of(obj)}/{name_of(obj)}".removeprefix("/")


def title(obj: Object) -> str:
    """Return how messages name an object: `Deployment shop/web`."""
    # Objects in a list have no kind, and pods are the only ones that messages name from a list.
    return f"{obj.get('kind', 'Pod')} {id_of(obj)}".rstrip()


def annotation(obj: Object, key: str) -> str:
    return dig(obj, "metadata.annotations", key) or ""
