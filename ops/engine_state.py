"""What Pulumi's state says of releases, and the repairs that going back and a killed update need."""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Mapping
from typing import Any, TypeAlias

from naming import RELEASE
from releases import Release
from verification import DeclaredObject

from ops.recorder import ROOT

State: TypeAlias = dict[str, Any]
"""What `pulumi stack export` prints; secrets are encrypted in it."""

_RECORD = f"kubernetes:core/v1:ConfigMap::{RELEASE}"
_JOB = "kubernetes:batch/v1:Job"
_PROVIDER = "pulumi:providers:kubernetes"
_BUILDS = ("docker:index/image:Image", "pulumi:providers:docker")


class NoState(Exception):
    """The engine cannot be asked; the message says why."""


def export(stack: str) -> State:
    """The state of a stack; `NoState` without an engine, a login or the stack."""
    return json.loads(pulumi("stack", "export", "-s", stack))


def restore(stack: str, state: State) -> None:
    """Make this the state of a stack."""
    pulumi("stack", "import", "-s", stack, given=json.dumps(state))


def pulumi(*arguments: str, given: str | None = None) -> str:
    """What the engine answers; `NoState` in its own words if it refuses."""
    try:
        done = subprocess.run(
            ["pulumi", *arguments, "--non-interactive"],
            cwd=ROOT,
            input=given,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise NoState("`pulumi` is not on the PATH; see `. ./activate`") from None
    if done.returncode != 0:
        raise NoState(f"`pulumi {' '.join(arguments[:2])}`: {done.stderr.strip().removeprefix('error: ')}")
    return done.stdout


def in_force(state: State) -> Release | None:
    """The release whose rollout was the last to be complete; None for a stack without one."""
    found = [
        one["inputs"] for one in _resources(state) if one["urn"].endswith(f"::{_RECORD}") and not one.get("delete")
    ]
    if not found:
        return None
    metadata = found[0]["metadata"]
    return Release.of(metadata["name"], found[0]["data"], metadata.get("annotations") or {})


def objects(state: State) -> dict[str, DeclaredObject]:
    """Return the Kubernetes objects that the state holds, by their URN."""
    return {
        one["urn"]: DeclaredObject.of(_type(one), one["id"])
        for one in _resources(state)
        if _type(one).startswith("kubernetes:") and one.get("id") and not one.get("delete")
    }


def failed(state: State) -> dict[str, list[str]]:
    """Return the objects that were made and never became ready: the reasons by `Job/api-migration-0a1b2c3d`."""
    known = objects(state)
    return {
        str(known[one["urn"]]): one["initErrors"]
        for one in _resources(state)
        if one.get("initErrors") and one["urn"] in known and not one.get("delete")
    }


def with_former(state: State, type_: str = "") -> State:
    """Of each object that was made anew, with the former one still to be deleted, the former is the stack's again.

    Else going back would first find that it is there, and then delete it: a Job, or the order for a Secret. A complete
    update leaves nothing to be deleted, so the oldest is of the release in force. `type_` is the only one to look at.
    """
    repaired = copy.deepcopy(state)
    resources = _resources(repaired)
    place = {one["urn"]: index for index, one in enumerate(resources) if not one.get("delete")}
    left = [one["urn"] for one in resources if one.get("delete") and _type(one).startswith(type_)]
    for urn in dict.fromkeys(urn for urn in left if urn in place):
        former = [index for index, one in enumerate(resources) if one["urn"] == urn and one.get("delete")]
        oldest, present = min(former, key=lambda index: str(resources[index].get("created"))), place[urn]
        latter = {**resources[present], "delete": True}
        again = {key: value for key, value in resources[oldest].items() if key != "delete"}
        # What depends on it, on either of them, stands behind the first.
        first, last = sorted((present, oldest))
        resources[first], resources[last] = again, latter
    return repaired


def with_former_jobs(state: State) -> tuple[State, list[str]]:
    """With the Jobs of the release in force again, without those made since; and the names of the latter.

    Nothing but a Job can be taken away before its successor is there: no pod needs it.
    """
    repaired = with_former(state, _JOB)
    resources = _resources(repaired)
    present = {one["urn"] for one in resources if not one.get("delete")}
    latter = [one for one in resources if _type(one) == _JOB and one.get("delete") and one["urn"] in present]
    resources[:] = [one for one in resources if one not in latter]
    return repaired, [one["id"].rpartition("/")[2] for one in latter]


def with_builds(state: State, before: State) -> State:
    """With the images that were built before: they are still in the registry, and need not be built again."""
    repaired = copy.deepcopy(state)
    resources = _resources(repaired)
    builds = [one for one in _resources(before) if _type(one).startswith(_BUILDS) and not one.get("delete")]
    known = {one["urn"] for one in resources}
    parents = {one.get("parent") for one in builds} - {build["urn"] for build in builds} - {None}
    if not parents <= known:
        return repaired
    # Each has to stand behind its parent and its provider.
    first = max([index for index, one in enumerate(resources) if one["urn"] in parents], default=0) + 1
    resources[first:first] = [one for one in builds if one["urn"] not in known]
    return repaired


def settled(state: State, made: Mapping[str, str]) -> State:
    """Without operations that have no end. `made` is what some of them did make: the id of each object by its URN.

    One that was to take the place of another does; the other is left to be deleted, as the engine would have it.
    """
    repaired = copy.deepcopy(state)
    resources = repaired["deployment"].setdefault("resources", [])
    for operation in repaired["deployment"].pop("pending_operations", None) or []:
        resource = operation["resource"]
        if operation["type"] == "creating" and resource["urn"] in made:
            for former in resources:
                if former["urn"] == resource["urn"]:
                    former["delete"] = True
            resources.append({**resource, "id": made[resource["urn"]]})
    return repaired


def protected(state: State) -> list[str]:
    """Return the objects that the engine refuses to delete, as `Namespace/slipway-prod`."""
    found = [one["urn"].split("::") for one in _resources(state) if one.get("protect")]
    return [f"{types.rpartition(':')[2]}/{name}" for _, _, types, name in found]


def kubeconfigs(state: State) -> list[str]:
    """Return the kubeconfigs of the Kubernetes providers that are pinned: texts, no paths."""
    given = [one.get("inputs", {}).get("kubeconfig") for one in _resources(state) if _type(one) == _PROVIDER]
    return [text for text in given if isinstance(text, str) and text.startswith("{")]


def with_kubeconfig(state: State, kubeconfig: str) -> State:
    """With another kubeconfig for all Kubernetes providers."""
    repaired = copy.deepcopy(state)
    for one in _resources(repaired):
        if _type(one) == _PROVIDER:
            one["inputs"]["kubeconfig"] = kubeconfig
            one.setdefault("outputs", {})["kubeconfig"] = kubeconfig
    return repaired


def _resources(state: State) -> list[dict[str, Any]]:
    return state["deployment"].get("resources") or []


def _type(resource: dict[str, Any]) -> str:
    return str(resource["type"])
