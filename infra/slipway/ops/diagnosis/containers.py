"""The causes of one container's failure: it is not created, its program ends, or it does not answer a probe."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from slipway.naming import SERVICE_LABEL
from slipway.objects import Object, condition, dig, name_of
from slipway.ops.cluster.connection import service_of
from slipway.ops.cluster.snapshot import ClusterSnapshot, age
from slipway.ops.diagnosis.cause import KEY_NOT_FOUND, Cause, Label, StackLocation, missing_object

# Pods that start look unready, too; report it only after this long.
UNREADY_SECONDS = 20
# A container with this many restarts, the last one this recent, is in a crash loop even while it is ready.
LOOP_RESTARTS = 3
LOOP_SECONDS = 600

IMAGE_ERRORS = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError",
                "RegistryUnavailable", "SignatureValidationFailed")  # fmt: skip
CREATION_ERRORS = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
OUT_OF_MEMORY_AT_START = "init was OOM-killed"
# The app prints this heading, then one line per error.
INVALID_CONFIGURATION = "the configuration is not valid:"
KEY_MISSING = re.compile(r"not set|no such file|missing|required", re.I)
# The numbers of Linux, whatever this runs on.
SIGNALS = {1: "HUP", 2: "INT", 3: "QUIT", 4: "ILL", 6: "ABRT", 7: "BUS", 8: "FPE", 9: "KILL", 11: "SEGV", 15: "TERM"}


@dataclass(frozen=True)
class ContainerDiagnosis:
    """One container of a pod, and what is needed to find out why it does not run."""

    pod: Object
    spec: Object
    status: Object
    snapshot: ClusterSnapshot
    location: StackLocation
    crash_label: Label
    """The label if the program ends by itself."""

    def causes(self) -> Iterator[Cause]:
        """Yield everything that is wrong with the container."""
        yield from filter(None, (self._not_created(), self._ended(), self._unanswered_probe()))

    @property
    def has_started(self) -> bool:
        """Whether the container runs or has run."""
        return bool(dig(self.status, "state.running") or dig(self.status, "lastState.terminated"))

    # Not created

    def _not_created(self) -> Cause | None:
        """Return why the container waits: for its image, or for what its configuration refers to."""
        reason, message = (dig(self.status, "state.waiting", key) or "" for key in ("reason", "message"))
        evidence = [f"{reason}: {self.snapshot.mask.values(message)}".removesuffix(": ")]
        if reason in IMAGE_ERRORS:
            image = self.spec.get("image") or self.status.get("image") or ""
            events = map(self.snapshot.describe_event, self.snapshot.events_of(self.pod, "Failed")[:2])
            command = self.location.slipway("config show", "| grep image")
            return self._cause(Label.IMAGE, [f"image {image}", *evidence, *events], command)
        return self._creation_error(message, evidence) if reason in CREATION_ERRORS else None

    def _creation_error(self, message: str, evidence: list[str]) -> Cause:
        if cause := missing_object(message, self._name, evidence, self.location):
            return cause
        if KEY_NOT_FOUND.search(message):
            return self._cause(Label.MISSING_KEY, evidence, self._settings("env"))
        if OUT_OF_MEMORY_AT_START in message:
            return self._out_of_memory(evidence)
        label = Label.POLICY if "runAsNonRoot" in message else self.crash_label
        return self._cause(label, evidence, self.location.kubectl(f"describe pod {name_of(self.pod)}"))

    # Ended

    def _ended(self) -> Cause | None:
        """Return why the program ended, in this run of the container or in the one before."""
        this_run = dig(self.status, "state.terminated")
        end: Object | None = this_run or dig(self.status, "lastState.terminated")
        if not end or not self._is_relevant(end) or dig(self.status, "state.waiting.reason") in IMAGE_ERRORS:
            return None
        message = self.snapshot.mask.line((end.get("message") or "").strip())
        restarts = self.status.get("restartCount", 0)
        evidence = [f"{self._describe_end(end)}; started again {restarts} times", *([message] if message else [])]
        if end.get("reason") == "OOMKilled" or OUT_OF_MEMORY_AT_START in message:
            return self._out_of_memory(evidence)
        log = self._log_tail(previous=not this_run)
        if kill := self._kill_by_probe():
            label, events = kill
            return self._cause(label, [*events, *evidence, *log], self._logs(previous=True))
        if errors := _lines_after(INVALID_CONFIGURATION, log):
            return self._invalid_configuration(evidence, errors)
        return self._cause(self.crash_label, [*evidence, *log], self._logs(previous=not this_run))

    def _is_relevant(self, end: Object) -> bool:
        """Whether the end of a run says something about the container's state now."""
        if dig(self.pod, "spec.restartPolicy") in ("Never", "OnFailure"):
            return end.get("exitCode") != 0
        if not self.status.get("ready"):
            # An init container that has succeeded has ended, too.
            return end.get("exitCode") != 0 or bool(self.status.get("restartCount"))
        is_past = self.snapshot.seconds_since(end.get("finishedAt")) >= LOOP_SECONDS
        if is_past or dig(self.status, "state.terminated"):
            return False
        # Running out of memory will happen again with the next load of this kind.
        return end.get("reason") == "OOMKilled" or self.status.get("restartCount", 0) >= LOOP_RESTARTS

    def _describe_end(self, end: Object) -> str:
        """Return `ended 12s ago: Error, exit code 137 (signal KILL)`."""
        code = end.get("exitCode", 0)
        signal = end.get("signal") or (code - 128 if code > 128 else 0)
        by = f" (signal {SIGNALS.get(signal, signal)})" if signal else ""
        when = f" {age(self.snapshot.seconds_since(end['finishedAt']))} ago" if end.get("finishedAt") else ""
        return f"ended{when}: {end.get('reason') or 'Error'}, exit code {code}{by}"

    def _out_of_memory(self, evidence: list[str]) -> Cause:
        limit = dig(self.spec, "resources.limits.memory") or "none of its own"
        return self._cause(Label.OUT_OF_MEMORY, [f"memory limit {limit}", *evidence], self._settings("resources"))

    def _invalid_configuration(self, evidence: list[str], errors: list[str]) -> Cause:
        label = Label.MISSING_KEY if any(map(KEY_MISSING.search, errors)) else Label.BAD_CONFIGURATION
        lines = [INVALID_CONFIGURATION, *(f"  {error}" for error in errors)]
        return self._cause(label, [*evidence, *lines], self._settings())

    # Probes

    def _unanswered_probe(self) -> Cause | None:
        """Return the probe that a running container does not answer, for longer than a start may take."""
        started_at = dig(self.status, "state.running.startedAt")
        if not started_at or self.status.get("ready"):
            return None
        if kill := self._kill_by_probe():
            # The container is terminating; its grace period may be longer than the rollout's deadline.
            return self._unanswered_cause(*kill)
        is_starting = self.status.get("started") is False
        label = Label.STARTUP if is_starting else Label.READINESS
        probe = self.spec.get("startupProbe" if is_starting else "readinessProbe")
        running = self.snapshot.seconds_since(started_at)
        unready_since = condition(self.pod, "Ready").get("lastTransitionTime") or started_at
        waited = min(running, self.snapshot.seconds_since(unready_since))
        if not probe or waited <= (_seconds_allowed(probe) if is_starting else UNREADY_SECONDS):
            return None
        silence = f"{label} ({_describe_probe(probe)}) has not answered for {age(waited)}"
        return self._unanswered_cause(
            label, [f"runs for {age(running)}, and its {silence}", *self._unhealthy_events(label)]
        )

    def _unanswered_cause(self, label: Label, evidence: list[str]) -> Cause:
        return self._cause(label, [*evidence, *self._log_tail(previous=False)], self._logs(previous=False))

    def _kill_by_probe(self) -> tuple[Label, list[str]] | None:
        """Return the probe for which the kubelet has killed the container, and the events that report it."""
        for event in self.snapshot.events_of(self.pod, "Killing"):
            for label in (Label.LIVENESS, Label.STARTUP):
                if f"{self.status['name']} failed {label}" in (event.get("message") or ""):
                    return label, [self.snapshot.describe_event(event), *self._unhealthy_events(label)]
        return None

    def _unhealthy_events(self, label: Label) -> list[str]:
        events = self.snapshot.events_of(self.pod, "Unhealthy")
        matching = [event for event in events if (event.get("message") or "").lower().startswith(label)]
        return [self.snapshot.describe_event(event) for event in matching[:1]]

    # Names, logs and commands

    @property
    def _name(self) -> str:
        return f"Pod/{name_of(self.pod)}, container {self.status['name']}"

    def _cause(self, label: Label, evidence: Sequence[str], command: str) -> Cause:
        return Cause(label, self._name, tuple(evidence), command)

    def _log_tail(self, *, previous: bool) -> list[str]:
        lines = self.snapshot.log_tail(self.pod, self.status["name"], previous=previous)
        return ["last lines:", *(f"  {line}" for line in lines)] if lines else []

    def _logs(self, *, previous: bool) -> str:
        service = service_of(self.pod) or name_of(self.pod)
        return self.location.slipway("logs", f"{service}{' --previous' if previous else ''}")

    def _settings(self, key: str = "") -> str:
        return settings_command(self.pod, self.location, key)


