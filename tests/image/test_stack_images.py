"""Several images in one stack: each service runs its own, and so do its jobs, its canary and its releases."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pulumi
import pytest

from slipway.environment import docker_config
from slipway.image.promotion import VARIABLE, Promotion, promotable
from slipway.ops.program.recorder import Declared, Program, declare
from slipway.ops.releases import rollback
from slipway.ops.releases.canary_plan import CanaryPlan
from slipway.ops.releases.history import HistoryRow
from slipway.releases import Release
from slipway.rules.house_rules import check
from slipway.settings.engine_yaml import Node
from slipway.settings.layers import effective
from slipway.settings.source_files import read_defaults
from slipway.settings.stack_file import validated_settings
from tests.conftest import WITHOUT_STORES, declared, with_changes

DIGEST = "sha256:" + "7" * 64
NODE = 'FROM node:24-alpine\nARG PORT\nCOPY server.js /\nCMD ["node", "/server.js"]\n'
PYTHON = "ARG VERSION=3.14\nFROM --platform=$BUILDPLATFORM python:${VERSION} AS base\nCOPY . /srv\n"
JOBS = {"migration": {"args": ["migrate"]}, "schedules": {"report": {"args": ["report"], "cron": "30 3 * * *"}}}
IMAGES = {
    "shop": {"repository": "registry.example.com/shop", "context": "services/shop"},
    "cart": {"repository": "ghcr.io/acme/cart", "context": "services/cart"},
}
TWO: dict[str, Any] = {
    **WITHOUT_STORES,
    "image": None,
    "images": IMAGES,
    "services": {
        "api": {"image": "shop", **JOBS, "file": None, "secrets": []},
        "web": {"image": "cart", "needs": ["api"]},
    },
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with two folders of sources, neither of them a Go program."""
    for name, dockerfile, file in (("shop", NODE, "server.js"), ("cart", PYTHON, "server.py")):
        folder = tmp_path / "services" / name
        folder.mkdir(parents=True)
        (folder / "Dockerfile").write_text(dockerfile)
        (folder / file).write_text("serve()\n")
    monkeypatch.setattr("slipway.image.source.ROOT", tmp_path)
    monkeypatch.setattr("slipway.settings.checks.images.ROOT", tmp_path)
    return tmp_path


def two(stack: str = "dev", **changes: Any) -> Program:
    return declared(stack, copy.deepcopy({**TWO, **changes}))


def objects_of(program: Program, service: str) -> dict[str, Any]:
    """Return the objects of a service by their URN."""
    return {
        resource.urn: resource.inputs
        for resource in program.resources
        if resource.is_manifest and resource.inputs["metadata"]["labels"]["app.kubernetes.io/name"].startswith(service)
    }


def image_of(program: Program, kind: str, name: str) -> str:
    spec = program.manifests()[kind, name]["spec"]
    template = spec["jobTemplate"]["spec"]["template"] if kind == "CronJob" else spec["template"]
    return template["spec"]["containers"][0]["image"]


def built(program: Program) -> dict[str, Declared]:
    return {r.name: r for r in program.resources if r.type == "docker:index/image:Image"}


def record_of(program: Program) -> Release:
    record = program.manifests()["ConfigMap", "release"]
    return Release.of(record["metadata"]["name"], record["data"], {})


def test_editing_one_folder_changes_no_object_of_the_services_of_the_other(project: Path):
    before = two()
    (project / "services" / "cart" / "server.py").write_text("serve(more)\n")
    after = two()
    assert len(objects_of(before, "api")) > 8
    assert objects_of(after, "api") == objects_of(before, "api")
    assert built(after)["shop"] == built(before)["shop"]
    assert image_of(after, "Deployment", "web") != image_of(before, "Deployment", "web")
    assert {urn for urn, inputs in objects_of(after, "web").items() if inputs != objects_of(before, "web")[urn]} == {
        next(r.urn for r in after.resources if (r.kind, r.name) == ("Deployment", "web"))
    }


