"""The causes of one pod's failure: it is not scheduled, its node is not ready, a volume, or one of its containers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from slipway.objects import Object, condition, dig, items, name_of
from slipway.ops.cluster.snapshot import ClusterSnapshot, age, is_ready
from slipway.ops.diagnosis.cause import KEY_NOT_FOUND, Cause, Label, StackLocation, missing_object
from slipway.ops.diagnosis.containers import ContainerDiagnosis, settings_command

# The scheduler reports Unschedulable briefly in healthy rollouts, too; report it only after this long.
UNSCHEDULED_SECONDS = 10
# The kubelet reports these errors of pods that were just assigned to it; they pass by themselves.
TRANSIENT_MOUNT_ERROR = re.compile(r"not registered|failed to sync \w+ cache")
ABOUT_VOLUMES = re.compile(r"unbound immediate|persistent volumes? to bind|volume node affinity|persistentvolumeclaim")
NODE_TAINT = re.compile(r"node\.kubernetes\.io/(not-ready|unreachable)")


@dataclass(frozen=True)
class PodDiagnosis:
    """One pod, and what is needed to find out why it does not run."""

    pod: Object
    snapshot: ClusterSnapshot
    location: StackLocation
    crash_label: Label = Label.CRASH
    """The label if a program ends by itself; jobs have their own."""

    def causes(self) -> Iterator[Cause]:
        """Yield everything that is wrong with the pod."""
        yield from filter(None, (self._unscheduled(), self._unready_node()))
        containers = list(self._containers())
        for container in containers:
            yield from container.causes()
        if not any(container.has_started for container in containers):
            yield from filter(None, [self._failed_mount()])

    def _containers(self) -> Iterator[ContainerDiagnosis]:
        """Yield the containers that have a status, init containers first."""
        for kind in ("initContainer", "container"):
            specs = {spec["name"]: spec for spec in items(self.pod, f"spec.{kind}s")}
            for status in items(self.pod, f"status.{kind}Statuses"):
                spec = specs.get(status["name"], {})
                yield ContainerDiagnosis(self.pod, spec, status, self.snapshot, self.location, self.crash_label)

    def _cause(self, label: Label, evidence: list[str], command: str) -> Cause:
        return Cause(label, f"Pod/{name_of(self.pod)}", tuple(evidence), command)

    def _unscheduled(self) -> Cause | None:
        """Return why the scheduler finds no node for the pod."""
        scheduled = condition(self.pod, "PodScheduled")
        waited = self.snapshot.seconds_since(scheduled.get("lastTransitionTime"))
        if scheduled.get("reason") != "Unschedulable" or waited < UNSCHEDULED_SECONDS:
            return None
        message = scheduled.get("message") or ""
        evidence = [f"PodScheduled is False for {age(waited)}: Unschedulable: {message}"]
        if cause := missing_object(message, f"Pod/{name_of(self.pod)}", evidence, self.location):
            return cause
        if ABOUT_VOLUMES.search(message):
            return self._volume_cause(evidence)
        unready_nodes = [node for node in self.snapshot.nodes if not is_ready(node)]
        if NODE_TAINT.search(message) and unready_nodes:
            return self._node_cause(unready_nodes[0])
        command = self.location.kubectl("describe nodes", namespaced=False)
        return self._cause(Label.UNSCHEDULABLE, [*evidence, *self._requests()], command)

    def _requests(self) -> Iterator[str]:
        for spec in items(self.pod, "spec.containers"):
            if requests := dig(spec, "resources.requests"):
                amounts = ", ".join(f"{resource} {amount}" for resource, amount in sorted(requests.items()))
                yield f"container {spec['name']} requests {amounts}"

    def _unready_node(self) -> Cause | None:
        """Return the cause if the pod runs on a node that is not ready."""
        for node in self.snapshot.nodes:
            if name_of(node) == dig(self.pod, "spec.nodeName") and not is_ready(node):
                return self._node_cause(node)
        return None

    def _node_cause(self, node: Object) -> Cause:
        ready = condition(node, "Ready")
        since = age(self.snapshot.seconds_since(ready.get("lastTransitionTime")))
        evidence = f"Ready is {ready.get('status')} for {since}: {ready.get('reason')}: {ready.get('message')}"
        command = self.location.kubectl(f"describe node {name_of(node)}", namespaced=False)
        return Cause(Label.NODE, f"Node/{name_of(node)}", (evidence,), command)

    def _failed_mount(self) -> Cause | None:
        """Return why the pod's containers wait for a volume: its source is missing, or it cannot be mounted."""
        for event in self.snapshot.events_of(self.pod, "FailedMount", "FailedAttachVolume"):
            message = event.get("message") or ""
            if TRANSIENT_MOUNT_ERROR.search(message):
                continue
            evidence = [self.snapshot.describe_event(event)]
            if cause := missing_object(message, f"Pod/{name_of(self.pod)}", evidence, self.location):
                return cause
            if KEY_NOT_FOUND.search(message):
                return self._cause(Label.MISSING_KEY, evidence, settings_command(self.pod, self.location, "secrets"))
            return self._volume_cause(evidence)
        return None

    def _volume_cause(self, evidence: list[str]) -> Cause:
        """Return the cause with the state of the pod's PersistentVolumeClaims."""
        names = [dig(volume, "persistentVolumeClaim.claimName") for volume in items(self.pod, "spec.volumes")]
        claims = [claim for claim in self.snapshot.claims if name_of(claim) in names]
        for claim in claims:
            evidence.append(f"PersistentVolumeClaim/{name_of(claim)} is {dig(claim, 'status.phase')}")
            evidence += map(self.snapshot.describe_event, self.snapshot.events_of(claim)[:1])
        unbound = [name_of(claim) for claim in claims if dig(claim, "status.phase") != "Bound"]
        subject = f"pvc {unbound[0]}" if unbound else f"pod {name_of(self.pod)}"
        return self._cause(Label.VOLUME, evidence, self.location.kubectl(f"describe {subject}"))
