"""One run of `./slipway dev`: looks at the sources, compiles, rolls out, and at the end puts the release back."""

from __future__ import annotations

import threading
import time
from _thread import interrupt_main
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType

import pulumi
import typer

from slipway.image.reference import parts
from slipway.image.source import folder_of_context, sources, tag_of
from slipway.ops import signals
from slipway.ops.cluster import connection, dev_build
from slipway.ops.cluster.connection import ClusterError, RefusedError, StackCluster
from slipway.ops.development import build, delve, rollout
from slipway.ops.development.errors import DevError
from slipway.ops.development.forward import ADDRESS, Forward
from slipway.ops.development.sources import Watched
from slipway.ops.development.target import Target, targets
from slipway.ops.diagnosis import logs
from slipway.ops.program import config
from slipway.ops.program.engine_state import EngineError
from slipway.ops.program.recorder import stack_config
from slipway.project import ROOT
from slipway.settings.settings import Settings
from slipway.settings.source_files import DEFAULTS, STACKS
from slipway.settings.tiers import TIERS

POLL_SECONDS = 0.2
# Long enough for the first lines of a pod that is found a moment after its start.
LOG_SECONDS = 10
PUT_BACK_SECONDS = 60
REFUSALS = (DevError, ClusterError, RefusedError, EngineError)
"""Errors that may be gone at the next save."""


def command(stack: str, service: str | None, *, debug: bool = False) -> int:
    """Follow the sources of a stack's services until Ctrl-C, and put the release back. Returns the exit code.

    Raises `DevError` if the tier forbids it, or the cluster does not run the release in force. With `debug` the service
    runs under a debugger.
    """
    stack_config(stack)  # an unknown stack is refused before anything is done
    settings = config.settings(stack)
    if not TIERS[settings.tier].allows_dev:
        tiers = ", ".join(name for name, tier in TIERS.items() if tier.allows_dev)
        raise DevError(
            f"stack {stack} is of tier {settings.tier}; ./slipway dev runs what nobody has reviewed, so only these "
            f"tiers take it: {tiers}. Nothing was changed"
        )
    if debug:
        _require_debuggable(settings, service)
    followed, refused = targets(settings, service)
    cluster = connection.connect(stack, settings)
    session = Session(cluster, followed, debugger=Forward(cluster) if debug else None)
    for reason in refused:
        session.say(reason)
    # Put the release back on SIGINT, SIGTERM and SIGHUP, even if the shell ignores SIGINT.
    with signals.handled(signals.ENDS, _interrupt):
        try:
            session.begin()
            session.follow()
        except KeyboardInterrupt:
            pass
        finally:
            try:
                is_put_back = session.end()
            except KeyboardInterrupt:  # a second Ctrl-C, before end() handles signals itself
                is_put_back = session.end()
    return 0 if is_put_back else 1


def _require_debuggable(settings: Settings, service: str | None) -> None:
    if service is None:
        raise DevError(f"--debug takes one service: {', '.join(settings.services)}. Nothing was changed")
    found = settings.services.get(service)
    if found and found.is_scaled_by_keda:
        raise DevError(
            f"{service} is scaled by KEDA, which would start pods beside the one that is debugged. Set a number of "
            f"replicas in its place while you debug (services.{service}.replicas: 1). Nothing was changed"
        )
    if found and delve.PORT in found.container_ports.values():
        raise DevError(f"{service} listens on port {delve.PORT} itself, which is the debugger's. Nothing was changed")


