"""Secrets are masked in log lines and in the evidence of causes."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest

from slipway.ops.cluster.masking import Mask, secret_values
from tests import namespace as ns
from tests.diagnosis.broken_pods import SIGNING_KEY, only, with_pod

SECRET = "q7wLrT2vN8xZ"
LEAKS = [
    (f"logged in with {SECRET}", "logged in with ***"),
    ("password=hunter22 user=bob", "password=*** user=bob"),
    ('{"refreshToken":"abc.def","user":"bob"}', '{"refreshToken":***,"user":"bob"}'),
    ("token: abcdef", "token: ***"),
    (r'msg="sent {\"apiKey\": \"12345\"}"', r'msg="sent {\"apiKey\": ***}"'),
    ("Authorization: Bearer abcdefgh12345", "Authorization: Bearer ***"),
    ("got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "got ***"),
    ("dial mysql://slipway:s3cr3t@mysql:3306", "dial mysql://slipway:***@mysql:3306"),
    ("slipway:s3cr3t@tcp(mysql:3306)/slipway", "slipway:***@tcp(mysql:3306)/slipway"),
]
HARMLESS = [
    "GET /v1/sessions 200 12ms",
    SIGNING_KEY,
    "the password comes from the file mysql-password in it",
    "2026-11-21T12:00:00Z level=INFO msg=ready",
    "see https://example.com:8443/a@b",
]


@pytest.mark.parametrize(("line", "masked"), LEAKS)
def test_a_secret_in_a_log_line_is_masked(line: str, masked: str):
    assert Mask([SECRET, "abc"]).line(line) == masked


@pytest.mark.parametrize("line", HARMLESS)
def test_a_line_without_a_secret_stays_as_it_is(line: str):
    assert Mask([SECRET]).line(line) == line


def test_the_password_in_the_login_of_a_registry_is_masked():
    login = json.dumps({"auths": {"registry.example.com": {"username": "puller", "password": SECRET}}})
    mask = Mask(secret_values([{"data": {".dockerconfigjson": base64.b64encode(login.encode()).decode()}}]))
    assert mask.line(f"puller failed with {SECRET}") == "puller failed with ***"


def test_a_key_of_several_lines_is_masked_line_by_line():
    assert Mask(["first-half\nsecond-half\n"]).line("is second-half") == "is ***"


@pytest.mark.feature("B10", part="evidence of a cause")
def test_no_evidence_holds_a_secret():
    events = ("Failed", f"pull of {SECRET} failed"), ("Killing", f"Container api failed liveness probe {SECRET}")
    for status in (ns.crashed(message=SECRET), ns.waits("ErrImagePull", SECRET)):
        snapshot = with_pod(status, *events, lines=(f"key {SECRET}", "token=abcdef"))
        cause = only(replace(snapshot, mask=Mask([SECRET])))
        assert SECRET not in str(cause)
        assert "abcdef" not in str(cause)
