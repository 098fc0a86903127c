"""An environment on the local cluster: made from the stack `local` with its data, asleep, awake again, and gone."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from tests.e2e.conftest import ROOT, eventually, ingress_pool, pulumi, run
from tests.e2e.conftest import environment as environment_variables
from tests.plugins.watchdog import child

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

NAME = "pr-e2e"
NAMESPACE = f"slipway-{NAME}"
WORKLOADS = "deployments,statefulsets"


def env(*arguments: str, ok: bool = True) -> Any:
    return run("./slipway", "env", *arguments, ok=ok)


def objects(kinds: str) -> list[dict[str, Any]]:
    """Return the objects of some kinds in the namespace of the environment."""
    found = run("kubectl", "--context", "slipway-local", "-n", NAMESPACE, "get", kinds, "-o", "json").stdout
    return json.loads(found)["items"]


def replicas() -> dict[str, int]:
    return {obj["metadata"]["name"]: obj["spec"]["replicas"] for obj in objects(WORKLOADS)}


def volumes() -> dict[str, str]:
    return {claim["metadata"]["name"]: claim["spec"]["volumeName"] for claim in objects("persistentvolumeclaims")}


def running() -> list[str]:
    """Return the pods that have not ended."""
    ended = ("Succeeded", "Failed")
    return [pod["metadata"]["name"] for pod in objects("pods") if pod["status"]["phase"] not in ended]


def answers(pool: urllib3.HTTPSConnectionPool) -> bool:
    try:
        return pool.request("GET", "/v1/shops").status == 200
    except urllib3.exceptions.HTTPError:
        return False


def left_in_this_clone() -> list[Path]:
    return [ROOT / "stacks" / f"Pulumi.{NAME}.yaml", ROOT / ".slipway" / "environments" / NAME]


@pytest.fixture(scope="module")
def environment() -> Generator[urllib3.HTTPSConnectionPool]:
    """Connections to the API of an environment that has the data of the stack `local`."""
    run("./slipway", "backup", "-s", "local")
    env("delete", NAME)  # of a run that was interrupted
    try:
        created = env("create", NAME, "--from", "local", "--data", "newest")
        assert f"https://{NAME}-api.slipway.localhost" in created.stdout.splitlines()
        assert "same rows, same checksum" in created.stderr
        yield ingress_pool(f"{NAME}-api.slipway.localhost")
    finally:
        env("delete", NAME)


def test_it_answers_at_an_address_of_its_own_with_the_data_of_its_base(environment: urllib3.HTTPSConnectionPool):
    eventually(lambda: answers(environment), 60, "an answer of the new environment")
    shops = ingress_pool("api.slipway.localhost").request("GET", "/v1/shops").json()
    # What was read before the restore is cached for a while.
    eventually(lambda: environment.request("GET", "/v1/shops").json() == shops, 90, "the shops of the stack local")
    assert shops == environment.request("GET", "/v1/shops").json()


def test_it_is_a_stack_like_any_other(environment: urllib3.HTTPSConnectionPool):
    pulumi("preview", "--expect-no-changes", "-s", NAME)
    assert run("./slipway", "status", "-s", NAME).stdout.startswith("healthy")
    [row] = json.loads(env("list", "--json").stdout)
    assert (row["name"], row["base"], row["asleep"]) == (NAME, "local", None)


def test_creating_it_again_changes_nothing(environment: urllib3.HTTPSConnectionPool):
    before = replicas()
    assert "new secrets: none" in env("create", NAME, "--from", "local").stderr
    assert replicas() == before
    assert answers(environment)


@pytest.mark.feature("P5")
def test_asleep_it_has_no_pods_and_awake_it_is_what_it_was(environment: urllib3.HTTPSConnectionPool):
    shops = environment.request("GET", "/v1/shops").data
    before, claims = replicas(), volumes()
    env("sleep", NAME)
    assert running() == []
    assert set(replicas().values()) == {0}
    assert volumes() == claims
    assert not answers(environment)

    status = run("./slipway", "status", "-s", NAME)
    assert status.stdout.startswith("asleep since ")
    run("./slipway", "drift", "-s", NAME)
    refused = run("./slipway", "up", "-s", NAME, "--yes", ok=False)
    assert (refused.returncode, running()) == (1, [])
    assert f"Wake it first: ./slipway env wake {NAME}" in refused.stderr
    [row] = json.loads(env("list", "--json").stdout)
    assert row["asleep"]

    with child(["./slipway", "env", "wake", NAME], cwd=ROOT, env=environment_variables()) as waking:
        seconds = eventually(lambda: answers(environment), 60, "an answer after waking")
        assert waking.wait(300) == 0
    print(f"\nthe first answer {seconds:.1f} s after `env wake` was typed")
    # Autoscalers may have added pods since.
    assert {name: max(number, before[name]) for name, number in replicas().items()} == replicas()
    assert volumes() == claims
    assert environment.request("GET", "/v1/shops").data == shops
    assert not any(
        "slipway/asleep" in obj["metadata"].get("annotations", {}) for obj in objects(f"{WORKLOADS},cronjobs")
    )
    pulumi("preview", "--expect-no-changes", "-s", NAME)
    run("./slipway", "drift", "-s", NAME)


@pytest.mark.feature("J5")
def test_deleted_nothing_of_it_is_left_and_deleting_it_again_does_nothing(environment: urllib3.HTTPSConnectionPool):
    assert f"namespace {NAMESPACE} is gone" in env("delete", NAME).stderr
    names = run("kubectl", "--context", "slipway-local", "get", "namespaces", "-o", "name").stdout.split()
    assert f"namespace/{NAMESPACE}" not in names
    stacks = json.loads(run("pulumi", "stack", "ls", "--json").stdout)
    assert NAME not in [stack["name"] for stack in stacks]
    assert not any(path.exists() for path in left_in_this_clone())
    assert "nothing of it is left" in env("delete", NAME).stderr


def test_the_stack_it_was_made_from_is_refused_and_runs_on():
    refused = env("delete", "local", ok=False)
    assert refused.returncode == 1
    assert "stack local was not made by `./slipway env create`, so it is left alone" in refused.stderr
    assert answers(ingress_pool("api.slipway.localhost"))