def settings_command(pod: Object, location: StackLocation, key: str = "") -> str:
    """Return the command that shows the settings of the pod's service, which may be one that the pod is a job of."""
    service = dig(pod, "metadata.labels", SERVICE_LABEL) or service_of(pod) or name_of(pod)
    return location.slipway("config show", f"| grep services.{service}{f'.{key}' if key else ''}")


def _lines_after(heading: str, lines: list[str]) -> list[str]:
    """Return the lines below the last one that ends with the heading, without indentation."""
    positions = [index for index, line in enumerate(lines) if line.endswith(heading)]
    return [line.strip() for line in lines[positions[-1] + 1 :]] if positions else []


def _seconds_allowed(probe: Object) -> int:
    """Return how many seconds a probe may fail before the kubelet acts."""
    return probe.get("initialDelaySeconds", 0) + probe.get("failureThreshold", 3) * probe.get("periodSeconds", 10)


def _describe_probe(probe: Object) -> str:
    """Return what a probe requests: `GET :admin/readyz`."""
    if get := probe.get("httpGet"):
        return f"GET :{get.get('port')}{get.get('path', '/')}"
    if command := dig(probe, "exec.command"):
        return " ".join(command)
    return f"port {dig(probe, 'tcpSocket.port') or dig(probe, 'grpc.port')}"