def test_pods_jobs_and_schedules_run_the_image_of_their_service(project: Path):
    program = two()
    images = {image_of(program, *key) for key in (("Deployment", "api"), ("CronJob", "api-report"))}
    assert images == {image_of(program, "Job", "api-migration")} == {program.outputs["images"]["shop"]}
    assert image_of(program, "Deployment", "web") == program.outputs["images"]["cart"]
    label = program.manifests()["Deployment", "web"]["spec"]["template"]["metadata"]["labels"][
        "app.kubernetes.io/version"
    ]
    assert f"ghcr.io/acme/cart:{label}@sha256:" in program.outputs["images"]["cart"]
    assert not {"image", "version"} & program.outputs.keys()


def test_several_images_keep_every_house_rule(project: Path):
    assert check(list(two().manifests().values()), "dev") == []


def test_a_dockerfile_is_built_as_it_is(project: Path):
    shop, cart = (built(two())[name].inputs["build"] for name in ("shop", "cart"))
    assert shop["args"] == {}
    assert "target" not in shop
    # ARG VERSION chooses the base image here: the version of the app must not get in.
    assert cart["args"] == {}
    assert cart["target"] == "base"
    assert cart["platform"] == "linux/amd64"


def test_stages_arguments_and_another_dockerfile_are_passed_on(project: Path):
    (project / "services" / "shop" / "deploy").mkdir()
    (project / "services" / "shop" / "deploy" / "Dockerfile").write_text("FROM a AS one\nARG PORT\nFROM b AS two\n")
    chosen = {**IMAGES["shop"], "dockerfile": "deploy/Dockerfile", "target": "one", "args": {"PORT": "80"}}
    build = built(two(images={**IMAGES, "shop": chosen}))["shop"].inputs["build"]
    assert (build["target"], build["args"]) == ("one", {"PORT": "80"})
    assert build["dockerfile"].endswith("/deploy/Dockerfile")


@pytest.mark.feature("P1", part="a change of one image changes the tag of no other")
@pytest.mark.parametrize("change", [{"args": {"PORT": "81"}}, {"dockerfile": "Other"}, {"target": "one"}])
def test_whatever_changes_an_image_changes_its_tag_and_no_other_one(project: Path, change: dict[str, Any]):
    (project / "services" / "shop" / "Other").write_text("FROM a AS one\nFROM b\n")
    before, after = two(), two(images={**IMAGES, "shop": {**IMAGES["shop"], **change}})
    assert built(after)["shop"].inputs["imageName"] != built(before)["shop"].inputs["imageName"]
    assert built(after)["cart"] == built(before)["cart"]


def test_a_module_proxy_reaches_the_builds_that_ask_for_it(project: Path, monkeypatch: pytest.MonkeyPatch):
    (project / "services" / "shop" / "Dockerfile").write_text("FROM golang:1.26-alpine\nARG GOPROXY VERSION=dev\n")
    monkeypatch.setenv("GOPROXY", "https://proxy.example.com")
    program = two()
    arguments = built(program)["shop"].inputs["build"]["args"]
    assert arguments.keys() == {"GOPROXY", "VERSION"}
    assert arguments["GOPROXY"] == "https://proxy.example.com"
    assert "GOPROXY" not in built(program)["cart"].inputs["build"]["args"]
    monkeypatch.setenv("GOPROXY", "https://me:password@proxy.example.com")
    secret = two()
    assert built(secret)["shop"].inputs["imageName"] == built(program)["shop"].inputs["imageName"]
    assert "password" not in repr(secret.resources)


def test_a_cache_is_read_from_and_written_to_its_own_repository(project: Path):
    cached = {**IMAGES["shop"], "cache": "registry.example.com/shop-cache"}
    builds = built(two(images={**IMAGES, "shop": cached}))
    assert builds["shop"].inputs["build"]["cacheFrom"] == {"images": ["registry.example.com/shop-cache:cache"]}
    assert builds["shop"].inputs["build"]["args"]["BUILDKIT_INLINE_CACHE"] == "1"
    assert builds["shop-cache"].inputs["imageName"] == "registry.example.com/shop-cache:cache"
    assert builds["shop"].inputs["imageName"] == built(two())["shop"].inputs["imageName"]


