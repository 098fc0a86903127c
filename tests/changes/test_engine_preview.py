"""`./slipway preview` on what `pulumi preview --json` answers.

tests/changes/verdicts/engine.json holds real answers for a stack `dev` with a registry, cut to what is read of them.
`edited`: a variable, the config file, the host, the autoscaler, the selector, both secrets; the default-deny policy
taken out. `moved`: another cluster, and the component type of the service renamed.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from slipway.objects import UNKNOWN
from slipway.ops.changes import stack_models
from slipway.ops.changes.classify import classify_all
from slipway.ops.changes.preview import command, previews
from slipway.ops.changes.stack_models import ModelError, of_steps
from slipway.ops.changes.verdict import Verdict
from tests.conftest import Declare

RECORDED = json.loads((Path(__file__).parent / "verdicts" / "engine.json").read_text())


def verdicts(recorded: str) -> dict[str, Verdict]:
    return {verdict.change.name: verdict for verdict in classify_all(of_steps(RECORDED[recorded]))}


@pytest.mark.feature("K3", part="on the engine's own preview")
def test_what_the_engine_plans_is_classed_like_two_revisions():
    assert {name: [class_.flag for class_ in verdict.classes] for name, verdict in verdicts("edited").items()} == {
        "Provider/cluster": ["no-op"],
        "Namespace/slipway-dev": ["no-op"],
        "ServiceAccount/api": ["no-op"],
        "ResourceQuota/quota": ["scales-down"],
        "Secret/registry": ["config-only"],
        "ConfigMap/api-file": ["config-only"],
        "ConfigMap/api-env": ["rolls-pods"],
        "Secret/api-secret": ["rolls-pods"],
        "Deployment/api": ["replaces", "rolls-pods"],
        "HorizontalPodAutoscaler/api": ["scales-down"],
        "Ingress/api": ["exposes"],
        "NetworkPolicy/default-deny": ["weakens-security", "exposes"],
    }


def test_a_secret_the_engine_keeps_to_itself_is_told_as_changed():
    [field] = verdicts("edited")["Secret/registry"].change.fields[-1:]
    assert field.text == 'data[".dockerconfigjson"]: *** -> ***, changed'


def test_an_image_that_is_still_to_be_built_has_not_lost_its_digest():
    deployment = verdicts("edited")["Deployment/api"]
    images = [field for field in deployment.change.fields if field.path.endswith(".image")]
    assert [field.after for field in images] == [UNKNOWN]
    assert "weakens-security" not in [class_.flag for class_ in deployment.classes]


def test_another_cluster_and_a_renamed_component_type_are_seen_as_what_they_are():
    classes = {name: verdict.primary.flag for name, verdict in verdicts("moved").items()}
    assert classes == {
        "Provider/cluster": "loses-data",
        "Namespace/slipway-dev": "loses-data",
        "Service/api": "replaces",
        "Secret/api-secret": "replaces",
    }


def step(op: str, old: dict[str, Any] | None, new: dict[str, Any] | None, type_: str = "core/v1:Service") -> Any:
    urn = f"urn:pulumi:dev::slipway::slipway:index:WebService$kubernetes:{type_}::api"
    states = {"oldState": old, "newState": new}
    return {"op": op, "urn": urn} | {side: {"inputs": inputs} for side, inputs in states.items() if inputs is not None}


def test_a_replacement_the_engine_plans_is_one_change_with_downtime():
    service = {"kind": "Service", "spec": {"type": "ClusterIP"}}
    steps = [step(op, service, service) for op in ("create-replacement", "replace", "delete-replaced")]
    [change] = of_steps(steps)
    assert [class_.flag for class_ in classify_all([change])[0].classes] == ["replaces"]


def test_a_deletion_the_engine_plans_is_seen():
    [change] = of_steps([step("delete", {"kind": "PersistentVolumeClaim"}, None, "core/v1:PersistentVolumeClaim")])
    assert classify_all([change])[0].primary.flag == "loses-data"


def test_what_only_the_engine_reads_is_no_change():
    service = {"kind": "Service", "spec": {"type": "ClusterIP"}}
    [change] = of_steps([step("same", {**service, "__fieldManager": "a"}, {**service, "__fieldManager": "b"})])
    assert classify_all([change])[0].primary.flag == "no-op"


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `pulumi` that knows the stack dev, and answers with what was recorded; its folder holds the answer."""
    listed = [{"name": "organization/slipway/dev", "resourceCount": 22}, {"name": "prod", "resourceCount": 0}]
    (tmp_path / "stack").write_text(json.dumps(listed))
    (tmp_path / "preview").write_text(json.dumps({"steps": RECORDED["edited"]}))
    (tmp_path / "pulumi").write_text(f'#!/bin/sh\ncat "{tmp_path}/$1"\ntest ! -e "{tmp_path}/$1.fails"\n')
    (tmp_path / "pulumi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def test_a_deployed_stack_is_previewed_by_the_engine_and_the_output_says_so(
    engine: Path, capsys: pytest.CaptureFixture[str]
):
    assert command(["dev"], None, [], as_json=False, markdown=False) == 0
    said = capsys.readouterr()
    assert "(against the stack's state)" in said.out
    assert "dev: compared with the stack's state, since `pulumi` is here and has deployed it" in said.err


def test_a_stack_the_engine_only_knows_by_name_is_not_previewed_by_it(engine: Path):
    assert stack_models.known_to_engine() == {"dev"}
    (engine / "stack.fails").touch()
    assert stack_models.known_to_engine() == set()


def test_a_base_is_compared_with_even_where_the_engine_is_at_hand(
    engine: Path, monkeypatch: pytest.MonkeyPatch, program: Declare
):
    monkeypatch.setattr(stack_models, "of_tree", lambda stack: stack_models.of_program(program(stack)))
    monkeypatch.setattr(stack_models, "revision", lambda base: ("1a2b3c", f"{base} (1a2b3c)"))
    monkeypatch.setattr(stack_models, "checked_out", contextlib.nullcontext)
    monkeypatch.setattr(stack_models, "of_folder", lambda stacks, commit: {stack: {} for stack in stacks})
    [dev] = previews(["dev"], "v1", frozenset())
    assert dev.source == "revision v1 (1a2b3c)"
    assert {verdict.primary.flag for verdict in dev.verdicts} >= {"adds"}


def test_what_the_engine_refuses_is_told_in_its_own_words(engine: Path):
    told = {"severity": "error", "message": "slipway:cluster.context: set it\n"}
    (engine / "preview").write_text(json.dumps({"diagnostics": [{"severity": "info", "message": "hello"}, told]}))
    (engine / "preview.fails").touch()
    with pytest.raises(ModelError, match=r"^dev: `pulumi preview` failed: slipway:cluster\.context: set it$"):
        stack_models.of_engine("dev")
