"""What can go wrong between us and an API server."""

from local.plugins.kubernetes_object import Object, at


class Unreachable(Exception):
    """The API server does not answer, or the kubeconfig does not say how to reach it."""


class ApiError(Exception):
    """The API server answered, and said no. `reason` is the machine-readable word, such as AlreadyExists."""

    def __init__(self, code: int, status: Object) -> None:
        self.code = code
        self.reason: str = status.get("reason") or ""
        self.causes: list[Object] = at(status, "details", "causes") or []
        super().__init__(status.get("message") or f"HTTP {code}")

    @property
    def is_missing_permission(self) -> bool:
        # Quota, pod security and other admission say Forbidden too, but not in these words.
        return self.code == 403 and " cannot " in str(self)
