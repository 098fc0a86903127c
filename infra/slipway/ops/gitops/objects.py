"""The objects of a stack as a controller applies them: without Secrets, and without what only Pulumi uses."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slipway.naming import RELEASE
from slipway.objects import Object, mapping
from slipway.ops.gitops.order import PHASES, phases
from slipway.ops.program.recorder import Declared, Program
from slipway.ops.program.render import position

_MANAGED_BY = "app.kubernetes.io/managed-by"
_OF_PULUMI = "pulumi.com/"
_WITH_DATA = ("Namespace", "PersistentVolumeClaim")


@dataclass(frozen=True)
class Applied:
    """One object that a controller applies."""

    phase: str
    manifest: Object
    has_data: bool = False
    """Whether its deletion would delete data: a controller never deletes it."""
    is_retained: bool = False
    """Whether pods of the release before may still need it when it is superseded."""
    rollout_seconds: int = 0
    """How long it may take to become healthy; 0 for the default."""

    @property
    def kind(self) -> str:
        """`Deployment`."""
        return self.manifest["kind"]

    def reference(self) -> dict[str, str]:
        """Return what names it for a controller."""
        metadata = self.manifest["metadata"]
        names = {key: metadata[key] for key in ("name", "namespace") if key in metadata}
        return {"apiVersion": self.manifest["apiVersion"], "kind": self.kind, **names}


@dataclass(frozen=True)
class NeededSecret:
    """A Secret that the objects refer to. Somebody else creates it: its values are in no artifact."""

    name: str
    namespace: str
    type: str
    keys: tuple[str, ...]

    def __str__(self) -> str:
        """`Secret/api-secret (Opaque) with mysql-password, signing-key`."""
        return f"Secret/{self.name} ({self.type}) with {', '.join(self.keys)}"


def applied(program: Program, controller: str) -> list[Applied]:
    """Return the objects in the order of the phases. The controller's name replaces that of Pulumi in their labels."""
    resources = [resource for resource in program.resources if resource.is_manifest and not _is_left_out(resource)]
    phase_of, renamed = phases(resources), _secret_names(program)
    objects = [
        Applied(
            phase_of[resource.urn],
            _adapted(resource.inputs, renamed, controller),
            resource.kind in _WITH_DATA,
            resource.options["retain_on_delete"],
            _seconds(resource),
        )
        for resource in resources
    ]
    return sorted(objects, key=lambda obj: (PHASES.index(obj.phase), position(obj.manifest)))


def needed_secrets(program: Program) -> list[NeededSecret]:
    """Return the Secrets that have to be in the cluster."""
    secrets = sorted(_secrets(program), key=lambda secret: secret.name)
    return [
        NeededSecret(
            secret.name if _is_named_by_content(secret) else secret.inputs["metadata"]["name"],
            secret.inputs["metadata"]["namespace"],
            secret.inputs.get("type", "Opaque"),
            tuple(sorted(mapping(secret.inputs, "stringData"))),
        )
        for secret in secrets
    ]


def _is_left_out(resource: Declared) -> bool:
    """Return whether a resource is a Secret, or the record of a release, which belongs to `./slipway rollback`."""
    return resource.kind == "Secret" or (resource.kind, resource.name) == ("ConfigMap", RELEASE)


def _secrets(program: Program) -> list[Declared]:
    return [resource for resource in program.resources if resource.is_manifest and resource.kind == "Secret"]


def _is_named_by_content(secret: Declared) -> bool:
    """Return whether its name has a hash of values that are not known here: the objects refer to it without one."""
    return bool(secret.inputs.get("immutable"))


def _secret_names(program: Program) -> dict[str, str]:
    """Return the names that replace those of the recorded Secrets."""
    return {
        secret.inputs["metadata"]["name"]: secret.name for secret in _secrets(program) if _is_named_by_content(secret)
    }


def _adapted(manifest: Object, renamed: Mapping[str, str], controller: str) -> Object:
    adapted: Object = _renamed(copy.deepcopy(manifest), renamed, controller)
    metadata = adapted["metadata"]
    kept = {key: value for key, value in mapping(metadata, "annotations").items() if not key.startswith(_OF_PULUMI)}
    metadata.pop("annotations", None)
    if kept:
        metadata["annotations"] = kept
    return adapted


def _renamed(value: Any, renamed: Mapping[str, str], controller: str) -> Any:
    if isinstance(value, dict):
        return {
            key: controller if key == _MANAGED_BY else _renamed(item, renamed, controller)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_renamed(item, renamed, controller) for item in value]
    return renamed.get(value, value) if isinstance(value, str) else value


def _seconds(resource: Declared) -> int:
    """Return the time that the program gives an object, or that a Job gives itself."""
    limit = resource.options["update_timeout"].removesuffix("s")
    return int(limit or mapping(resource.inputs, "spec").get("activeDeadlineSeconds") or 0)


def in_phases(objects: Sequence[Applied]) -> dict[str, list[Applied]]:
    """Return the objects by phase, in order, without phases that have none."""
    return {phase: chosen for phase in PHASES if (chosen := [obj for obj in objects if obj.phase == phase])}
