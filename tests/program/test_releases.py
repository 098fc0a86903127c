"""Releases: what is recorded, and that the program declares the same stack from the record."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pulumi
import pytest
import yaml
from lightkube import Client
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import ConfigMap

from slipway import releases
from slipway.image.reference import parts
from slipway.ops.program import recorder
from slipway.ops.program.recorder import STAND_IN, Program, declare, stacks
from slipway.ops.releases import rollback
from slipway.releases import Release
from slipway.settings import source_files
from slipway.settings.engine_yaml import Node, read
from slipway.settings.source_files import StackFile
from tests.conftest import Changed, Declare
from tests.variants import VARIANTS, model

IMAGE = "registry.example.com/slipway/api:src-0@sha256:" + "5" * 64


def recorded(program: Program) -> Release:
    """Return the release that a run of the program records."""
    record = program.manifests()["ConfigMap", "release"]
    return Release.of(record["metadata"]["name"], record["data"], record["metadata"].get("annotations", {}))


def again(stack: str, release: Release) -> Program:
    """Return what the program declares for a record that `./slipway rollback` passes."""
    return declare(stack, rollback.stack_file_of(stack, release)["config"])


@pytest.mark.feature("D4", part="the same objects, under mocks")
@pytest.mark.parametrize("stack", stacks())
def test_the_program_declares_the_same_stack_from_its_record(program: Declare, stack: str):
    before = program(stack)
    assert again(stack, recorded(before)).manifests() == before.manifests()


@pytest.mark.parametrize("variant", ["fixed-replicas", "bare", "jobs", "two-services"])
def test_the_program_declares_the_recorded_settings_instead_of_the_current_ones(variant: str):
    stack, before = VARIANTS[variant][0], model(variant)
    assert again(stack, recorded(before)).manifests() == before.manifests()


def test_current_defaults_are_not_added_to_a_recorded_release(program: Declare, monkeypatch: pytest.MonkeyPatch):
    before = program("prod")
    later = Node.of({"slipway:service": {"startupSeconds": 99}, "slipway:services": {"later": {}}})
    monkeypatch.setattr(source_files, "read_defaults", lambda: StackFile(later, []))
    assert again("prod", recorded(before)).manifests() == before.manifests()


def test_the_record_comes_after_everything_else_of_the_stack(program: Declare):
    *others, record = program("dev").resources
    assert (record.kind, record.name) == ("ConfigMap", "release")
    served = {one.urn for one in others if one.kind in ("Deployment", "Ingress", "StatefulSet", "Job")}
    assert {"api", "web", "mysql", "redis", "api-migration"} == {urn.rpartition("::")[2] for urn in served}
    assert served <= set(record.options["depends_on"])


@pytest.mark.feature("J2", part="only the image of a recorded release is exported")
@pytest.mark.parametrize("stack", stacks())
def test_the_exported_image_is_that_of_the_recorded_release(program: Declare, stack: str):
    assert program(stack).outputs["image"] == recorded(program(stack)).image


def test_an_update_that_records_no_release_exports_no_image(sdk: None, monkeypatch: pytest.MonkeyPatch):
    class Monitor(recorder._Recorder):  # pyright: ignore[reportPrivateUsage]
        def RegisterResource(self, request: Any) -> Any:
            if request.name == "release":
                raise pulumi.RunError("the rollout of Deployment/api is not complete")
            return super().RegisterResource(request)

        def RegisterResourceOutputs(self, request: Any) -> Any:
            if request.urn.split("::")[2] == "pulumi:pulumi:Stack":
                exported.extend(request.outputs)
            return super().RegisterResourceOutputs(request)

    exported: list[str] = []
    monkeypatch.setattr(recorder, "_Recorder", Monitor)
    with pytest.raises(pulumi.RunError):
        declare("dev")
    assert not {"image", "version"} & set(exported)


@pytest.mark.feature("D9", part="record")
def test_the_record_contains_image_and_settings_and_is_immutable(program: Declare):
    record = program("prod").manifests()["ConfigMap", "release"]
    assert record["immutable"] is True
    assert parts(record["data"]["image"])[2].startswith("sha256:")
    services = yaml.safe_load(record["data"]["settings.yaml"])["services"]
    # One setting from the stack file, and one from defaults.yaml.
    assert services["api"]["autoscaling"] == {"min": 2, "max": 10}
    assert services["api"]["env"]["TRUSTED_PROXIES"] == "1"


@pytest.mark.feature("B10", part="record of a release")
@pytest.mark.parametrize("stack", stacks())
def test_the_record_contains_no_secret_and_no_source_of_secrets(program: Declare, stack: str):
    record = repr(program(stack).manifests()["ConfigMap", "release"])
    assert STAND_IN not in record and "***" not in record
    assert "/slipway-" not in record  # the temporary folder with the secrets
    assert not {"secretFiles", "secretStore", "registry"} & recorded(program(stack)).settings.keys()


def test_another_version_of_a_secret_makes_no_new_release(changed: Changed):
    store = {"name": "vault", "entries": "values", "path": "slipway/dev"}
    one, two = (changed("dev", {"secretStore": {**store, "versions": {"signing-key": n}}}) for n in "12")
    assert recorded(one) == recorded(two)


def test_another_image_makes_a_new_release_with_the_same_settings(changed: Changed):
    def at(digit: str) -> Release:
        return recorded(changed("dev", {"image": {"source": "prebuilt", "digest": f"sha256:{digit * 64}"}}))

    one, two = at("1"), at("2")
    assert one.revision != two.revision
    assert one.config_hash == two.config_hash


def test_the_stores_of_a_release_are_recorded_by_their_image(program: Declare):
    settings = recorded(program("local")).settings
    assert "imageFiles" not in settings
    assert settings["mysql"]["image"].partition("@")[2].startswith("sha256:")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"revision": "latest"}, "slipway:release.revision: should be 8 hexadecimal digits"),
        ({"commit": "1a2b3c"}, "slipway:release.revision: is required"),
        ("0a1b2c3d", "slipway:release: should be a mapping"),
    ],
)
def test_a_malformed_release_is_refused(program: Declare, given: Any, message: str):
    config = rollback.stack_file_of("dev", recorded(program("dev")))["config"]
    with pytest.raises(pulumi.RunError, match=message):
        declare("dev", {**config, "slipway:release": given})


def test_a_stack_file_cannot_contain_a_release(tmp_path: Any, monkeypatch: pytest.MonkeyPatch):
    text = (source_files.STACKS / "Pulumi.dev.yaml").read_text() + "  slipway:release: {revision: 0a1b2c3d}\n"
    (tmp_path / "Pulumi.dev.yaml").write_text(text)
    (tmp_path / "defaults.yaml").write_text((source_files.STACKS / "defaults.yaml").read_text())
    monkeypatch.setattr(source_files, "STACKS", tmp_path)
    root, _ = read(text.encode(), "Pulumi.dev.yaml")
    with pytest.raises(pulumi.RunError, match="slipway:release: has no place in a file"):
        declare("dev", root.plain()["config"])


def cluster(*ages: int) -> Client:
    """An API server with a record of each of these days of a month, in no order."""
    records = [
        ConfigMap(
            metadata=ObjectMeta(name=f"release-{day:08x}", annotations={releases.AT: f"2026-11-{day:02}T00:00:00Z"}),
            data={"settings.yaml": "{}", "image": IMAGE},
        )
        for day in ages
    ]
    return cast("Client", SimpleNamespace(list=lambda *_, **__: records))


def test_releases_are_listed_newest_first():
    assert [one.at[8:10] for one in releases.kept(cluster(2, 9, 5), "dev")] == ["09", "05", "02"]


def test_the_ten_newest_releases_are_kept():
    known = [f"release-{one.revision}" for one in releases.kept(cluster(*range(1, 13)), "dev")]
    assert releases.superseded(known) == ["release-00000002", "release-00000001"]


@pytest.mark.parametrize("damaged", ["", "{", "[1]", "yesterday"])
def test_a_damaged_note_on_a_record_hides_no_release_to_roll_back_to(damaged: str):
    notes = {"slipway/rollback-rehearsal": damaged, "slipway/overrides": damaged}
    release = Release.of("release-0a1b2c3d", {"settings.yaml": "{}", "image": IMAGE}, notes)
    assert (release.revision, release.rehearsal, release.overrides) == ("0a1b2c3d", {}, {})
