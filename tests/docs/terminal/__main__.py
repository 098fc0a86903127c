"""`make terminal-pictures`: draw what `./slipway` prints on the running local stack, which is as before at the end.

Arguments are names of pictures; without any, all of them are drawn.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from secrets import randbelow
from types import FrameType

from slipway.ops import signals
from tests.docs.terminal.camera import Camera, say
from tests.docs.terminal.pictures import PICTURES
from tests.e2e.conftest import HOST, LOCAL, NEEDS, Edit, edited, eventually, ingress_pool, run, up
from tests.e2e.load import Load
from tests.e2e.monitoring import STORES, build_server_images

PROD = "stacks/Pulumi.prod.yaml"
ENV = "      env: {LOG_LEVEL: debug, LOG_FORMAT: text}\n"
"""Of both services there; that of api comes first."""
API_PODS = "      autoscaling: {min: 2, max: 4}\n"
WEB_ADDRESS = "        host: web.slipway.localhost\n        className: traefik\n        tls: {secretFiles: true}\n"
SLO = "      slo: {availability: 99.5, latency: {p99: 1s}, window: 7d}\n"
HEALTHY_SECONDS, MEASURED_SECONDS = 60, 120
RATE = 10
"""Few enough requests a second that no autoscaler adds pods: a drill begins only while nothing changes."""


def preview_of_prod(camera: Camera) -> None:
    """Draw what prod says to a change. Needs no cluster."""
    with edited() as edit:
        edit(PROD, "host: api.example.com", "host: shop.example.com")
        edit(PROD, "autoscaling: {min: 2, max: 10}", "autoscaling: {min: 2, max: 6}")
        camera.take("preview-prod")


def updates(camera: Camera) -> None:
    """Draw a change that is previewed and deployed, and one that fails."""
    with put_back() as edit:
        edit(LOCAL, API_PODS, API_PODS.replace("max: 4", "max: 6"))
        edit(LOCAL, ENV, ENV.replace("debug", "info"))
        camera.take("preview")
        camera.take("up")
        edit(LOCAL, WEB_ADDRESS + ENV, WEB_ADDRESS + refused_env())
        camera.take("failed-up")


def refused_env() -> str:
    """Return variables with which web does not start, and times after which that has failed.

    The pods differ each time: Kubernetes applies no deadline to a rollout that reuses a ReplicaSet.
    """
    limit = f'HTTP_MAX_BODY_BYTES: "{2**14 + randbelow(2**14)}"'
    env = ENV.replace("debug", "loud").replace("}", f", {limit}}}")
    return f"{env}      startupSeconds: 10\n      progressSeconds: 20\n"


def running(camera: Camera) -> None:
    """Draw the healthy stack, and a drill."""
    eventually(is_healthy, HEALTHY_SECONDS, "the stack is healthy")
    camera.take("status")
    camera.take("drill")


def monitored(camera: Camera) -> None:
    """Draw an error budget, with a Prometheus in the stack, after a drill that costs requests."""
    with put_back() as edit, tempfile.TemporaryDirectory(prefix="slipway-images-") as folder:
        edit(LOCAL, STORES, f"  slipway:monitoring: {{source: cluster}}\n{STORES}")
        edit(LOCAL, NEEDS, f"{NEEDS}{SLO}")
        build_server_images(Path(folder))
        up()
        eventually(is_healthy, HEALTHY_SECONDS, "the stack is healthy")
        with Load(ingress_pool(HOST), "/v1/shops", RATE):
            eventually(lambda: spenders() is not None, MEASURED_SECONDS, "the requests are measured")
            run("./slipway", "drill", "mysql-slow", "-s", "local", ok=False)
            eventually(lambda: bool(spenders()), MEASURED_SECONDS, "the failed requests are measured")
        camera.take("slo")


def is_healthy() -> bool:
    report = json.loads(run("./slipway", "status", "-s", "local", "--json", ok=False).stdout or "{}")
    rollouts = {service["rollout"] for service in report.get("services", [])}
    return bool(report.get("healthy")) and rollouts == {"complete"}


def spenders() -> list[str] | None:
    """Return the routes that spent the budget of api's availability; None if no request is measured."""
    report = json.loads(run("./slipway", "slo", "-s", "local", "--json", ok=False).stdout or "{}")
    for objective in report.get("objectives", []):
        if objective["slo"] == "availability" and objective["errorRatio"] is not None:
            return [spender["route"] for spender in objective["spentBy"]]
    return None


SCENES: dict[Callable[[Camera], None], tuple[str, ...]] = {
    preview_of_prod: ("preview-prod",),
    updates: ("preview", "up", "failed-up"),
    running: ("status", "drill"),
    monitored: ("slo",),
}


@contextmanager
def put_back() -> Generator[Edit]:
    """Yield a function that changes files of the project; they, and the stack, are as before at the end."""
    try:
        up()
        with edited() as edit:
            yield edit
    except BaseException:
        # An update that is stopped at the wrong moment leaves a lock, which the next one would refuse.
        run("./slipway", "doctor", "--fix", "-s", "local", ok=False)
        raise
    finally:
        say("putting the stack back")
        up()


def main(names: list[str]) -> int:
    """Draw pictures. Returns the exit code: 1 if one could not be drawn, or the stack could not be put back."""
    if unknown := sorted(set(names) - PICTURES.keys()):
        say(f"error: there is no picture {unknown[0]}. Pictures: {', '.join(PICTURES)}")
        return 2
    camera = Camera(names or PICTURES)
    # However it is ended, things are put back.
    with signals.handled(signals.ENDS, _interrupt):
        for scene, pictures in SCENES.items():
            if camera.wants(*pictures):
                try:
                    scene(camera)
                except Exception as error:  # whatever it is, the other scenes are drawn
                    missing = [name for name in pictures if camera.wants(name) and name not in camera.drawn]
                    camera.fail(", ".join(missing) or "putting the stack back", str(error) or repr(error))
    return 1 if camera.failures else 0


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        say("stopped")
        sys.exit(130)
