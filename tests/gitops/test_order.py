"""A stack reaches the cluster in the order of `pulumi up`, and no secret value is in it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from slipway import schemas
from slipway.objects import SECRET
from slipway.ops.gitops.order import PHASES, phases
from slipway.retention import referenced_names
from tests import golden
from tests.gitops.conftest import Bundled, published

CONTROLLERS = ("flux", "argocd")
each_stack = pytest.mark.parametrize("name", golden.NAMES)
each_controller = pytest.mark.parametrize("controller", CONTROLLERS)


def phase_of(path: str) -> int:
    return PHASES.index(path.partition("/")[0])


@each_stack
@pytest.mark.feature("M3")
def test_nothing_is_applied_before_what_pulumi_creates_first(sdk: None, name: str):
    resources = [resource for resource in golden.model(name).resources if resource.is_manifest]
    found = phases(resources)
    pairs = [
        (resource.urn, before) for resource in resources for before in resource.options["depends_on"] if before in found
    ]
    assert len(pairs) > len(resources) / 2
    assert [
        (after, before) for after, before in pairs if PHASES.index(found[before]) > PHASES.index(found[after])
    ] == []


@each_stack
@pytest.mark.feature("M3")
def test_stores_come_before_migrations_and_migrations_before_pods(bundled: Bundled, name: str):
    kinds: dict[str, set[str]] = {}
    for path, manifest in published(bundled(name, "flux")).items():
        kinds.setdefault(manifest["kind"], set()).add(path.partition("/")[0])
    assert kinds["Namespace"] == {"environment"}
    assert kinds["Deployment"] == {"services"}
    assert kinds.get("StatefulSet", {"stores"}) == {"stores"}
    assert kinds.get("Job", {"migrations"}) == {"migrations"}


@each_stack
@each_controller
def test_all_that_pods_read_is_applied_before_them_or_has_to_be_there(bundled: Bundled, name: str, controller: str):
    found = bundled(name, controller)
    objects = published(found)
    at = {manifest["metadata"]["name"]: phase_of(path) for path, manifest in objects.items()}
    at |= {secret.name: 0 for secret in found.secrets}
    for path, manifest in objects.items():
        if manifest["kind"] in ("Deployment", "StatefulSet", "Job", "CronJob"):
            for needed in referenced_names([manifest]):
                assert at[needed] <= phase_of(path), f"{path} needs {needed}"


@each_stack
@each_controller
@pytest.mark.feature("M3", part="secrets as references only")
def test_no_secret_is_published_and_no_hash_of_one(bundled: Bundled, name: str, controller: str):
    """The recorder gets no real secrets, so the hash in a recorded name is that of a placeholder."""
    stream = bundled(name, controller).stream()
    assert SECRET not in stream
    assert "kind: Secret\n" not in stream
    secrets = [r.inputs for r in golden.model(name).resources if r.is_manifest and r.kind == "Secret"]
    assert [inputs["metadata"]["name"] for inputs in secrets if inputs.get("immutable")] or name == "options"
    assert [s["metadata"]["name"] for s in secrets if s.get("immutable") and s["metadata"]["name"] in stream] == []


def test_a_needed_secret_is_named_with_its_keys(bundled: Bundled):
    told = [str(secret) for secret in bundled("prod", "flux").secrets]
    assert told == [
        "Secret/api-migration-secret (Opaque) with mysql-password, redis-password, signing-key",
        "Secret/api-secret (Opaque) with mysql-password, redis-password, signing-key",
    ]


def test_with_an_external_store_only_references_to_it_are_published(bundled: Bundled):
    found = bundled("options", "flux")
    assert [secret.name for secret in found.secrets] == ["registry"]
    assert [path for path in found.published if "externalsecret" in path] == [
        "environment/externalsecret-api-migration-secret-0e461dbf.yaml",
        "environment/externalsecret-api-secret-b5534bd6.yaml",
        "environment/externalsecret-web-secret-77da226c.yaml",
    ]


@each_stack
@each_controller
@pytest.mark.feature("M3", part="schemas")
def test_every_object_fits_the_schemas_of_kubernetes_and_of_the_controller(
    bundled: Bundled, name: str, controller: str
):
    objects: list[Any] = list(yaml.safe_load_all(bundled(name, controller).stream()))
    assert {error for obj in objects for version in schemas.VERSIONS for error in schemas.errors(obj, version)} == set()


@each_controller
def test_nothing_is_left_that_only_pulumi_knows(bundled: Bundled, controller: str):
    found = bundled("dev", controller)
    assert "pulumi" not in found.stream()
    assert f"managed-by: {controller}" in found.stream()
    assert [path for path in found.published if "configmap-release-" in path] == []


def test_the_claim_of_the_backups_waits_for_no_pod_of_another_phase(bundled: Bundled):
    """A claim is bound when its first pod starts: in the phase of the stores, it would hold up all that follow."""
    claims = [path for path in bundled("dev", "flux").published if "persistentvolumeclaim" in path]
    assert sorted(claims) == [
        "services/persistentvolumeclaim-mysql-backup.yaml",
        "stores/persistentvolumeclaim-mysql-data.yaml",
        "stores/persistentvolumeclaim-redis-data.yaml",
    ]


@pytest.mark.feature("M3", part="a golden file")
def test_what_flux_gets_of_a_stack_is_as_it_was_recorded():
    changed = "Read the difference to tests/golden/gitops; if all of it is meant: `make golden`"
    assert golden.gitops() == golden.GITOPS.read_text(), changed
