"""Services, autoscalers, budgets and addresses lead to pods and to ports these pods have."""

from __future__ import annotations

from typing import Any

from slipway.naming import SERVICE_LABEL
from slipway.rules.autoscalers import AUTOSCALERS, target_of
from slipway.rules.parts import SERVING, Part, dig
from slipway.rules.references.lookups import keys_of, list_names, same_label
from slipway.rules.rule import Rules, Violations
from slipway.rules.stack import Stack, list_ports, pods_of, port_number

RULES = Rules()


@RULES.together("SR001", title="A workload selects its own pods only", reason="it would adopt the pods of another one")
def own_pods(stack: Stack) -> Violations:
    for workload in stack.of(*SERVING):
        [pod] = pods_of(workload)
        labels = workload.get("spec.selector.matchLabels")
        # Pods of a canary have an owner already, so the release beside it does not adopt them.
        others = [other for other in stack.selected(labels) if other.object is not workload.object]
        if others := [
            other
            for other in others
            if pod.is_canary or not other.is_canary or not same_label(pod, other, SERVICE_LABEL)
        ]:
            yield workload.wrong(
                "spec.selector.matchLabels", f"matches the pods of {others[0].owner} too; make the labels differ"
            )


@RULES.together("SR002", title="A Service selects pods", reason="every request to it would be refused")
def service_pods(stack: Stack) -> Violations:
    for service in stack.of("Service"):
        if not service.get("spec.selector") or not stack.selected(service.get("spec.selector")):
            yield service.wrong("spec.selector", "no pod has these labels")


@RULES.together(
    "SR003", title="A Service's port leads to a port of its pods", reason="every request to it would be refused"
)
def target_ports(stack: Stack) -> Violations:
    for service in stack.of("Service"):
        for port in service.parts("spec.ports"):
            target = port.get("targetPort") or port.get("port")
            for pod in stack.selected(service.get("spec.selector")):
                if port_number(pod.ports, target) is None:
                    yield port.wrong("targetPort", f"{pod.owner} has {list_ports(pod.ports)}; use one of those")


@RULES.together(
    "SR004",
    title="Probes and hooks use a port that the container has",
    reason="the pod would never be ready, or be restarted forever",
)
def probe_ports(stack: Stack) -> Violations:
    for container in stack.containers:
        for at in ("startupProbe", "readinessProbe", "livenessProbe", "lifecycle.preStop", "lifecycle.postStart"):
            for kind in ("httpGet", "tcpSocket", "grpc"):
                handler = container.get(f"{at}.{kind}")
                if handler is not None and port_number(container.ports, dig(handler, "port")) is None:
                    yield container.wrong(
                        f"{at}.{kind}.port", f"the container has {list_ports(container.ports)}; use one of those"
                    )


@RULES.together(
    "SR005",
    title="The app listens on the ports that its container declares",
    reason="it would listen where nobody connects",
)
def same_ports(stack: Stack) -> Violations:
    for container in stack.containers:
        variables = stack.variables(container)
        for port in container.parts("ports"):
            expected = variables.get(f"{str(port.get('name')).upper()}_PORT")
            if expected not in (None, port.text("containerPort")):
                yield port.wrong("containerPort", f"the app listens on {expected}; use one port")


@RULES.together("SR007", title="An autoscaler's target exists", reason="nothing would ever be scaled")
def scaler_target(stack: Stack) -> Violations:
    taken: dict[tuple[str, str], str] = {}
    for scaler in stack.of(*AUTOSCALERS):
        target, (kind, name) = scaler.part("spec.scaleTargetRef"), target_of(scaler)
        if not stack.named(kind, name):
            yield target.wrong("name", f"there is no {kind} of this name")
        if taken.setdefault((kind, name), f"{scaler.kind}/{scaler.name}") != f"{scaler.kind}/{scaler.name}":
            yield target.wrong("name", f"{taken[kind, name]} scales it already")


