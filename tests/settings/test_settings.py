"""What happens to a stack file with mistakes in it: each one is named, all in one go, and nothing is declared."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pulumi
import pytest

from slipway.ops.program.recorder import Program, declare, stacks
from slipway.settings.types.units import mebibytes, millicores
from tests.conftest import with_changes

Changed = Callable[[str, dict[str, Any]], Program]


def refusal(stack: str, changes: dict[str, Any]) -> str:
    """The message with which the program refuses the stack file after these changes."""
    with pytest.raises(pulumi.RunError) as refused:
        declare(stack, with_changes(stack, changes))
    return str(refused.value)


@pytest.mark.parametrize("stack", stacks())
def test_every_stack_file_in_the_repository_is_accepted(changed: Changed, stack: str):
    assert changed(stack, {}).resources


WRONG: list[tuple[dict[str, Any], str, str]] = [
    # what is changed in stacks/Pulumi.dev.yaml, the key the message names, a word of the rule it tells
    ({"cluster": None}, "cluster", "required"),
    ({"cluster.context": None}, "cluster.context", "required"),
    ({"cluster.context": ""}, "cluster.context", "should not be empty"),
    ({"cluster.contxt": "dev"}, "cluster.contxt", 'did you mean "context"'),
    ({"cluster.server": "https://["}, "cluster", "regular expression"),
    ({"cluster": "dev"}, "cluster", "should be a mapping"),
    ({"image.source": "biuld"}, "image.source", "'build', 'prebuilt' or 'promote'"),
    ({"image.source": "prebuilt"}, "image", "digest goes with source: prebuilt"),
    ({"image.source": "promote"}, "image", "from goes with source: promote"),
    ({"image.from": "dev"}, "image", "from goes with source: promote"),
    ({"image.source": "prebuilt", "image.digest": "latest"}, "image.digest", "sha256: and 64 hexadecimal digits"),
    ({"image.repository": "registry.example.com/slipway/api:v1"}, "image.repository", "a name without tag"),
    ({"image.platform": "windows/amd64"}, "image.platform", "linux/amd64"),
    ({"services.api": None, "services.web": None}, "services", "at least 1 item"),
    ({"services": ["api"]}, "services", "should be a mapping"),
    ({"services": None}, "services", "required"),
    ({"services.API": {}}, "services.API", "lower-case letters, digits and `-`"),
    ({"services.api.replicas": 2}, "services.api", "exclude each other"),
    ({"services.api.autoscaling.min": 5}, "services.api.autoscaling", "min (5) is more than max (2)"),
    ({"services.api.autoscaling.max": 1000}, "services.api.autoscaling.max", "less than or equal to 100"),
    ({"services.api.autoscaling.max": "2"}, "services.api.autoscaling.max", "whole number, without quotes"),
    ({"services.api.autoscaling.max": True}, "services.api.autoscaling.max", "should be a whole number"),
    ({"services.api.autoscaling.cpuPercent": 0}, "services.api.autoscaling.cpuPercent", "greater than or equal to 10"),
    ({"services.api.resources.cpu": "lots"}, "services.api.resources.cpu", "CPUs such as 250m"),
    ({"services.api.resources.memory": "64"}, "services.api.resources.memory", "a quantity such as 64Mi"),
    ({"services.api.resources.cpuLimit": "10m"}, "services.api.resources", "more than cpuLimit"),
    ({"services.api.drain.shutdownSeconds": 0}, "services.api.drain.shutdownSeconds", "greater than or equal to 1"),
    ({"services.api.drain.preStopSeconds": -1}, "services.api.drain.preStopSeconds", "greater than or equal to 0"),
    ({"services.api.ingress.host": None}, "services.api.ingress.host", "required"),
    (
        {"services.api.ingress.host": "API.example.com"},
        "services.api.ingress.host",
        "host name such as api.example.com",
    ),
    ({"services.api.ingress.path": "v1"}, "services.api.ingress.path", "a path such as /v1"),
    ({"services.api.ingress.tls": {}}, "services.api.ingress.tls", "just one of"),
    ({"services.api.ingress.tls.secretFiles": True}, "services.api.ingress.tls", "just one of"),
    ({"services.api.env.log level": "info"}, "services.api.env.log level", "the name of a variable"),
    ({"services.api.env.LOG_LEVEL": 3}, "services.api.env.LOG_LEVEL", "should be text: put it in quotes"),
    ({"services.api.env.HTTP_PORT": "80"}, "services.api", "HTTP_PORT is set by the program"),
    ({"services.api.secrets": "signing-key"}, "services.api.secrets", "should be a list"),
    ({"services.api.startupSeconds": 5000}, "services.api.startupSeconds", "less than or equal to 600"),
    ({"services.api.progressSeconds": 60}, "services.api", "progressSeconds: has to be more than startupSeconds (60)"),
    (
        {"services.web": {"ingress": {"host": "api.dev.example.com"}}},
        "services.web.ingress.path",
        "already served by api",
    ),
    (
        {"services.web": {"ingress": {"host": "web.dev.example.com", "tls": {"secretFiles": True}}}},
        "services.web.ingress.tls.secretFiles",
        "needs slipway:secretFiles",
    ),
    ({"services.api.rollout": "blue-green"}, "services.api.rollout", "'rolling' or 'canary'"),
    ({"services.api.canary": {"percent": 50}}, "services.api", "canary goes with rollout: canary, and only with it"),
    (
        {"services.api.rollout": "canary"},
        "services.api.canary.percent",
        "with 1 pod one canary pod gets 50 % of the requests, more than canary.percent: 10; "
        "set autoscaling.min to 9 or canary.percent to 50",
    ),
    (
        {"services.api.rollout": "canary", "services.api.autoscaling": None, "services.api.replicas": 2},
        "services.api.canary.percent",
        "with 2 pods one canary pod gets 33.3 % of the requests, more than canary.percent: 10; set replicas to 9 or "
        "canary.percent to 34",
    ),
    (
        {"services.api.rollout": "canary", "services.api.canary": {"percent": 50}, "services.api-canary": {}},
        "services.api.rollout",
        "would be named api-canary, as another service is",
    ),
    (
        {"services.api.rollout": "canary", "services.api.canary": {"percent": 51}},
        "services.api.canary.percent",
        "less than or equal to 50",
    ),
    (
        {"services.api.rollout": "canary", "services.api.canary": {"percent": 50, "prometheus": "prometheus:9090"}},
        "services.api.canary.prometheus",
        "an address such as http://prometheus.example.com:9090",
    ),
    (
        {f"services.{'a' * 38}": {"rollout": "canary", "canary": {"percent": 50}, "migration": {"args": ["migrate"]}}},
        f"services.{'a' * 38}",
        "at most 37 characters",
    ),
    ({"namespace": "Slipway_Dev"}, "namespace", "lower-case letters"),
    ({"servces": {}}, "servces", 'did you mean "services"'),
]


# Timings with which a pod would end before its requests do.
LOSING: list[tuple[dict[str, Any], str, str]] = [
    ({"services.api.drain": {"preStopSeconds": 0}}, "services.api", "(0) + delaySeconds (1) = 1 s is less than"),
    ({"services.api.drain": {"shutdownSeconds": 10}}, "services.api", "shutdownSeconds (10) is less than an answer"),
    ({"services.api.env": {"HTTP_WRITE_TIMEOUT": "1m"}}, "services.api", "HTTP_WRITE_TIMEOUT (1m; 0s is no limit)"),
    ({"services.api.env": {"HTTP_WRITE_TIMEOUT": "0s"}}, "services.api", "requests would be lost"),
]


def is_told(changes: dict[str, Any], key: str, rule: str) -> None:
    message = refusal("dev", changes)
    assert re.search(rf"slipway:{re.escape(key)}: .*{re.escape(rule)}", message), message


@pytest.mark.parametrize(("changes", "key", "rule"), WRONG, ids=[f"{key}: {rule}" for _, key, rule in WRONG])
@pytest.mark.feature("B1")
def test_a_mistake_is_told_with_its_key_and_rule(changes: dict[str, Any], key: str, rule: str):
    is_told(changes, key, rule)


@pytest.mark.feature("C5")
@pytest.mark.parametrize(("changes", "key", "arithmetic"), LOSING, ids=[arithmetic for _, _, arithmetic in LOSING])
def test_a_drain_that_could_lose_a_request_is_refused_with_the_arithmetic(
    changes: dict[str, Any], key: str, arithmetic: str
):
    is_told(changes, key, arithmetic)


@pytest.mark.feature("B1")
def test_the_line_of_the_mistake_is_told():
    message = refusal("dev", {"services.api.autoscaling": 3})
    assert re.search(r"stacks/Pulumi\.dev\.yaml has 1 mistake", message)
    assert re.search(r"\n  stacks/Pulumi\.dev\.yaml:19: slipway:services\.api\.autoscaling", message)


def test_all_mistakes_are_told_at_once():
    message = refusal(
        "dev", {"servces": {}, "cluster.context": None, "services.api.resources.memory": "64", "namespace": "A"}
    )
    assert "has 4 mistakes; nothing was changed" in message
    assert len(message.splitlines()) == 5


def test_the_value_found_is_repeated_but_never_one_that_may_be_a_password():
    assert "(found: 'lots')" in refusal("dev", {"services.api.resources.cpu": "lots"})
    assert "1234567" not in refusal("dev", {"services.api.env.DB_PASSWORD": 1234567})


def test_a_valid_example_is_given():
    assert "Example: memory: 128Mi" in refusal("dev", {"services.api.resources.memory": "64"})


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"services.api.autoscaling.min": 1}, "at least 2 replicas"),
        ({"services.api.ingress.tls": None}, "needs TLS"),
        ({"image": {"source": "build", "repository": "registry.example.com/slipway/api"}}, "prod never builds"),
    ],
)
@pytest.mark.feature("J3", part="replicas, TLS, image")
def test_prod_refuses_what_other_environments_may_do(changed: Changed, changes: dict[str, Any], rule: str):
    assert changed("dev", changes).resources
    assert rule in refusal("prod", changes)


def test_quantities_are_read_as_kubernetes_reads_them():
    assert [millicores(cpu) for cpu in ("250m", "1", "0.5")] == [250, 1000, 500]
    assert [mebibytes(memory) for memory in ("64Mi", "1Gi")] == [64, 1024]


def test_a_whole_number_of_cpus_needs_no_quotes(changed: Changed):
    pods = changed("dev", {"services.api.resources.cpu": 1}).manifests()["Deployment", "api"]["spec"]["template"][
        "spec"
    ]
    assert pods["containers"][0]["resources"]["requests"]["cpu"] == "1"
