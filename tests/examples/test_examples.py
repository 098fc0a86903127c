"""The examples are what users would have: a few lines of YAML, which render, and keep all rules, for each stack."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from slipway.ops.project import templates
from tests.examples.conftest import EXAMPLES, REPOSITORY, Examples, environment

NAMES = [folder.name for folder in EXAMPLES]
STACKS = ["local", "dev", "prod"]
MOST_YAML, MOST_README = 30, 40

every_example = pytest.mark.parametrize("name", NAMES)
every_stack = pytest.mark.parametrize(("name", "stack"), [(name, stack) for name in NAMES for stack in STACKS])


def folder_of(name: str) -> Path:
    return REPOSITORY / "examples" / name


def lines_of_yaml(name: str) -> int:
    """Return the lines of the stack local and its defaults, without comments: what a first deployment needs."""
    files = [folder_of(name) / "stacks" / file for file in ("defaults.yaml", "Pulumi.local.yaml")]
    lines = [line.strip() for file in files for line in file.read_text().splitlines()]
    return sum(bool(line) and not line.startswith("#") for line in lines)


def test_there_are_four_examples():
    assert NAMES == ["hello", "podinfo", "two-services", "worker"]


@every_stack
def test_kubernetes_would_take_every_object_and_the_house_rules_hold(declared: Examples, name: str, stack: str):
    assert declared[name][stack].manifests
    assert declared[name][stack].errors == []
    # podinfo and the worker read a password in a URL, which a house rule advises against.
    advice = [hint for hint in declared[name][stack].hints if "stacks/golden/" not in hint]
    assert [hint for hint in advice if "secret variable" not in hint] == []
    assert bool(advice) == (name in ("podinfo", "worker"))


@every_example
def test_an_example_has_at_most_thirty_lines_of_yaml_and_no_python_of_its_own(name: str):
    assert lines_of_yaml(name) <= MOST_YAML
    python = {str(file.relative_to(folder_of(name))): file.read_text() for file in folder_of(name).rglob("*.py")}
    assert python == {"infra/__main__.py": templates.PROGRAM, "tests/test_my_stacks.py": templates.TESTS}


@every_example
def test_a_readme_is_short_and_its_commands_deploy_and_destroy_the_example(name: str):
    text = (folder_of(name) / "README.md").read_text()
    assert len(text.splitlines()) <= MOST_README
    for command in ("pulumi stack init local", "../../slipway up -s local", "../../slipway destroy -s local"):
        assert command in text
    stack_file = (folder_of(name) / "stacks" / "Pulumi.local.yaml").read_text()
    hosts = re.findall(r"https://([\w.-]+\.slipway\.localhost)", text)
    assert [host for host in hosts if f"host: {host}," not in stack_file] == []


def test_the_tests_of_the_scaffold_pass_as_they_are():
    """In one of the examples, for one stack: all have the same file, which runs `slipway check`."""
    command = [sys.executable, "-m", "pytest", "-q", "tests", "-k", "local"]
    folder, env = folder_of("hello"), environment()
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


@every_example
def test_the_requirement_is_this_clone(name: str):
    requirements = [line for line in (folder_of(name) / "requirements.txt").read_text().splitlines() if line[0] != "#"]
    assert requirements == ["../..[test]"]
    assert (folder_of(name) / "../.." / "pyproject.toml").resolve() == REPOSITORY / "pyproject.toml"


@every_example
def test_the_table_of_the_docs_has_the_lines_of_the_example(name: str):
    page = (REPOSITORY / "docs" / "examples.md").read_text()
    assert f"| [{name}](../examples/{name}/README.md) | {lines_of_yaml(name)} |" in page


@pytest.mark.parametrize("stack", STACKS)
def test_hello_is_asked_on_its_one_port_and_told_nothing_but_its_own_variable(declared: Examples, stack: str):
    hello = declared["hello"][stack].container("hello")
    assert [(port["name"], port["containerPort"]) for port in hello["ports"]] == [("http", 8000)]
    assert hello["readinessProbe"]["httpGet"]["path"] == "/health"
    [variables] = [m["data"] for key, m in declared["hello"][stack].manifests.items() if key == "ConfigMap/hello-env"]
    assert variables == {"GREETING": "Good morning"}


def test_two_services_have_two_images_and_only_the_shop_may_connect_to_prices(declared: Examples):
    local = declared["two-services"]["local"]
    images = {service: local.container(service)["image"].partition(":src-")[0] for service in ("shop", "prices")}
    assert images == {"shop": "localhost:5000/shop", "prices": "localhost:5000/prices"}
    assert "Service/prices" in local.manifests
    assert [key for key in local.manifests if key.startswith("Ingress/")] == ["Ingress/shop"]


def test_a_worker_has_no_service_no_address_and_no_probes(declared: Examples):
    for stack in STACKS:
        manifests = declared["worker"][stack].manifests
        assert "Deployment/worker" in manifests
        assert [key for key in manifests if key in ("Service/worker", "Ingress/worker")] == []
        worker = declared["worker"][stack].container("worker")
        assert [key for key in worker if key.endswith("Probe") or key == "ports"] == []


def test_podinfo_is_probed_by_http_and_grpc(declared: Examples):
    podinfo = declared["podinfo"]["local"].container("podinfo")
    assert {port["name"]: port["containerPort"] for port in podinfo["ports"]} == {
        "http": 9898,
        "admin": 9797,
        "grpc": 9999,
    }
    assert podinfo["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    assert podinfo["livenessProbe"]["grpc"] == {"port": 9999, "service": "podinfo"}


@pytest.mark.parametrize(("name", "variable"), [("podinfo", "PODINFO_CACHE_SERVER"), ("worker", "REDIS_URL")])
def test_a_password_in_a_url_is_filled_in_by_kubernetes(declared: Examples, name: str, variable: str):
    for stack in STACKS:
        env = {entry["name"]: entry for entry in declared[name][stack].container(name)["env"]}
        assert env["REDIS_PASSWORD"]["valueFrom"]["secretKeyRef"]["key"] == "redis-password"
        assert "://:$(REDIS_PASSWORD)@redis" in env[variable]["value"]
        # Kubernetes fills in what was set before.
        assert list(env).index("REDIS_PASSWORD") < list(env).index(variable)


@pytest.mark.parametrize("name", NAMES)
def test_the_projects_are_named_after_their_folders_and_so_are_their_namespaces(declared: Examples, name: str):
    assert yaml.safe_load((folder_of(name) / "Pulumi.yaml").read_text())["name"] == name
    assert {declared[name][stack].outputs["namespace"] for stack in STACKS} == {f"{name}-{stack}" for stack in STACKS}
