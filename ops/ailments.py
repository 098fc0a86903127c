"""What is wrong with one pod, or with making one: the labels, and which of them its state and events say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from ops.cluster import Object, at, name_of, service_of
from ops.held import Held, age, condition


class Label(Enum):
    """What a cause is called, the most specific first: of two of one workload, the first one is told."""

    IMAGE = "image cannot be pulled"
    MISSING_OBJECT = "missing object"
    MISSING_KEY = "missing config key"
    BAD_CONFIGURATION = "bad configuration"
    OUT_OF_MEMORY = "out of memory"
    POLICY = "policy refused"
    QUOTA = "quota"
    ADMISSION = "admission"
    NODE = "node not ready"
    VOLUME = "volume"
    UNSCHEDULABLE = "unschedulable"
    LIVENESS = "liveness probe"
    STARTUP = "startup probe"
    MIGRATION = "migration failed"
    JOB = "job failed"
    CRASH = "crash loop"
    READINESS = "readiness probe"
    DEADLINE = "deadline exceeded"

    @property
    def rank(self) -> int:
        """0 is the most specific."""
        return list(Label).index(self)


@dataclass(frozen=True)
class Cause:
    """Why something does not run."""

    label: Label
    object: str
    """`Pod/api-6d5f-x2x4k, container api`."""
    evidence: tuple[str, ...]
    """What says so: conditions, events, exit codes, log lines."""
    next: str
    """The one command to type next."""
    consequences: tuple[str, ...] = ()
    """What else is wrong because of it."""


class Place(NamedTuple):
    """Where it is, for commands that can be typed as they stand."""

    stack: str
    context: str
    namespace: str

    def kubectl(self, command: str, *, namespaced: bool = True) -> str:
        """The command with context and namespace."""
        return f"kubectl --context {self.context} {f'-n {self.namespace} ' if namespaced else ''}{command}"

    def slipway(self, verb: str, rest: str = "") -> str:
        """`./slipway logs -s dev api`."""
        return f"./slipway {verb} -s {self.stack} {rest}".rstrip()


# A rollout that goes well looks like this for a moment, too.
UNSCHEDULED_SECONDS = 10
UNREADY_SECONDS = 20
# A container that was started again that often, the last time that long ago, is in a loop even while it is ready.
LOOP_RESTARTS = 3
LOOP_SECONDS = 600

NOT_PULLED = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError",
              "RegistryUnavailable", "SignatureValidationFailed")  # fmt: skip
NOT_MADE = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
# The kubelet says it of pods it has just been given.
PASSING_MOUNT = re.compile(r"not registered|failed to sync \w+ cache")
ABOUT_VOLUMES = re.compile(r"unbound immediate|persistent volumes? to bind|volume node affinity|persistentvolumeclaim")
NODE_TAINT = re.compile(r"node\.kubernetes\.io/(not-ready|unreachable)")
OBJECT_NOT_FOUND = re.compile(
    r'(configmap|secret|serviceaccount|persistentvolumeclaim)s? "?([\w./-]+)"? not found', re.I
)
KEY_NOT_FOUND = re.compile(r"couldn't find key|references non-existent (secret|config) key")
KILLED_AT_START = "init was OOM-killed"
# What the app prints, then one line per mistake.
NOT_VALID = "the configuration is not valid:"
KEY_MISSING = re.compile(r"not set|no such file|missing|required", re.I)
SIGNALS = {1: "HUP", 2: "INT", 3: "QUIT", 4: "ILL", 6: "ABRT", 7: "BUS", 8: "FPE", 9: "KILL", 11: "SEGV", 15: "TERM"}


@dataclass(frozen=True)
class Patient:
    """One pod that is not well, and where it is."""

    pod: Object
    held: Held
    place: Place
    crash: Label = Label.CRASH
    """What it is called when its program ends by itself."""

    def causes(self) -> Iterator[Cause]:
        """Everything that is wrong with it."""
        yield from self._unscheduled()
        yield from self._node()
        started = False
        for spec, status in self._containers():
            started = started or bool(at(status, "state", "running") or at(status, "lastState", "terminated"))
            yield from self._waiting(spec, status)
            yield from self._ended(spec, status)
            yield from self._probed(spec, status)
        if not started:
            yield from self._volumes()

    def _cause(self, label: Label, evidence: list[str], command: str, container: str = "") -> Cause:
        where = f"Pod/{name_of(self.pod)}{f', container {container}' if container else ''}"
        return Cause(label, where, tuple(evidence), command)

    @property
    def _describe(self) -> str:
        return self.place.kubectl(f"describe pod {name_of(self.pod)}")

    @property
    def _service(self) -> str:
        return service_of(self.pod) or name_of(self.pod)

    def _containers(self) -> Iterator[tuple[Object, Object]]:
        """Specification and state of each container that has a state."""
        for kind in ("initContainer", "container"):
            specs = {spec["name"]: spec for spec in at(self.pod, "spec", f"{kind}s") or []}
            for status in at(self.pod, "status", f"{kind}Statuses") or []:
                yield specs.get(status["name"], {}), status

    def _unscheduled(self) -> Iterator[Cause]:
        scheduled = condition(self.pod, "PodScheduled")
        waited = self.held.seconds_since(scheduled.get("lastTransitionTime"))
        if scheduled.get("reason") != "Unschedulable" or waited < UNSCHEDULED_SECONDS:
            return
        message = scheduled.get("message") or ""
        evidence = [f"PodScheduled is False for {age(waited)}: Unschedulable: {message}"]
        if found := OBJECT_NOT_FOUND.search(message):
            yield missing(f"Pod/{name_of(self.pod)}", found, evidence, self.place)
        elif ABOUT_VOLUMES.search(message):
            yield self._volume(evidence)
        elif NODE_TAINT.search(message) and (sick := [node for node in self.held.nodes if not is_ready(node)]):
            yield node_cause(sick[0], self.held, self.place)
        else:
            yield self._cause(
                Label.UNSCHEDULABLE,
                [*evidence, *self._requests()],
                self.place.kubectl("describe nodes", namespaced=False),
            )

    def _requests(self) -> Iterator[str]:
        for spec in at(self.pod, "spec", "containers") or []:
            if asked := at(spec, "resources", "requests"):
                yield f"container {spec['name']} requests {', '.join(f'{k} {v}' for k, v in sorted(asked.items()))}"

    def _node(self) -> Iterator[Cause]:
        for node in self.held.nodes:
            if name_of(node) == at(self.pod, "spec", "nodeName") and not is_ready(node):
                yield node_cause(node, self.held, self.place)

    def _waiting(self, spec: Object, status: Object) -> Iterator[Cause]:
        """A container that was not made: its image, or what it refers to."""
        reason, message = (at(status, "state", "waiting", key) or "" for key in ("reason", "message"))
        evidence = [f"{reason}: {self.held.mask.values(message)}".removesuffix(": ")]
        name = status["name"]
        if reason in NOT_PULLED:
            events = [self.held.told(event) for event in self.held.events_of(self.pod, "Failed")[:2]]
            image = spec.get("image") or status.get("image") or ""
            yield self._cause(
                Label.IMAGE,
                [f"image {image}", *evidence, *events],
                self.place.slipway("config show", "| grep image"),
                name,
            )
        elif reason in NOT_MADE:
            if found := OBJECT_NOT_FOUND.search(message):
                yield missing(f"Pod/{name_of(self.pod)}, container {name}", found, evidence, self.place)
            elif KEY_NOT_FOUND.search(message):
                yield self._cause(Label.MISSING_KEY, evidence, self._settings("env"), name)
            elif "runAsNonRoot" in message:
                yield self._cause(Label.POLICY, evidence, self._describe, name)
            elif KILLED_AT_START in message:
                yield self._out_of_memory(spec, evidence)
            else:
                yield self._cause(self.crash, evidence, self._describe, name)

    def _ended(self, spec: Object, status: Object) -> Iterator[Cause]:
        """A container whose program ended, once or again and again."""
        now, before = (at(status, state, "terminated") for state in ("state", "lastState"))
        ended: Object | None = now or before
        if not ended or not self._counts(status, ended) or at(status, "state", "waiting", "reason") in NOT_PULLED:
            return
        name = status["name"]
        evidence = [f"{_how(ended, self.held)}; started again {status.get('restartCount', 0)} times"]
        if message := self.held.mask.line((ended.get("message") or "").strip()):
            evidence.append(message)
        if ended.get("reason") == "OOMKilled" or KILLED_AT_START in message:
            yield self._out_of_memory(spec, evidence)
            return
        tail = self._tail(name, previous=not now)
        if killed := self._killed_by_probe(name):
            label, why = killed
            yield self._cause(label, [*why, *evidence, *tail], self._logs(previous=True), name)
        elif mistakes := [line.strip() for line in _after(NOT_VALID, tail)]:
            lacks = any(KEY_MISSING.search(line) for line in mistakes)
            label = Label.MISSING_KEY if lacks else Label.BAD_CONFIGURATION
            yield self._cause(
                label, [*evidence, NOT_VALID, *(f"  {line}" for line in mistakes)], self._settings(), name
            )
        else:
            yield self._cause(self.crash, [*evidence, *tail], self._logs(previous=not now), name)

    def _counts(self, status: Object, ended: Object) -> bool:
        """Whether the end of a run says something about now."""
        if at(self.pod, "spec", "restartPolicy") in ("Never", "OnFailure"):
            return ended.get("exitCode") != 0
        if not status.get("ready"):
            # An init container that has done its work ended, too.
            return ended.get("exitCode") != 0 or bool(status.get("restartCount"))
        if at(status, "state", "terminated") or self.held.seconds_since(ended.get("finishedAt")) >= LOOP_SECONDS:
            return False
        # Memory does not run out by chance: what the pod was asked to do will be asked again.
        return ended.get("reason") == "OOMKilled" or status.get("restartCount", 0) >= LOOP_RESTARTS

    def _out_of_memory(self, spec: Object, evidence: list[str]) -> Cause:
        limit = at(spec, "resources", "limits", "memory") or "none of its own"
        command = self._settings("resources")
        return self._cause(Label.OUT_OF_MEMORY, [f"memory limit {limit}", *evidence], command, spec.get("name", ""))

    def _killed_by_probe(self, container: str) -> tuple[Label, list[str]] | None:
        for event in self.held.events_of(self.pod, "Killing"):
            for probe, label in (("liveness", Label.LIVENESS), ("startup", Label.STARTUP)):
                if f"{container} failed {probe} probe" in (event.get("message") or ""):
                    return label, [self.held.told(event), *self._unhealthy(probe)]
        return None

    def _unhealthy(self, probe: str) -> list[str]:
        events = self.held.events_of(self.pod, "Unhealthy")
        return [self.held.told(e) for e in events if (e.get("message") or "").lower().startswith(f"{probe} probe")][:1]

    def _probed(self, spec: Object, status: Object) -> Iterator[Cause]:
        """A container that runs and does not answer its probe, for longer than a start should take."""
        since = at(status, "state", "running", "startedAt")
        if not since or status.get("ready"):
            return
        name = status["name"]
        if killed := self._killed_by_probe(name):
            # It is given the time to end: that may take longer than a rollout has.
            yield self._cause(
                killed[0], [*killed[1], *self._tail(name, previous=False)], self._logs(previous=False), name
            )
            return
        is_starting = status.get("started") is False
        probe, label = ("startup", Label.STARTUP) if is_starting else ("readiness", Label.READINESS)
        if not spec.get(f"{probe}Probe"):
            return
        unready = self.held.seconds_since(condition(self.pod, "Ready").get("lastTransitionTime") or since)
        waited = min(self.held.seconds_since(since), unready)
        if waited <= (_allowed(spec["startupProbe"]) if is_starting else UNREADY_SECONDS):
            return
        evidence = [
            f"runs for {age(self.held.seconds_since(since))}, and its {probe} probe ({_asked(spec[f'{probe}Probe'])}) "
            f"has not answered for {age(waited)}",
            *self._unhealthy(probe),
            *self._tail(name, previous=False),
        ]
        yield self._cause(label, evidence, self._logs(previous=False), name)

    def _tail(self, container: str, *, previous: bool) -> list[str]:
        log = self.held.tail(self.pod, container, previous=previous)
        return ["last lines:", *(f"  {line}" for line in log)] if log else []

    def _volumes(self) -> Iterator[Cause]:
        """A pod whose containers wait for a volume: what it holds is missing, or it cannot be mounted."""
        for event in self.held.events_of(self.pod, "FailedMount", "FailedAttachVolume"):
            message = event.get("message") or ""
            if PASSING_MOUNT.search(message):
                continue
            evidence = [self.held.told(event)]
            if found := OBJECT_NOT_FOUND.search(message):
                yield missing(f"Pod/{name_of(self.pod)}", found, evidence, self.place)
            elif KEY_NOT_FOUND.search(message):
                yield self._cause(Label.MISSING_KEY, evidence, self._settings("secrets"))
            else:
                yield self._volume(evidence)
            return

    def _volume(self, evidence: list[str]) -> Cause:
        """With what the claims of the pod say."""
        named = [at(volume, "persistentVolumeClaim", "claimName") for volume in at(self.pod, "spec", "volumes") or []]
        claims = [claim for claim in self.held.claims if name_of(claim) in named]
        for claim in claims:
            evidence.append(f"PersistentVolumeClaim/{name_of(claim)} is {at(claim, 'status', 'phase')}")
            evidence += [self.held.told(event) for event in self.held.events_of(claim)[:1]]
        waiting = [name_of(claim) for claim in claims if at(claim, "status", "phase") != "Bound"]
        what = f"describe pvc {waiting[0]}" if waiting else f"describe pod {name_of(self.pod)}"
        return self._cause(Label.VOLUME, evidence, self.place.kubectl(what))

    def _settings(self, key: str = "") -> str:
        """The lines of the stack file it is about."""
        return self.place.slipway("config show", f"| grep services.{self._owner}{f'.{key}' if key else ''}")

    @property
    def _owner(self) -> str:
        """The service whose job this may be."""
        return at(self.pod, "metadata", "labels", "slipway/service") or self._service

    def _logs(self, *, previous: bool) -> str:
        return self.place.slipway("logs", f"{self._service}{' --previous' if previous else ''}")


def refusal(object: str, message: str, evidence: list[str], held: Held, place: Place) -> Cause:
    """Why the API server refused to make a pod."""
    events = place.kubectl("get events --field-selector reason=FailedCreate")
    if "exceeded quota" in message:
        used = [line for quota in held.quotas for line in _used_up(quota)]
        return Cause(Label.QUOTA, object, (*evidence, *used), place.kubectl("describe quota"))
    if "violates PodSecurity" in message:
        return Cause(Label.POLICY, object, tuple(evidence), place.kubectl(f"get namespace {place.namespace} -o yaml"))
    if re.search(r"denied (the )?request", message):
        kinds = "validatingadmissionpolicies,validatingwebhookconfigurations,mutatingwebhookconfigurations"
        return Cause(Label.POLICY, object, tuple(evidence), place.kubectl(f"get {kinds}", namespaced=False))
    if found := OBJECT_NOT_FOUND.search(message):
        return missing(object, found, evidence, place)
    return Cause(Label.ADMISSION, object, tuple(evidence), events)


def missing(object: str, found: re.Match[str], evidence: list[str], place: Place) -> Cause:
    """An object that the program declares, so that it can be brought back."""
    told = (f"{found[1].lower()} {found[2]} is not there", *evidence)
    return Cause(Label.MISSING_OBJECT, object, told, f"pulumi up -s {place.stack} --refresh")


def node_cause(node: Object, held: Held, place: Place) -> Cause:
    """What a node that is not ready says about itself."""
    ready = condition(node, "Ready")
    since = age(held.seconds_since(ready.get("lastTransitionTime")))
    told = f"Ready is {ready.get('status')} for {since}: {ready.get('reason')}: {ready.get('message')}"
    command = place.kubectl(f"describe node {name_of(node)}", namespaced=False)
    return Cause(Label.NODE, f"Node/{name_of(node)}", (told,), command)


def is_ready(node: Object) -> bool:
    """Whether it can run pods; one that does not say so yet cannot."""
    return condition(node, "Ready").get("status") == "True"


def _used_up(quota: Object) -> Iterator[str]:
    for key, hard in sorted((at(quota, "status", "hard") or {}).items()):
        yield f"ResourceQuota/{name_of(quota)}: {key}: {(at(quota, 'status', 'used') or {}).get(key)} of {hard} used"


def _how(ended: Object, held: Held) -> str:
    """`ended 12s ago: Error, exit code 137 (signal KILL)`."""
    code = ended.get("exitCode", 0)
    signal = ended.get("signal") or (code - 128 if code > 128 else 0)
    by = f" (signal {SIGNALS.get(signal, signal)})" if signal else ""
    when = f" {age(held.seconds_since(ended['finishedAt']))} ago" if ended.get("finishedAt") else ""
    return f"ended{when}: {ended.get('reason') or 'Error'}, exit code {code}{by}"


def _after(heading: str, lines: list[str]) -> list[str]:
    """The lines below the last one that ends with the heading."""
    places = [index for index, line in enumerate(lines) if line.endswith(heading)]
    return lines[places[-1] + 1 :] if places else []


def _allowed(probe: Object) -> int:
    """Seconds a probe may fail before the kubelet acts."""
    return probe.get("initialDelaySeconds", 0) + probe.get("failureThreshold", 3) * probe.get("periodSeconds", 10)


def _asked(probe: Object) -> str:
    """What a probe asks: `GET :admin/readyz`."""
    if get := probe.get("httpGet"):
        return f"GET :{get.get('port')}{get.get('path', '/')}"
    if command := at(probe, "exec", "command"):
        return " ".join(command)
    return f"port {at(probe, 'tcpSocket', 'port') or at(probe, 'grpc', 'port')}"
