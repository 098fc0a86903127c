"""What all offline plugins share: values, errors, messages to the user, and the server.

An offline plugin is a `pulumi.provider.experimental.Provider` that `serve` offers to the engine. This module adds what
the Pulumi Python SDK 3.259 leaves to its users:

- Values. Providers receive `PropertyValue`s; clients of Docker and Kubernetes take dicts. `plain` and `wrap` convert.
  An unknown value (an output that a preview cannot know yet) is the string `UNKNOWN` in both directions.
- Errors. The SDK turns an exception into "Unexpected <class …>: …". `ProviderError` reaches the user as its own text;
  `InitError` reports a resource that exists but is not ready, so that the engine records it and updates it next time.
- Lifetime. A plugin must not outlive its engine. `serve` ends it on SIGINT, on SIGTERM and when the engine's pipe
  closes.

The engine starts a plugin in the folder of the Pulumi program (`main` in Pulumi.yaml), so relative paths in inputs mean
the same as in the program.
"""

import argparse
import asyncio
import os
import signal
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, cast

import grpc
import grpc.aio
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.provider import ConfigureRequest, ConfigureResponse, Provider
from pulumi.provider.experimental.server import ProviderServicer
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, provider_pb2, provider_pb2_grpc, status_pb2

from slipway.objects import UNKNOWN

__all__ = [
    "EngineLog",
    "InitError",
    "Plugin",
    "Properties",
    "ProviderError",
    "has_unknown",
    "old_inputs",
    "plain",
    "resource_type",
    "serve",
    "without_nulls",
    "wrap",
]

Properties = dict[str, PropertyValue]


# --- values ---------------------------------------------------------------------------------------------------------


def plain(value: PropertyValue | Mapping[str, PropertyValue]) -> Any:
    """Return the JSON-like value: whole floats as int, secrets in the clear, unknowns as `UNKNOWN`. Never log it."""
    inner = value.value if isinstance(value, PropertyValue) else value
    match inner:
        case str() | bool() | None:
            return inner
        case float():
            return int(inner) if inner.is_integer() else inner
        case Mapping():
            return {key: plain(item) for key, item in inner.items()}
        case Sequence():
            return [plain(item) for item in inner]
        case _:
            raise ProviderError(f"a value of type {type(inner).__name__} is not supported by the offline plugins")


def wrap(value: Any, like: PropertyValue | None = None) -> PropertyValue:
    """Return the `PropertyValue` of a JSON-like value, secret wherever `like` is secret at the same path."""
    template = like.value if like is not None else None
    match value:
        case Mapping():
            items = cast("Mapping[str, Any]", value)
            fields = template if isinstance(template, Mapping) else dict[str, PropertyValue]()
            inner: Any = {key: wrap(item, fields.get(key)) for key, item in items.items()}
        case list() | tuple():
            elements = cast("Sequence[Any]", value)
            known = template if isinstance(template, Sequence) and not isinstance(template, str) else ()
            inner = [wrap(item, known[i] if i < len(known) else None) for i, item in enumerate(elements)]
        case bool() | None:
            inner = value
        case int():
            inner = float(value)
        case _:
            inner = value
    return PropertyValue(inner, is_secret=like is not None and like.is_secret)


def has_unknown(value: Any) -> bool:
    """Return whether a `plain` value is unknown or contains an unknown."""
    match value:
        case Mapping():
            return any(has_unknown(item) for item in cast("Mapping[str, Any]", value).values())
        case list() | tuple():
            return any(has_unknown(item) for item in cast("Sequence[Any]", value))
        case _:
            return value == UNKNOWN


def without_nulls(value: Any) -> Any:
    """Drop the nulls in a `plain` value: Pulumi programs write null for an absent field."""
    match value:
        case list():
            return [without_nulls(item) for item in cast("list[Any]", value)]
        case dict():
            return {key: without_nulls(item) for key, item in cast("dict[str, Any]", value).items() if item is not None}
        case _:
            return value


def resource_type(urn: str) -> str:
    """Return the type of the resource itself, without the types of its parents ("a:b:C$d:e:F")."""
    return urn.split("::")[2].rsplit("$", maxsplit=1)[-1]


# --- errors ---------------------------------------------------------------------------------------------------------


class ProviderError(Exception):
    """An operation failed. The text is the message for the user: the cause, then the fix."""


class InitError(Exception):
    """The resource was created or updated but is not ready. The engine records it together with the reasons.

    `properties` is the state to record, `inputs` the inputs it was created from.
    """

    def __init__(self, resource_id: str, reasons: list[str], properties: Properties, inputs: Properties) -> None:
        super().__init__("; ".join(reasons))
        self.resource_id = resource_id
        self.reasons = reasons
        self.properties = properties
        self.inputs = inputs


