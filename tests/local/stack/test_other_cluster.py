"""`make up` on a cluster and a registry of others: what they lack is named at once, with its place and a fix."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from local.errors import SetupError, SetupFailedError
from local.progress import Runner, Screen, Step, Task
from local.stack import first_request, other_cluster
from slipway.ops.prerequisites import docker, stack_file
from slipway.ops.prerequisites.result import Problem
from slipway.settings import source_files
from slipway.settings.sections.images import Image
from slipway.settings.sections.stack import Cluster
from slipway.settings.settings import Settings
from tests.image.fake_registry import FakeRegistry, serve_registry
from tests.paths import PROJECT

IMAGE = "docker.io/library/redis@sha256:" + "0" * 64


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return Task("cluster", tmp_path / "cluster.log", Screen(io.StringIO()), threading.Event())


@pytest.fixture
def registry() -> Generator[FakeRegistry]:
    yield from serve_registry()


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    """`local(cluster={"context": "kind-kind"})`: the settings of the local stack with these keys set; None removes."""
    monkeypatch.setattr(source_files, "STACKS", tmp_path)
    (tmp_path / "defaults.yaml").write_text((PROJECT / "stacks" / "defaults.yaml").read_text())

    def settings(**sections: dict[str, Any]) -> Settings:
        content = yaml.safe_load((PROJECT / "stacks" / "Pulumi.local.yaml").read_text())
        content["config"]["slipway:cluster"] = {"context": "kind-kind", "ingressNamespace": "ingress-nginx"}
        for name, keys in sections.items():
            section: dict[str, Any] = content["config"].setdefault(f"slipway:{name}", {})
            for key, value in keys.items():
                section.pop(key, None) if value is None else section.update({key: value})
        (tmp_path / "Pulumi.local.yaml").write_text(yaml.safe_dump(content))
        return other_cluster.read_settings()

    return settings


def of_class(name: str, default: str = "") -> dict[str, Any]:
    return {"metadata": {"name": name, "annotations": {default: "true"} if default else {}}}


# A cluster that has all that the local stack needs once its context and namespace of the ingress are set.
COMPLETE: dict[str, Any] = {
    "/api/v1/namespaces": [of_class("default"), of_class("ingress-nginx")],
    stack_file.INGRESS_CLASSES: [of_class("traefik")],
    stack_file.STORAGE_CLASSES: [of_class("standard", stack_file.DEFAULT_STORAGE)],
    "/api/v1/nodes": [{"status": {"nodeInfo": {"architecture": "amd64"}}}],
}


def missing(settings: Settings, **changes: Any) -> list[Problem]:
    """What a cluster lacks that differs from the complete one in these lists, by the end of their path."""
    cluster = {path: changes.get(path.rpartition("/")[2], items) for path, items in COMPLETE.items()}
    return list(stack_file.missing("local", settings, cluster.__getitem__))


def test_a_cluster_that_has_everything_is_taken(local: Callable[..., Settings]):
    assert missing(local()) == []


@pytest.mark.parametrize(
    ("changes", "cause", "fix"),
    [
        (
            {"namespaces": [of_class("default")]},
            "slipway:cluster.ingressNamespace: ingress-nginx: the cluster has no such namespace",
            "set it to one of these: default",
        ),
        (
            {"ingressclasses": [of_class("nginx"), of_class("internal")]},
            "slipway:services.api.ingress.className: traefik: the cluster has no such IngressClass",
            "set it to one of these: nginx, internal",
        ),
        (
            {"storageclasses": [of_class("slow")]},
            "slipway:mysql.storageClass is not set, and the cluster has no default StorageClass",
            "set it to one of these: slow",
        ),
        (
            {"nodes": [{"status": {"nodeInfo": {"architecture": "arm64"}}}]},
            "slipway:image.platform: linux/amd64: the nodes of the cluster are arm64",
            "set it to linux/arm64",
        ),
    ],
    ids=["namespace", "ingress class", "storage class", "processor"],
)
def test_what_the_cluster_lacks_is_named_with_its_place_and_a_fix(
    local: Callable[..., Settings], changes: dict[str, Any], cause: str, fix: str
):
    error = missing(local(), **changes)[0]
    assert (error.cause, error.fix) == (f"stacks/Pulumi.local.yaml: {cause}", fix)


def test_everything_that_is_missing_is_named_at_once(local: Callable[..., Settings]):
    lacks = missing(local(), namespaces=[], ingressclasses=[], storageclasses=[])
    assert [error.cause.split(": ")[1] for error in lacks] == [
        "slipway:cluster.ingressNamespace",
        "slipway:services.api.ingress.className",
        "slipway:services.web.ingress.className",
        "slipway:mysql.storageClass is not set, and the cluster has no default StorageClass",
        "slipway:redis.storageClass is not set, and the cluster has no default StorageClass",
    ]


def test_what_the_user_may_not_list_is_not_held_against_the_cluster(local: Callable[..., Settings]):
    assert missing(local(), namespaces=None, ingressclasses=None, storageclasses=None, nodes=None) == []


def test_images_from_packages_of_another_processor_are_refused_but_not_named_ones(
    local: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(other_cluster, "architecture", lambda: "arm64")
    nodes = COMPLETE["/api/v1/nodes"]
    [error] = other_cluster.other_processor(local(mysql={"image": IMAGE}), nodes)
    assert error.cause.startswith(
        "the image of redis would be built for arm64, the processor of this machine; the nodes"
    )
    assert error.fix == "set slipway:redis.image in stacks/Pulumi.local.yaml to a pinned image"


def test_the_servers_of_monitoring_are_checked_under_keys_of_their_own(
    local: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(other_cluster, "architecture", lambda: "arm64")
    receiver = {"kind": "webhook", "egress": [{"cidr": "10.40.0.0/24", "ports": [443]}]}
    own = local(
        mysql={"image": IMAGE}, redis={"image": IMAGE}, monitoring={"source": "cluster", "receivers": {"a": receiver}}
    )
    fixes = [error.fix for error in other_cluster.other_processor(own, COMPLETE["/api/v1/nodes"])]
    assert fixes == [
        "set slipway:monitoring.image in stacks/Pulumi.local.yaml to a pinned image",
        "set slipway:monitoring.alertmanagerImage in stacks/Pulumi.local.yaml to a pinned image",
    ]
    causes = [error.cause for error in missing(own, storageclasses=[of_class("slow")])]
    assert "slipway:monitoring.storageClass is not set, and the cluster has no default StorageClass" in str(causes)


def test_images_of_stores_are_pushed_beside_the_image_of_the_app(local: Callable[..., Settings]):
    assert (
        other_cluster.repositories(local(image={"repository": "r.example.com/team/shop/api"}))
        == "r.example.com/team/shop"
    )


def test_a_registry_that_answers_will_do_and_one_that_does_not_is_named(
    local: Callable[..., Settings], registry: FakeRegistry
):
    there = local(image={"repository": f"{registry.host}/slipway/api"})
    assert list(stack_file.unreachable_registry("local", there)) == []
    [error] = stack_file.unreachable_registry("local", local(image={"repository": "localhost:9/slipway/api"}))
    assert error.cause.startswith(
        "stacks/Pulumi.local.yaml: slipway:image.repository: localhost:9/slipway/api: image reg"
    )
    assert "the nodes have to reach it by that name as well" in error.fix


def test_each_of_several_images_is_checked_under_its_own_key(
    local: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(docker, "docker_answers", lambda: False)
    settings = local().model_copy(
        update={"image": None, "named_images": {"shop": Image(repository="localhost:9/shop")}}
    )
    assert [error.cause.split(": ")[1] for error in stack_file.unreachable_registry("local", settings)] == [
        "slipway:images.shop.repository"
    ]
    assert [error.cause.split(": ")[1] for error in stack_file.missing_builder("local", settings)] == [
        "slipway:images.shop.builder"
    ]


def test_images_of_stores_that_can_be_pushed_nowhere_have_to_be_named(local: Callable[..., Settings]):
    settings = local().model_copy(update={"image": None, "named_images": {}})
    [error] = other_cluster.homeless_images(settings)
    assert error.cause.endswith("there is no repository to push the images of mysql and redis to")


def test_without_a_docker_daemon_the_fix_is_to_build_without_one(
    local: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(docker, "docker_answers", lambda: False)
    [error] = stack_file.missing_builder("local", local())
    assert error.fix == "start one, or set builder: daemonless and remove target"
    assert list(stack_file.missing_builder("local", local(image={"builder": "daemonless", "target": None}))) == []


def test_mistakes_in_the_stack_file_end_the_run_before_anything_is_asked(local: Callable[..., Settings]):
    with pytest.raises(SetupError, match=r"stacks/Pulumi\.local\.yaml has 1 mistake") as caught:
        local(image={"builder": "podman"})
    assert caught.value.fix.startswith("correct stacks/Pulumi.local.yaml")


# --- the cluster and its address


def kubeconfig(path: Path, context: str, server: str) -> Path:
    cluster = {"name": "c", "cluster": {"server": server}}
    contexts = {"name": context, "context": {"cluster": "c"}}
    path.write_text(yaml.safe_dump({"clusters": [cluster], "contexts": [contexts]}))
    return path


def test_an_unknown_context_is_reported_with_the_known_ones(
    tmp_path: Path, task: Task, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "config", "kind-dev", "https://127.0.0.1:9")))
    with pytest.raises(SetupError) as caught:
        other_cluster.connect(Cluster(context="kind-kind"), task)
    place = "stacks/Pulumi.local.yaml: slipway:cluster.context: kind-kind: context 'kind-kind' is not"
    assert place in caught.value.cause
    assert "(contexts there: kind-dev)" in caught.value.cause


def test_an_unreachable_cluster_is_reported_with_its_address(
    tmp_path: Path, task: Task, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "config", "kind-kind", "https://127.0.0.1:9")))
    with pytest.raises(SetupError, match=r"API server https://127\.0\.0\.1:9 cannot be reached: .*refused"):
        other_cluster.connect(Cluster(context="kind-kind"), task)


def test_the_server_of_the_native_cluster_is_told_to_go(tmp_path: Path, task: Task, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "config", "kind-kind", "https://127.0.0.1:9")))
    with pytest.raises(SetupError, match=r"slipway:cluster\.server: context 'kind-kind' leads to") as caught:
        other_cluster.connect(Cluster(context="kind-kind", server=r"https://127\.0\.0\.1:6443"), task)
    assert caught.value.fix == "remove slipway:cluster.server, or set it to that of your cluster"


def answering(status: int, text: str = "{}") -> Generator[str]:
    """Serve this answer to every request, and yield the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_credentials_that_have_expired_are_named(tmp_path: Path, task: Task, monkeypatch: pytest.MonkeyPatch):
    for url in answering(401):
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "config", "kind-kind", url)))
        with pytest.raises(SetupError, match="does not accept the credentials of the kubeconfig"):
            other_cluster.connect(Cluster(context="kind-kind"), task)