@pytest.mark.feature("P1", part="an image of others by digest")
def test_an_image_of_others_needs_no_section_and_is_run_by_its_digest(project: Path):
    services = {"api": {"image": f"acme/podinfo:6.14@{DIGEST}", "file": None, "secrets": []}, "web": {"needs": ["api"]}}
    program = two(services=services, images={"web": IMAGES["cart"]})
    assert image_of(program, "Deployment", "api") == f"docker.io/acme/podinfo:6.14@{DIGEST}"
    assert program.outputs["images"].keys() == {"web"}
    only = two(services={"api": services["api"], "web": None}, images=None)
    assert only.outputs["images"] == record_of(only).images == {}
    assert not built(only)


def test_a_service_without_image_runs_the_only_one_or_the_one_of_its_name(project: Path):
    services = {"api": {"file": None, "secrets": []}, "web": {"image": None, "needs": ["api"]}}
    named = two(services=services, images={"api": IMAGES["shop"], "web": IMAGES["cart"]})
    assert "/shop:" in image_of(named, "Deployment", "api")
    assert "/cart:" in image_of(named, "Deployment", "web")
    single = two(services=services, images={"all": IMAGES["shop"]})
    assert image_of(single, "Deployment", "web") == image_of(single, "Deployment", "api")


def test_a_stack_promotes_each_image_by_its_name(project: Path):
    promoted = {
        name: {"repository": image["repository"], "source": "promote", "from": "dev"} for name, image in IMAGES.items()
    }
    program = two("staging", images=promoted)
    read = [r for r in program.resources if r.type == "pulumi:pulumi:StackReference"]
    assert len({r.urn for r in read}) == 2
    assert image_of(program, "Deployment", "web").startswith("registry.example.com/slipway/cart:promoted@")


@pytest.mark.parametrize(
    ("outputs", "name", "expected"),
    [
        ({"images": {"shop": f"r.io/shop@{DIGEST}", "cart": f"r.io/cart@{DIGEST}"}}, "cart", f"r.io/cart@{DIGEST}"),
        ({"image": f"r.io/api@{DIGEST}"}, "api", f"r.io/api@{DIGEST}"),
        ({"image": f"r.io/api@{DIGEST}", "images": {"api": f"r.io/api@{DIGEST}"}}, "api", f"r.io/api@{DIGEST}"),
    ],
    ids=["several", "a stack of before", "one"],
)
def test_the_image_of_the_same_name_is_promoted(outputs: dict[str, Any], name: str, expected: str):
    assert promotable(outputs, name, "dev") == expected


@pytest.mark.parametrize("outputs", [{}, {"images": {"shop": "r.io/shop:1"}}, {"image": f"r.io/api@{DIGEST}"}])
def test_nothing_else_is_promoted_in_its_place(outputs: dict[str, Any]):
    with pytest.raises(pulumi.RunError, match=r"slipway:images\.shop: stack dev runs .*only an image with a digest"):
        promotable(outputs, "shop", "dev")


@pytest.mark.feature("J2", part="a digest other than the one that was examined is refused")
def test_an_image_that_was_not_examined_is_refused_within_a_promotion(monkeypatch: pytest.MonkeyPatch):
    examined, newer = f"r.io/shop@{DIGEST}", "r.io/shop@sha256:" + "9" * 64
    monkeypatch.setenv(VARIABLE, Promotion("dev", {"shop": examined}).variables[VARIABLE])
    assert promotable({"images": {"shop": examined}}, "shop", "dev") == examined
    with pytest.raises(pulumi.RunError, match=rf"updated since its images were examined: it runs {newer} now"):
        promotable({"images": {"shop": newer}}, "shop", "dev")


