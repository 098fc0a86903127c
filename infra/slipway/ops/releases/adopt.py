"""`./slipway adopt`: take over what Helm or kubectl has made, with no object replaced and no request lost.

An object that the program declares, that the state does not know and that the cluster has is taken over: its fields
become ours (ops/cluster/ownership.py), and the engine applies it like a new one, which Kubernetes does in place. What
would have to be replaced, or would lose requests (adoption_problems.py), is reported before anything changes.

Connections are closed last: the stack's NetworkPolicies do not let the old pods through.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import typer

from slipway.cluster.kinds import plural
from slipway.naming import RELEASE
from slipway.objects import Object, dig, name_of
from slipway.ops.cluster import connection, ownership
from slipway.ops.cluster.connection import RefusedError, StackCluster
from slipway.ops.program import config, engine_run, engine_state
from slipway.ops.program.engine_state import State
from slipway.ops.program.recorder import Program, declare, stack_config
from slipway.ops.releases import up
from slipway.ops.releases.adoption_problems import ExistingObject, problems
from slipway.rollout.adoption import ANNOTATION, OBJECTS

# Makes the provider update an existing object where the engine creates one.
UPSERT = "PULUMI_K8S_UPSERT_EXISTING_OBJECTS"
# The kinds that Helm charts and tutorials make; others of them are listed as left alone.
LISTED_KINDS = (
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "CronJob",
    "Service",
    "Ingress",
    "HorizontalPodAutoscaler",
    "PodDisruptionBudget",
    "NetworkPolicy",
    "ConfigMap",
    "Secret",
    "ServiceAccount",
    "PersistentVolumeClaim",
)
_HELM_RECORD = "helm.sh/release.v1"


def command(stack: str, *, yes: bool) -> int:
    """Show what is to be taken over, ask, and do it. Return 1 if it cannot be taken over, or the update failed."""
    stack_config(stack)  # an unknown stack is refused before anything is done
    program, state = declare(stack), engine_state.export(stack)
    cluster = connection.connect(stack, config.settings(stack))
    existing = list(find_existing(program, state, cluster))
    if not existing:
        typer.echo(f"{stack}: nothing to adopt: the cluster has no object that only the stack file knows", err=True)
        return 0
    typer.echo(f"{stack}: to be adopted in namespace {cluster.namespace}:", err=True)
    for object_ in existing:
        typer.echo(f"  {object_.description}", err=True)
    for name in left_alone(program, cluster):
        typer.echo(f"  {name} stays as it is", err=True)
    if refused := list(problems(existing, stack)):
        typer.echo(f"\n{stack}: cannot be adopted; nothing was changed:", err=True)
        for problem in refused:
            typer.echo(f"  {problem.message}", err=True)
        return 1
    if not yes:
        typer.confirm(f"Take them over into stack {stack}? Their pods are rolled.", abort=True, err=True)
    return _take_over(program, existing, cluster)


def find_existing(program: Program, state: State, cluster: StackCluster) -> Iterator[ExistingObject]:
    """Yield the declared objects that exist and are not in the state, or are in it since an incomplete adoption."""
    known = engine_state.inputs(state)
    for declared in program.resources:
        # Retained objects are named by their content: one that exists was made by a former update of this stack.
        if not declared.is_manifest or "::retained::" in str(declared.options.get("provider")):
            continue
        if declared.urn in known and not dig(known[declared.urn], "metadata.annotations", ANNOTATION):
            continue
        wanted = declared.inputs
        present = cluster.get(wanted["apiVersion"], wanted["kind"], name_of(wanted))
        if present and not dig(present, "metadata.deletionTimestamp"):
            yield ExistingObject(declared, present)


def left_alone(program: Program, cluster: StackCluster) -> Iterator[str]:
    """Yield what else somebody has made in the namespace, by kind and name."""
    declared = {(resource.kind, name_of(resource.inputs)) for resource in program.resources if resource.is_manifest}
    for kind in LISTED_KINDS:
        try:
            objects = cluster.items(plural(kind))
        except RefusedError:
            continue  # without the right to read these objects, no right to change them is needed
        for present in objects:
            is_declared, is_record = (kind, name_of(present)) in declared, present.get("type") == _HELM_RECORD
            if not is_declared and not is_record and _is_made_by_a_user(present):
                rival = _rival(kind, present, declared)
                yield f"{kind}/{name_of(present)} ({ownership.creator(present)}{rival})"


def _is_made_by_a_user(present: Object) -> bool:
    """Whether an object is neither a controller's nor one that every namespace has."""
    entries = dig(present, "metadata.managedFields") or []
    is_ours = dig(present, "metadata.labels", "app.kubernetes.io/managed-by") == "pulumi"
    return any(map(ownership.is_transferable, entries)) and not is_ours and not dig(present, "metadata.ownerReferences")


