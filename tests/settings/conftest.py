"""Stack files given as texts: `put` writes one as a file of stacks/, and runs the program with it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pulumi
import pytest

from slipway.ops.program import recorder
from slipway.ops.program.recorder import STAND_IN, Program, declare
from slipway.settings import source_files
from tests.paths import PROJECT

BASE = """\
config:
  slipway:cluster:
    context: dev
  slipway:image:
    source: build
  slipway:namespace: slipway-dev
  slipway:services:
    api:
      autoscaling: {min: 1, max: 2}
      resources: {cpu: 50m, memory: 64Mi}
      ingress:
        host: api.dev.example.com
        path: /v1
        tls: {issuer: dev-ca}
      egress: [{cidr: 10.20.0.0/16, ports: [3306]}]
      schedules:
        report: {args: [report], cron: 30 3 * * *, timeZone: Asia/Tokyo}
      env: {LOG_LEVEL: debug}
      secrets: [signing-key]
"""
# Stands in some of the files where a secret has no business; no message may repeat it.
CANARY = "hunter2-Hunter2-4711"
SERVER = "mysql:8.4@sha256:" + "0" * 64

# A stack that may go to prod, but for its secret.
STRICT = BASE.replace("source: build", "source: prebuilt\n    digest: sha256:" + "0" * 64).replace("min: 1", "min: 2")


Put = Callable[..., Program]


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Put:
    """`put(text, "prod")`: what the program declares with this text as the stack's file; `defaults` for all stacks'."""
    stacks = tmp_path / "stacks"
    stacks.mkdir()
    monkeypatch.setattr(source_files, "STACKS", stacks)
    monkeypatch.setattr(recorder, "stacks", lambda: [file.name[7:-5] for file in stacks.glob("Pulumi.*.yaml")])
    (stacks / "defaults.yaml").write_text((PROJECT / "stacks" / "defaults.yaml").read_text())

    def declared(text: str | bytes, stack: str = "dev", defaults: str | None = None) -> Program:
        content = text if isinstance(text, bytes) else text.encode()
        (stacks / f"Pulumi.{stack}.yaml").write_bytes(content)
        if defaults is not None:
            (stacks / "defaults.yaml").write_text(defaults)
        return declare(stack)

    return declared


def refusal(put: Put, text: str | bytes, stack: str = "dev", defaults: str | None = None) -> str:
    """The one message; nothing else gets out, and nothing that a user could not read or should not see is in it."""
    with pytest.raises(pulumi.RunError) as refused:
        put(text, stack, defaults)
    message = str(refused.value)
    assert re.match(rf"stacks/Pulumi\.{stack}\.yaml has \d+ mistakes?; nothing was changed\.\n  ", message)
    for never in ("Traceback", "Input should", "pydantic", "[a-z", "(?", STAND_IN, CANARY):
        assert never not in message
    assert all(len(line) < 500 and line.isprintable() for line in message.splitlines())
    return message


def edited(old: str, new: str) -> str:
    assert BASE.count(old) == 1, f"{old!r} is not one place of BASE"
    return BASE.replace(old, new)


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The secrets that the stack has, by name. Without this fixture it has a stand-in for each one it needs."""
    secrets: dict[str, str] = {}
    monkeypatch.setattr(recorder, "_secret_values", Mock(return_value=secrets))
    return secrets
