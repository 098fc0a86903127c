"""A stack as files: those that are published, and the one that tells the controller where to read them."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Literal

from slipway.ops.gitops import argocd, flux
from slipway.ops.gitops.objects import Applied, NeededSecret, applied, needed_secrets
from slipway.ops.gitops.source import Source
from slipway.ops.program.recorder import Program
from slipway.ops.program.render import HEADER, document, file_name, one_stream

Controller = Literal["flux", "argocd"]
CONTROLLERS: dict[str, ModuleType] = {"flux": flux, "argocd": argocd}


@dataclass(frozen=True)
class Bundle:
    """What a controller gets of one stack."""

    controller: Controller
    published: dict[str, str]
    """The YAML of each object that the controller applies: `services/deployment-api.yaml`."""
    beside: dict[str, str]
    """The YAML of the objects for the controller itself."""
    secrets: list[NeededSecret]
    """Secrets that have to be in the cluster."""

    @property
    def layer(self) -> str:
        """The media type under which the controller finds the published files."""
        return CONTROLLERS[self.controller].LAYER

    def files(self) -> dict[str, str]:
        """Return everything as files below one folder: `./slipway render --gitops flux -o FOLDER`."""
        return {f"{self.controller}/{name}": text for name, text in self.beside.items()} | self.published

    def stream(self) -> str:
        """Return everything as one stream, first what the controller reads."""
        return one_stream(self.beside) + one_stream(self.published).removeprefix(HEADER)

    def artifact_files(self) -> dict[str, bytes]:
        """Return the content of the artifact, by path."""
        return {path: (HEADER + text).encode() for path, text in sorted(self.published.items())}


def bundle(program: Program, controller: Controller, source: Source, *, verified: bool = True) -> Bundle:
    """Return what a controller gets of a recorded stack, from the given place."""
    knows = CONTROLLERS[controller]
    objects = applied(program, controller)
    published = {f"{obj.phase}/{file_name(obj.manifest)}": document(_annotated(obj, knows)) for obj in objects}
    beside = {
        file_name(manifest): document(manifest)
        for manifest in knows.beside(program.stack, objects, source, verified=verified)
    }
    return Bundle(controller, published, beside, needed_secrets(program))


def _annotated(obj: Applied, knows: ModuleType) -> dict[str, object]:
    metadata = obj.manifest["metadata"]
    added = knows.annotations_of(obj)
    if not added:
        return obj.manifest
    return {**obj.manifest, "metadata": {**metadata, "annotations": {**metadata.get("annotations", {}), **added}}}
