"""What a drill works on: a running stack under traffic. Every change to it is undone, whatever happens."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, TypeAlias

import typer

from slipway.objects import Object, dig, items, name_of
from slipway.ops import signals
from slipway.ops.cluster.connection import ClusterError, RefusedError, StackCluster, service_of
from slipway.ops.cluster.snapshot import is_ready, take_snapshot
from slipway.ops.diagnosis import status
from slipway.ops.diagnosis.status import Status
from slipway.ops.drills.traffic import OK, RATE, Traffic, request
from slipway.ops.program import engine_run
from slipway.settings.settings import Settings

KeyPath: TypeAlias = tuple[str, ...]
"""The keys that lead to a field."""

POLL_SECONDS = 0.25
PUT_BACK_SECONDS = 60
SQL_SECONDS = 60


class ExpectationError(Exception):
    """The stack does not do what the drill needs in order to go on."""


class RestoreError(Exception):
    """A change of the drill could not be undone; what to do about it."""


@dataclass(frozen=True)
class Check:
    """An expectation, and what was seen."""

    expected: str
    seen: str
    passed: bool


@dataclass
class DrillContext:
    """A stack, the traffic on one of its services, and what is recorded during the drill."""

    cluster: StackCluster
    service: str
    traffic: Traffic
    timeline: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    """Seconds since the traffic began, and what happened then."""
    checks: list[Check] = field(default_factory=list[Check])

    @property
    def settings(self) -> Settings:
        """Return the settings of the stack."""
        return self.cluster.settings

    @property
    def min_replicas(self) -> int:
        """Return the smallest number of pods the service may have."""
        return self.settings.services[self.service].min_replicas

    # Recording and waiting

    def note(self, event: str) -> None:
        """Record an event, and print it."""
        self.timeline.append((self.traffic.seconds, event))
        typer.echo(f"{self.traffic.seconds:6.1f} s  {event}", err=True)

    def check(self, expected: str, seen: str, *, passed: bool) -> None:
        """Record whether something is as expected; the drill goes on either way."""
        self.checks.append(Check(expected, seen, passed))
        self.note(f"{'as expected' if passed else 'NOT AS EXPECTED'}: {expected}: {seen}")

    def wait_until(self, is_true: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait until a condition holds. Raises `ExpectationError` when the time is over."""
        begin, expected = time.monotonic(), f"{what} within {seconds:.0f} s"
        while not is_true():
            if time.monotonic() - begin > seconds:
                self.check(expected, "it did not happen", passed=False)
                raise ExpectationError(f"not within {seconds:.0f} s: {what}")
            time.sleep(POLL_SECONDS)
        self.check(expected, f"after {time.monotonic() - begin:.1f} s", passed=True)

    def pause(self, seconds: float) -> None:
        """Leave the stack as it is for a while, under traffic."""
        time.sleep(seconds)

    # Reading

    def request_once(self) -> str:
        """Send one more request on a new connection, and return its outcome."""
        with self.traffic.target.pool(reused=False) as pool:
            return request(pool, self.traffic.target.path)

    def all_answered(self, since: float) -> Callable[[], bool]:
        """Return whether all requests of the last second got a 200, ignoring those due before `since`."""

        def holds() -> bool:
            newest = self.traffic.measured(since).answers[-RATE:]
            return len(newest) == RATE and all(answer.outcome == OK for answer in newest)

        return holds

    def pods(self, service: str | None = None) -> list[Object]:
        """Return the pods of a service or store, by default of the service under traffic; also terminating ones."""
        name = service or self.service
        return [pod for pod in self.cluster.items("pods") if service_of(pod) == name]

    def ready_pods(self, service: str | None = None) -> set[str]:
        """Return the names of the pods that serve."""
        return {name_of(pod) for pod in self.pods(service) if is_ready(pod)}

    def restarts(self) -> dict[str, int]:
        """Return how often the containers of each pod were restarted."""
        return {
            name_of(pod): sum(container.get("restartCount", 0) for container in items(pod, "status.containerStatuses"))
            for pod in self.pods()
        }

    def status(self) -> Status:
        """Return what `./slipway status` reports now."""
        return status.read(self.cluster, take_snapshot(self.cluster))

    def is_settled(self) -> bool:
        """Whether the stack is healthy and no rollout is in progress."""
        return not why_unsettled(self.status())

    # Changing

    def patch(self, api_version: str, kind: str, name: str, path: KeyPath, value: Any) -> None:
        """Set one field of an object. `restored` puts it back."""
        self.cluster.patch(api_version, kind, name, _nested(path, value))
        self.note(f"{kind}/{name}: {'.'.join(path)} is {'replaced' if isinstance(value, dict) else value}")

    @contextmanager
    def restored(self, api_version: str, kind: str, name: str, path: KeyPath) -> Generator[Object]:
        """Yield an object as it is now. After the block, give one of its fields its former value and owner again."""
        before = self.cluster.get(api_version, kind, name)
        if before is None:
            raise ExpectationError(f"{kind}/{name} is not there; pulumi up -s {self.cluster.stack} --refresh")
        # Without the owners, the next `pulumi up` that changes the field would conflict with our field manager.
        owners: Object = {"metadata": {"managedFields": dig(before, "metadata.managedFields")}}
        changes = [_nested(path, dig(before, "", *path)), owners]

        def restore() -> None:
            for change in changes:
                self.cluster.patch(api_version, kind, name, change)

        try:
            yield before
        finally:
            self.put_back(restore, f"{kind}/{name}: {'.'.join(path)} is put back")

    @contextmanager
    def temporary_object(self, manifest: Object) -> Generator[None]:
        """Create an object, and delete it after the block. Raises `ExpectationError` if it exists already."""
        api_version, kind, name = manifest["apiVersion"], manifest["kind"], name_of(manifest)
        if self.cluster.get(api_version, kind, name):
            raise ExpectationError(
                f"{kind}/{name} is there already, and it is not of this drill; look at it, and delete it"
            )
        try:
            self.cluster.create(manifest)
            self.note(f"{kind}/{name} is created")
            yield
        finally:
            self.put_back(lambda: self.cluster.delete(api_version, kind, name), f"{kind}/{name} is deleted")

    def put_back(self, undo: Callable[[], None], what: str) -> None:
        """Undo a change; retry while the cluster refuses it, ignore Ctrl-C. Raises `RestoreError` in the end."""
        end = time.monotonic() + PUT_BACK_SECONDS
        with signals.handled(signals.ENDS, _ask_for_patience):
            while True:
                try:
                    undo()
                except (ClusterError, RefusedError, ExpectationError) as error:
                    if time.monotonic() > end:
                        raise RestoreError(
                            f"NOT done: {what}: {error}. See ./slipway drift -s {self.cluster.stack}"
                        ) from None
                    time.sleep(1)
                else:
                    break
        self.note(what)

    def sql(self, statements: str) -> None:
        """Run SQL by the client in MySQL's pod, as the services' user."""
        # Brings many of Pulumi's modules along, which would cost every other verb half a second.
        from slipway.stores.mysql import LOGIN  # noqa: PLC0415

        section = self.settings.mysql
        assert section  # noqa: S101 - a drill that runs SQL requires MySQL
        namespace = ["--context", self.cluster.context, "-n", self.cluster.namespace]
        client = ["mysql", LOGIN, f"--execute={statements}", section.database]
        command = ["kubectl", *namespace, "exec", "mysql-0", "-c", "mysql", "--", *client]
        try:
            # In a session of its own: Ctrl-C goes to the drill, which then puts things back.
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=SQL_SECONDS, start_new_session=True
            )
        except subprocess.TimeoutExpired:
            raise ExpectationError(f"MySQL has not run it in {SQL_SECONDS} s: {statements}") from None
        if done.returncode != 0:
            raise ExpectationError(f"MySQL has not run it: {done.stderr.strip()}")

    def deploy(self) -> None:
        """Run `pulumi up` with its output on stderr. Raises `ExpectationError` if it fails."""
        command = ["pulumi", "up", "--yes", "--skip-preview", "--suppress-outputs", "-s", self.cluster.stack]
        outcome = engine_run.run([*command, "--non-interactive", "--color", "never"], sys.stderr.fileno())
        if outcome.interrupted:
            raise KeyboardInterrupt
        if outcome.code:
            raise ExpectationError(f"`pulumi up` ended with exit code {outcome.code}; its output above has the reason")


def why_unsettled(report: Status) -> str:
    """Return why a drill cannot begin or end on a stack in this state; nothing if it is healthy and at rest."""
    if not report.healthy:
        return status.headline(report)
    rolling = [service.name for service in report.services if service.rollout != "complete"]
    return f"rolling out: {', '.join(rolling)}" if rolling else ""


def _ask_for_patience(_: int, __: FrameType | None) -> None:
    typer.echo("things are being put back; a moment", err=True)


def _nested(path: KeyPath, value: Any) -> Object:
    """Return `{"spec": {"replicas": 0}}` for a path and a value. In a merge patch None removes the field."""
    for key in reversed(path):
        value = {key: value}
    return value
