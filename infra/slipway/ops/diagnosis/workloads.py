"""The causes of one workload's failure: its pods, pods that are not created, or a missed deadline.

Only what is current counts: of a Deployment, the pods of its newest ReplicaSet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from slipway.objects import Object, condition, dig, mapping, name_of
from slipway.ops.cluster.snapshot import ClusterSnapshot, age
from slipway.ops.diagnosis.cause import Cause, Label, StackLocation, missing_object
from slipway.ops.diagnosis.pods import PodDiagnosis


@dataclass(frozen=True)
class WorkloadDiagnosis:
    """One Deployment, StatefulSet or Job, and what is needed to find out why it does not run."""

    workload: Object
    snapshot: ClusterSnapshot
    location: StackLocation

    def cause(self) -> Cause | None:
        """Return the most specific cause; None while the workload is healthy or still progressing."""
        if self._kind == "Job" and condition(self.workload, "Complete").get("status") == "True":
            return None
        own_causes = filter(None, (self._creation_failure(), self._missed_deadline(), self._failed_job()))
        # Of causes with the same label, min takes the first one: that of a pod.
        return min([*self._pod_causes(), *own_causes], key=lambda cause: cause.label.rank, default=None)

    @property
    def _kind(self) -> str:
        return kind_of(self.workload)

    @property
    def _object(self) -> str:
        return f"{self._kind}/{name_of(self.workload)}"

    @property
    def _controller(self) -> Object | None:
        """Return the object that creates the pods."""
        return self.snapshot.newest_replica_set(self.workload) if self._kind == "Deployment" else self.workload

    @property
    def _failure_label(self) -> Label:
        """Return the label if a program ends by itself."""
        if self._kind != "Job":
            return Label.CRASH
        is_migration = name_of(self.workload).rpartition("-")[0].endswith("-migration")
        return Label.MIGRATION if is_migration else Label.JOB

    def _pod_causes(self) -> Iterator[Cause]:
        pods = self.snapshot.owned(self.snapshot.pods, self._controller) if self._controller else []
        for pod in pods:
            # An evicted pod has a successor; the failed pod of a job is the job's result.
            if self._kind == "Job" or dig(pod, "status.phase") not in ("Failed", "Succeeded"):
                yield from PodDiagnosis(pod, self.snapshot, self.location, self._failure_label).causes()

    def _creation_failure(self) -> Cause | None:
        """Return the cause if the API server refuses to create pods. Only ReplicaSets have a condition for that."""
        if (controller := self._controller) is None:
            return None
        events = self.snapshot.events_of(controller, "FailedCreate")
        evidence = list(map(self.snapshot.describe_event, events[:1]))
        name = name_of(controller)
        if self._kind == "Deployment":
            failure = condition(controller, "ReplicaFailure")
            if failure.get("status") == "True":
                text = f"ReplicaFailure: {failure['reason']}: {failure['message']}"
                evidence = [self.snapshot.mask.values(text), *evidence]
                return self._refused_pod(f"ReplicaSet/{name}", failure["message"], evidence)
        elif events and not (dig(controller, "status.active") or dig(controller, "status.replicas")):
            return self._refused_pod(f"{self._kind}/{name}", events[0].get("message") or "", evidence)
        return None

    def _refused_pod(self, object: str, message: str, evidence: list[str]) -> Cause:
        """Return why the API server refuses to create a pod."""
        kubectl, namespace = self.location.kubectl, self.location.namespace
        if "exceeded quota" in message:
            used = [line for quota in self.snapshot.quotas for line in _quota_use(quota)]
            return Cause(Label.QUOTA, object, (*evidence, *used), kubectl("describe quota"))
        if "violates PodSecurity" in message:
            return Cause(Label.POLICY, object, tuple(evidence), kubectl(f"get namespace {namespace} -o yaml"))
        if re.search(r"denied (the )?request", message):
            kinds = "validatingadmissionpolicies,validatingwebhookconfigurations,mutatingwebhookconfigurations"
            return Cause(Label.POLICY, object, tuple(evidence), kubectl(f"get {kinds}", namespaced=False))
        if cause := missing_object(message, object, evidence, self.location):
            return cause
        events = kubectl("get events --field-selector reason=FailedCreate")
        return Cause(Label.ADMISSION, object, tuple(evidence), events)

    def _missed_deadline(self) -> Cause | None:
        """Return the cause if a rollout has made no progress for too long."""
        progressing = condition(self.workload, "Progressing")
        if progressing.get("reason") != "ProgressDeadlineExceeded":
            return None
        seconds = mapping(self.workload, "spec").get("progressDeadlineSeconds", 600)
        evidence = (f"no progress for {seconds} s: {progressing.get('message')}", *self._events(3))
        command = self.location.kubectl(f"describe deployment {name_of(self.workload)}")
        return Cause(Label.DEADLINE, self._object, evidence, command)

    def _failed_job(self) -> Cause | None:
        """Return the cause if the job has failed, whatever its pods report."""
        failed = condition(self.workload, "Failed")
        if failed.get("status") != "True":
            return None
        label = Label.DEADLINE if failed.get("reason") == "DeadlineExceeded" else self._failure_label
        since = age(self.snapshot.seconds_since(failed.get("lastTransitionTime")))
        evidence = (f"Failed {since} ago: {failed.get('reason')}: {failed.get('message')}", *self._events(2))
        command = self.location.kubectl(f"describe job {name_of(self.workload)}")
        return Cause(label, self._object, evidence, command)

    def _events(self, limit: int) -> list[str]:
        return list(map(self.snapshot.describe_event, self.snapshot.events_of(self.workload)[:limit]))


def kind_of(workload: Object) -> str:
    """Return the kind, which the API server omits in lists, by a field that only this kind has."""
    spec = mapping(workload, "spec")
    if "serviceName" in spec:
        return "StatefulSet"
    return "Deployment" if "selector" in spec and "strategy" in spec else "Job"


def _quota_use(quota: Object) -> Iterator[str]:
    used = mapping(quota, "status.used")
    for key, hard in sorted(mapping(quota, "status.hard").items()):
        yield f"ResourceQuota/{name_of(quota)}: {key}: {used.get(key)} of {hard} used"