class _ErrorInterceptor(grpc.aio.ServerInterceptor):
    """Answers each call with the provider's result, or with an error that a user can read."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(handler_call_details)
        if handler is None or handler.unary_unary is None:
            return handler

        async def call(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            try:
                return await handler.unary_unary(request, context)
            except grpc.aio.AbortError:
                raise
            except Exception as error:
                await context.abort(*_abort_arguments(error))

        return grpc.unary_unary_rpc_method_handler(call, handler.request_deserializer, handler.response_serializer)


def _abort_arguments(error: Exception) -> tuple[grpc.StatusCode, str, tuple[tuple[str, bytes], ...]]:
    match error:
        case InitError():
            return grpc.StatusCode.UNKNOWN, str(error), _init_failed_metadata(error)
        case NotImplementedError():
            return grpc.StatusCode.UNIMPLEMENTED, str(error), ()
        case ProviderError():
            # Not UNKNOWN, which the engine takes for an operation that may have been carried out.
            return grpc.StatusCode.FAILED_PRECONDITION, str(error), ()
        case _:
            # A bug in the plugin. The engine shows our stderr with `--logtostderr -v=9`.
            traceback.print_exception(error)
            return grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}", ()


def _init_failed_metadata(error: InitError) -> tuple[tuple[str, bytes], ...]:
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=str(error))
    detail = provider_pb2.ErrorResourceInitFailed(
        id=error.resource_id,
        reasons=error.reasons,
        properties=PropertyValue.marshal_map(error.properties),
        inputs=PropertyValue.marshal_map(error.inputs),
    )
    status.details.add().Pack(detail)
    return (("grpc-status-details-bin", status.SerializeToString()),)


# --- messages to the user -------------------------------------------------------------------------------------------


class EngineLog:
    """Sends messages that `pulumi` shows beside a resource. May be called from any thread."""

    def __init__(self, address: str) -> None:
        # The generated stubs are typed in part only.
        self._stub: Any = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address))

    def status(self, urn: str, message: str) -> None:
        """Replace the resource's status text while the operation runs; nothing stays on the screen."""
        self._log("INFO", urn, message, ephemeral=True)

    def warning(self, urn: str, message: str) -> None:
        self._log("WARNING", urn, message)

    def _log(self, severity: str, urn: str, message: str, ephemeral: bool = False) -> None:
        request = engine_pb2.LogRequest(
            severity=engine_pb2.LogSeverity.Value(severity), urn=urn, message=message, ephemeral=ephemeral
        )
        try:
            self._stub.Log(request, timeout=5)
        except grpc.RpcError:
            # An operation must not fail because of a lost message.
            print(message, file=sys.stderr)


# --- the server -----------------------------------------------------------------------------------------------------


class Plugin(Provider):
    """A provider that supports previews and secrets. Subclasses implement check, diff, create and so on."""

    async def configure(self, request: ConfigureRequest) -> ConfigureResponse:  # noqa: ARG002
        # accept_outputs stays off: the SDK cannot read an output value without dependencies.
        return ConfigureResponse(accept_secrets=True, supports_preview=True)


_old_inputs: ContextVar[Properties] = ContextVar("old_inputs")


def old_inputs() -> Properties:
    """Return the inputs of the last deployment, which the SDK's requests lack. Works in diff, update and delete."""
    return _old_inputs.get()


class _OldInputsInterceptor(grpc.aio.ServerInterceptor):
    """Stores the old inputs of each call, for `old_inputs` to return."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(handler_call_details)
        if not handler_call_details.method.endswith(("/Diff", "/Update", "/Delete")):
            return handler

        async def call(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            _old_inputs.set(PropertyValue.unmarshal_map(request.old_inputs))
            return await handler.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(call, handler.request_deserializer, handler.response_serializer)


def serve(make_plugin: Callable[[EngineLog], Provider], version: str) -> None:
    """Run the plugin until the engine stops it."""
    parser = argparse.ArgumentParser(description="Pulumi provider plugin; started by the Pulumi engine")
    parser.add_argument("engine", help="address of the Pulumi engine")
    # The engine adds logging flags, which the plugin ignores.
    engine_address = cast("str", parser.parse_known_args()[0].engine)
    asyncio.run(_serve(make_plugin, version, engine_address))


async def _serve(make_plugin: Callable[[EngineLog], Provider], version: str, engine_address: str) -> None:
    _end_with_the_engine()
    server = grpc.aio.server(
        interceptors=(_ErrorInterceptor(), _OldInputsInterceptor()),
        options=[("grpc.max_receive_message_length", 400 << 20)],
    )
    servicer = ProviderServicer(sys.argv[1:], version, make_plugin(EngineLog(engine_address)), engine_address)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


def _end_with_the_engine() -> None:
    """End the process on a signal, or when the engine has ended, which closes our standard input.

    os._exit is used because an orderly exit would wait for threads that wait for a cluster or a build.
    """
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, os._exit, 0)

    def wait_for_end_of_input() -> None:
        while os.read(0, 4096):
            pass
        os._exit(0)

    threading.Thread(target=wait_for_end_of_input, daemon=True).start()
