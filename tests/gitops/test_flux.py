"""Flux gets a source, and one Kustomization for each phase, which waits for the one before."""

from __future__ import annotations

import pytest
import yaml

from slipway.ops.gitops.source import Source
from tests import golden
from tests.gitops.conftest import SOURCE, Bundled, beside, published

PRUNE = "kustomize.toolkit.fluxcd.io/prune"


@pytest.mark.parametrize("name", golden.NAMES)
@pytest.mark.feature("M3")
def test_each_phase_waits_for_the_one_before(bundled: Bundled, name: str):
    found = bundled(name, "flux")
    kustomizations = beside(found, "Kustomization")
    names = [kustomization["metadata"]["name"] for kustomization in kustomizations]
    waits = [[entry["name"] for entry in k["spec"].get("dependsOn", [])] for k in kustomizations]
    assert waits == [[], *([before] for before in names[:-1])]
    assert {k["spec"]["path"] for k in kustomizations} == {f"./{path.partition('/')[0]}" for path in found.published}


@pytest.mark.parametrize("name", golden.NAMES)
@pytest.mark.feature("M3", part="health")
def test_a_phase_is_over_when_all_its_workloads_are_healthy(bundled: Bundled, name: str):
    found = bundled(name, "flux")
    for kustomization in beside(found, "Kustomization"):
        spec = kustomization["spec"]
        own = [obj for path, obj in published(found).items() if path.startswith(spec["path"].removeprefix("./") + "/")]
        workloads = {
            (o["kind"], o["metadata"]["name"]) for o in own if o["kind"] in ("Deployment", "StatefulSet", "Job")
        }
        checked = {(check["kind"], check["name"]) for check in spec.get("healthChecks", [])}
        assert checked == (set() if spec.get("wait") else workloads)
        # Flux waits for these until the end of time where no pod uses them yet.
        assert not spec.get("wait") or not {"PersistentVolumeClaim", "PodDisruptionBudget"} & {o["kind"] for o in own}


def test_a_new_version_changes_no_object_that_is_beside_the_artifact(bundled: Bundled):
    """The objects beside it are applied once by hand, while names of Jobs change with each version."""
    jobs = [path for path in bundled("prod", "flux").published if path.startswith("migrations/job-")]
    assert jobs
    assert "job" not in "".join(bundled("prod", "flux").beside.values()).lower()


def test_a_phase_has_the_time_that_its_rollout_may_take(bundled: Bundled):
    found = {k["spec"]["path"]: k["spec"]["timeout"] for k in beside(bundled("prod", "flux"), "Kustomization")}
    assert found == {"./environment": "300s", "./migrations": "600s", "./services": "1230s"}


def test_flux_deletes_no_data_and_nothing_that_pods_of_the_former_release_need(bundled: Bundled):
    kept = {
        obj["kind"]
        for obj in published(bundled("dev", "flux")).values()
        if obj["metadata"].get("annotations", {}).get(PRUNE) == "disabled"
    }
    assert kept == {"Namespace", "PersistentVolumeClaim", "ConfigMap"}
    of_options = published(bundled("options", "flux"))["environment/externalsecret-api-secret-b5534bd6.yaml"]
    assert of_options["metadata"]["annotations"][PRUNE] == "disabled"


def test_flux_verifies_the_signature_unless_told_otherwise(bundled: Bundled):
    [source] = beside(bundled("prod", "flux"), "OCIRepository")
    assert source["spec"]["url"] == f"oci://{SOURCE.repository}"
    assert source["spec"]["ref"] == {"tag": "prod"}
    assert source["spec"]["verify"] == {"provider": "cosign", "secretRef": {"name": "cosign-public-key"}}
    assert "insecure" not in source["spec"]
    [unsigned] = beside(bundled("prod", "flux", verified=False), "OCIRepository")
    assert "verify" not in unsigned["spec"]


def test_only_a_registry_on_this_machine_may_do_without_tls(bundled: Bundled):
    [source] = beside(bundled("prod", "flux", Source("localhost:5000/slipway/gitops", "prod")), "OCIRepository")
    assert source["spec"]["insecure"] is True


def test_an_external_secret_has_to_be_read_before_pods_start(bundled: Bundled):
    [environment, *_] = beside(bundled("options", "flux"), "Kustomization")
    [check] = environment["spec"]["healthCheckExprs"]
    assert (check["apiVersion"], check["kind"]) == ("external-secrets.io/v1", "ExternalSecret")


def test_the_stream_begins_with_what_flux_itself_reads(bundled: Bundled):
    kinds = [obj["kind"] for obj in yaml.safe_load_all(bundled("prod", "flux").stream())]
    assert kinds[:5] == ["OCIRepository", "Kustomization", "Kustomization", "Kustomization", "Namespace"]