def _rival(kind: str, present: Object, declared: set[tuple[str, str]]) -> str:
    target = dig(present, "spec.scaleTargetRef.name")
    if kind == "HorizontalPodAutoscaler" and ("Deployment", target) in declared:
        return f"; scales Deployment/{target}, too: delete it afterwards"
    return ""


# Taking over ----------------------------------------------------------------------------------------------------------


def _take_over(program: Program, existing: list[ExistingObject], cluster: StackCluster) -> int:
    """Adopt the objects step by step; each step may be run again. Return the exit code."""
    stack = cluster.stack
    policies = [object_ for object_ in existing if object_.declared.kind == "NetworkPolicy"]
    others = [object_ for object_ in existing if object_ not in policies]
    for object_ in existing:
        ownership.take_over(cluster, object_.declared.inputs)
    for step, excluded in ((others, _last_objects(program)), (policies, [])):
        if step and not _apply(stack, step, excluded):
            return 1
    if up.command(stack, yes=True, rolls_back=True) != 0:
        return 1
    return _report(existing, cluster)


def _last_objects(program: Program) -> list[str]:
    """Return the URNs of what has to wait until no old pod is left: NetworkPolicies, and the record of the release."""
    return [
        resource.urn
        for resource in program.resources
        if resource.kind == "NetworkPolicy" or (resource.kind == "ConfigMap" and resource.name == RELEASE)
    ]


def _apply(stack: str, existing: list[ExistingObject], excluded: list[str]) -> bool:
    """Have the engine apply the declarations to the existing objects; return whether it did."""
    exclusions = [option for urn in excluded for option in ("--exclude", urn)]
    command = ["pulumi", "up", "-s", stack, "--yes", "--message", "adoption", *exclusions]
    outcome = engine_run.run(command, variables=_variables(existing))
    if outcome.code == 0:
        return True
    if outcome.needs_rollback:
        typer.echo(f"\nThe rollout failed:\n{up.cause(stack, outcome)}\n", err=True)
    typer.echo(
        f"error: {stack}: the adoption is not complete. Old pods keep running until new ones serve. Correct what is "
        f"wrong, then continue: ./slipway adopt -s {stack}",
        err=True,
    )
    return False


def _variables(existing: list[ExistingObject]) -> Mapping[str, str]:
    names = (f"{object_.declared.type}::{object_.declared.name}" for object_ in existing)
    return {OBJECTS: " ".join(names), UPSERT: "true"}


def _report(existing: list[ExistingObject], cluster: StackCluster) -> int:
    """Report whether each object is still the same, and what is left to do. Return 1 if one was replaced."""
    replaced = [object_.title for object_ in existing if _is_replaced(object_, cluster)]
    names = f": {', '.join(replaced)}" if replaced else ""
    typer.echo(f"{cluster.stack}: adopted {len(existing)} objects, {len(replaced)} replaced{names}", err=True)
    for release in sorted({ownership.release_of(object_.present) for object_ in existing} - {""}):
        typer.echo(
            f"Helm still has a record of its release {release}. Delete the record, and never run `helm uninstall`, "
            f"which would delete the objects:\n  kubectl --context {cluster.context} -n {cluster.namespace} delete "
            f"secret -l owner=helm,name={release}",
            err=True,
        )
    return 1 if replaced else 0


def _is_replaced(object_: ExistingObject, cluster: StackCluster) -> bool:
    wanted = object_.declared.inputs
    current = cluster.get(wanted["apiVersion"], wanted["kind"], name_of(wanted))
    return dig(current, "metadata.uid") != dig(object_.present, "metadata.uid")
