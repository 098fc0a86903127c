"""Releases: what is recorded of a stack, and that the program makes the same stack of it again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pulumi
import pytest
import releases
import stack_file
import yaml
from engine_yaml import Node, read
from image import parts
from lightkube import Client
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import ConfigMap
from releases import Release
from stack_file import Written

from ops import recorder, rollback
from ops.recorder import STAND_IN, Program, declare, stacks
from tests.conftest import Changed, Declare
from tests.variants import VARIANTS, model

IMAGE = "registry.example.com/slipway/api:src-0@sha256:" + "5" * 64


def recorded(program: Program) -> Release:
    """The release a run of the program declares."""
    record = program.manifests()["ConfigMap", "release"]
    return Release.of(record["metadata"]["name"], record["data"], record["metadata"].get("annotations", {}))


def again(stack: str, release: Release) -> Program:
    """What the program declares of a record, as `./slipway rollback` hands it over."""
    return declare(stack, rollback.composed(stack, release)["config"])


@pytest.mark.feature("D4", part="the same objects, under mocks")
@pytest.mark.parametrize("stack", stacks())
def test_of_its_record_the_program_makes_the_same_stack_again(program: Declare, stack: str):
    before = program(stack)
    assert again(stack, recorded(before)).manifests() == before.manifests()


@pytest.mark.parametrize("variant", ["fixed-replicas", "bare", "jobs", "two-services"])
def test_of_the_record_of_other_settings_than_today_s_it_makes_those(variant: str):
    stack, before = VARIANTS[variant][0], model(variant)
    assert again(stack, recorded(before)).manifests() == before.manifests()


def test_today_s_defaults_are_not_laid_under_a_former_release(program: Declare, monkeypatch: pytest.MonkeyPatch):
    before = program("prod")
    later = Node.of({"slipway:service": {"startupSeconds": 99}, "slipway:services": {"later": {}}})
    monkeypatch.setattr(stack_file, "read_defaults", lambda: Written(later, []))
    assert again("prod", recorded(before)).manifests() == before.manifests()


def test_the_record_comes_after_everything_else_of_the_stack(program: Declare):
    *others, record = program("dev").resources
    assert (record.kind, record.name) == ("ConfigMap", "release")
    served = {one.urn for one in others if one.kind in ("Deployment", "Ingress", "StatefulSet", "Job")}
    assert {"api", "web", "mysql", "redis", "api-migration"} == {urn.rpartition("::")[2] for urn in served}
    assert served <= set(record.options["depends_on"])


@pytest.mark.feature("J2", part="only the image of a recorded release is exported")
@pytest.mark.parametrize("stack", stacks())
def test_the_image_that_others_promote_is_the_one_of_the_recorded_release(program: Declare, stack: str):
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
def test_the_record_names_image_and_settings_and_cannot_be_changed(program: Declare):
    record = program("prod").manifests()["ConfigMap", "release"]
    assert record["immutable"] is True
    assert parts(record["data"]["image"])[2].startswith("sha256:")
    services = yaml.safe_load(record["data"]["settings.yaml"])["services"]
    # One from the stack file, and one from defaults.yaml.
    assert services["api"]["autoscaling"] == {"min": 2, "max": 10}
    assert services["api"]["env"]["TRUSTED_PROXIES"] == "1"


@pytest.mark.feature("B10", part="record of a release")
@pytest.mark.parametrize("stack", stacks())
def test_no_secret_nor_where_one_is_found_is_in_the_record(program: Declare, stack: str):
    record = repr(program(stack).manifests()["ConfigMap", "release"])
    assert STAND_IN not in record and "***" not in record
    assert "/slipway-" not in record  # the folder that stands for that of the secrets
    assert not {"secretFiles", "secretStore", "registry"} & recorded(program(stack)).settings.keys()


def test_another_version_of_a_secret_is_the_same_release(changed: Changed):
    store = {"name": "vault", "entries": "values", "path": "slipway/dev"}
    one, two = (changed("dev", {"secretStore": {**store, "versions": {"signing-key": n}}}) for n in "12")
    assert recorded(one) == recorded(two)


def test_another_image_is_another_release_with_the_same_settings(changed: Changed):
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
    ("given", "told"),
    [
        ({"revision": "latest"}, "slipway:release.revision: should be 8 hexadecimal digits"),
        ({"commit": "1a2b3c"}, "slipway:release.revision: is required"),
        ("0a1b2c3d", "slipway:release: should be a mapping"),
    ],
)
def test_what_stands_for_a_release_and_is_none_is_refused(program: Declare, given: Any, told: str):
    config = rollback.composed("dev", recorded(program("dev")))["config"]
    with pytest.raises(pulumi.RunError, match=told):
        declare("dev", {**config, "slipway:release": given})


def test_a_stack_file_cannot_say_that_it_is_a_release(tmp_path: Any, monkeypatch: pytest.MonkeyPatch):
    text = (stack_file.STACKS / "Pulumi.dev.yaml").read_text() + "  slipway:release: {revision: 0a1b2c3d}\n"
    (tmp_path / "Pulumi.dev.yaml").write_text(text)
    (tmp_path / "defaults.yaml").write_text((stack_file.STACKS / "defaults.yaml").read_text())
    monkeypatch.setattr(stack_file, "STACKS", tmp_path)
    root, _ = read(text.encode(), "Pulumi.dev.yaml")
    with pytest.raises(pulumi.RunError, match="slipway:release: has no place in a file"):
        declare("dev", root.plain()["config"])


def cluster(*ages: int) -> Client:
    """One with a record made on each of these days of a month, in no order."""
    found = [
        ConfigMap(
            metadata=ObjectMeta(name=f"release-{day:08x}", annotations={releases.AT: f"2026-11-{day:02}T00:00:00Z"}),
            data={"settings.yaml": "{}", "image": IMAGE},
        )
        for day in ages
    ]
    return cast("Client", SimpleNamespace(list=lambda *_, **__: found))


def test_the_releases_of_a_stack_are_listed_with_the_newest_first():
    assert [one.at[8:10] for one in releases.kept(cluster(2, 9, 5), "dev")] == ["09", "05", "02"]


def test_the_ten_newest_are_kept():
    known = [f"release-{one.revision}" for one in releases.kept(cluster(*range(1, 13)), "dev")]
    assert releases.superseded(known) == ["release-00000002", "release-00000001"]
