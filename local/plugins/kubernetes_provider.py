"""The offline stand-in for pulumi-resource-kubernetes: just the kinds that the program declares, and custom resources.

Like the official plugin (4.29 and later) it applies objects on the server side, waits until they are usable, refuses to
take over objects that others made, and records `__inputs`, `__fieldManager` and `__initialApiVersion` beside the live
object, so that a stack can go from one plugin to the other. Unlike it, secrets are secret in `__inputs` too.
"""

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NoReturn, cast

from pulumi.provider.experimental.provider import (
    CheckFailure,
    CheckRequest,
    CheckResponse,
    ConfigureRequest,
    ConfigureResponse,
    CreateRequest,
    CreateResponse,
    DeleteRequest,
    DiffRequest,
    DiffResponse,
    InvokeRequest,
    InvokeResponse,
    PropertyDiff,
    PropertyDiffKind,
    ReadRequest,
    ReadResponse,
    UpdateRequest,
    UpdateResponse,
)

from local.plugins import kubernetes_await
from local.plugins.kubernetes_api import Cluster
from local.plugins.kubernetes_await import NotUsable
from local.plugins.kubernetes_diff import Change, Path, differences, format_path, keep_live, observed, parse_path
from local.plugins.kubernetes_errors import ApiError, Unreachable
from local.plugins.kubernetes_kinds import Kind, kind_of
from local.plugins.kubernetes_object import Object, annotation, id_of, name_of, namespace_of, title
from local.plugins.kubernetes_owner import field_manager, inherited_fields, may_be_overruled, owns
from local.plugins.kubernetes_secrets import Secrets, is_secret, mark
from local.plugins.kubernetes_state import (
    changed_in_preview,
    imported_inputs,
    new_in_preview,
    recorded_state,
    with_encoded_data,
    without_nulls,
)
from local.plugins.provider import (
    UNKNOWN,
    Engine,
    InitFailed,
    Plugin,
    Properties,
    Refused,
    has_unknown,
    old_inputs,
    plain,
    resource_type,
    serve,
)

VERSION = "4.32.0"

_OPTIONS = {
    "kubeconfig",
    "context",
    "namespace",
    "clusterIdentifier",
    "enableConfigMapMutable",
    "enableSecretMutable",
    "enableServerSideApply",
    "enablePatchForce",
    "upsertExistingObjects",
}
_AUTONAMED = "pulumi.com/autonamed"
_MANAGER = "pulumi.com/patchFieldManager"
_UPSERT = "PULUMI_K8S_UPSERT_EXISTING_OBJECTS"
_ANNOTATIONS = {
    _AUTONAMED,
    "pulumi.com/deletionPropagationPolicy",
    _MANAGER,
    "pulumi.com/patchForce",
    "pulumi.com/skipAwait",
    "pulumi.com/timeoutSeconds",
}
_DEFAULT_TIMEOUT = 600.0


class Task:
    """One object to create or update: what it is to be, under which name we own it, and how long it may take."""

    def __init__(self, urn: str, inputs: Properties, manager: str, custom_timeout: float) -> None:
        self.urn, self.inputs, self.manager = urn, inputs, manager
        self.kind = _kind(urn)
        self.desired: Object = plain(inputs)
        self.timeout = _timeout(custom_timeout, self.desired)

    @property
    def place(self) -> tuple[str, str]:
        return namespace_of(self.desired), name_of(self.desired)


DryRun = Callable[[Task], Awaitable[Object]]


