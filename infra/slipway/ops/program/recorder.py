"""Record what the program of a stack declares, without engine, plugins, cluster or secrets.

`declare("prod")` returns every object as the camelCase mapping that Kubernetes knows, exactly as the program hands it
to the engine. Secret values are `***`: the program gets no real ones.

All use that ops makes of the SDK's internals is here; tests/program/test_engine_contract.py lists them.
"""

from __future__ import annotations

import asyncio
import logging
import os
import runpy
import tempfile
from collections.abc import Callable, Collection, Generator, Iterable
from contextlib import contextmanager
from contextvars import Context
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from unittest import mock

import pulumi
from pulumi.runtime import mocks
from pulumi.runtime.config import set_all_config
from pulumi.runtime.proto.resource_pb2 import ReadResourceResponse, RegisterResourceResponse
from pulumi.runtime.proto.source_pb2 import StackTrace
from pulumi.runtime.rpc import deserialize_properties
from pulumi.runtime.settings import SETTINGS, set_root_resource
from pulumi.runtime.stack import run_in_stack
from pulumi.runtime.sync_await import (
    _ensure_event_loop,  # pyright: ignore[reportPrivateUsage]
    _sync_await,  # pyright: ignore[reportPrivateUsage]
)

from slipway import engine
from slipway.engine import plain
from slipway.image.build_context import folder_of
from slipway.objects import SECRET
from slipway.ops.errors import UserError
from slipway.project import CONFIG, INFRA, PROJECT, ROOT, is_project
from slipway.settings.engine_values import engine_text
from slipway.settings.engine_yaml import Node
from slipway.settings.layers import effective
from slipway.settings.names import MONITORING, SERVERS, SHORT_FORM
from slipway.settings.secret_checks import min_secret_length, required_secrets
from slipway.settings.settings import RELEASE
from slipway.settings.source_files import read_defaults, read_files
from slipway.settings.stack_file import candidate_in, stack_tier
from slipway.settings.tiers import STRICTEST, TIERS

if TYPE_CHECKING:
    from slipway.rules.house_rules import Finding

# The value of a secret for the program, which refuses SECRET as a placeholder.
STAND_IN = "stands for a secret of the stack"
# Stands for a digest from a registry.
NO_DIGEST = "sha256:" + "0" * 64

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

_SILENT = logging.Logger("recorder", level=logging.CRITICAL)


class UnknownStackError(UserError):
    """A stack without a stack file."""


@dataclass(frozen=True)
class Declared:
    """One resource the program registered."""

    urn: str
    type: str
    name: str
    """Logical name: Pulumi's identity of the object."""
    inputs: dict[str, Any]
    """With secrets as `***`."""
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    """Resource options: protect, provider, retain_on_delete, depends_on (URNs), update_timeout (`90s`)."""

    @property
    def kind(self) -> str:
        """`Deployment` of `kubernetes:apps/v1:Deployment`."""
        return self.type.rpartition(":")[2]

    @property
    def is_manifest(self) -> bool:
        """Whether this is a Kubernetes object, rather than a component, a provider or an image."""
        return self.type.startswith("kubernetes:")


