"""The section `slipway:monitoring`: what goes together, and which secrets and names it needs."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from slipway.ops.program.recorder import declare
from slipway.settings.engine_yaml import Node
from slipway.settings.secret_checks import required_secrets
from tests.conftest import with_changes
from tests.monitoring_objects.declared import (
    CLUSTER,
    MAIL,
    OPERATOR,
    RECEIVERS,
    SERVERS,
    WECOM,
    receiver,
    without_metrics,
)

HOOK = {"hook": receiver("webhook")}


def monitored(**keys: Any) -> dict[str, Any]:
    """Return a change of a stack to servers of its own with these keys."""
    return {"monitoring": {**SERVERS, **keys}}


def receiving(**keys: Any) -> dict[str, Any]:
    """Return the same with one receiver."""
    return monitored(receivers={"one": keys})


def operated(**keys: Any) -> dict[str, Any]:
    """Return a change of a stack to the operator's Prometheus with these keys."""
    return {**OPERATOR, "monitoring": {**OPERATOR["monitoring"], **keys}}


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"monitoring": {"source": "cluster"}}, "slipway:monitoring.image: is required with source: cluster"),
    (
        {"monitoring": {"source": "cluster", "image": SERVERS["image"], "receivers": HOOK}},
        "slipway:monitoring.alertmanagerImage: is required with receivers",
    ),
    ({"monitoring": {"source": "operator"}}, "slipway:cluster.monitoringNamespace: is required with"),
    (operated(retention="35d"), "retention: only with source: cluster; this is source: operator"),
    (operated(receivers=HOOK), "receivers: only with source: cluster; this is source: operator"),
    ({"monitoring": {"receivers": HOOK}}, "receivers: only with source: cluster; this is source: none"),
    (monitored(labels={"a": "b"}), "labels: only with source: operator; this is source: cluster"),
    ({"monitoring": {"url": "http://prometheus"}}, "url: only with source: operator or cluster; this is source: none"),
    ({"monitoring": {"source": "cluster", "url": "http://prometheus:99999"}}, "an address such as http://"),
    (monitored(retention="5 weeks"), "slipway:monitoring.retention: should be a time of one unit"),
    (
        {**monitored(retention="7d"), "services.api.slo": {"availability": 99.9}},
        "slipway:monitoring.retention: is less than services.api.slo.window (30d)",
    ),
    (
        {
            **monitored(retention="7d"),
            "services.api.autoscaling": {"min": 1, "max": 2, "rps": 50, "by": "keda", "forecast": {}},
            "cluster.kedaNamespace": "keda",
        },
        "slipway:monitoring.retention: is less than the 8 days that services.api.autoscaling.forecast looks back",
    ),
    (
        {**CLUSTER, **without_metrics("api"), **without_metrics("web")},
        "slipway:monitoring.source: source: cluster has nothing to scrape",
    ),
    ({**CLUSTER, "services.prometheus": {}}, "slipway:services.prometheus: is the name of a server of monitoring"),
    ({**CLUSTER, "services.api-metrics": {}}, "slipway:services.api-metrics: is the name of the Service for the"),
    (receiving(kind="webhook"), "slipway:monitoring.receivers.one.egress: is required"),
    (receiving(**{**WECOM, "channel": "#a"}), "channel: only with kind: slack; this is kind: wecom"),
    (receiving(**{**WECOM, "toUser": None}), "kind: wecom needs toUser or toParty"),
    (receiving(**{**MAIL, "to": None}), "kind: mail needs to"),
    (receiving(**{**MAIL, "to": "nobody"}), "receivers.one.to: should be a mail address"),
    (receiving(**receiver("webhook", severities=["critical"])), "slipway:monitoring.receivers.one.severities.0"),
    (receiving(**receiver("telegram")), "slipway:monitoring.receivers.one.kind"),
]


@pytest.mark.parametrize(("changes", "words"), WRONG, ids=[words for _, words in WRONG])
@pytest.mark.feature("B1", part="monitoring")
def test_a_setting_of_monitoring_that_would_fail_or_do_nothing_is_refused(changes: dict[str, Any], words: str):
    with pytest.raises(pulumi.RunError) as refused:
        declare("dev", with_changes("dev", changes))
    assert words in str(refused.value)


def test_each_receiver_with_a_credential_needs_a_secret():
    tree = Node.of({"monitoring": {**SERVERS, "receivers": {**RECEIVERS, "plain": MAIL}}})
    assert required_secrets(tree) == {"receiver-pager", "receiver-team", "receiver-mail", "receiver-wecom"}


@pytest.mark.parametrize("value", [None, "cluster", {"receivers": None}, {"receivers": {"a": None}}, {"receivers": []}])
def test_what_is_no_receiver_hides_no_other_mistake(value: object):
    assert required_secrets(Node.of({"monitoring": value})) <= {"receiver-a"}


def test_the_version_of_a_receivers_secret_may_be_pinned_in_the_external_store():
    store = {"name": "vault", "entries": "maps", "versions": {"receiver-pager": "2"}}
    assert declare("prod", with_changes("prod", {**CLUSTER, "secretStore": store})).resources