class KubernetesPlugin(Plugin):
    """Talks to the engine; see kubernetes_diff, kubernetes_api and kubernetes_await for what it is made of."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._cluster = Cluster()
        self._options: dict[str, Any] = {}
        self._secrets = Secrets()
        self._warned = False

    # --- provider

    async def check_config(self, request: CheckRequest) -> CheckResponse:
        unknown = sorted(set(request.new_inputs) - _OPTIONS - {"version", "pluginDownloadURL"})
        allowed = ", ".join(sorted(_OPTIONS))
        reason = f"not an option of the offline kubernetes plugin; it knows {allowed}"
        failures = [CheckFailure(option, reason) for option in unknown]
        if plain(request.new_inputs).get("enableServerSideApply") in (False, "false"):
            failures.append(
                CheckFailure("enableServerSideApply", "the offline plugin always applies on the server side")
            )
        return CheckResponse(inputs=request.new_inputs, failures=failures)

    async def diff_config(self, request: DiffRequest) -> DiffResponse:
        """Only another cluster identifier means another cluster; a kubeconfig that moved, or new keys in it, do not."""
        before, after = (plain(values).get("clusterIdentifier") for values in (request.old_state, request.new_inputs))
        if before and after and before != after:
            return DiffResponse(replaces=["clusterIdentifier"])
        return DiffResponse()

    async def configure(self, request: ConfigureRequest) -> ConfigureResponse:
        self._options = plain(request.args)
        self._cluster = Cluster(self._options.get("kubeconfig") or "", self._options.get("context") or "")
        return await super().configure(request)

    async def cancel(self) -> None:
        self._cluster.cancel()

    async def invoke(self, request: InvokeRequest) -> InvokeResponse:
        raise Refused(f"the offline kubernetes plugin has no functions, so no {request.tok}; use the official plugin")

    # --- what the program wants

    async def check(self, request: CheckRequest) -> CheckResponse:
        kind = _kind(request.urn)
        desired = without_nulls(plain(request.new_inputs))
        desired |= {"apiVersion": kind.api_version, "kind": kind.name}
        if is_secret(kind) and desired.get("stringData") != UNKNOWN:
            desired = with_encoded_data(desired)
        self._secrets.learn(desired, request.new_inputs)
        if desired.setdefault("metadata", {}) == UNKNOWN:
            return CheckResponse(inputs=mark(kind, desired, request.new_inputs))
        metadata: Object = desired["metadata"]
        if failures := _unsupported(metadata):
            return CheckResponse(inputs=request.new_inputs, failures=failures)
        if "name" not in metadata:
            _name_automatically(metadata, plain(request.old_inputs), request)
        if kind.namespaced and "namespace" not in metadata and self._options.get("namespace"):
            metadata["namespace"] = self._options["namespace"]
        return CheckResponse(inputs=mark(kind, desired, request.new_inputs))

    async def diff(self, request: DiffRequest) -> DiffResponse:
        kind = _kind(request.urn)
        old, new = plain(old_inputs()), plain(request.new_inputs)
        for obj in (old, new):
            if kind.namespaced and isinstance(obj.get("metadata"), dict):
                obj["metadata"].setdefault("namespace", "default")
        ignored = [parse_path(path) for path in request.ignore_changes]
        changes = [(p, c) for p, c in differences(old, new) if not any(p[: len(i)] == i for i in ignored)]
        replaces = [format_path(path) for path, _ in changes if self._needs_replacement(kind, path, old, new)]
        detailed = {
            format_path(path): PropertyDiff(_diff_kind(change, replaces=format_path(path) in replaces), input_diff=True)
            for path, change in changes
        }
        return DiffResponse(
            changes=bool(changes),
            replaces=replaces,
            detailed_diff=detailed,
            delete_before_replace=bool(replaces) and _keeps_its_name(old, new),
        )

    def _needs_replacement(self, kind: Kind, path: Path, old: Object, new: Object) -> bool:
        if path == ("apiVersion",):
            return old.get("apiVersion", "").rpartition("/")[0] != kind.group
        data = {"ConfigMap": ("data", "binaryData"), "Secret": ("data", "stringData", "type")}.get(kind.name, ())
        if kind.api_version == "v1" and data:
            if old.get("immutable") and path[0] in (*data, "immutable"):
                return True
            mutable = self._is_on(f"enable{kind.name}Mutable") and not new.get("immutable")
            if path[0] in data and not mutable:
                return True
        return kind.is_fixed(path)

    # --- what the cluster gets

    async def create(self, request: CreateRequest) -> CreateResponse:
        manager = annotation(plain(request.properties), _MANAGER) or field_manager(request.urn)
        task = Task(request.urn, request.properties, manager, request.timeout)
        if request.preview:
            return CreateResponse(properties=await self._preview(task, self._create_dry_run))
        async with self._errors(task.desired):
            await self._make_room(task)
            applied = await self._apply(task)
        return CreateResponse(id_of(applied), await self._usable(task, applied))

    async def _make_room(self, task: Task) -> None:
        """Sees to it that the name is free, or taken by ourselves: by a `create` that was cut off."""
        existing = await self._cluster.get(task.kind, *task.place)
        if existing is None or owns(task.manager, existing) or self._upserts:
            return
        if existing["metadata"].get("deletionTimestamp"):
            report = self._reporter(task.urn)
            await kubernetes_await.gone(self._cluster, task.kind, task.place, task.timeout, report)
            return
        raise Refused(
            f"{title(existing)} already exists and is not part of this stack: take it over with `pulumi import "
            f"{resource_type(task.urn)} {task.urn.rpartition('::')[2]} {id_of(existing)}`, or choose another name"
        )

    async def update(self, request: UpdateRequest) -> UpdateResponse:
        former = plain(request.olds).get("__fieldManager") or field_manager(request.urn)
        manager = annotation(plain(request.news), _MANAGER) or former
        task = Task(request.urn, request.news, manager, request.timeout)
        if request.preview:
            return UpdateResponse(await self._preview(task, self._apply_dry_run))
        async with self._errors(task.desired):
            live = await self._cluster.get(task.kind, *task.place)
            if live is None:
                raise Refused(f"{title(task.desired)} no longer exists: run `pulumi refresh`, then `pulumi up`")
            for path in request.ignore_changes:
                keep_live(task.desired, live, parse_path(path))
            await self._inherit(task, live, former)
            applied = await self._apply(task)
        return UpdateResponse(await self._usable(task, applied))

    async def _inherit(self, task: Task, live: Object, former: str) -> None:
        if managed_fields := inherited_fields(live, task.manager, former):
            version = live["metadata"]["resourceVersion"]
            patch: list[Object] = [
                {"op": "test", "path": "/metadata/resourceVersion", "value": version},
                {"op": "replace", "path": "/metadata/managedFields", "value": managed_fields},
            ]
            await self._cluster.patch_json(task.kind, task.place, patch)

    async def delete(self, request: DeleteRequest) -> None:
        kind, inputs, place = _kind(request.urn), plain(old_inputs()), _place_of(request.resource_id)
        policy = annotation(inputs, "pulumi.com/deletionPropagationPolicy").capitalize()
        propagation = policy if policy in ("Background", "Orphan") else "Foreground"
        timeout = _timeout(request.timeout, inputs)
        async with self._errors(plain(request.properties)):
            await self._cluster.delete(kind, *place, propagation)
            await kubernetes_await.gone(self._cluster, kind, place, timeout, self._reporter(request.urn))

    async def read(self, request: ReadRequest) -> ReadResponse:
        kind, (namespace, name) = _kind(request.urn), _place_of(request.resource_id)
        async with self._errors({"kind": kind.name, "metadata": {"namespace": namespace, "name": name}}):
            live = await self._cluster.get(kind, namespace, name)
        if live is None:
            return ReadResponse(resource_id="")
        recorded, is_import = plain(request.properties), not request.inputs
        inputs = imported_inputs(live) if is_import else observed(plain(request.inputs), recorded, live)
        manager = recorded.get("__fieldManager") or field_manager(request.urn)
        marked = mark(kind, inputs, request.inputs)
        state = recorded_state(kind, live, marked, manager)
        if not is_import and (reasons := await kubernetes_await.ailments(self._cluster, kind, live)):
            # Recorded, so that the next `pulumi up` waits for the object even when nothing else changed.
            raise InitFailed(id_of(live), [self._secrets.mask(reason) for reason in reasons], state, marked)
        return ReadResponse(id_of(live), state, marked)

    # --- shared by create and update

    async def _preview(self, task: Task, dry_run: DryRun) -> Properties:
        """What the object would become; the inputs as they are where the API server cannot be asked."""
        result = task.desired
        try:
            if not has_unknown(task.desired):
                result = await dry_run(task)
        except Unreachable as error:
            if not self._warned:
                self._warned = True
                await asyncio.to_thread(self._engine.warning, "", f"preview without validation: {error}")
        except ApiError as error:
            # 404: the namespace or the definition of the custom resource comes with this very deployment. 409: this
            # object replaces one of the same name. 403: previews are for people who may only read, too.
            is_expected = error.code in (404, 409) and error.reason != "Conflict"
            if not is_expected and not error.is_missing_permission:
                self._refuse(task.desired, error)
        return mark(task.kind, result, task.inputs)

    async def _create_dry_run(self, task: Task) -> Object:
        return new_in_preview(task.desired, await self._cluster.create_dry_run(task.kind, task.desired, task.manager))

    async def _apply_dry_run(self, task: Task) -> Object:
        return changed_in_preview(await self._apply(task, dry_run=True))

    async def _apply(self, task: Task, *, dry_run: bool = False) -> Object:
        force = annotation(task.desired, "pulumi.com/patchForce") == "true" or self._is_on("enablePatchForce")
        try:
            return await self._cluster.apply(task.kind, task.desired, task.manager, force=force, dry_run=dry_run)
        except ApiError as error:
            if not may_be_overruled(error.causes):
                raise
        return await self._cluster.apply(task.kind, task.desired, task.manager, force=True, dry_run=dry_run)

    async def _usable(self, task: Task, applied: Object) -> Properties:
        """The state to record once the object can be used. InitFailed if not: it exists, so it has to be recorded."""
        try:
            report = self._reporter(task.urn)
            live = await kubernetes_await.usable(self._cluster, task.kind, applied, task.timeout, report)
        except (NotUsable, ApiError, Unreachable) as error:
            reasons = error.reasons if isinstance(error, NotUsable) else [f"waiting for {title(applied)}: {error}"]
            state = recorded_state(task.kind, await self._last_seen(task, applied), task.inputs, task.manager)
            masked = [self._secrets.mask(reason) for reason in reasons]
            raise InitFailed(id_of(applied), masked, state, task.inputs) from None
        return recorded_state(task.kind, live, task.inputs, task.manager)

    async def _last_seen(self, task: Task, applied: Object) -> Object:
        try:
            return await self._cluster.get(task.kind, *task.place) or applied
        except (ApiError, Unreachable):
            return applied

    @property
    def _upserts(self) -> bool:
        """The option decides; without it, the environment."""
        is_given = "upsertExistingObjects" in self._options
        return self._is_on("upsertExistingObjects") if is_given else os.environ.get(_UPSERT) == "true"

    def _is_on(self, option: str) -> bool:
        # The Python SDK sends booleans as JSON text.
        return self._options.get(option) in (True, "true")

    def _reporter(self, urn: str) -> kubernetes_await.Report:
        async def report(message: str) -> None:
            await asyncio.to_thread(self._engine.status, urn, self._secrets.mask(message))

        return report

    @asynccontextmanager
    async def _errors(self, obj: Object) -> AsyncGenerator[None]:
        """Turns what goes wrong with the API server into one line that names the object."""
        try:
            yield
        except (ApiError, Unreachable, NotUsable) as error:
            self._refuse(obj, error)

    def _refuse(self, obj: Object, error: Exception) -> NoReturn:
        message = str(error)
        if isinstance(error, ApiError) and error.reason == "Conflict" and error.causes:
            fields = ", ".join(f"{cause.get('field')} ({cause.get('message')})" for cause in error.causes)
            message = (
                f"others set fields that this stack sets too: {fields}. Drop them from the program, or take them over "
                'with the annotation pulumi.com/patchForce: "true"'
            )
        raise Refused(self._secrets.mask(f"{title(obj)}: {message}")) from None


# --- names -------------------------------------------------------------------------------------------------


def _unsupported(metadata: Object) -> list[CheckFailure]:
    """Wishes that would be passed over in silence otherwise."""
    failures: list[CheckFailure] = []
    if "generateName" in metadata:
        failures.append(
            CheckFailure("metadata.generateName", "not possible with server-side apply; leave out the name")
        )
    annotations: Any = metadata.get("annotations")
    for key in cast("Object", annotations) if isinstance(annotations, dict) else ():
        if key.startswith("pulumi.com/") and key not in _ANNOTATIONS:
            failures.append(
                CheckFailure("metadata.annotations", f"{key} is not known to the offline kubernetes plugin")
            )
    return failures


def _name_automatically(metadata: Object, before: Object, request: CheckRequest) -> None:
    """Names the object after the resource with a random end; the name stays until the resource is replaced."""
    if annotation(before, _AUTONAMED) == "true":
        metadata["name"] = name_of(before)
    else:
        metadata["name"] = f"{request.name}-{hashlib.sha256(request.random_seed).hexdigest()[:8]}"
    annotations: Any = metadata.setdefault("annotations", {})
    if annotations != UNKNOWN:
        annotations[_AUTONAMED] = "true"


def _keeps_its_name(old: Object, new: Object) -> bool:
    """True when the new object cannot exist beside the old one: same name and namespace, and not by our choice."""
    before, after = old["metadata"], new["metadata"]
    same = (before.get("namespace"), before.get("name")) == (after.get("namespace"), after.get("name"))
    return same and annotation(new, _AUTONAMED) != "true"


def _kind(urn: str) -> Kind:
    return kind_of(resource_type(urn))


def _place_of(resource_id: str) -> tuple[str, str]:
    namespace, _, name = resource_id.rpartition("/")
    return namespace, name


def _diff_kind(change: Change, *, replaces: bool) -> PropertyDiffKind:
    return PropertyDiffKind[change.name + ("_REPLACE" if replaces else "")]


def _timeout(custom_timeout: float, obj: Object) -> float:
    """Seconds to wait: the resource option customTimeouts, else the annotation, else ten minutes."""
    text = annotation(obj, "pulumi.com/timeoutSeconds")
    return custom_timeout or (float(text) if text.isdecimal() else _DEFAULT_TIMEOUT)


def main() -> None:
    serve(KubernetesPlugin, VERSION)