def test_one_check_asks_the_cluster_of_the_kubeconfig_and_the_registry(
    tmp_path: Path,
    task: Task,
    monkeypatch: pytest.MonkeyPatch,
    local: Callable[..., Settings],
    registry: FakeRegistry,
):
    settings = local(image={"repository": f"{registry.host}/mine/api"})
    for url in answering(200, '{"items": []}'):
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "config", "kind-kind", url)))
        with pytest.raises(
            SetupFailedError, match="ingressNamespace: ingress-nginx: the cluster has no such namespace"
        ):
            other_cluster.check(task, settings)


def test_a_list_that_is_forbidden_is_not_known():
    def answer(request: httpx2.Request) -> httpx2.Response:
        there = request.url.path == "/api/v1/namespaces"
        return httpx2.Response(200, json={"items": [of_class("a")]}) if there else httpx2.Response(403, json={})

    with httpx2.Client(base_url="https://c", transport=httpx2.MockTransport(answer)) as server:
        assert other_cluster.listed(server, "/api/v1/namespaces") == [of_class("a")]
        assert other_cluster.listed(server, "/api/v1/nodes") is None


def test_several_errors_of_one_step_are_all_shown(tmp_path: Path):
    def fail(_: Task) -> None:
        raise SetupFailedError([SetupError("one", "a"), SetupError("two", "b")])

    with pytest.raises(SetupFailedError) as caught:
        Runner(tmp_path, Screen(io.StringIO())).run([Step("cluster", fail)])
    assert [error.cause for error in caught.value.errors] == ["one", "two"]


