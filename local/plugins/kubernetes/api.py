"""Read and write the objects of one API server, as plain dicts."""

import asyncio
import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from local.plugins.kubernetes.kinds import Kind
from local.plugins.kubernetes.objects import ApiError, UnreachableError, namespace_of
from slipway.objects import Object, name_of

if TYPE_CHECKING:
    import httpx2

    from local.plugins.kubernetes.connection import ApiConnection

_RETRY_SECONDS = 20
_TRANSIENT = {429, 500, 502, 503, 504}


class KubernetesApi:
    """The API server of one kubeconfig context. It is contacted on the first request."""

    def __init__(self, kubeconfig: str = "", context: str = "") -> None:
        self._kubeconfig = kubeconfig
        self._context = context
        self._connection: ApiConnection | None = None
        self._connecting = asyncio.Lock()
        self._unreachable: UnreachableError | None = None
        self._discovered: dict[str, dict[str, Object]] = {}
        self._cancelled = asyncio.Event()

    def cancel(self) -> None:
        """End the current pause and every later one."""
        self._cancelled.set()

    async def pause(self, seconds: float) -> bool:
        """Sleep. Return False at once when the user has cancelled the operation."""
        try:
            await asyncio.wait_for(self._cancelled.wait(), seconds)
        except TimeoutError:
            return True
        return False

    # --- objects

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """Return the live object, or None, also for a custom resource whose definition does not exist."""
        try:
            return await self.request("GET", await self.path(kind, namespace, name))
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    async def items(self, path: str, **selectors: str) -> list[Object]:
        """Return the objects of a collection. The API server sends them without kind and apiVersion."""
        params = {key: value for key, value in selectors.items() if value}
        return (await self.request("GET", path, params=params))["items"]

    async def create_dry_run(self, kind: Kind, obj: Object, manager: str) -> Object:
        params = {"dryRun": "All", "fieldManager": manager, "fieldValidation": "Strict"}
        return await self.request("POST", await self.path(kind, namespace_of(obj)), params=params, body=obj)

    async def apply(
        self, kind: Kind, obj: Object, manager: str, *, force: bool = False, dry_run: bool = False
    ) -> Object:
        """Create the object with server-side apply, or change the fields that `manager` owns."""
        params = {"fieldManager": manager, "fieldValidation": "Strict", "force": str(force).lower()}
        if dry_run:
            params["dryRun"] = "All"
        path = await self.path(kind, namespace_of(obj), name_of(obj))
        return await self.request("PATCH", path, params=params, body=obj, media_type="application/apply-patch+yaml")

    async def patch_json(self, kind: Kind, place: tuple[str, str], patch: list[Object]) -> None:
        path = await self.path(kind, *place)
        await self.request("PATCH", path, body=patch, media_type="application/json-patch+json")

    async def delete(self, kind: Kind, namespace: str, name: str, propagation: str) -> None:
        """Request deletion; an object that does not exist is no error."""
        try:
            path = await self.path(kind, namespace, name)
            await self.request("DELETE", path, body={"propagationPolicy": propagation})
        except ApiError as error:
            if error.code != 404:
                raise

    async def log_tail(self, namespace: str, pod: str, container: str, *, lines: int, previous: bool) -> str:
        params = {"container": container, "tailLines": str(lines), "previous": str(previous).lower()}
        answer = await self._send("GET", f"/api/v1/namespaces/{namespace}/pods/{pod}/log", params=params)
        return answer.text.strip()

    async def path(self, kind: Kind, namespace: str = "", name: str = "") -> str:
        plural, namespaced = kind.plural, kind.namespaced
        if not plural:
            plural, namespaced = await self._discover(kind)
        root = f"/apis/{kind.api_version}" if kind.group else f"/api/{kind.api_version}"
        scope = f"/namespaces/{namespace or (await self._connect()).default_namespace}" if namespaced else ""
        return f"{root}{scope}/{plural}" + (f"/{name}" if name else "")

    async def _discover(self, kind: Kind) -> tuple[str, bool]:
        if kind.name not in self._discovered.get(kind.api_version, {}):
            # Not cached while the kind is missing: its definition may be installed at any moment.
            answer = await self.request("GET", f"/apis/{kind.api_version}")
            kinds = {entry["kind"]: entry for entry in answer["resources"] if "/" not in entry["name"]}
            self._discovered[kind.api_version] = kinds
        entry = self._discovered[kind.api_version].get(kind.name)
        if entry is None:
            raise ApiError(404, {"message": f"the server has no kind {kind.name} in {kind.api_version}"})
        return entry["name"], entry["namespaced"]

    # --- requests

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        media_type: str = "application/json",
    ) -> Any:
        content = None if body is None else json.dumps(body).encode()
        answer = await self._send(method, path, params=params, content=content, headers={"Content-Type": media_type})
        return answer.json()

    async def _send(self, method: str, path: str, **arguments: Any) -> "httpx2.Response":
        """Send one request, with retries for 20 s while the API server is restarting, overloaded or unreachable.

        Every request may be sent twice: applies and deletes are idempotent.
        """
        connection = await self._connect()
        deadline = time.monotonic() + _RETRY_SECONDS
        pause = 0.2
        while True:
            try:
                answer = await connection.send(method, path, **arguments)
                if answer.status_code not in _TRANSIENT or time.monotonic() > deadline or not await self.pause(pause):
                    break
            except UnreachableError:
                if time.monotonic() > deadline or not await self.pause(pause):
                    raise
            pause = min(2 * pause, 3)
        if answer.is_success:
            return answer
        raise ApiError(answer.status_code, _status(answer))

    async def _connect(self) -> "ApiConnection":
        """Return the connection once the server has answered. That it is unreachable is detected only once."""
        # Imported late: a preview without changes needs no connection, and the import takes much of the start-up time.
        from local.plugins.kubernetes.connection import ApiConnection  # noqa: PLC0415

        async with self._connecting:
            if self._unreachable is not None:
                raise self._unreachable
            if self._connection is None:
                try:
                    # In a thread: a credential plugin of the kubeconfig may take seconds.
                    connection = await asyncio.to_thread(ApiConnection, self._kubeconfig, self._context)
                    await connection.probe()
                except UnreachableError as error:
                    self._unreachable = error
                    raise
                self._connection = connection
            return self._connection


def _status(answer: "httpx2.Response") -> Object:
    try:
        status = answer.json()
    except ValueError:
        return {"message": f"HTTP {answer.status_code} from the API server: {answer.text[:200]}"}
    return cast("Object", status) if isinstance(status, dict) else {}
