"""The repositories of examples/, deployed for real: they answer over HTTPS, and their changes lose no request.

The table is docs/reference/examples.md.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import urllib3

from tests.e2e.conftest import ROOT, eventually, ingress_pool
from tests.e2e.load import Load
from tests.load.attack import Attack
from tests.load.examples.conftest import Row
from tests.load.examples.example import OK, Example

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

Examples = dict[str, Example]
Results = list[Row | str]
RATE = 100
ANSWERS = {
    "hello": ("/hello/Ada", "Good morning, Ada!\n"),
    "two-services": ("/articles/honey", "honey: 6.90\n"),
    "podinfo": ("/version", '"version": "6.9.2"'),
}
# By example: a file of its image, and a line of its stack file that sets a variable.
SOURCES = {"hello": "app/main.go", "two-services": "shop/main.go", "podinfo": "app/go.mod"}
VARIABLES = {
    "hello": ("GREETING: Good morning", "GREETING: Good evening"),
    "two-services": ('PRICES_URL: "http://prices"', 'PRICES_URL: "http://prices:80"'),
    "podinfo": ("      env:\n", "      env:\n        PODINFO_UI_MESSAGE: changed\n"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_example_answers_over_https_after_its_first_deployment(examples: Examples, name: str):
    path, expected = ANSWERS[name]
    assert expected in examples[name].get(path).data.decode()


def image_update(example: Example) -> None:
    file = example.folder / SOURCES[example.name]
    file.write_text(f"{file.read_text()}\n// {time.time()}\n")
    example.up()


def changed_variable(example: Example) -> None:
    example.edit("stacks/defaults.yaml", *VARIABLES[example.name])
    example.up()


CHANGES: dict[str, Callable[[Example], None]] = {
    "image update": image_update,
    "changed variable": changed_variable,
    "node drain (each pod evicted)": Example.evict_all,
}


@pytest.mark.feature("D5", part="apps of others, 100 rps")
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", ANSWERS)
def test_no_short_request_is_lost(examples: Examples, results: Results, name: str, change: str, tmp_path: Path):
    """`hello` ends at once at SIGTERM: its short requests are saved by preStop, the next test counts its long ones."""
    example = examples[name]
    before, begin = example.pod_names(example.services[0]), time.monotonic()
    attack = Attack(example.host, example.path, tmp_path, rate=RATE)
    with attack:
        time.sleep(2)
        CHANGES[change](example)
        time.sleep(3)
    results.append(Row(f"{name}: {change}", time.monotonic() - begin, attack))
    print(results[-1])
    assert not before & example.pod_names(example.services[0]), "the change has replaced no pod"
    assert attack.sent > 5 * RATE
    assert attack.lost == {}


def test_hello_loses_the_answers_that_take_longer_than_pre_stop(examples: Examples, results: Results):
    """A tutorial's service does not listen to SIGTERM: what runs when the kubelet sends it is cut off."""
    hello = examples["hello"]

    def ask_slowly(delay: float) -> str:
        time.sleep(delay)
        try:
            return f"status {hello.get('/slowly/Ada').status}"
        except urllib3.exceptions.HTTPError as error:
            return type(error).__name__

    with ThreadPoolExecutor(60) as users:
        answers = [users.submit(ask_slowly, number / 2) for number in range(60)]
        time.sleep(2)
        hello.evict_all()
        lost = Counter(answer.result() for answer in answers)
    answered = lost.pop(f"status {OK}", 0)
    counted = ", ".join(f"{count} {answer}" for answer, count in lost.items())
    results.append(f"hello, drained: of 60 answers that take 8 s each, {lost.total()} were lost ({counted}).")
    print(results[-1])
    assert answered > 0
    assert lost.total() > 0, "nothing was lost: say so in examples/hello/README.md"


@pytest.mark.feature("P1")
def test_editing_one_folder_changes_nothing_of_the_other_service(examples: Examples):
    two = examples["two-services"]
    shop = two.pod_names("shop")
    two.edit("prices/main.go", '"honey": 690', '"honey": 710')
    planned = two.planned_changes()
    assert planned.get("Deployment::prices") == "update"
    assert [change for change in planned if change.split("::")[1].startswith("shop")] == []
    two.up()
    assert two.get("/articles/honey").data == b"honey: 7.10\n"
    assert two.pod_names("shop") == shop


