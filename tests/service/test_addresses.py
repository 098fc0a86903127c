"""Several hosts and paths of a service, prefixes that are stripped, annotations, and one certificate for each host."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from slipway import schemas
from slipway.ops.program.recorder import Program
from slipway.rules.house_rules import check
from slipway.schemas import VERSIONS
from tests.conftest import API_ONLY, WITHOUT_STORES, Changed

ISSUED = {"issuer": "letsencrypt"}
GATEWAY = {"name": "public", "namespace": "ingress"}


@pytest.fixture
def changed(changed: Changed) -> Changed:
    """Return the program of a stack with one service and no stores, whose objects satisfy every rule and schema."""

    def declared(stack: str, changes: dict[str, Any]) -> Program:
        program = changed(stack, {**API_ONLY, **WITHOUT_STORES, **changes})
        manifests = program.manifests()
        assert [
            finding.text for finding in check(list(manifests.values()), "prod") if "SW302" not in finding.text
        ] == []
        custom = [found for found in manifests.values() if schemas.is_custom(found)]
        assert [error for found in custom for version in VERSIONS for error in schemas.errors(found, version)] == []
        return program

    return declared


def ingress(**keys: Any) -> dict[str, Any]:
    return {"services.api.ingress": {"host": "shop.example.com", "tls": ISSUED, **keys}}


def spec(program: Program, name: str = "api", kind: str = "Ingress") -> dict[str, Any]:
    return program.manifests()[kind, name]["spec"]


def annotations_of(program: Program, name: str = "api", kind: str = "Ingress") -> dict[str, str]:
    return program.manifests()[kind, name]["metadata"]["annotations"]


def paths(program: Program, name: str = "api") -> list[tuple[str, str, str]]:
    """Return host, path and type of all addresses of an Ingress."""
    rules = spec(program, name)["rules"]
    return [(rule["host"], path["path"], path["pathType"]) for rule in rules for path in rule["http"]["paths"]]


# Hosts and paths.


@pytest.mark.feature("E1", part="several hosts and paths")
def test_a_service_is_served_at_each_of_its_hosts_and_paths(changed: Changed):
    program = changed("dev", ingress(hosts=["www.example.com"], path="/v1", paths=["/v2"]))
    assert paths(program) == [
        ("shop.example.com", "/v1", "Prefix"),
        ("shop.example.com", "/v2", "Prefix"),
        ("www.example.com", "/v1", "Prefix"),
        ("www.example.com", "/v2", "Prefix"),
    ]


def test_the_url_of_a_service_has_its_first_host_and_path(changed: Changed):
    first = changed("dev", ingress(hosts=["www.example.com"], path="/v1", paths=["/v2"]))
    assert first.outputs["url"] == "https://shop.example.com/v1"
    lists = {"hosts": ["a.example.com", "b.example.com"], "paths": ["/x", "/y"], "tls": ISSUED}
    assert changed("dev", {"services.api.ingress": lists}).outputs["url"] == "https://a.example.com/x"


def test_with_paths_alone_nothing_else_is_served(changed: Changed):
    assert [path for _, path, _ in paths(changed("dev", ingress(paths=["/a", "/b"])))] == ["/a", "/b"]


def test_a_route_of_a_gateway_has_all_hosts_and_paths(changed: Changed):
    keys = {"host": "shop.example.com", "hosts": ["www.example.com"], "paths": ["/v1", "/v2"], "gateway": GATEWAY}
    route = spec(changed("prod", {"services.api.ingress": keys}), kind="HTTPRoute")
    assert route["hostnames"] == ["shop.example.com", "www.example.com"]
    [rule] = route["rules"]
    assert [match["path"]["value"] for match in rule["matches"]] == ["/v1", "/v2"]


@pytest.mark.feature("E6", part="several paths of each service")
def test_one_common_address_of_two_services_is_enough_to_refuse_both(changed: Changed):
    web = {"hosts": ["other.example.com", "shop.example.com"], "paths": ["/a", "/v2/"]}
    with pytest.raises(pulumi.RunError) as refused:
        changed("dev", {**ingress(paths=["/v1", "/v2"], tls=None), "services.web": {"ingress": web}})
    assert "services.web.ingress.paths.1: shop.example.com/v2 is already served by api" in str(refused.value)
    assert "1 mistake;" in str(refused.value)


# One certificate for each host.


@pytest.mark.feature("E3", part="one certificate for each host")
def test_services_of_one_host_share_its_certificate(changed: Changed):
    web = {"host": "shop.example.com", "path": "/web", "tls": ISSUED}
    program = changed("dev", {**ingress(path="/v1"), "services.web": {"ingress": web}})
    for name in ("api", "web"):
        assert spec(program, name)["tls"] == [{"hosts": ["shop.example.com"], "secretName": "api-tls"}]


def test_each_host_of_a_service_has_a_certificate_of_its_own(changed: Changed):
    """cert-manager takes the names of a certificate from one Ingress only, so two services cannot add to one."""
    program = changed(
        "dev",
        {
            **ingress(hosts=["www.example.com"], path="/v1"),
            "services.web": {"ingress": {"hosts": ["www.example.com", "web.example.com"], "tls": ISSUED}},
        },
    )
    first, second = spec(program)["tls"]
    assert first == {"hosts": ["shop.example.com"], "secretName": "api-tls"}
    assert second["hosts"] == ["www.example.com"]
    assert second["secretName"].startswith("api-tls-")
    shared, own = spec(program, "web")["tls"]
    assert shared == second
    assert own["hosts"] == ["web.example.com"]
    assert own["secretName"].startswith("web-tls-")


def test_a_certificate_in_the_cluster_or_in_files_covers_all_hosts(changed: Changed):
    hosts = ["shop.example.com", "www.example.com"]
    given = changed("dev", ingress(hosts=hosts[1:], tls={"secretName": "wildcard"}))
    assert spec(given)["tls"] == [{"hosts": hosts, "secretName": "wildcard"}]
    files = changed("local", ingress(hosts=hosts[1:], className="traefik", tls={"secretFiles": True}))
    assert spec(files)["tls"] == [{"hosts": hosts, "secretName": "api-tls"}]


def test_the_quota_has_room_for_a_solver_of_each_host(changed: Changed):
    hard = changed("dev", ingress(hosts=["www.example.com"])).manifests()["ResourceQuota", "quota"]["spec"]["hard"]
    assert hard["services.nodeports"] == "2"


# Prefixes that are stripped.


@pytest.mark.feature("E2", part="a prefix is stripped")
def test_a_gateway_strips_a_prefix_by_a_filter_in_a_rule_of_each_path(changed: Changed):
    keys = {"host": "shop.example.com", "paths": ["/v1", "/v2"], "stripPrefix": True, "gateway": GATEWAY}
    rules = spec(changed("prod", {"services.api.ingress": keys}), kind="HTTPRoute")["rules"]
    assert [[match["path"]["value"] for match in rule["matches"]] for rule in rules] == [["/v1"], ["/v2"]]
    rewrite = {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}
    assert [rule["filters"] for rule in rules] == [[{"type": "URLRewrite", "urlRewrite": rewrite}]] * 2


@pytest.mark.feature("E1", part="a prefix is stripped by Traefik")
def test_traefik_strips_a_prefix_by_a_middleware_that_the_ingress_names(changed: Changed):
    program = changed("dev", ingress(paths=["/v1/", "/v2"], stripPrefix=True, className="traefik"))
    middleware = program.manifests()["Middleware", "api"]
    assert middleware["apiVersion"] == "traefik.io/v1alpha1"
    assert middleware["spec"] == {"stripPrefix": {"prefixes": ["/v1", "/v2"]}}
    named = annotations_of(program)["traefik.ingress.kubernetes.io/router.middlewares"]
    assert named == f"{middleware['metadata']['namespace']}-api@kubernetescrd"
    assert [path for _, path, _ in paths(program)] == ["/v1/", "/v2"]


@pytest.mark.feature("E1", part="a prefix is stripped by ingress-nginx")
def test_nginx_strips_a_prefix_by_regular_expressions_and_a_rewrite(changed: Changed):
    program = changed("dev", ingress(path="/v1.0", stripPrefix=True, className="nginx-internal"))
    assert paths(program) == [("shop.example.com", r"/v1\.0(/|$)(.*)", "ImplementationSpecific")]
    assert annotations_of(program).items() >= {
        ("nginx.ingress.kubernetes.io/rewrite-target", "/$2"),
        ("nginx.ingress.kubernetes.io/use-regex", "true"),
    }


def test_two_services_of_one_host_are_served_below_their_paths_with_the_prefix_stripped(changed: Changed):
    web = {"host": "shop.example.com", "path": "/web", "tls": ISSUED, "stripPrefix": True, "className": "traefik"}
    program = changed(
        "dev",
        {**ingress(path="/v1", stripPrefix=True, className="traefik"), "services.web": {"ingress": web}},
    )
    prefixes = {name: spec(program, name, "Middleware")["stripPrefix"]["prefixes"] for name in ("api", "web")}
    assert prefixes == {"api": ["/v1"], "web": ["/web"]}
    assert program.outputs["services"] == {
        "api": "https://shop.example.com/v1",
        "web": "https://shop.example.com/web",
    }


# Annotations.


def test_annotations_reach_the_ingress_the_route_and_the_service(changed: Changed):
    free = {"example.com/note": "mine"}
    program = changed("dev", {**ingress(annotations=free), "services.api.serviceAnnotations": free})
    assert annotations_of(program) == {**free, "cert-manager.io/cluster-issuer": "letsencrypt"}
    assert annotations_of(program, kind="Service") == free
    routed = {"services.api.ingress": {"host": "a.example.com", "gateway": GATEWAY, "annotations": free}}
    assert annotations_of(changed("prod", routed), kind="HTTPRoute") == free


NGINX, TRAEFIK = "nginx.ingress.kubernetes.io", "traefik.ingress.kubernetes.io"
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"path": "/v1", "stripPrefix": True}, "stripPrefix: needs className; each controller strips a prefix in a way of"),
    (
        {"path": "/v1", "stripPrefix": True, "className": "haproxy"},
        "stripPrefix: className haproxy is neither traefik nor nginx; each controller strips a prefix in a way of its "
        "own. Set className to traefik or nginx, or use gateway, or have the app serve the whole path",
    ),
    ({"stripPrefix": True, "className": "nginx"}, "stripPrefix: there is nothing to strip from the path /"),
    ({"hosts": ["shop.example.com"]}, "hosts: shop.example.com is there twice"),
    ({"path": "/v1", "paths": ["/v1/"]}, "paths: /v1 is there twice"),
    ({"hosts": [f"a{number}.example.com" for number in range(16)]}, "hosts: there are 17, and a route takes 16"),
    ({"hosts": ["*.example.com"]}, "hosts.0: should be a host name"),
    ({"paths": ["v1"]}, "paths.0: should be a path such as /v1"),
    ({"annotations": {"pulumi.com/skipAwait": "true"}}, "pulumi.com/skipAwait is the program's own"),
    ({"annotations": {"kubernetes.io/ingress.class": "nginx"}}, "kubernetes.io/ingress.class is decided by className"),
    ({"annotations": {"cert-manager.io/issuer": "a"}}, "cert-manager.io/issuer is decided by tls"),
    ({"annotations": {f"{NGINX}/server-alias": "a.example.com"}}, "server-alias is decided by hosts"),
    (
        {"path": "/v1", "stripPrefix": True, "className": "nginx", "annotations": {f"{NGINX}/rewrite-target": "/"}},
        "rewrite-target is decided by stripPrefix",
    ),
    (
        {
            "path": "/v1",
            "stripPrefix": True,
            "className": "traefik",
            "annotations": {f"{TRAEFIK}/router.middlewares": "a"},
        },
        "router.middlewares is decided by stripPrefix",
    ),
    ({"annotations": {"a b": "c"}}, "should be the name of a label"),
]


@pytest.mark.parametrize(("keys", "words"), WRONG, ids=lambda value: str(value)[:60])
def test_an_address_that_would_not_work_is_refused_with_the_reason(changed: Changed, keys: dict[str, Any], words: str):
    with pytest.raises(pulumi.RunError) as refused:
        changed("dev", ingress(**keys))
    assert words in str(refused.value)
    assert "slipway:services.api.ingress" in str(refused.value)


def test_an_annotation_of_the_program_itself_is_refused_for_a_service_too(changed: Changed):
    with pytest.raises(pulumi.RunError, match="serviceAnnotations: slipway/selector is the program's own"):
        changed("dev", {"services.api.serviceAnnotations": {"slipway/selector": "app"}})


def test_the_longest_prefix_is_stripped_first(changed: Changed):
    """Traefik takes the first that the path begins with, wherever a name ends: /v10/shops begins with /v1."""
    program = changed("dev", ingress(paths=["/v1", "/v10"], stripPrefix=True, className="traefik"))
    assert spec(program, kind="Middleware") == {"stripPrefix": {"prefixes": ["/v10", "/v1"]}}


def test_a_secret_of_an_issuer_is_no_certificate_for_another_host(changed: Changed):
    other = {"host": "other.example.com", "tls": {"secretName": "api-tls"}}
    with pytest.raises(pulumi.RunError, match="the Secret api-tls has the certificate of api, which is not for other"):
        changed("dev", {**ingress(), "services.web": {"ingress": other}})