def test_a_release_records_all_images_and_a_rollback_brings_all_of_them_back(project: Path):
    before = two()
    release = record_of(before)
    assert release.images == before.outputs["images"]
    assert "image" not in before.manifests()["ConfigMap", "release"]["data"]
    (project / "services" / "cart" / "server.py").write_text("serve(more)\n")
    assert record_of(two()).revision != release.revision
    config = rollback.stack_file_of("dev", release)["config"]
    assert "slipway:image" not in config
    back = declare("dev", config)
    for service in ("api", "web"):
        assert image_of(back, "Deployment", service) == image_of(before, "Deployment", service)
    assert record_of(back) == release
    assert not built(back)
    assert "image cart src-" in rollback.describe(release)
    assert ", image shop src-" in rollback.describe(release)


def test_a_record_of_before_there_were_several_images_is_read_as_it_is():
    release = Release.of("release-0a1b2c3d", {"settings.yaml": "{}", "image": f"r.io/api:src-0@{DIGEST}"}, {})
    assert release.images == {"api": f"r.io/api:src-0@{DIGEST}"}
    assert rollback.stack_file_of("dev", release)["config"]["slipway:image"]["tag"] == "src-0"


def test_the_history_lists_the_images_by_name():
    from datetime import UTC, datetime

    row = HistoryRow(datetime.now(UTC), images={"shop": f"r.io/shop:src-1@{DIGEST}", "cart": f"r.io/cart@{DIGEST}"})
    assert row.data()["images"]["shop"] == f"r.io/shop:src-1@{DIGEST}"
    from slipway.ops.releases.history import _cells  # pyright: ignore[reportPrivateUsage]

    assert "shop src-1 777777777777, cart 777777777777" in _cells(row)


def test_a_canary_runs_the_candidate_s_image_beside_those_in_force(project: Path):
    in_force = {**TWO, "services.api.autoscaling": {"min": 2, "max": 4}}
    before = declared("dev", in_force)
    (project / "services" / "shop" / "server.js").write_text("serve(more)\n")
    config = with_changes("dev", {**in_force, "services.api.rollout": "canary", "services.api.canary": {"percent": 34}})
    own = Node.of({key.removeprefix("slipway:"): value for key, value in config.items()})
    settings = validated_settings("dev", effective(own, read_defaults().settings), [])
    plan = CanaryPlan("dev", record_of(before), settings, ["api"], [])
    during = declare("dev", rollback.stack_file_of("dev", plan.release, plan.candidate)["config"])
    assert image_of(during, "Deployment", "api") == image_of(before, "Deployment", "api")
    assert image_of(during, "Deployment", "web") == image_of(before, "Deployment", "web")
    assert image_of(during, "Deployment", "api-canary") != image_of(before, "Deployment", "api")
    assert image_of(during, "Job", "api-canary-migration") == image_of(during, "Deployment", "api-canary")
    names = [r.name for r in during.resources if r.type == "slipway:index:AppImage"]
    assert sorted(names) == ["cart", "in-force-cart", "in-force-shop", "shop"]
    assert built(during).keys() == {"shop", "cart"}


LOGINS = {"registry.example.com": {"username": "robot$puller"}, "ghcr.io": {"username": "me", "push": True}}


def test_the_pull_secret_holds_the_login_of_each_registry(project: Path, monkeypatch: pytest.MonkeyPatch):
    given: dict[str, Any] = {}
    monkeypatch.setattr(
        "slipway.environment.docker_config", lambda users, words: str(given.update(users=users, words=words))
    )
    program = two(registries={**LOGINS, "docker.io": {"username": "hub"}})
    users, passwords = given["users"], given["words"]
    assert users == {"registry.example.com": "robot$puller", "ghcr.io": "me", "docker.io": "hub"}
    assert passwords.keys() == users.keys()
    assert program.manifests()["Secret", "registry"]["stringData"] == {".dockerconfigjson": "***"}
    for account in ("api", "web"):
        assert program.manifests()["ServiceAccount", account]["imagePullSecrets"] == [{"name": "registry"}]


