"""What a drill plays on: a running stack under traffic. Everything put into it is taken out again, whatever happens."""

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
from settings import Settings

from ops import held, signals, status, up
from ops.cluster import Cluster, NoCluster, Object, Refused, at, name_of, service_of
from ops.status import Status
from ops.traffic import OK, RATE, Traffic, asked

Path: TypeAlias = tuple[str, ...]
"""Keys that lead to a field."""

POLL_SECONDS = 0.25
PUT_BACK_SECONDS = 60
SQL_SECONDS = 60


class Unmet(Exception):
    """Something did not come as it should, and there is no going on."""


class NotPutBack(Exception):
    """What was changed is still changed; what to do about it."""


@dataclass(frozen=True)
class Check:
    """One thing that was expected, and what was seen instead of it or of it."""

    expected: str
    seen: str
    passed: bool


@dataclass
class Stage:
    """A stack, the traffic on one of its services, and what is written down meanwhile."""

    cluster: Cluster
    service: str
    traffic: Traffic
    timeline: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    """Seconds since the traffic began, and what happened then."""
    checks: list[Check] = field(default_factory=list[Check])

    @property
    def settings(self) -> Settings:
        """Those of the stack."""
        return self.cluster.settings

    @property
    def fewest(self) -> int:
        """Pods the service has at the least."""
        return self.settings.services[self.service].fewest

    # Telling and waiting

    def note(self, what: str) -> None:
        """Write down what happened, and tell it."""
        self.timeline.append((self.traffic.seconds, what))
        typer.echo(f"{self.traffic.seconds:6.1f} s  {what}", err=True)

    def expect(self, expected: str, seen: str, *, passed: bool) -> None:
        """Write down whether something is as it should be; the drill goes on."""
        self.checks.append(Check(expected, seen, passed))
        self.note(f"{'as expected' if passed else 'NOT AS EXPECTED'}: {expected}: {seen}")

    def until(self, holds: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait for what has to come; `Unmet` if it does not come in time."""
        begin, expected = time.monotonic(), f"{what} within {seconds:.0f} s"
        while not holds():
            if time.monotonic() - begin > seconds:
                self.expect(expected, "it did not come", passed=False)
                raise Unmet(f"not within {seconds:.0f} s: {what}")
            time.sleep(POLL_SECONDS)
        self.expect(expected, f"after {time.monotonic() - begin:.1f} s", passed=True)

    def pause(self, seconds: float) -> None:
        """Let users go on as it is now."""
        time.sleep(seconds)

    # What is there

    def asked(self) -> str:
        """What one more request is answered with, on a new connection."""
        with self.traffic.target.pool(keeps=False) as pool:
            return asked(pool, self.traffic.target.path)

    def serves(self, since: float) -> Callable[[], bool]:
        """Whether every request of the last second was answered with 200, not counting what was due before `since`."""

        def holds() -> bool:
            newest = self.traffic.measured(since).answers[-RATE:]
            return len(newest) == RATE and all(one.told == OK for one in newest)

        return holds

    def pods(self, service: str | None = None) -> list[Object]:
        """Those of a service or store, by default of the service under traffic; also those on their way out."""
        name = service or self.service
        return [pod for pod in self.cluster.items("pods") if service_of(pod) == name]

    def ready(self, service: str | None = None) -> set[str]:
        """The names of those that serve."""
        return {
            name_of(pod)
            for pod in self.pods(service)
            if held.condition(pod, "Ready").get("status") == "True" and not at(pod, "metadata", "deletionTimestamp")
        }

    def restarts(self) -> dict[str, int]:
        """How often the containers of each pod were started again."""
        return {
            name_of(pod): sum(one.get("restartCount", 0) for one in at(pod, "status", "containerStatuses") or [])
            for pod in self.pods()
        }

    def status(self) -> Status:
        """What `./slipway status` tells now."""
        return status.read(self.cluster, held.look(self.cluster))

    def is_well(self) -> bool:
        """Whether that is healthy, and nothing is on its way."""
        return not unwell(self.status())

    # Doing

    def patch(self, api_version: str, kind: str, name: str, path: Path, value: Any) -> None:
        """Set one field of an object. `kept` puts it back."""
        self.cluster.patch(api_version, kind, name, _nested(path, value))
        self.note(f"{kind}/{name}: {'.'.join(path)} is {'replaced' if isinstance(value, dict) else value}")

    @contextmanager
    def kept(self, api_version: str, kind: str, name: str, path: Path) -> Generator[Object]:
        """An object as it is now. After the block one of its fields is what it was before, and whose it was."""
        before = self.cluster.one(api_version, kind, name)
        if before is None:
            raise Unmet(f"{kind}/{name} is not there; pulumi up -s {self.cluster.stack} --refresh")
        # The second one, or the next `pulumi up` that changes the field would be refused: it is not Pulumi's any more.
        owners: Object = {"metadata": {"managedFields": at(before, "metadata", "managedFields")}}
        changes = [_nested(path, at(before, *path)), owners]

        def put_back() -> None:
            for change in changes:
                self.cluster.patch(api_version, kind, name, change)

        try:
            yield before
        finally:
            self.surely(put_back, f"{kind}/{name}: {'.'.join(path)} is put back")

    @contextmanager
    def made(self, found: Object) -> Generator[None]:
        """One more object, which is gone after the block; `Unmet` if there is one of that name."""
        kind, name = found["kind"], name_of(found)
        if self.cluster.one(found["apiVersion"], kind, name):
            raise Unmet(f"{kind}/{name} is there already, and it is not of this drill; look at it, and delete it")
        try:
            self.cluster.create(found)
            self.note(f"{kind}/{name} is made")
            yield
        finally:
            self.surely(lambda: self.cluster.delete(found["apiVersion"], kind, name), f"{kind}/{name} is taken away")

    def surely(self, put_back: Callable[[], None], what: str) -> None:
        """Do it, again while the cluster does not let it happen, and undisturbed by Ctrl-C; `NotPutBack` in the end."""
        end = time.monotonic() + PUT_BACK_SECONDS
        with signals.handled(signals.ENDS, _wait):
            while True:
                try:
                    put_back()
                except (NoCluster, Refused, Unmet) as error:
                    if time.monotonic() > end:
                        raise NotPutBack(
                            f"NOT done: {what}: {error}. See ./slipway drift -s {self.cluster.stack}"
                        ) from None
                    time.sleep(1)
                else:
                    break
        self.note(what)

    def sql(self, statements: str) -> None:
        """Have MySQL do something, by the client in its own pod and as the services' user."""
        # Brings many of Pulumi's modules along, which would cost every other verb half a second.
        from mysql import LOGIN  # noqa: PLC0415

        section = self.settings.mysql
        assert section  # noqa: S101 - a drill that needs it says so
        place = ["--context", self.cluster.context, "-n", self.cluster.namespace]
        client = ["mysql", LOGIN, f"--execute={statements}", section.database]
        command = ["kubectl", *place, "exec", "mysql-0", "-c", "mysql", "--", *client]
        try:
            # Of a session of its own: a Ctrl-C is for the drill, which then puts things back.
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=SQL_SECONDS, start_new_session=True
            )
        except subprocess.TimeoutExpired:
            raise Unmet(f"MySQL has not done it in {SQL_SECONDS} s: {statements}") from None
        if done.returncode != 0:
            raise Unmet(f"MySQL has not done it: {done.stderr.strip()}")

    def deploy(self) -> None:
        """`pulumi up`, with its output on stderr; `Unmet` if it fails."""
        command = ["pulumi", "up", "--yes", "--skip-preview", "--suppress-outputs", "-s", self.cluster.stack]
        outcome = up.run([*command, "--non-interactive", "--color", "never"], sys.stderr.fileno())
        if outcome.interrupted:
            raise KeyboardInterrupt
        if outcome.code:
            raise Unmet(f"`pulumi up` ended with {outcome.code}; the reason stands above")


def unwell(found: Status) -> str:
    """Why a drill cannot begin on it, or is not over; nothing if all is well and nothing on its way."""
    moving = [service.name for service in found.services if service.rollout != "complete"]
    if not found.healthy:
        return status.headline(found)
    return f"rolling out: {', '.join(moving)}" if moving else ""


def _wait(_: int, __: FrameType | None) -> None:
    typer.echo("things are being put back; a moment", err=True)


def _nested(path: Path, value: Any) -> Object:
    """`{"spec": {"replicas": 0}}`. In a merge patch None takes a field out."""
    for key in reversed(path):
        value = {key: value}
    return value