@pytest.mark.parametrize(
    ("url", "ingress", "expected"),
    [
        ("https://api.slipway.localhost", [], ["127.0.0.1"]),
        ("https://api.slipway.localhost", ["172.18.0.2"], ["172.18.0.2", "127.0.0.1"]),
        ("https://api.dev.example.com", [], ["api.dev.example.com"]),
    ],
)
def test_the_first_request_goes_to_the_address_of_the_ingress_or_that_of_the_host(
    url: str, ingress: list[str], expected: list[str]
):
    assert first_request.addresses(url, ingress) == expected


def test_the_first_request_takes_the_first_address_that_answers_and_says_why_others_do_not(tmp_path: Path):
    for url in answering(200, "src-1"):
        wanted = url.replace("127.0.0.1", "api.slipway.localhost")
        found = first_request.get(wanted, "/version", tmp_path / "ca", ["192.0.2.1.invalid", "127.0.0.1"])
        assert found == (200, "200")
        status, reason = first_request.get(wanted, "/version", tmp_path / "ca", ["192.0.2.1.invalid"])
        assert (status, reason.startswith("192.0.2.1.invalid: ")) == (0, True)


def test_a_certificate_of_somebody_else_is_told_from_a_cluster_that_is_out_of_reach():
    answers = {
        "127.0.0.1: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed": "certificate of somebody else",
        "127.0.0.1: [Errno 111] Connection refused": "forward ports 80 and 443",
    }
    for answer, fix in answers.items():
        assert fix in first_request.unreached(answer, "kubectl get ingress", "kind-kind", ["127.0.0.1"])