@dataclass(frozen=True)
class Program:
    """Everything that a run of the program declared, in order."""

    stack: str
    resources: list[Declared]
    outputs: dict[str, Any]
    findings: list[Finding] | None = None
    """The house rules it breaks, from the run's own check; None if the program does not check them."""

    def manifests(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Return the Kubernetes objects by (kind, logical name)."""
        return {(r.kind, r.name): r.inputs for r in self.resources if r.is_manifest}


class NoProjectError(UserError):
    """The working folder is in no project."""


def stacks(without: Collection[str] = ()) -> list[str]:
    """Return every stack that has a file, in the order of promotion, except those of the given tiers.

    Raises NoProjectError outside of a project.
    """
    if unknown := set(without) - TIERS.keys():
        raise UserError(f"there is no tier {', '.join(sorted(unknown))}. Tiers: {', '.join(TIERS)}")
    files = list((ROOT / "stacks").glob("Pulumi.*.yaml"))
    if not files and not is_project(ROOT):
        raise NoProjectError(
            f"there is no Pulumi.yaml in {ROOT} or a folder above it. Fix: cd to your project, or make one with "
            "`slipway init`"
        )
    order = list(TIERS)
    # A stack's name may have dots, as in prod.eu.
    tiers = {name: _tier(name) for file in files for name in [file.name.removeprefix("Pulumi.").removesuffix(".yaml")]}
    listed = [stack for stack, tier in tiers.items() if tier not in without]
    return sorted(listed, key=lambda stack: (order.index(tiers[stack]), stack not in TIERS, stack))


def _tier(stack: str) -> str:
    """Return the tier of a stack; a file that cannot be read is an error of the command that needs it."""
    try:
        return stack_tier(stack).name
    except pulumi.RunError:
        return STRICTEST


def declare(stack: str, config: dict[str, Any] | None = None) -> Program:
    """Run the program of a stack; `config` replaces its stack file. Raises what the program raises."""
    from slipway.rules.enforcement import reported  # noqa: PLC0415 - `./slipway stacks` does not need the rules

    values = config if config is not None else stack_config(stack)
    checks: list[list[Finding]] = []
    monitor = _Recorder(stack, _image_names(values))
    with _as_engine(values) as (texts, secret_keys), _inside_infra(), reported(checks.append):
        set_all_config(texts, secret_keys)
        loop = _ensure_event_loop()  # asyncio.run() of a caller has removed the one of this thread
        mocks.set_mocks(
            _NoProviders(), PROJECT, stack, preview=True, logger=_SILENT, monitor=monitor, organization="organization"
        )
        # set_mocks creates a stack resource; the program has to register its own, with its outputs.
        set_root_resource(None)  # pyright: ignore[reportArgumentType]
        try:
            with _without_threads(loop):
                _sync_await(run_in_stack(_program))
        finally:
            # Outputs of a failed run; the next run would wait for them.
            settings: Any = SETTINGS
            settings.outputs.clear()
    return Program(stack, monitor.declared, monitor.outputs, checks[-1] if checks else None)


@contextmanager
def _without_threads(loop: asyncio.AbstractEventLoop) -> Generator[None]:
    """Answer each registration at once, instead of in a thread as the SDK does because a real engine takes its time.

    That is faster, and records resources in the same order each time.
    """

    async def call(_executor: None, function: Callable[..., Any], *args: Any) -> Any:
        return Context().run(function, *args)  # a thread has no context of its caller either

    with mock.patch.object(loop, "run_in_executor", call):
        yield


def _program() -> None:
    runpy.run_path(str(INFRA / "__main__.py"), run_name="__main__")


def stack_config(stack: str) -> dict[str, Any]:
    """Return the `config:` mapping of a stack file. Raises UnknownStackError if there is none."""
    if stack not in stacks():
        raise UnknownStackError(f"there is no stacks/Pulumi.{stack}.yaml. Stacks here: {', '.join(stacks())}")
    return read_files(stack)[0].config.plain()


class _NoProviders(mocks.Mocks):
    """Mocks that are never called for a resource: _Recorder answers its registration."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        raise NotImplementedError

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        raise NotImplementedError(f"the program calls {args.token}, for which the recorder has no answer")


class _Recorder(mocks.MockMonitor):
    """A monitor that records each registration with its options, and answers it with its own inputs.

    MockMonitor would translate each resource into Python and back for that, which takes a third of a run.
    """

    def __init__(self, stack: str, images: Iterable[str]) -> None:
        super().__init__(_NoProviders())
        self._stack = stack
        self._promoted = {name: f"registry.example.com/slipway/{name}:promoted@{NO_DIGEST}" for name in images}
        self.declared: list[Declared] = []
        self.outputs: dict[str, Any] = {}

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        """Return the URN as the engine forms it: with the types of all ancestors below the stack, joined by `$`."""
        ancestors = parent.split("::")[2] if parent else ""
        chain = type_ if ancestors in ("", "pulumi:pulumi:Stack") else f"{ancestors}${type_}"
        return f"urn:pulumi:{self._stack}::{PROJECT}::{chain}::{name}"

    def RegisterResource(self, request: Any) -> Any:
        urn = self.make_urn(request.parent, request.type, request.name)
        if request.type == "pulumi:pulumi:Stack":
            return RegisterResourceResponse(urn=urn)
        self._record(urn, request, request.object, _options(request))
        answer = RegisterResourceResponse(urn=urn, id=f"{request.name}-id", object=request.object)
        if request.type == "docker:index/image:Image":
            answer.object["repoDigest"] = f"{request.object['imageName'].rpartition(':')[0]}@{NO_DIGEST}"
        return answer

    def ReadResource(self, request: Any) -> Any:
        urn = self.make_urn(request.parent, request.type, request.name)
        self._record(urn, request, request.properties, {})
        answer = ReadResourceResponse(urn=urn, properties=request.properties)
        if request.type == "pulumi:pulumi:StackReference":
            answer.properties["outputs"] = {"images": self._promoted}
        return answer

    def _record(self, urn: str, request: Any, properties: Any, options: dict[str, Any]) -> None:
        inputs = plain(deserialize_properties(properties))
        self.declared.append(Declared(urn, request.type, request.name, inputs, options))

    def RegisterResourceOutputs(self, request: Any) -> Any:
        if request.urn.split("::")[2] == "pulumi:pulumi:Stack":
            self.outputs = plain(deserialize_properties(request.outputs))
        return super().RegisterResourceOutputs(request)


def _options(request: Any) -> dict[str, Any]:
    """Return the options of a registration that something compares."""
    return {
        "protect": request.protect,
        "provider": request.provider,
        "retain_on_delete": request.retainOnDelete,
        "depends_on": list(request.dependencies),
        "update_timeout": request.customTimeouts.update,
    }


@contextmanager
def _as_engine(values: dict[str, Any]) -> Generator[tuple[dict[str, str], list[str]]]:
    """Yield the stack's values as the engine hands them over, and the keys that are secret."""
    secrets = _secret_values(values)
    nested = [key for key, value in values.items() if _holds_secret(value)]
    texts = {key: engine_text(_decrypted(value)) for key, value in values.items()}
    with tempfile.TemporaryDirectory(prefix="slipway-") as folder:
        if isinstance(values.get(f"{CONFIG}:imageFiles"), str):
            for name in (*SERVERS, *MONITORING):
                (Path(folder) / name).write_text(f"localhost:5000/slipway/{name}@{NO_DIGEST}")
            texts[f"{CONFIG}:imageFiles"] = folder
        if isinstance(values.get(f"{CONFIG}:secretFiles"), str):
            for name, value in {**secrets, "tls.crt": SECRET, "tls.key": SECRET}.items():
                (Path(folder) / name).write_text(value)
            yield {**texts, f"{CONFIG}:secretFiles": folder}, []
        else:
            stand_ins = {f"{CONFIG}:{name}": value for name, value in secrets.items()}
            missing = {key: value for key, value in stand_ins.items() if key not in values}
            yield {**texts, **missing}, [*missing, *nested]


def _image_names(values: dict[str, Any]) -> set[str]:
    """Return the names of images that the stack may take over from another one."""
    tree = _effective({key.removeprefix(f"{CONFIG}:"): value for key, value in values.items()})
    return {SHORT_FORM, *tree.items().get("images", Node({})).items()}


def _effective(own: dict[str, Any]) -> Node:
    return effective(Node.of(own), Node({}) if RELEASE in own else read_defaults().settings)


def _secret_values(values: dict[str, Json]) -> dict[str, str]:
    """Return a stand-in for each secret that the stack needs."""
    own = {key.removeprefix(f"{CONFIG}:"): value for key, value in values.items()}
    candidate = candidate_in(own) or Node({})
    tree = _effective(own)
    needed = required_secrets(tree) | required_secrets(candidate)
    return {
        name: STAND_IN.ljust(max(min_secret_length(tree, name), min_secret_length(candidate, name)), ".")
        for name in needed
    }


def _decrypted(value: Json) -> Json:
    """Replace each `{secure: ciphertext}`, which the program gets as text, by a stand-in."""
    if isinstance(value, dict):
        is_secret = list(value) == ["secure"] and isinstance(value["secure"], str)
        return STAND_IN if is_secret else {key: _decrypted(item) for key, item in value.items()}
    return [_decrypted(item) for item in value] if isinstance(value, list) else value


def _holds_secret(value: Json) -> bool:
    return _decrypted(value) != value


@contextmanager
def _inside_infra() -> Generator[None]:
    """Run in the folder in which the engine runs the program, without a kubeconfig and without builds."""
    before = Path.cwd()
    os.chdir(INFRA)
    try:
        with (
            engine.absent(),
            mock.patch("slipway.image.app_image.prepared", lambda _image, tag: folder_of(tag)),
            mock.patch("slipway.image.app_image.assembled", return_value=mock.Mock(digest=NO_DIGEST)),
            mock.patch.dict(os.environ, KUBECONFIG=os.devnull),
            # The source position of each resource: slow to find, and not used here.
            mock.patch("pulumi.runtime.resource._get_stack_trace", StackTrace),
        ):
            yield
    finally:
        os.chdir(before)
