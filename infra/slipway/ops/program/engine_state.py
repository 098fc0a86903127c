"""The state that Pulumi's engine keeps of a stack: reading it, and the repairs that a rollback and `doctor` need.

Everything ops knows of the state's format is here: apitype.DeploymentV3 of the engine,
https://github.com/pulumi/pulumi/blob/v3.259.0/sdk/go/common/apitype/core.go
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
from collections.abc import Collection, Mapping
from typing import Any, TypeAlias

from slipway.naming import RELEASE
from slipway.ops.errors import UserError
from slipway.project import ROOT
from slipway.releases import Release
from slipway.rollout.verification import DeclaredObject

State: TypeAlias = dict[str, Any]
"""What `pulumi stack export` prints; secrets are encrypted in it."""
Resource: TypeAlias = dict[str, Any]
"""One entry of the state. With `delete: true` it was replaced, and the engine still has to delete the old object."""

_RECORD = f"kubernetes:core/v1:ConfigMap::{RELEASE}"
_JOB = "kubernetes:batch/v1:Job"
_PROVIDER = "pulumi:providers:kubernetes"
_BUILDS = ("docker:index/image:Image", "pulumi:providers:docker")


class EngineError(UserError):
    """The engine refuses, or is not there."""


class UnknownToEngineError(EngineError):
    """The engine was asked, and has no such stack: it was never updated."""


def pulumi(*arguments: str, given: str | None = None, variables: Mapping[str, str] | None = None) -> str:
    """Return what the engine prints, given this on stdin. Raises EngineError with the engine's own words.

    `variables` are those of this run alone.
    """
    try:
        command = ["pulumi", *arguments, "--non-interactive"]
        env = {**os.environ, **(variables or {})}
        done = subprocess.run(command, cwd=ROOT, env=env, input=given, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise EngineError("`pulumi` is not on the PATH; see `. ./activate`") from None
    if done.returncode != 0:
        reason = _without_warnings(done.stderr)
        kind = UnknownToEngineError if reason.startswith("no stack named ") else EngineError
        raise kind(f"`pulumi {' '.join(arguments[:2])}`: {reason}")
    return done.stdout


def _without_warnings(text: str) -> str:
    """Return the engine's error without what the SDK of a cloud has warned of before."""
    before, found, error = text.partition("error: ")
    return (error if found else before).strip()


def export(stack: str) -> State:
    """Return the state of a stack. Raises EngineError without an engine, a login or the stack."""
    return json.loads(pulumi("stack", "export", "-s", stack))


def restore(stack: str, state: State) -> None:
    """Make this the state of a stack."""
    pulumi("stack", "import", "-s", stack, given=json.dumps(state))


# Reading --------------------------------------------------------------------------------------------------------------


def in_force(state: State) -> Release | None:
    """Return the release whose rollout was the last to be complete; None for a stack without one."""
    for resource in _current(state):
        if resource["urn"].endswith(f"::{_RECORD}"):
            record = resource["inputs"]
            metadata = record["metadata"]
            return Release.of(metadata["name"], record["data"], metadata.get("annotations") or {})
    return None


def outputs(state: State) -> dict[str, Any]:
    """Return the outputs of the stack, as others read them."""
    stacks = [resource for resource in _current(state) if resource["type"] == "pulumi:pulumi:Stack"]
    return next((resource.get("outputs") or {} for resource in stacks), {})


def objects(state: State) -> dict[str, DeclaredObject]:
    """Return the Kubernetes objects that the state holds, by their URN."""
    return {
        resource["urn"]: DeclaredObject.of(resource["type"], resource["id"])
        for resource in _current(state)
        if _is_object(resource) and resource.get("id")
    }


def applied(state: State) -> list[Resource]:
    """Return the manifests of the Kubernetes objects as they were applied last, in the order of the state."""
    manifests = [resource.get("inputs") or {} for resource in _current(state) if _is_object(resource)]
    return [manifest for manifest in manifests if "kind" in manifest]


def inputs(state: State) -> dict[str, Resource]:
    """Return what the program asked for, by URN."""
    return {resource["urn"]: resource.get("inputs") or {} for resource in _current(state)}


def failed(state: State) -> dict[str, list[str]]:
    """Return the objects that were created and never became ready: the reasons by `Job/api-migration-0a1b2c3d`."""
    known = objects(state)
    return {
        str(known[resource["urn"]]): resource["initErrors"]
        for resource in _current(state)
        if resource.get("initErrors") and resource["urn"] in known
    }


def protected(state: State) -> list[str]:
    """Return the objects that the engine refuses to delete, as `Namespace/slipway-prod`."""
    parts = [resource["urn"].split("::") for resource in _resources(state) if resource.get("protect")]
    return [f"{types.rpartition(':')[2]}/{name}" for _, _, types, name in parts]


def kubeconfigs(state: State) -> list[str]:
    """Return the kubeconfigs of the Kubernetes providers that are pinned: texts, no paths."""
    given = [provider.get("inputs", {}).get("kubeconfig") for provider in _providers(state)]
    return [text for text in given if isinstance(text, str) and text.startswith("{")]


def pending_operations(state: State) -> list[Resource]:
    """Return the operations of a killed update: `type` is what was done, `resource` to what."""
    return state["deployment"].get("pending_operations") or []


# Repairing. Each returns a copy. --------------------------------------------------------------------------------------


