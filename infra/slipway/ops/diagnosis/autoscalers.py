"""Autoscalers after an update that failed between a HorizontalPodAutoscaler and a ScaledObject of KEDA.

Both are in the state then, and the engine takes either for what it was:

- hpa to keda: KEDA owns the HPA. Without the ScaledObject, which a rollback deletes, it is gone as well.
- keda to hpa: the ScaledObject is deleted, or waits for KEDA to let it go.

So they are taken out of the state, and the next update creates the one that it declares.
"""

from __future__ import annotations

from collections.abc import Callable

import pulumi
import typer

from slipway.ops.cluster.connection import ClusterError, RefusedError, StackCluster
from slipway.ops.program import engine_state
from slipway.ops.program.engine_state import State
from slipway.rollout.handover import AUTOSCALER, SCALED_OBJECT, is_being_deleted, is_of_keda
from slipway.rollout.verification import DeclaredObject

KINDS = (AUTOSCALER, SCALED_OBJECT)


def forget_lost(stack: str, state: State, connect: Callable[[], StackCluster]) -> State:
    """Take the autoscalers out of the state that KEDA deletes or has deleted. Return the state.

    It stays as it is where the cluster cannot be read: the update itself says why.
    """
    objects = {urn: declared for urn, declared in engine_state.objects(state).items() if _kind(declared) in KINDS}
    scaled = {declared.name for declared in objects.values() if _kind(declared) == SCALED_OBJECT}
    if not scaled:
        return state
    try:
        cluster = connect()
        lost = [urn for urn, declared in objects.items() if declared.name in scaled and _is_lost(cluster, declared)]
    except (ClusterError, RefusedError, pulumi.RunError):
        return state
    if not lost:
        return state
    names = ", ".join(str(objects[urn]) for urn in lost)
    typer.echo(f"{stack}: left from an update between an HPA and KEDA, and taken out of the state: {names}", err=True)
    repaired = engine_state.forget(state, lost)
    engine_state.restore(stack, repaired)
    return repaired


def _kind(declared: DeclaredObject) -> tuple[str, str]:
    return declared.api_version, declared.kind


def _is_lost(cluster: StackCluster, declared: DeclaredObject) -> bool:
    scaled = cluster.get(*SCALED_OBJECT, declared.name)
    if _kind(declared) == SCALED_OBJECT:
        return scaled is None or is_being_deleted(scaled)
    # KEDA takes over an autoscaler only some time after its ScaledObject is there.
    autoscaler = None if scaled else cluster.get(*AUTOSCALER, declared.name)
    return autoscaler is None or is_of_keda(autoscaler)