@RULES.together(
    "SR010", title="A trigger's authentication exists", reason="KEDA could not log in, and nothing would scale"
)
def trigger_authentication(stack: Stack) -> Violations:
    for scaler in stack.of("ScaledObject"):
        for trigger in scaler.parts("spec.triggers"):
            name = trigger.get("authenticationRef.name")
            is_cluster_wide = trigger.get("authenticationRef.kind") == "ClusterTriggerAuthentication"
            if name and not is_cluster_wide and not stack.named("TriggerAuthentication", name):
                yield trigger.wrong("authenticationRef.name", "there is no TriggerAuthentication of this name")


@RULES.together("SR008", title="A disruption budget selects pods", reason="it would protect none")
def budget_pods(stack: Stack) -> Violations:
    for budget in stack.of("PodDisruptionBudget"):
        labels = budget.get("spec.selector.matchLabels")
        if not labels or not stack.selected(labels):
            yield budget.wrong("spec.selector.matchLabels", "no pod has these labels")


@RULES.together(
    "SR009", title="A PodMonitor selects pods, and names a port they have", reason="nothing would be scraped"
)
def scraped_pods(stack: Stack) -> Violations:
    for monitor in stack.of("PodMonitor"):
        pods = stack.selected(monitor.get("spec.selector.matchLabels"))
        if not pods:
            yield monitor.wrong("spec.selector.matchLabels", "no pod has these labels")
        for endpoint in monitor.parts("spec.podMetricsEndpoints"):
            for pod in pods:
                if endpoint.get("port") not in [port.get("name") for port in pod.ports]:
                    yield endpoint.wrong("port", f"{pod.owner} has {list_ports(pod.ports)}; use one of those by name")


# Addresses from outside.


@RULES.together("SR011", title="An Ingress leads to a Service and one of its ports", reason="it would answer 503")
def ingress_backend(stack: Stack) -> Violations:
    for ingress in stack.of("Ingress"):
        paths = [path for rule in ingress.parts("spec.rules") for path in rule.parts("http.paths")]
        if not paths:
            yield ingress.wrong("spec.rules", "give a path with a backend")
        for path in paths:
            backend = path.part("backend.service")
            if not path.text("path").startswith("/"):
                yield path.wrong("path", "give one that starts with /")
            port = backend.get("port.name") or backend.get("port.number")
            yield from _leads_to_service(stack, backend, "port", port)


@RULES.together("SR012", title="An HTTPRoute leads to a Service and one of its ports", reason="it would answer 500")
def route_backend(stack: Stack) -> Violations:
    for route in stack.of("HTTPRoute"):
        backends = [backend for rule in route.parts("spec.rules") for backend in rule.parts("backendRefs")]
        if not backends:
            yield route.wrong("spec.rules", "give a backend")
        for backend in backends:
            yield from _leads_to_service(stack, backend, "port", backend.get("port"))


def _leads_to_service(stack: Stack, backend: Part, at: str, port: Any) -> Violations:
    """Yield what is wrong with the Service and port that an address leads to."""
    service = stack.named("Service", backend.get("name"))
    if not service:
        yield backend.wrong("name", f"there is no such Service; there are: {list_names(stack, 'Service')}")
    elif port not in _service_ports(service):
        yield backend.wrong(at, f"{service.name} has {', '.join(map(str, _service_ports(service)))}; use one of those")


@RULES.together(
    "SR013",
    title="A certificate created here is a TLS Secret",
    reason="the controller would serve its own, self-signed one",
)
def certificate(stack: Stack) -> Violations:
    for ingress in stack.of("Ingress"):
        for entry in ingress.parts("spec.tls"):
            secret = stack.named("Secret", entry.text("secretName"))
            keys = keys_of(secret) if secret else {"tls.crt", "tls.key"}
            if (secret and secret.get("type") != "kubernetes.io/tls") or not {"tls.crt", "tls.key"} <= keys:
                yield entry.wrong("secretName", "is not a kubernetes.io/tls Secret with tls.crt and tls.key")


def _service_ports(service: Part) -> list[Any]:
    """Return the names and numbers of a Service's ports."""
    return [port.get(key) for port in service.parts("spec.ports") for key in ("name", "port")]
