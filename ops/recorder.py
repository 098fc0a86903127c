"""Runs the program of a stack without engine, plugins, cluster or secrets, and keeps what it declares.

`declare("prod")` gives every object as the plain camelCase mapping Kubernetes knows, exactly as the program hands it
to the engine. Secret values are `***`: the program gets nothing else to see.
"""

from __future__ import annotations

import logging
import os
import runpy
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias
from unittest import mock

from build_context import folder_of
from enforcement import plain
from engine_yaml import Node
from pulumi.runtime import mocks
from pulumi.runtime.config import set_all_config
from pulumi.runtime.proto.resource_pb2 import ReadResourceResponse, RegisterResourceResponse
from pulumi.runtime.proto.source_pb2 import StackTrace
from pulumi.runtime.rpc import deserialize_properties
from pulumi.runtime.settings import SETTINGS, set_root_resource
from pulumi.runtime.stack import run_in_stack
from pulumi.runtime.sync_await import _ensure_event_loop, _sync_await  # pyright: ignore[reportPrivateUsage]
from rules import SECRET
from settings import BACKING
from stack_file import (
    RELEASE,
    candidate_in,
    effective,
    handed_over,
    least_length,
    needed_secrets,
    read_defaults,
    read_files,
)

ROOT = Path(__file__).resolve().parent.parent
INFRA = ROOT / "infra"
PROJECT = "slipway"

# What the program gets for a secret; SECRET would be refused as a placeholder.
STAND_IN = "stands for a secret of the stack"
# Stands for the digest a registry would have answered.
NO_DIGEST = "sha256:" + "0" * 64

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

_SILENT = logging.Logger("recorder", level=logging.CRITICAL)


class UnknownStack(Exception):
    """There is no stack file of that name."""


@dataclass(frozen=True)
class Declared:
    """One resource the program registered."""

    urn: str
    type: str
    name: str
    """Logical name: Pulumi's identity of the object."""
    inputs: dict[str, Any]
    """What the program asked for; secrets as `***`."""
    secret_keys: frozenset[str]
    """Dotted paths of the inputs that are marked secret."""
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
    """Everything one run of the program declared, in the order it did."""

    stack: str
    resources: list[Declared]
    outputs: dict[str, Any]

    def manifests(self) -> dict[tuple[str, str], dict[str, Any]]:
        """The Kubernetes objects by (kind, logical name)."""
        return {(r.kind, r.name): r.inputs for r in self.resources if r.is_manifest}


def stacks() -> list[str]:
    """Every stack that has a file, in the order of promotion."""
    order = ["local", "dev", "staging", "prod"]
    files = (ROOT / "stacks").glob("Pulumi.*.yaml")
    # A stack's name may hold dots, as in prod.eu.
    found = [file.name.removeprefix("Pulumi.").removesuffix(".yaml") for file in files]
    return sorted(found, key=lambda stack: (order.index(stack) if stack in order else len(order), stack))


def declare(stack: str, config: dict[str, Any] | None = None) -> Program:
    """What the program declares for a stack; `config` replaces its stack file. Raises what the program raises."""
    values = config if config is not None else stack_config(stack)
    monitor = _Recorder(stack)
    with _as_engine(values) as (texts, secret_keys), _inside_infra():
        set_all_config(texts, secret_keys)
        _ensure_event_loop()  # whoever ran asyncio before has taken this thread's away
        mocks.set_mocks(
            _NoProviders(), PROJECT, stack, preview=True, logger=_SILENT, monitor=monitor, organization="organization"
        )
        # set_mocks leaves a stack resource behind; the program is to register its own, with its outputs.
        set_root_resource(None)  # pyright: ignore[reportArgumentType]
        try:
            _sync_await(run_in_stack(_program))
        finally:
            # What a run that failed was still waiting for; the next one would wait for it too.
            settings: Any = SETTINGS
            settings.outputs.clear()
    return Program(stack, monitor.declared, monitor.outputs)


def _program() -> None:
    runpy.run_path(str(INFRA / "__main__.py"), run_name="__main__")


def stack_config(stack: str) -> dict[str, Any]:
    """The `config:` mapping of a stack file; `UnknownStack` if there is none."""
    if stack not in stacks():
        raise UnknownStack(f"there is no stacks/Pulumi.{stack}.yaml. Stacks here: {', '.join(stacks())}")
    return read_files(stack)[0].config.plain()