def test_rollback_brings_back_both_images_of_the_release(examples: Examples):
    two = examples["two-services"]
    two.up()
    before = two.images()
    two.edit("prices/main.go", '"honey": 710', '"honey": 750')
    two.edit("shop/main.go", '"%s: %d.%02d\\n"', '"%s costs %d.%02d\\n"')
    two.up()
    assert two.get("/articles/honey").data == b"honey costs 7.50\n"
    assert all(two.images()[service] != image for service, image in before.items())
    two.slipway("rollback", "--yes")
    assert two.images() == before
    assert two.get("/articles/honey").data == b"honey: 7.10\n"


def test_podinfo_reads_a_redis_password_in_a_url_that_no_object_but_the_secret_holds(examples: Examples):
    podinfo = examples["podinfo"]
    assert podinfo.request("POST", "/cache/e2e", b"kept").status == 202
    assert podinfo.get("/cache/e2e").data == b"kept"
    password = (ROOT / ".slipway" / "secrets" / "redis-password").read_text().strip()
    shown = podinfo.kubectl("get", "deployments,configmaps,pods", "-o", "yaml") + podinfo.pulumi("stack", "export")
    assert "$(REDIS_PASSWORD)@redis" in shown
    assert password not in shown


def test_podinfo_is_probed_by_grpc(examples: Examples):
    podinfo = examples["podinfo"]
    [container] = podinfo.pod_spec("podinfo")["containers"]
    assert container["livenessProbe"]["grpc"] == {"port": 9999, "service": "podinfo"}
    statuses = [pod["status"]["containerStatuses"][0] for pod in podinfo.pods("podinfo")]
    assert {(status["ready"], status["restartCount"]) for status in statuses} == {(True, 0)}


def test_a_good_version_of_podinfo_is_promoted_by_its_own_metrics(examples: Examples):
    podinfo = examples["podinfo"]
    podinfo.edit("stacks/defaults.yaml", "PODINFO_UI_MESSAGE: changed", "PODINFO_UI_MESSAGE: promoted")
    with ingress_pool(podinfo.host) as pool, Load(pool, podinfo.path, rate=RATE) as load:
        done = podinfo.slipway("up", "--yes")
    assert "podinfo: the canary is good: " in done.stderr
    assert load.lost == []


def test_a_bad_version_of_podinfo_is_withdrawn_by_its_own_metrics(examples: Examples):
    podinfo = examples["podinfo"]
    before = podinfo.pod_names("podinfo")
    podinfo.edit("stacks/defaults.yaml", "PODINFO_UI_MESSAGE: promoted", 'PODINFO_RANDOM_ERROR: "true"')
    with ingress_pool(podinfo.host) as pool, Load(pool, podinfo.path, rate=RATE) as load:
        time.sleep(2)
        done = podinfo.slipway("up", "--yes", ok=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "local: the canary is withdrawn:\npodinfo: " in done.stderr
    assert "is in force again. The update failed." in done.stderr
    assert podinfo.pod_names("podinfo") == before
    # An error of the canary is one of three responses to at most 34 % of the requests.
    assert len(load.lost) < load.sent * 0.2


JOBS = 80


def test_a_worker_does_each_job_once_while_it_is_updated_and_drained(examples: Examples, results: Results):
    worker = examples["worker"]

    def redis(*words: str) -> str:
        ask = 'REDISCLI_AUTH=$(cat "$PASSWORD_DIR/redis-password") exec redis-cli "$@"'
        return worker.kubectl("exec", "redis-0", "--", "sh", "-c", ask, "redis-cli", *words).strip()

    redis("LPUSH", "jobs", *(f"job-{number}" for number in range(JOBS)))
    worker.edit("app/main.go", '"waiting for jobs"', '"waiting for more jobs"')
    worker.up()
    worker.evict_all()
    eventually(lambda: redis("LLEN", "jobs:done") == str(JOBS), 60, "all jobs are done")
    done = redis("LRANGE", "jobs:done", "0", "-1").split()
    assert sorted(done) == sorted(f"JOB-{number}" for number in range(JOBS))
    assert redis("LLEN", "jobs:running") == "0"
    results.append(f"worker: {JOBS} jobs of a second each, during an update and a drain: each done once, none lost.")
