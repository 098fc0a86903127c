"""What a change of an address or of a connection opens."""

from __future__ import annotations

from typing import Any

import pytest

from slipway.ops.changes.comparison import Change
from slipway.ops.changes.exposure import lost, opened

HTTPS = [{"port": 443}]
METADATA = ["169.254.169.254/32", "169.254.170.2/32"]


def egress(*blocks: dict[str, Any]) -> dict[str, Any]:
    rules = [{"to": [{"ipBlock": block}], "ports": HTTPS} for block in blocks]
    return {"kind": "NetworkPolicy", "spec": {"egress": rules}}


def ingress(path: str, type_: str = "Prefix") -> dict[str, Any]:
    rule = {"host": "a.example.com", "http": {"paths": [{"path": path, "pathType": type_}]}}
    return {"kind": "Ingress", "spec": {"rules": [rule]}}


@pytest.mark.parametrize(
    ("before", "after", "opens"),
    [
        ({"cidr": "0.0.0.0/0"}, {"cidr": "0.0.0.0/0", "except": METADATA}, False),
        ({"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}, {"cidr": "10.2.0.0/16"}, False),
        ({"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}, {"cidr": "10.1.2.0/24"}, True),
        ({"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}, {"cidr": "10.0.0.0/8"}, True),
        ({"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}, {"cidr": "10.0.0.0/9", "except": ["10.1.0.0/16"]}, False),
        ({"cidr": "10.0.0.0/8"}, {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}, False),
    ],
)
def test_a_range_opens_what_no_range_before_held(before: dict[str, Any], after: dict[str, Any], opens: bool):
    assert bool(opened(Change("NetworkPolicy/api", egress(before), egress(after)))) is opens


def test_a_new_policy_to_everybody_is_reported_although_metadata_stays_closed():
    change = Change("NetworkPolicy/api", None, egress({"cidr": "0.0.0.0/0", "except": METADATA}))
    assert opened(change) == ["egress is opened for everybody, TCP 443"]


def test_a_prefix_that_nginx_strips_is_the_same_address_as_before():
    change = Change("Ingress/api", ingress("/v1.0"), ingress(r"/v1\.0(/|$)(.*)", "ImplementationSpecific"))
    assert opened(change) == []
    assert lost(change) == []
