"""`./slipway destroy` and `./slipway refresh`: Pulumi's own, on a cluster that the stack file accepts and no other.

For these Pulumi neither runs the program nor reads the stack file; it uses the provider as the state has it. The state
pins that to the server of the last update (infra/slipway/cluster/exec_credential.py). Here a cluster that has moved is
accepted too, if `slipway:cluster.server` says so.
"""

from __future__ import annotations

import subprocess
from typing import Literal

import typer

from slipway.cluster.exec_credential import pinned
from slipway.cluster.kubeconfig import KubeconfigError, load
from slipway.ops.cluster import connection
from slipway.ops.cluster.connection import ClusterError, StackCluster
from slipway.ops.program import config, engine_state
from slipway.ops.program.engine_state import State
from slipway.ops.program.recorder import stack_config
from slipway.project import ROOT


def command(operation: Literal["destroy", "refresh"], stack: str, *, yes: bool) -> int:
    """Run the operation on the accepted cluster; return the engine's exit code, 1 if nothing was started."""
    stack_config(stack)  # an unknown stack is refused before anything is done
    accepted = connection.connect(stack, config.settings(stack))
    accepted.check()
    state = engine_state.export(stack)
    if operation == "destroy" and (protected := engine_state.protected(state)):
        typer.echo(
            f"error: {stack}: protected, so nothing was deleted: {', '.join(protected)}. To delete the whole "
            f"environment: pulumi state unprotect --all -s {stack}, then ./slipway destroy -s {stack}",
            err=True,
        )
        return 1
    _pin(accepted, state)
    typer.echo(f"{stack}: {operation} on {accepted.access.server} (context {accepted.context})", err=True)
    arguments = ["pulumi", operation, "-s", stack, *(["--yes"] if yes else [])]
    return subprocess.run(arguments, cwd=ROOT, check=False).returncode


def _pin(accepted: StackCluster, state: State) -> None:
    """Make the state's providers use the accepted cluster. Raises ClusterError if the state may mean another one."""
    known, server = servers(state), accepted.access.server
    if known - {server} and not accepted.settings.cluster.server:
        raise ClusterError(
            f"{accepted.stack}: the state says that the stack is on {', '.join(sorted(known))}, and context "
            f"{accepted.context!r} leads to {server}. Nothing was changed. Use the kubeconfig of that cluster; if "
            f"it has moved, write its new address to slipway:cluster.server in stacks/Pulumi.{accepted.stack}.yaml"
        )
    repaired = engine_state.with_kubeconfig(state, pinned(accepted.access))
    if repaired != state:
        engine_state.restore(accepted.stack, repaired)


def servers(state: State) -> set[str]:
    """Return the servers to which the state's providers are pinned; old states have unpinned ones."""
    pinned_to: set[str] = set()
    for kubeconfig in engine_state.kubeconfigs(state):
        try:
            pinned_to.add(load(kubeconfig).access().server)
        except KubeconfigError:
            continue
    return pinned_to
