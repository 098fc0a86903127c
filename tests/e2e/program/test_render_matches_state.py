"""`./slipway render` prints what `pulumi up` registers with the engine: compared with the state of the stack."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

import pytest
import yaml

from slipway.objects import SECRET
from slipway.ops.program.recorder import declare
from tests.e2e.conftest import pulumi, run, up

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

# The key by which the engine marks an encrypted value.
ENCRYPTED = "4dabf18193072939515e22adb298388d"

Objects = dict[tuple[str, str], Any]


@pytest.fixture(scope="module", autouse=True)
def deployed_as_it_stands_here() -> None:
    """Deploy this clone, because a former test may have deployed something else."""
    up()


def deployed() -> list[dict[str, Any]]:
    """Return the resources in the state file, without those of the engine."""
    resources = json.loads(pulumi("stack", "export").stdout)["deployment"]["resources"]
    own = [resource for resource in resources if "::default_" not in resource["urn"]]
    return [resource for resource in own if resource["type"] != "pulumi:pulumi:Stack"]


def from_state() -> Objects:
    """Return the inputs of each Kubernetes object in the state."""
    return by_name(resource["inputs"] for resource in deployed() if resource["type"].startswith("kubernetes:"))


def from_render() -> Objects:
    """Return the objects that `./slipway render` prints."""
    documents = yaml.safe_load_all(run("./slipway", "render", "-s", "local").stdout)
    return by_name(document for document in documents if document)


def by_name(objects: Iterable[dict[str, Any]]) -> Objects:
    return {(manifest["kind"], manifest["metadata"]["name"]): manifest for manifest in map(comparable, objects)}


def comparable(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return an object without the values that render cannot know.

    These are values of secrets, digests of built images, names with a hash of either, and author and time of a release.
    """
    if "stringData" in manifest:  # the API's own shorthand: the provider writes it as data
        manifest = {key: value for key, value in manifest.items() if key != "stringData"} | {"data": SECRET}
    if manifest["metadata"].get("labels", {}).get("app.kubernetes.io/component") == "release":
        kept = {key: value for key, value in manifest["metadata"].items() if key != "annotations"}
        manifest = {**manifest, "metadata": kept}
    text = re.sub(r"(-secret|-migration|release)-[0-9a-f]{8}\b", r"\1-*", json.dumps(_without_secrets(manifest)))
    text = re.sub(r"slipway/(mariadb:[\w.-]+|redis:[\w.-]+|mysql|redis)@", "slipway/store@", text)
    return json.loads(re.sub(r"@sha256:[0-9a-f]{64}", "@sha256:*", text))


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        if ENCRYPTED in value:
            return SECRET
        return {key: _without_secrets(item) for key, item in value.items()}
    return [_without_secrets(item) for item in value] if isinstance(value, list) else value


@pytest.mark.feature("M2")
def test_every_object_in_the_state_is_rendered_the_same():
    state, rendered = from_state(), from_render()
    assert state.keys() == rendered.keys()
    assert {name: manifest for name, manifest in state.items() if rendered[name] != manifest} == {}


def test_the_comparison_detects_one_different_value_deep_inside():
    state, rendered = from_state(), from_render()
    rendered["Deployment", "api"]["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"] += "i"
    assert [name for name, manifest in state.items() if rendered[name] != manifest] == [("Deployment", "api")]


@pytest.mark.feature("M2")
def test_every_resource_goes_by_the_name_in_the_golden_file():
    """tests/golden/urns.txt is written with the recorder; the engine has to use the same URNs."""
    assert {resource["urn"] for resource in deployed()} == {resource.urn for resource in declare("local").resources}