def test_nodes_find_each_login_under_the_name_of_its_registry():
    config = docker_config({"ghcr.io": "me", "docker.io": "hub"}, {"ghcr.io": "one", "docker.io": "two"})
    assert json.loads(config) == {
        "auths": {
            "ghcr.io": {"username": "me", "password": "one"},
            # Docker Hub has another one in Docker's config.json than in the names of images.
            "https://index.docker.io/v1/": {"username": "hub", "password": "two"},
        }
    }


def test_docker_pushes_with_the_login_that_allows_it_and_its_password_stays_secret(project: Path):
    builds = built(two(registries=LOGINS))
    login = builds["cart"].inputs["registry"]
    assert (login.keys(), login["password"]) == ({"server", "username", "password"}, "***")
    assert "registry" not in builds["shop"].inputs


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"services.web.image": "crat"}, 'services.web.image: no such image; did you mean "cart"?'),
    ({"services.web.image": None}, "services.web.image: is required, since no image is named web; one of shop, cart"),
    ({"services.web.image": "acme/cart:1.2"}, "services.web.image: should be the name of one of slipway:images, or an"),
    ({"services.web.image": "shop"}, "images.cart: no service runs this image"),
    ({"images": None}, "services.api.image: no such image; images here: none"),
    ({"image": {"repository": "r.io/api"}}, "images: slipway:image is set too"),
    ({"image": {"repository": "r.io/api"}, "images": None}, "services.api.image: names one of slipway:images, but"),
    ({"images.shop.context": "services/shpo"}, "images.shop.context: there is no such folder in this project"),
    ({"images.shop.context": "../elsewhere"}, "images.shop.context: should be a folder of this project"),
    ({"images.shop.context": "services/../.."}, "images.shop.context: should be a path without .."),
    ({"images.shop.dockerfile": "Dokerfile"}, "images.shop.dockerfile: there is no such file in services/shop/"),
    ({"images.shop.package": "./cmd/shop"}, "images.shop.context: there is no go.mod in services/shop/"),
    ({"images.shop.package": "cmd/shop"}, "images.shop.package: should be a Go package: of the context"),
    ({"images.shop.files": {"etc/motd": "motd"}}, "images.shop: files needs builder: daemonless"),
    ({"images.shop.platforms": ["linux/amd64", "linux/arm64"]}, "images.shop: platforms needs builder: daemonless"),
    ({"images.shop.builder": "daemonless", "images.shop.args": {"A": "b"}}, "images.shop: args needs builder: docker"),
    (
        {"images.shop.cache": "registry.example.com/c", "images.shop-cache": IMAGES["shop"]},
        "images.shop.cache: would be the resource shop-cache",
    ),
    ({"images.shop.args": {"NPM_TOKEN": "hunter2"}}, "images.shop.args.NPM_TOKEN: looks like a credential"),
    ({"images.in-force-x": IMAGES["shop"]}, "images.in-force-x: names that begin with in-force are taken"),
    ({"registry": {"username": "me"}}, "registry: is the login of one registry, and the images are in ghcr.io, reg"),
    ({"registry": {"username": "me"}, "registries": LOGINS}, "registries: slipway:registry is set too"),
    ({"registries": {"a-b.io": {"username": "me"}, "a.b.io": {"username": "me"}}}, "registry-password-a-b-io, as that"),
    ({"registries": {"https://a.io": {"username": "me"}}}, "should be the host of a registry"),
]


@pytest.mark.parametrize(("changes", "words"), WRONG, ids=[words for _, words in WRONG])
@pytest.mark.feature("B1")
def test_a_mistake_about_images_is_told_with_its_key_and_rule(project: Path, changes: dict[str, Any], words: str):
    with pytest.raises(pulumi.RunError) as refused:
        declared("dev", copy.deepcopy({**TWO, **changes}))
    assert words in str(refused.value), str(refused.value)


def test_the_tier_of_prod_builds_none_of_several_images(project: Path):
    with pytest.raises(pulumi.RunError, match=r"slipway:images\.cart\.source: prod never builds"):
        two("prod")