def undo_replacements(state: State, type_: str = "") -> State:
    """Undo replacements that are not complete: the old object is current again, the new one is to be deleted.

    Otherwise a rollback would first find the old object in place of the one it wants to create, and then delete it: a
    Job, or the permission to read a Secret. A complete update leaves nothing to delete, so the oldest object is that of
    the release in force. With `type_`, only replacements of that resource type are undone.
    """
    repaired = copy.deepcopy(state)
    resources = _resources(repaired)
    current = {resource["urn"]: index for index, resource in enumerate(resources) if not resource.get("delete")}
    for urn, replaced in _replaced(resources, type_).items():
        if urn in current:
            oldest = min(replaced, key=lambda index: str(resources[index].get("created")))
            old = {key: value for key, value in resources[oldest].items() if key != "delete"}
            new = {**resources[current[urn]], "delete": True}
            # Resources that depend on either of them come after the first, so the current one has to stand there.
            first, last = sorted((current[urn], oldest))
            resources[first], resources[last] = old, new
    resources[:] = _in_order(resources)
    return repaired


def _in_order(resources: list[Resource]) -> list[Resource]:
    """Return the resources each behind what it needs, as the engine demands, and otherwise in the order they had.

    A killed update leaves behind what it has made what it has not come to: perhaps an image that an old Job needs.
    """
    # The current resource of a URN comes last, and so stands for it.
    by_urn = {resource["urn"]: resource for resource in sorted(resources, key=lambda one: not one.get("delete"))}
    ordered: list[Resource] = []
    placed: set[int] = set()

    def place(resource: Resource) -> None:
        if id(resource) in placed:
            return
        placed.add(id(resource))
        for urn in _needs(resource):
            if urn in by_urn:
                place(by_urn[urn])
        ordered.append(resource)

    for resource in resources:
        place(resource)
    return ordered


def _needs(resource: Resource) -> list[str]:
    """Return the URNs of what has to stand before a resource."""
    provider, _, _ = resource.get("provider", "").rpartition("::")
    return [
        resource.get("parent", ""),
        provider,
        resource.get("deletedWith", ""),
        *(resource.get("dependencies") or []),
    ]


def _replaced(resources: list[Resource], type_: str) -> dict[str, list[int]]:
    """Return the positions of the objects that are to be deleted, by their URN."""
    replaced: dict[str, list[int]] = {}
    for index, resource in enumerate(resources):
        if resource.get("delete") and resource["type"].startswith(type_):
            replaced.setdefault(resource["urn"], []).append(index)
    return replaced


def undo_job_replacements(state: State) -> tuple[State, list[str]]:
    """Make the Jobs of the release in force current again; return the names of the newer ones, which it removes.

    Only a Job can be removed before its successor exists: no pod needs it.
    """
    repaired = undo_replacements(state, _JOB)
    resources = _resources(repaired)
    current = {resource["urn"] for resource in resources if not resource.get("delete")}
    newer = [job for job in resources if job["type"] == _JOB and job.get("delete") and job["urn"] in current]
    resources[:] = [resource for resource in resources if resource not in newer]
    return repaired, [job["id"].rpartition("/")[2] for job in newer]


def keep_built_images(state: State, before: State) -> State:
    """Add the images that were built before: they are still in the registry, and need not be built again."""
    repaired = copy.deepcopy(state)
    resources = _resources(repaired)
    builds = [resource for resource in _current(before) if resource["type"].startswith(_BUILDS)]
    known = {resource["urn"] for resource in resources}
    own = {build["urn"] for build in builds}
    # An image of a name that the release in force does not have has no component to belong to.
    builds = [build for build in builds if build.get("parent") in {None, *known, *own}]
    parents = {build.get("parent") for build in builds} - own - {None}
    # A resource has to come after its parent and its provider.
    first = max([index for index, resource in enumerate(resources) if resource["urn"] in parents], default=0) + 1
    resources[first:first] = [build for build in builds if build["urn"] not in known]
    return repaired


def forget(state: State, urns: Collection[str]) -> State:
    """Remove objects from the state, so that the next update creates them; in the cluster they stay."""
    repaired = copy.deepcopy(state)
    resources = _resources(repaired)
    resources[:] = [resource for resource in resources if resource["urn"] not in urns]
    for resource in resources:
        by_property: dict[str, list[str]] = resource.get("propertyDependencies") or {}
        for needed in (resource.get("dependencies") or [], *by_property.values()):
            needed[:] = [urn for urn in needed if urn not in urns]
    return repaired


def resolve_pending(state: State, created: Mapping[str, str]) -> State:
    """Remove the pending operations, and add the objects they did create: `created` has their ids by URN.

    One that was to replace another becomes the current one, and the other is to be deleted, as the engine does it.
    """
    repaired = copy.deepcopy(state)
    resources = repaired["deployment"].setdefault("resources", [])
    for operation in pending_operations(repaired):
        resource = operation["resource"]
        if operation["type"] == "creating" and resource["urn"] in created:
            for other in resources:
                if other["urn"] == resource["urn"]:
                    other["delete"] = True
            resources.append({**resource, "id": created[resource["urn"]]})
    repaired["deployment"].pop("pending_operations", None)
    return repaired


def with_kubeconfig(state: State, kubeconfig: str) -> State:
    """Give all Kubernetes providers another kubeconfig."""
    repaired = copy.deepcopy(state)
    for provider in _providers(repaired):
        provider["inputs"]["kubeconfig"] = kubeconfig
        provider.setdefault("outputs", {})["kubeconfig"] = kubeconfig
    return repaired


def _resources(state: State) -> list[Resource]:
    return state["deployment"].get("resources") or []


def _current(state: State) -> list[Resource]:
    return [resource for resource in _resources(state) if not resource.get("delete")]


def _providers(state: State) -> list[Resource]:
    return [resource for resource in _resources(state) if resource["type"] == _PROVIDER]


def _is_object(resource: Resource) -> bool:
    return resource["type"].startswith("kubernetes:")
