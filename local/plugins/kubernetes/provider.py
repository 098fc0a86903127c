"""Answer the engine's requests: check, diff, create, update, delete and read."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NoReturn

from pulumi.provider.experimental.provider import (
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

from local.plugins.diff import differences, format_path, parse_path
from local.plugins.kubernetes import waits
from local.plugins.kubernetes.api import KubernetesApi
from local.plugins.kubernetes.drift import keep_live, observed
from local.plugins.kubernetes.inputs import (
    DELETION_POLICY,
    FIELD_MANAGER,
    FORCE,
    Options,
    check_metadata,
    check_options,
    generate_name,
    has_same_fixed_name,
    normalized,
    timeout_seconds,
)
from local.plugins.kubernetes.kinds import Kind, kind_of
from local.plugins.kubernetes.objects import ApiError, UnreachableError, annotation, id_of, namespace_of, title
from local.plugins.kubernetes.ownership import field_manager, inherited_fields, may_be_overruled, owns
from local.plugins.kubernetes.secrets import Secrets, mark
from local.plugins.kubernetes.state import changed_in_preview, imported_inputs, new_in_preview, recorded_state
from local.plugins.kubernetes.waits import NotReadyError
from local.plugins.provider import (
    EngineLog,
    InitError,
    Plugin,
    Properties,
    ProviderError,
    has_unknown,
    old_inputs,
    plain,
    resource_type,
)
from slipway.objects import UNKNOWN, Object, name_of

VERSION = "4.32.0"


# repr=False: the inputs contain secrets.
@dataclass(frozen=True, repr=False)
class ApplyOperation:
    """One object to create or update, with its field manager and the time it may take to become ready."""

    urn: str
    inputs: Properties
    kind: Kind
    desired: Object
    manager: str
    timeout: float

    @classmethod
    def of(cls, urn: str, inputs: Properties, former_manager: str, custom_timeout: float) -> "ApplyOperation":
        desired: Object = plain(inputs)
        manager = annotation(desired, FIELD_MANAGER) or former_manager
        return cls(urn, inputs, _kind(urn), desired, manager, timeout_seconds(custom_timeout, desired))

    @property
    def place(self) -> tuple[str, str]:
        return namespace_of(self.desired), name_of(self.desired)


DryRun = Callable[[ApplyOperation], Awaitable[Object]]


class KubernetesPlugin(Plugin):
    """One running plugin, configured for one cluster."""

    def __init__(self, engine: EngineLog) -> None:
        self._engine = engine
        self._api = KubernetesApi()
        self._options = Options()
        self._secrets = Secrets()
        self._warned_unreachable = False

    # --- provider

    async def check_config(self, request: CheckRequest) -> CheckResponse:
        return CheckResponse(inputs=request.new_inputs, failures=check_options(request.new_inputs))

    async def diff_config(self, request: DiffRequest) -> DiffResponse:
        """Replace all objects if the cluster identifier changes, but not for another kubeconfig or credentials."""
        before, after = (plain(values).get("clusterIdentifier") for values in (request.old_state, request.new_inputs))
        if before and after and before != after:
            return DiffResponse(replaces=["clusterIdentifier"])
        return DiffResponse()

    async def configure(self, request: ConfigureRequest) -> ConfigureResponse:
        self._options = Options(plain(request.args))
        self._api = KubernetesApi(self._options.get("kubeconfig") or "", self._options.get("context") or "")
        return await super().configure(request)

    async def cancel(self) -> None:
        self._api.cancel()

    async def invoke(self, request: InvokeRequest) -> InvokeResponse:
        raise ProviderError(
            f"the offline kubernetes plugin has no functions, so no {request.tok}: use the official plugin"
        )

    # --- inputs

    async def check(self, request: CheckRequest) -> CheckResponse:
        kind = _kind(request.urn)
        desired = normalized(kind, request.new_inputs)
        self._secrets.learn(desired, request.new_inputs)
        if desired["metadata"] == UNKNOWN:
            return CheckResponse(inputs=mark(kind, desired, request.new_inputs))
        metadata: Object = desired["metadata"]
        if failures := check_metadata(metadata):
            return CheckResponse(inputs=request.new_inputs, failures=failures)
        if "name" not in metadata:
            generate_name(metadata, request)
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
        mutable = self._options.is_on(f"enable{kind.name}Mutable")
        changes: dict[str, PropertyDiff] = {}
        replaces: list[str] = []
        for path, change in differences(old, new):
            if any(path[: len(prefix)] == prefix for prefix in ignored):
                continue
            name, replaced = format_path(path), kind.needs_replacement(path, old, new, data_is_mutable=mutable)
            replaces += [name] if replaced else []
            change_kind = PropertyDiffKind[f"{change.name}_REPLACE"] if replaced else change
            changes[name] = PropertyDiff(change_kind, input_diff=True)
        return DiffResponse(
            changes=bool(changes),
            replaces=replaces,
            detailed_diff=changes,
            delete_before_replace=bool(replaces) and has_same_fixed_name(old, new),
        )

    # --- operations on the cluster

    async def create(self, request: CreateRequest) -> CreateResponse:
        manager = field_manager(request.urn)
        operation = ApplyOperation.of(request.urn, request.properties, manager, request.timeout)
        if request.preview:
            return CreateResponse(properties=await self._preview(operation, self._create_dry_run))
        async with self._errors(operation.desired):
            await self._ensure_name_is_free(operation)
            applied = await self._apply(operation)
        return CreateResponse(id_of(applied), await self._wait_until_ready(operation, applied))

    async def _ensure_name_is_free(self, operation: ApplyOperation) -> None:
        """Make sure that no other object has this name. One left by our own interrupted create is fine."""
        existing = await self._api.get(operation.kind, *operation.place)
        if existing is None or owns(operation.manager, existing) or self._options.upsert:
            return
        if existing["metadata"].get("deletionTimestamp"):
            report = self._reporter(operation.urn)
            await waits.until_gone(self._api, operation.kind, operation.place, operation.timeout, report)
            return
        raise ProviderError(
            f"{title(existing)} already exists and is not part of this stack: take it over with "
            f"`pulumi import {resource_type(operation.urn)} {operation.urn.rpartition('::')[2]} {id_of(existing)}`, "
            "or choose another name"
        )

    async def update(self, request: UpdateRequest) -> UpdateResponse:
        former = plain(request.olds).get("__fieldManager") or field_manager(request.urn)
        operation = ApplyOperation.of(request.urn, request.news, former, request.timeout)
        if request.preview:
            return UpdateResponse(await self._preview(operation, self._apply_dry_run))
        async with self._errors(operation.desired):
            live = await self._api.get(operation.kind, *operation.place)
            if live is None:
                raise ProviderError(
                    f"{title(operation.desired)} no longer exists: run `pulumi refresh`, then `pulumi up`"
                )
            for path in request.ignore_changes:
                keep_live(operation.desired, live, parse_path(path))
            await self._inherit(operation, live, former)
            applied = await self._apply(operation)
        return UpdateResponse(await self._wait_until_ready(operation, applied))

    async def _inherit(self, operation: ApplyOperation, live: Object, former: str) -> None:
        if managed_fields := inherited_fields(live, operation.manager, former):
            version = live["metadata"]["resourceVersion"]
            patch: list[Object] = [
                {"op": "test", "path": "/metadata/resourceVersion", "value": version},
                {"op": "replace", "path": "/metadata/managedFields", "value": managed_fields},
            ]
            await self._api.patch_json(operation.kind, operation.place, patch)

    async def delete(self, request: DeleteRequest) -> None:
        kind, inputs, place = _kind(request.urn), plain(old_inputs()), _place_of(request.resource_id)
        policy = annotation(inputs, DELETION_POLICY).capitalize()
        propagation = policy if policy in ("Background", "Orphan") else "Foreground"
        timeout = timeout_seconds(request.timeout, inputs)
        async with self._errors(plain(request.properties)):
            await self._api.delete(kind, *place, propagation)
            await waits.until_gone(self._api, kind, place, timeout, self._reporter(request.urn))

    async def read(self, request: ReadRequest) -> ReadResponse:
        kind, (namespace, name) = _kind(request.urn), _place_of(request.resource_id)
        async with self._errors({"kind": kind.name, "metadata": {"namespace": namespace, "name": name}}):
            live = await self._api.get(kind, namespace, name)
        if live is None:
            return ReadResponse(resource_id="")
        recorded, is_import = plain(request.properties), not request.inputs
        inputs = imported_inputs(live) if is_import else observed(plain(request.inputs), recorded, live)
        manager = recorded.get("__fieldManager") or field_manager(request.urn)
        marked = mark(kind, inputs, request.inputs)
        state = recorded_state(kind, live, marked, manager)
        if not is_import and (reasons := await waits.not_ready_reasons(self._api, kind, live)):
            # The engine records the error, so that the next `pulumi up` waits for the object even without changes.
            raise InitError(id_of(live), [self._secrets.mask(reason) for reason in reasons], state, marked)
        return ReadResponse(id_of(live), state, marked)

    # --- shared by create and update

    async def _preview(self, operation: ApplyOperation, dry_run: DryRun) -> Properties:
        """Return what the object would become; the unchanged inputs where a dry run is not possible."""
        result = operation.desired
        try:
            if not has_unknown(operation.desired):
                result = await dry_run(operation)
        except UnreachableError as error:
            if not self._warned_unreachable:
                self._warned_unreachable = True
                await asyncio.to_thread(self._engine.warning, "", f"preview without validation: {error}")
        except ApiError as error:
            if not error.is_expected_in_preview:
                self._refuse(operation.desired, error)
        return mark(operation.kind, result, operation.inputs)

    async def _create_dry_run(self, operation: ApplyOperation) -> Object:
        return new_in_preview(
            operation.desired, await self._api.create_dry_run(operation.kind, operation.desired, operation.manager)
        )

    async def _apply_dry_run(self, operation: ApplyOperation) -> Object:
        return changed_in_preview(await self._apply(operation, dry_run=True))

    async def _apply(self, operation: ApplyOperation, *, dry_run: bool = False) -> Object:
        force = annotation(operation.desired, FORCE) == "true" or self._options.is_on("enablePatchForce")
        try:
            return await self._api.apply(
                operation.kind, operation.desired, operation.manager, force=force, dry_run=dry_run
            )
        except ApiError as error:
            if not may_be_overruled(error.causes):
                raise
        return await self._api.apply(operation.kind, operation.desired, operation.manager, force=True, dry_run=dry_run)

    async def _wait_until_ready(self, operation: ApplyOperation, applied: Object) -> Properties:
        """Return the state to record once the object is ready. Raise InitError with the state otherwise."""
        try:
            report = self._reporter(operation.urn)
            live = await waits.until_ready(self._api, operation.kind, applied, operation.timeout, report)
        except (NotReadyError, ApiError, UnreachableError) as error:
            reasons = error.reasons if isinstance(error, NotReadyError) else [f"waiting for {title(applied)}: {error}"]
            state = recorded_state(
                operation.kind, await self._last_seen(operation, applied), operation.inputs, operation.manager
            )
            masked = [self._secrets.mask(reason) for reason in reasons]
            raise InitError(id_of(applied), masked, state, operation.inputs) from None
        return recorded_state(operation.kind, live, operation.inputs, operation.manager)

    async def _last_seen(self, operation: ApplyOperation, applied: Object) -> Object:
        try:
            return await self._api.get(operation.kind, *operation.place) or applied
        except (ApiError, UnreachableError):
            return applied

    def _reporter(self, urn: str) -> waits.Report:
        async def report(message: str) -> None:
            await asyncio.to_thread(self._engine.status, urn, self._secrets.mask(message))

        return report

    @asynccontextmanager
    async def _errors(self, obj: Object) -> AsyncGenerator[None]:
        """Convert API errors into a ProviderError that names the object."""
        try:
            yield
        except (ApiError, UnreachableError, NotReadyError) as error:
            self._refuse(obj, error)

    def _refuse(self, obj: Object, error: Exception) -> NoReturn:
        message = str(error)
        if isinstance(error, ApiError) and error.reason == "Conflict" and error.causes:
            fields = ", ".join(f"{cause.get('field')} ({cause.get('message')})" for cause in error.causes)
            message = (
                f"other managers own fields that this stack sets: {fields}. Remove them from the program, or take them "
                f'over with the annotation {FORCE}: "true"'
            )
        raise ProviderError(self._secrets.mask(f"{title(obj)}: {message}")) from None


def _kind(urn: str) -> Kind:
    return kind_of(resource_type(urn))


def _place_of(resource_id: str) -> tuple[str, str]:
    namespace, _, name = resource_id.rpartition("/")
    return namespace, name
