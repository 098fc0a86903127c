"""What the stack file asks for knowingly, and a reader of a preview should know: advice in every environment."""

from __future__ import annotations

from slipway.rules.parts import Container
from slipway.rules.required.pod_inputs import declared_secrets
from slipway.rules.required.pod_lifecycle import is_shared, serving
from slipway.rules.rule import Rules, Violations
from slipway.rules.stack import containers

RULES = Rules(advice=True)


@RULES.each(
    serving,
    "SW131",
    title="Liveness has a check of its own",
    reason="a pod that is only busy, or waits for a database, is restarted",
)
def own_liveness(container: Container) -> Violations:
    if is_shared(container):
        yield container.violation("livenessProbe", "checks the same as readinessProbe, as probes.shared allows")


@RULES.each(
    containers,
    "SW132",
    title="No secret is a variable",
    reason="variables show in dumps, child processes and /proc",
    security=True,
)
def secret_variables(container: Container) -> Violations:
    for variable in container.parts("env"):
        if variable.get("valueFrom.secretKeyRef") is not None and variable.get("name") in declared_secrets(container):
            yield variable.violation(
                "valueFrom.secretKeyRef", f"makes {variable.get('name')} a secret variable, as secretEnv allows"
            )