class _NoProviders(mocks.Mocks):
    """Nobody makes a resource or answers a call: the recorder itself tells what became of a resource."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        raise NotImplementedError

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        raise NotImplementedError(f"the program calls {args.token}, which the recorder does not know")


class _Recorder(mocks.MockMonitor):
    """A monitor that keeps each registration with its options, and says that everything was made just as asked.

    Pulumi's own would translate each resource into Python and back for that, which is a third of a run.
    """

    def __init__(self, stack: str) -> None:
        super().__init__(_NoProviders())
        self._stack = stack
        self.declared: list[Declared] = []
        self.outputs: dict[str, Any] = {}

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        """As the engine makes it: the types of all ancestors below the stack, joined by `$`."""
        ancestors = parent.split("::")[2] if parent else ""
        chain = type_ if ancestors in ("", "pulumi:pulumi:Stack") else f"{ancestors}${type_}"
        return f"urn:pulumi:{self._stack}::{PROJECT}::{chain}::{name}"

    def RegisterResource(self, request: Any) -> Any:
        urn = self.make_urn(request.parent, request.type, request.name)
        if request.type == "pulumi:pulumi:Stack":
            return RegisterResourceResponse(urn=urn)
        options = {
            "protect": request.protect,
            "provider": request.provider,
            "retain_on_delete": request.retainOnDelete,
            "depends_on": list(request.dependencies),
            "update_timeout": request.customTimeouts.update,
        }
        self._keep(urn, request, request.object, options)
        answer = RegisterResourceResponse(urn=urn, id=f"{request.name}-id", object=request.object)
        if request.type == "docker:index/image:Image":
            answer.object["repoDigest"] = f"{request.object['imageName'].rpartition(':')[0]}@{NO_DIGEST}"
        return answer

    def ReadResource(self, request: Any) -> Any:
        urn = self.make_urn(request.parent, request.type, request.name)
        self._keep(urn, request, request.properties, {})
        answer = ReadResourceResponse(urn=urn, properties=request.properties)
        if request.type == "pulumi:pulumi:StackReference":
            answer.properties["outputs"] = {"image": f"registry.example.com/slipway/api:promoted@{NO_DIGEST}"}
        return answer

    def _keep(self, urn: str, request: Any, properties: Any, options: dict[str, Any]) -> None:
        secrets: set[str] = set()
        inputs = plain(deserialize_properties(properties), "", secrets)
        self.declared.append(Declared(urn, request.type, request.name, inputs, frozenset(secrets), options))

    def RegisterResourceOutputs(self, request: Any) -> Any:
        if request.urn.split("::")[2] == "pulumi:pulumi:Stack":
            self.outputs = plain(deserialize_properties(request.outputs))
        return super().RegisterResourceOutputs(request)


@contextmanager
def _as_engine(values: dict[str, Any]) -> Generator[tuple[dict[str, str], list[str]]]:
    """Stack values as the engine hands them over, and the keys that are secret."""
    secrets = _secret_values(values)
    nested = [key for key, value in values.items() if _holds_secret(value)]
    texts = {key: handed_over(_decrypted(value)) for key, value in values.items()}
    with tempfile.TemporaryDirectory(prefix="slipway-") as folder:
        if isinstance(values.get(f"{PROJECT}:imageFiles"), str):
            for name in BACKING:
                (Path(folder) / name).write_text(f"localhost:5000/slipway/{name}@{NO_DIGEST}")
            texts[f"{PROJECT}:imageFiles"] = folder
        if isinstance(values.get(f"{PROJECT}:secretFiles"), str):
            for name, value in {**secrets, "tls.crt": SECRET, "tls.key": SECRET}.items():
                (Path(folder) / name).write_text(value)
            yield {**texts, f"{PROJECT}:secretFiles": folder}, []
        else:
            given = {f"{PROJECT}:{name}": value for name, value in secrets.items() if f"{PROJECT}:{name}" not in values}
            yield {**texts, **given}, [*given, *nested]


def _secret_values(values: dict[str, Json]) -> dict[str, str]:
    """A stand-in for each secret the stack has to bring."""
    own = {key.removeprefix(f"{PROJECT}:"): value for key, value in values.items()}
    shared = Node({}) if RELEASE in own else read_defaults().settings
    candidate = candidate_in(own) or Node({})
    tree = effective(Node.of(own), shared)
    needed = needed_secrets(tree) | needed_secrets(candidate)
    return {name: STAND_IN.ljust(max(least_length(tree, name), least_length(candidate, name)), ".") for name in needed}


def _decrypted(value: Json) -> Json:
    """`{secure: ciphertext}` is a text by the time the program sees it."""
    if isinstance(value, dict):
        secret = list(value) == ["secure"] and isinstance(value["secure"], str)
        return STAND_IN if secret else {key: _decrypted(item) for key, item in value.items()}
    return [_decrypted(item) for item in value] if isinstance(value, list) else value


def _holds_secret(value: Json) -> bool:
    return _decrypted(value) != value


@contextmanager
def _inside_infra() -> Generator[None]:
    """The working folder the engine gives the program; no kubeconfig, and no build."""
    before = Path.cwd()
    os.chdir(INFRA)
    try:
        with (
            mock.patch("image.prepared", lambda _image, tag: folder_of(tag)),
            mock.patch("image.assembled", return_value=mock.Mock(digest=NO_DIGEST)),
            mock.patch.dict(os.environ, KUBECONFIG=os.devnull),
            # Where in the program each resource is declared: costly to find, and nobody reads it here.
            mock.patch("pulumi.runtime.resource._get_stack_trace", StackTrace),
        ):
            yield
    finally:
        os.chdir(before)
