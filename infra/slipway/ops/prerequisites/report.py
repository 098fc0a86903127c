"""`./slipway doctor`: everything that a stack needs before an update, checked at the same time.

`--json` prints, and keys are only ever added to it:

    {"stack": "dev", "checks": [{"check": "registry", "state": "ok", "found": "ghcr.io/acme/shop", "problems": []},
                                {"check": "metrics", "state": "failed", "found": "",
                                 "problems": [{"cause": "...", "fix": "..."}]}]}       state: ok, failed, unknown
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from functools import partial

from slipway.cluster import api_client
from slipway.cluster.connection import accepted
from slipway.cluster.kubeconfig import KubeconfigError
from slipway.ops.access.roles import deployer
from slipway.ops.diagnosis import doctor
from slipway.ops.prerequisites import api_server, machine, stack_file
from slipway.ops.prerequisites.result import Check, Finding, failed, found, run
from slipway.ops.program import config
from slipway.ops.program.recorder import Program, declare
from slipway.ops.terminal.tables import table
from slipway.settings.settings import Settings

_STYLES = {"failed": "red", "unknown": "yellow", "ok": ""}


def command(stack: str, *, as_json: bool, quiet: bool) -> int:
    """Print what is there and what is missing, and what an update left behind. Return 1 if anything is wrong."""
    # Declared before the checks begin: it changes the working directory for a moment.
    settings, program = config.settings(stack), declare(stack)
    findings = run(checks(stack, settings, program))
    if as_json:
        sys.stdout.write(json.dumps(data(stack, findings), indent=2, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(text(findings, quiet=quiet))
    sys.stdout.flush()
    state = doctor.command(stack, fix=False)
    return 1 if state != 0 or any(finding.problems for finding in findings.values()) else 0


def checks(stack: str, settings: Settings, program: Program) -> dict[str, Check]:
    """Return the checks of a stack by name; those that it does not need are left out."""
    built = stack_file.built(settings).values()
    here: dict[str, Check] = {
        "python": machine.python,
        "pulumi": machine.pulumi,
        "plugins": partial(machine.plugins, program),
    }
    if any(image.builder == "docker" for image in built):
        here["docker"] = partial(machine.docker, stack, settings)
    if any(not image.load for image in built):
        here["registry"] = partial(machine.registries, stack, settings)
    return {**here, **_of_cluster(stack, settings, program)}


def _of_cluster(stack: str, settings: Settings, program: Program) -> dict[str, Check]:
    try:
        access = accepted(settings.cluster, stack)
        server = api_client.http(access)
    except KubeconfigError as error:
        wrong = failed(f"{stack_file.file_of(stack)}: slipway:cluster: {error}", "use a kubeconfig with that context")
        return {"cluster": lambda: wrong}
    needed: dict[str, Check] = {
        "cluster": partial(api_server.version, server),
        "clock": partial(api_server.clock, server),
        "rights": partial(api_server.rights, stack, server, deployer(program, settings)),
        "kinds": partial(api_server.kinds, server, program),
        "names": lambda: _names(stack, settings, partial(api_server.listed, server)),
    }
    if api_server.has_autoscaler(program):
        needed["metrics"] = partial(api_server.metrics, server, settings)
    return needed


def _names(stack: str, settings: Settings, list_: stack_file.Lister) -> Finding:
    """Check that the cluster has the namespaces and classes that the stack file names."""
    unlisted: list[str] = []

    def listing(path: str) -> stack_file.Listed:
        objects = list_(path)
        if objects is None:
            unlisted.append(path.rpartition("/")[2])
        return objects

    finding = found(stack_file.missing(stack, settings, listing), "classes, namespaces and processors fit")
    if unlisted and not finding.problems:
        return Finding(f"not checked, since they cannot be listed: {', '.join(unlisted)}", is_known=False)
    return finding


def text(findings: Mapping[str, Finding], *, quiet: bool) -> str:
    """Return the findings for people; only what is wrong if `quiet`."""
    rows: list[tuple[str, ...]] = []
    for name, finding in findings.items():
        rows += [(name, finding.state, problem.cause, problem.fix) for problem in finding.problems]
        if not finding.problems and not quiet:
            rows.append((name, finding.state, finding.fact, ""))
    return table(rows, ("check", "state", "found", "fix"), [_STYLES[row[1]] for row in rows]) if rows else ""


def data(stack: str, findings: Mapping[str, Finding]) -> dict[str, object]:
    """Return the findings for programs."""
    rows = [
        {
            "check": name,
            "state": finding.state,
            "found": finding.fact,
            "problems": [{"cause": problem.cause, "fix": problem.fix} for problem in finding.problems],
        }
        for name, finding in findings.items()
    ]
    return {"stack": stack, "checks": rows}
