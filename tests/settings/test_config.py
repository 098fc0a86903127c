"""`./slipway config`: what holds for a stack and where it comes from; schema and reference follow the model."""

from __future__ import annotations

import functools
import json
from typing import Any

import jsonschema
import pytest
import typer.testing
import yaml

from slipway.ops.program import config
from slipway.ops.program.config import show
from slipway.ops.program.recorder import UnknownStackError, declare, stacks
from slipway.ops.program.reference import docs
from slipway.ops.program.schema import schema
from slipway.ops.verbs.config import app
from slipway.settings.engine_yaml import Node
from slipway.settings.settings import Settings
from tests.paths import PROJECT, REPOSITORY

FILES = sorted((PROJECT / "stacks").glob("*.yaml"))


def run(*arguments: str) -> str:
    done = typer.testing.CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


@functools.cache
def editor() -> jsonschema.Draft7Validator:
    return jsonschema.Draft7Validator(schema())


def complaints(content: Any) -> list[str]:
    """What an editor would underline."""
    return [error.message for error in editor().iter_errors(content)]


def line_of(origin: str) -> str:
    """The text an origin such as `stacks/Pulumi.dev.yaml:12` points at."""
    file, _, number = origin.rpartition(":")
    return (PROJECT / file).read_text().splitlines()[int(number) - 1]


@pytest.mark.parametrize("stack", stacks())
@pytest.mark.feature("B2")
def test_every_value_in_force_is_shown_with_the_line_it_stands_on(stack: str):
    rows = {row.key: row for row in show(stack)}
    assert {row.origin.partition(":")[0] for row in rows.values()} >= {
        "default",
        "stacks/defaults.yaml",
        f"stacks/Pulumi.{stack}.yaml",
    }
    for row in rows.values():
        if row.origin.startswith("stacks/"):
            assert row.key.rpartition(".")[2] in line_of(row.origin), row
            assert not isinstance(row.value, str) or row.value in line_of(row.origin), row


@pytest.mark.feature("B2")
def test_a_value_is_shown_from_the_nearest_file_that_has_it():
    dev, prod = ({row.key: row for row in show(stack)} for stack in ("dev", "prod"))
    assert prod["services.api.env.LOG_LEVEL"][1:] == ("info", "stacks/defaults.yaml:9")
    assert dev["services.api.env.LOG_LEVEL"].value == "debug"
    assert dev["services.api.env.LOG_LEVEL"].origin.startswith("stacks/Pulumi.dev.yaml:")
    assert dev["services.api.startupSeconds"][1:] == (60, "default")


def test_what_is_shown_is_what_the_program_declares():
    rows = {row.key: row.value for row in show("staging")}
    manifests = declare("staging").manifests()
    container = manifests["Deployment", "api"]["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"]["limits"]["memory"] == rows["services.api.resources.memory"]
    assert manifests["HorizontalPodAutoscaler", "api"]["spec"]["maxReplicas"] == rows["services.api.autoscaling.max"]


def test_a_secret_is_shown_as_stars_with_its_line(monkeypatch: pytest.MonkeyPatch):
    read_files = config.read_files

    def with_secret(stack: str) -> Any:
        own, shared = read_files(stack)
        own.config.items()["slipway:signing-key"] = Node.of({"secure": "v1:cipher"}, own.config.location)
        return own, shared

    assert show("prod")[-1] == ("signing-key", "***", "not set")
    assert show("local")[-1] == ("signing-key", "***", ".slipway/secrets/signing-key")
    monkeypatch.setattr(config, "read_files", with_secret)
    assert show("dev")[-1] == ("signing-key", "***", "stacks/Pulumi.dev.yaml:3")
    assert "cipher" not in repr(show("dev"))


def test_json_says_the_same_as_the_table():
    rows = json.loads(run("show", "-s", "dev", "--json"))
    table = run("show", "-s", "dev").splitlines()
    assert len(rows) == len(table) == len(show("dev"))
    for row, line in zip(rows, table, strict=True):
        assert line.startswith(f"{row['key']}\t")
        assert line.endswith(f"\t{row['origin']}")


def test_an_unknown_stack_is_named():
    with pytest.raises(UnknownStackError, match="Stacks here: local, dev, staging, prod"):
        show("qa")


@pytest.mark.feature("B1", part="reference")
def test_the_reference_is_up_to_date():
    reference = REPOSITORY / "docs" / "reference" / "config.md"
    assert reference.read_text() == run("docs"), "run `./slipway config docs --write`"


@pytest.mark.parametrize("file", FILES, ids=[file.name for file in FILES])
def test_every_stack_file_is_valid_by_the_schema_and_points_an_editor_to_it(file: Any):
    jsonschema.Draft7Validator.check_schema(schema())
    assert complaints(yaml.safe_load(file.read_text())) == []
    assert file.read_text().startswith("# yaml-language-server: $schema=schema.json\n")


def section(**values: Any) -> dict[str, Any]:
    return {"config": {f"slipway:{name}": value for name, value in values.items()}}


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"config": {}, "confg": {}},
        section(servces={}),
        section(namespace="Dev"),
        section(image={"sorce": "build"}),
        section(image={"source": "biuld"}),
        section(services={"API": {}}),
        section(services={"api": {"autoscaling": {"min": 0}}}),
        section(services={"api": {"autoscaling": {"max": "2"}}}),
        section(services={"api": {"resources": {"memory": "64MB"}}}),
        section(services={"api": {"egress": [{"ports": [3306]}]}}),
        section(services={"api": {"egress": [{"cidr": None, "ports": [3306]}]}}),
        section(services={"api": {"env": {"log level": "x"}}}),
        section(services={"api": {"env": {"LOG_LEVEL": True}}}),
        section(service={"replcas": 2}),
        {"config": {"slipway:signing-key": "in clear"}},
    ],
)
def test_an_editor_sees_what_the_program_would_refuse(content: dict[str, Any]):
    assert complaints(content)


@pytest.mark.parametrize(
    "content",
    [
        section(),
        section(services={"api": {"ingress": {"path": "/v1"}, "env": {"A": None}, "autoscaling": None}}),
        section(services={"api": None}, service={"env": {"A": "b"}}, image=None, namespace=None),
        section(services={"api": {"resources": {"cpu": 1}}}),
        {"config": {"slipway:signing-key": {"secure": "v1:x"}, "aws:region": "x"}, "encryptionsalt": "v1:x"},
    ],
)
def test_an_editor_lets_pass_what_another_layer_completes(content: dict[str, Any]):
    assert complaints(content) == []


def test_the_reference_names_every_key_with_its_range_default_and_words():
    model = Settings.model_json_schema(by_alias=True)
    text = docs()
    for name, inner in {"": model, **model["$defs"]}.items():
        for key, property_ in inner["properties"].items():
            row = f"| `{key if name else 'slipway:' + key}` |"
            assert row in text, f"{name}.{key}"
            assert property_["description"].replace("\n", " ") in text, f"{name}.{key} is not described"
    assert "| `preStopSeconds` | whole number of seconds, 0 to 60 | `5` |" in text
    assert "| `memory` | a quantity such as 64Mi or 1Gi | `64Mi` |" in text
    assert "| `host` | a host name" in text
