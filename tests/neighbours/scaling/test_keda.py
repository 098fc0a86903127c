"""KEDA scales the API by requests, and a worker by its backlog. An outage of metrics takes no pod away."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

import pytest
import urllib3

from tests.e2e.conftest import LOCAL, ROOT, Edit, Replicas, eventually, kubectl, run, running_pods, up
from tests.e2e.load import Load
from tests.e2e.monitoring import build_server_images
from tests.load.examples.example import Example
from tests.neighbours.controllers import keda_operator
from tests.neighbours.controllers.keda_operator import ADAPTER
from tests.neighbours.scaling.pods import (
    BY_CPU,
    DOWN_SECONDS,
    MAX,
    MIN,
    OUTAGE_SECONDS,
    RATE,
    TARGET,
    UP_SECONDS,
    ready,
    wanted,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(7200)]

BY_REQUESTS = f"      autoscaling: {{min: {MIN}, max: {MAX}, by: keda, rps: {TARGET}}}\n"
REDIS = "  slipway:redis:\n"
MONITORED = f"  slipway:monitoring: {{source: cluster}}\n{REDIS}"
DOCUMENT = ROOT / "docs" / "reference" / "scaling.md"
WINDOW = 15


@dataclass
class TimedLoad(Load):
    """Load that knows how long each answer took."""

    times: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    """When each answer came, and after how many seconds."""

    def _request(self) -> None:
        begin = time.monotonic()
        super()._request()
        self.times.append((time.monotonic(), time.monotonic() - begin))


@dataclass
class Timeline:
    """The pods that serve, once a second during the `with` block."""

    pods: list[tuple[float, int]] = field(default_factory=list[tuple[float, int]])

    def __enter__(self) -> Timeline:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(1):
            self.pods.append((time.monotonic(), ready("api")))


def table(timeline: Timeline, load: TimedLoad, ended: float) -> str:
    """Return the document: pods, requests and their 99th percentile over time."""
    begin = load.times[0][0]
    rows: list[str] = []
    for start in range(0, int(timeline.pods[-1][0] - begin), WINDOW):
        at = begin + start
        pods = max((number for when, number in timeline.pods if at <= when < at + WINDOW), default=0)
        took = sorted(seconds for when, seconds in load.times if at <= when < at + WINDOW)
        p99 = f"{1000 * took[int(len(took) * 0.99)]:.0f} ms" if took else ""
        rate = f"{len(took) / WINDOW:.0f}" if at < ended else "0"
        rows.append(f"| {start} s | {rate} | {p99} | {'█' * pods} {pods} |")
    changed = [row for row, before in zip(rows, ["", *rows], strict=False) if _shown(row) != _shown(before)]
    return (
        "<!-- Written by `make e2e-neighbours`. -->\n# Pods by requests per second\n\n"
        f"{RATE} requests a second for a while, a target of {TARGET} for each pod, {MIN} to {MAX} pods, by KEDA. "
        "Rows in\nwhich neither load nor pods change are left out.\n\n"
        "| time | requests a second | p99 | pods |\n|---|---|---|---|\n" + "\n".join(changed) + "\n"
    )


def _shown(row: str) -> list[str]:
    """Return the cells of a row by which it differs from the one before: load and pods."""
    cells = row.split("|")
    return [cells[2], cells[4]] if len(cells) > 4 else []


@pytest.fixture(scope="module")
def keda() -> Generator[None]:
    with keda_operator.installed():
        yield


@pytest.fixture
def by_requests(keda: None, edit: Edit, tmp_path_factory: pytest.TempPathFactory) -> Generator[None]:
    """Scale the API by requests, and back by CPU at the end: no ScaledObject may outlive KEDA."""
    edit(LOCAL, BY_CPU, BY_REQUESTS)
    edit(LOCAL, REDIS, MONITORED)
    build_server_images(tmp_path_factory.mktemp("images"))
    up()
    yield
    edit(LOCAL, BY_REQUESTS, BY_CPU)
    up()


@pytest.mark.feature("F2", part="pods follow the requests, by KEDA")
def test_load_adds_pods_and_its_end_takes_them_away(by_requests: None, api: urllib3.HTTPSConnectionPool):
    eventually(lambda: wanted("api") == MIN, DOWN_SECONDS, "the API has its minimum")
    load = TimedLoad(api, "/v1/shops", rate=RATE)
    with Timeline() as timeline:
        with load:
            eventually(lambda: ready("api") == MAX, UP_SECONDS, "the API has its maximum")
            time.sleep(60)
        ended = time.monotonic()
        eventually(lambda: ready("api") == MIN, DOWN_SECONDS, "the API has its minimum again")
    assert load.lost == []
    DOCUMENT.write_text(table(timeline, load, ended))


def stop_prometheus() -> None:
    kubectl("scale", "statefulset/prometheus", "--replicas=0")
    kubectl("wait", "--for=delete", "pod/prometheus-0", "--timeout=120s")


def start_prometheus() -> None:
    kubectl("scale", "statefulset/prometheus", "--replicas=1")
    kubectl("rollout", "status", "statefulset/prometheus", "--timeout=240s")


OUTAGES: dict[str, tuple[Callable[[], None], Callable[[], None]]] = {
    "adapter": (lambda: keda_operator.stop(ADAPTER), lambda: keda_operator.start(ADAPTER)),
    "Prometheus": (stop_prometheus, start_prometheus),
}


@pytest.mark.feature("F2", part="an outage of the metrics takes no pod away, by KEDA")
@pytest.mark.parametrize("missing", OUTAGES)
def test_an_outage_of_metrics_takes_no_pod_away_even_without_load(
    by_requests: None, api: urllib3.HTTPSConnectionPool, missing: str
):
    stop, start = OUTAGES[missing]
    with Load(api, "/v1/shops", rate=RATE) as load:
        eventually(lambda: ready("api") == MAX, UP_SECONDS, "the API has its maximum")
        pods = running_pods("api").keys()
        stop()
        time.sleep(60)
    try:
        with Replicas("api") as replicas:
            time.sleep(OUTAGE_SECONDS)
        assert replicas.observed == {MAX}
        assert running_pods("api").keys() == pods
        assert load.lost == []
    finally:
        start()
    eventually(lambda: wanted("api") == MIN, DOWN_SECONDS, "the pods go once the metrics are back")


@pytest.mark.feature("F6", part="from an HPA to KEDA and back")
def test_the_pods_stay_when_keda_takes_over_and_when_it_gives_up(
    by_requests: None, api: urllib3.HTTPSConnectionPool, edit: Edit
):
    with Load(api, "/v1/shops", rate=RATE) as load:
        eventually(lambda: ready("api") == MAX, UP_SECONDS, "the API has its maximum")
        with Replicas("api") as replicas:
            edit(LOCAL, BY_REQUESTS, BY_CPU)
            up()
            assert "ScaledObject" not in kubectl("get", "hpa", "api", "-o", "jsonpath={.metadata.ownerReferences}")
            edit(LOCAL, BY_CPU, BY_REQUESTS)
            up()
            eventually(
                lambda: (
                    "ScaledObject"
                    in kubectl("get", "hpa", "api", "-o", "jsonpath={.metadata.ownerReferences}", ok=False)
                ),
                60,
                "KEDA has made the autoscaler anew",
            )
            time.sleep(30)
    assert replicas.observed == {MAX}
    assert load.lost == []


WEB, BROKEN_WEB = "args: [web]", "args: [nothing-of-the-kind]"
SERVICES = "  slipway:services:\n"
IMPATIENT = f"  slipway:service: {{startupSeconds: 5, progressSeconds: 30}}\n{SERVICES}"


@pytest.mark.feature("F6", part="a rollback in between, on the cluster")
@pytest.mark.parametrize(
    ("in_force", "failed"), [(BY_CPU, BY_REQUESTS), (BY_REQUESTS, BY_CPU)], ids=["hpa to keda", "keda to hpa"]
)
def test_an_update_that_fails_between_the_two_leaves_the_autoscaler_of_the_release_in_force(
    by_requests: None, edit: Edit, in_force: str, failed: str
):
    if in_force == BY_CPU:
        edit(LOCAL, BY_REQUESTS, BY_CPU)
    up()
    edit(LOCAL, in_force, failed)
    edit(LOCAL, SERVICES, IMPATIENT)
    edit("stacks/defaults.yaml", WEB, BROKEN_WEB)
    with Replicas("api") as replicas:
        done = run("./slipway", "up", "-s", "local", "--yes", ok=False)
        # By then the garbage collector has deleted what belonged to a deleted ScaledObject.
        time.sleep(60)
    assert "is in force again" in done.stderr, done.stdout + done.stderr
    owner = kubectl("get", "hpa", "api", "-o", "jsonpath={.metadata.ownerReferences[*].kind}").strip()
    assert owner == ("ScaledObject" if in_force == BY_REQUESTS else "")
    assert bool(kubectl("get", "scaledobject", "api", "-o", "name", ok=False)) == (in_force == BY_REQUESTS)
    assert min(replicas.observed) >= MIN
    edit("stacks/defaults.yaml", BROKEN_WEB, WEB)
    edit(LOCAL, IMPATIENT, SERVICES)
    if failed == BY_CPU:
        edit(LOCAL, BY_CPU, BY_REQUESTS)


ENTRIES = 10_000
ADD = f"for i=1,{ENTRIES} do redis.call('XADD','jobs','*','job',i) end"
NOT_ONCE = "local n=0 for _,v in ipairs(redis.call('HVALS','jobs:counts')) do if v~='1' then n=n+1 end end return n"


@dataclass(frozen=True)
class Queue:
    """The stack of tests/neighbours/queue."""

    example: Example

    def redis(self, *arguments: str) -> str:
        """Run redis-cli in the pod of Redis."""
        script = 'REDISCLI_AUTH=$(cat "$PASSWORD_DIR/redis-password") redis-cli "$@"'
        return self.example.kubectl("exec", "redis-0", "--", "sh", "-c", script, "redis-cli", *arguments).strip()

    @property
    def pods(self) -> int:
        """The number of pods that the autoscaler wants."""
        return int(self.example.kubectl("get", "deployment", "worker", "-o", "jsonpath={.spec.replicas}"))

    @property
    def counted(self) -> int:
        """The number of entries that were counted."""
        return int(self.redis("HLEN", "jobs:counts"))


@pytest.fixture
def queue(keda: None, tmp_path_factory: pytest.TempPathFactory) -> Generator[Queue]:
    up()
    clone = tmp_path_factory.mktemp("queue")
    (clone / ".slipway").symlink_to(ROOT / ".slipway")
    folder = clone / "queue"
    shutil.copytree(ROOT / "tests" / "neighbours" / "queue", folder)
    example = Example(folder, ("worker",))
    try:
        example.deploy()
        yield Queue(example)
    finally:
        example.destroy()


@pytest.mark.feature("P8")
def test_every_job_is_counted_once_while_the_worker_scales_and_rolls(queue: Queue):
    eventually(lambda: queue.pods == 1, 120, "one pod is enough for nothing")
    queue.redis("EVAL", ADD, "0")
    with Replicas("worker", queue.example.namespace) as replicas:
        eventually(lambda: queue.pods > 1, 120, "the backlog adds pods")
        queue.example.edit("stacks/defaults.yaml", 'ROUND: "0"', 'ROUND: "1"')
        queue.example.up()
        eventually(lambda: queue.counted == ENTRIES, 600, "all are counted")
        eventually(lambda: queue.pods == 1, 300 + 60 * 5 + 120, "one pod is enough again")
    assert max(replicas.observed) >= 3
    assert queue.redis("EVAL", NOT_ONCE, "0") == "0"
    assert queue.redis("XLEN", "jobs") == "0"


def test_the_files_of_this_clone_are_deployed_again_after_the_tests():
    assert "Traceback" not in up()