@dataclass
class Session:
    """The images that are followed, and what the services run of them."""

    cluster: StackCluster
    targets: list[Target]
    released: dict[str, str] = field(default_factory=dict[str, str])
    """The images of the release in force, by name."""
    tags: dict[str, str] = field(default_factory=dict[str, str])
    """The tag of the sources that were looked at last, by name of the image."""
    debugger: Forward | None = None
    """The way to the debugger of the only service."""

    def __post_init__(self) -> None:
        self._sources = {target.image_name: Watched(_files_of(target)) for target in self.targets}
        self._settings = Watched(lambda: stack_files(self.cluster.stack))
        self._changed = set[str]()
        self._ended = threading.Event()
        self._debugged = ("", "")  # the service, and the image of its pod

    def say(self, message: str) -> None:
        """Print a message beside the logs."""
        # The reader may be gone, such as `tee` after the same Ctrl-C, or a closed terminal; the work goes on.
        # RuntimeError: a signal has interrupted another message.
        with suppress(OSError, RuntimeError):
            typer.echo(f"{self.cluster.stack}: {message}", err=True)

    def begin(self) -> None:
        """Check that all services run the release in force, and stream their logs. Raises `DevError`."""
        self.released = rollout.released_images(self.cluster)
        for target in self.targets:
            for service in target.services:
                rollout.require_release(self.cluster, service, self.released.get(target.image_name, ""))
            # A debugged service runs another build, also of the sources of the release.
            self.tags[target.image_name] = "" if self.debugger else _tag_in(self.released[target.image_name])
        threading.Thread(target=self._stream_logs, daemon=True).start()
        folders = ", ".join(f"{target.image.context}/ for {target.title}" for target in self.targets)
        self.say(f"following {folders}; Ctrl-C puts the release back")

    def follow(self) -> None:
        """Watch the sources until interrupted. Those that differ from the release at the start are rolled out first."""
        for target in self.targets:
            self._attempt(target)
        while True:
            time.sleep(POLL_SECONDS)
            self.look()

    def look(self) -> None:
        """Roll out what was saved since the last look. What goes wrong is printed, and the version that runs stays."""
        for path in self._settings.changes():
            self.say(f"{path} changed, which this does not apply: ./slipway up -s {self.cluster.stack}")
        for target in self.targets:
            if paths := self._sources[target.image_name].changes():
                self._warn_of_migrations(target, paths)
                self._attempt(target)
        if self.debugger and not self.debugger.is_open:
            self._open_debugger()

    def end(self) -> bool:
        """Put back what the release runs. Return whether that is done; retries while the cluster refuses it."""
        self._ended.set()
        if self.debugger:
            self.debugger.close()
        give_up = time.monotonic() + PUT_BACK_SECONDS
        with signals.handled(signals.ENDS, lambda *_: self.say("the release is being put back; a moment")):
            left = [service for service in sorted(self._changed) if not self._put_back(service, give_up)]
        return not left

    def _attempt(self, target: Target) -> None:
        """Roll out the present sources of a target, unless they run already."""
        try:
            tag = tag_of(target.image)
            if tag == self.tags[target.image_name]:
                return
            self.tags[target.image_name] = tag
            if not all(rollout.is_ours(self.cluster, service) for service in target.services):
                # Since the last version of this session ./slipway up may have made another release.
                self.released = rollout.released_images(self.cluster)
            if not self.debugger and tag == _tag_in(self.released.get(target.image_name, "")):
                self._return_to_release(target)
            else:
                self._roll_out(target, tag)
        # OSError: a file that an editor has just removed. ValueError: a Dockerfile that is half written.
        except (*REFUSALS, pulumi.RunError, OSError, ValueError) as error:
            # The same sources again are a new attempt.
            self.tags[target.image_name] = ""
            self.say(f"{target.title}: error: {error}")
            self.say(f"{target.title}: the version that runs stays; save again to retry")

    def _return_to_release(self, target: Target) -> None:
        left = [service for service in target.services if not self._put_back(service, time.monotonic())]
        if left:
            self.tags[target.image_name] = ""

    def _roll_out(self, target: Target, tag: str) -> None:
        """Compile, deliver and roll out. Raises `pulumi.RunError` or one of REFUSALS; then the old version runs on."""
        begin = time.monotonic()
        version = f"{build.DEVELOPED}{tag.removeprefix(build.RELEASED)}"
        if self.debugger:
            version += "-debug"
        built = build.compiled(target.image, version, debugged=self.debugger is not None)
        compiled = time.monotonic()
        if self._sources[target.image_name].has_changed:
            # The image may mix files of both versions. The next look builds the whole of the newer one.
            self.tags[target.image_name] = ""
            return
        reference = build.delivered(built, target.image, version, self.cluster.context)
        pushed = time.monotonic()
        for service in target.services:
            self._changed.add(service)
            released = self.released.get(target.image_name, "")
            debug = partial(delve.debugged, image=built) if self.debugger else None
            rollout.run(self.cluster, service, released, reference, version, debug=debug)
        serves, reason = rollout.await_serving(self.cluster, target.services, reference, self._is_outdated)
        steps = [f"compiled {compiled - begin:.1f} s", f"{_verb(target)} {pushed - compiled:.1f} s"]
        steps.append(f"serving {time.monotonic() - pushed:.1f} s" if serves else f"not serving: {reason}")
        self.say(f"{target.title}: {version}: {' · '.join(steps)}")
        if self.debugger and serves:
            self._debugged = (target.services[0], reference)
            self._open_debugger()

    def _open_debugger(self) -> None:
        """Lead to the debugged pod, once there is one."""
        service, image = self._debugged
        if not self.debugger or not service:
            return
        try:
            if not (pod := rollout.ready_pod(self.cluster, service, image)):
                return
            self.debugger.open(pod)
        except REFUSALS as error:
            self.say(f"{error}; trying again")
        else:
            self.say(f"{pod} waits for a debugger: dlv connect {ADDRESS}:{self.debugger.port}")

    def _is_outdated(self) -> bool:
        return any(watched.has_changed for watched in self._sources.values())

    def _put_back(self, service: str, give_up: float) -> bool:
        """Put back what the release runs in a Deployment that this session has changed. Return whether that is done."""
        while True:
            try:
                deployment = self.cluster.get(*dev_build.KIND, service)
                mark = dev_build.of(deployment)
                if deployment is None or mark is None or not mark.is_ours:
                    return True
                dev_build.put_back(self.cluster, deployment)
            except (ClusterError, RefusedError) as error:
                if time.monotonic() > give_up:
                    self.say(
                        f"error: Deployment/{service} still runs a build of this session: {error}\n"
                        f"To put the release back: ./slipway up -s {self.cluster.stack}"
                    )
                    return False
                time.sleep(1)
            else:
                self.say(f"{service}: {_tag_in(mark.image)} of the release is put back")
                return True

    def _stream_logs(self) -> None:
        """Print the log lines of the services. The session ends with the reader of stdout, such as `head`."""
        services = [service for target in self.targets for service in target.services]
        request = logs.LogRequest(services, since=LOG_SECONDS)
        while not self._ended.is_set():
            try:
                lines = logs.follow_lines(self.cluster, request, until=self._ended.is_set)
                logs.show(lines, logs.secret_mask(self.cluster), as_json=False)
            except (ClusterError, RefusedError) as error:
                self.say(f"the logs cannot be streamed: {error}; trying again")
                self._ended.wait(LOG_SECONDS)
            except OSError:  # the reader of stdout, or the terminal, is gone
                interrupt_main()
                return

    def _warn_of_migrations(self, target: Target, paths: list[str]) -> None:
        changed = [f"{target.image.context}/{path}" for path in paths]
        folders = tuple(f"{folder.rstrip('/')}/" for folder in self.cluster.settings.promotion.migrations)
        if migrations := [path for path in changed if path.startswith(folders)]:
            self.say(
                f"{', '.join(migrations)}: migrations are not run here, so the database stays as it is: "
                f"./slipway up -s {self.cluster.stack}"
            )


def stack_files(stack: str) -> dict[str, Path]:
    """Return the files with the settings of a stack, by their path in the project."""
    files = [STACKS / f"Pulumi.{stack}.yaml", STACKS / DEFAULTS]
    return {file.relative_to(ROOT).as_posix(): file for file in files}


def _files_of(target: Target) -> Callable[[], dict[str, Path]]:
    return lambda: sources(folder_of_context(target.image), target.image.dockerfile)


def _tag_in(reference: str) -> str:
    return parts(reference)[1]


def _verb(target: Target) -> str:
    return "loaded" if target.image.load else "pushed"


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt
