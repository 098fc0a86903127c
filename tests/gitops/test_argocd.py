"""Argo CD gets an Application, and each object names its sync wave."""

from __future__ import annotations

import pytest

from slipway.ops.gitops.order import PHASES
from tests import golden
from tests.gitops.conftest import SOURCE, Bundled, beside, published

PREFIX = "argocd.argoproj.io"


@pytest.mark.parametrize("name", golden.NAMES)
@pytest.mark.feature("M3")
def test_the_waves_are_the_phases(bundled: Bundled, name: str):
    waves = {
        (obj["metadata"]["annotations"][f"{PREFIX}/sync-wave"], path.partition("/")[0])
        for path, obj in published(bundled(name, "argocd")).items()
    }
    assert waves <= {(str(number), phase) for number, phase in enumerate(PHASES)}


def test_a_migration_that_failed_runs_again_with_the_next_sync(bundled: Bundled):
    [job] = [obj for obj in published(bundled("prod", "argocd")).values() if obj["kind"] == "Job"]
    annotations = job["metadata"]["annotations"]
    assert annotations[f"{PREFIX}/hook"] == "Sync"
    assert annotations[f"{PREFIX}/hook-delete-policy"] == "BeforeHookCreation,HookSucceeded"


def test_argo_cd_deletes_no_data(bundled: Bundled):
    kept = {
        obj["kind"]
        for obj in published(bundled("dev", "argocd")).values()
        if obj["metadata"]["annotations"].get(f"{PREFIX}/sync-options") == "Prune=false,Delete=false"
    }
    assert kept == {"Namespace", "PersistentVolumeClaim"}


def test_the_application_reads_the_artifact_and_leaves_fields_of_autoscalers_alone(bundled: Bundled):
    [application] = beside(bundled("prod", "argocd"), "Application")
    spec = application["spec"]
    assert spec["source"]["repoURL"] == f"oci://{SOURCE.repository}"
    assert spec["source"]["targetRevision"] == "prod"
    assert spec["destination"]["namespace"] == "slipway-prod"
    assert spec["syncPolicy"]["automated"] == {"prune": True, "selfHeal": True}
    assert spec["syncPolicy"]["syncOptions"] == ["ServerSideApply=true", "PruneLast=true"]
