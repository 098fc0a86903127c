"""A real API server accepts what `./slipway render` accepts, and refuses what slipway/rules/api_server/ refuses.

Every difference means a stack file that fails in the middle of an update, or one that is refused without reason. Each
object is sent as a dry run, in a namespace that exists for this test only.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Generator, Iterable

import pulumi
import pytest

from slipway import schemas
from slipway.objects import Object
from slipway.ops.program.recorder import declare
from tests.api_faults import ACCEPTED, REFUSED, planted
from tests.conftest import with_changes
from tests.e2e.conftest import environment, run
from tests.edges import Changes, cases
from tests.faults import Fault, objects
from tests.variants import NAMES, model

pytestmark = pytest.mark.e2e

NAMESPACE = "slipway-dry-run"
KUBECTL = ("kubectl", "--context", "slipway-local")
CASES = cases()


@pytest.fixture(scope="module", autouse=True)
def namespace() -> Generator[None]:
    """Create the namespace to which the objects of all cases are sent."""
    run(*KUBECTL, "create", "namespace", NAMESPACE)
    yield
    run(*KUBECTL, "delete", "namespace", NAMESPACE)


def refusal(manifests: Iterable[Object]) -> str:
    """Return the API server's message for these objects; empty if it accepts them all.

    They are applied server-side, as by the engine's plugin. Custom resources are left out, because the local cluster
    does not have their definitions: tests/settings/test_schemas.py checks them.
    """
    items = [_in_test(manifest) for manifest in manifests if not schemas.is_custom(manifest)]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    command = (*KUBECTL, "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-")
    done = subprocess.run(
        command, input=text, env=environment(), capture_output=True, text=True, timeout=120, check=False
    )
    return done.stderr if done.returncode else ""


def _in_test(manifest: Object) -> Object:
    """Return the object in this test's namespace, with a valid login in place of a rendered secret."""
    changed: Object = json.loads(json.dumps(manifest))
    if changed["kind"] != "Namespace":
        changed["metadata"]["namespace"] = NAMESPACE
    if changed.get("type") == "kubernetes.io/dockerconfigjson":
        changed["stringData"] = {".dockerconfigjson": '{"auths": {}}'}
    return changed


@pytest.mark.parametrize("name", NAMES)
def test_the_api_server_accepts_every_stack_and_variant(name: str):
    assert refusal(model(name).manifests().values()) == ""


@pytest.mark.parametrize("changes", CASES, ids=[f"{number}" for number in range(len(CASES))])
def test_the_api_server_accepts_what_the_settings_allow(changes: Changes):
    """Cases that the settings refuse with a message about the stack file pass, too."""
    try:
        message = refusal(declare("dev", with_changes("dev", changes)).manifests().values())
    except pulumi.RunError as error:
        message = str(error)
    assert message == "" or message.startswith("stacks/Pulumi.dev.yaml has "), changes


@pytest.mark.parametrize("fault", [fault for _, fault in REFUSED], ids=[f"{r}-{n}" for n, (r, _) in enumerate(REFUSED)])
def test_the_api_server_refuses_what_the_rules_refuse(fault: Fault):
    assert refusal(planted(fault, objects())) != ""


@pytest.mark.parametrize("fault", [fault for _, fault in ACCEPTED], ids=[words for words, _ in ACCEPTED])
def test_the_api_server_accepts_what_the_rules_accept(fault: Fault):
    assert refusal(planted(fault, objects())) == ""
