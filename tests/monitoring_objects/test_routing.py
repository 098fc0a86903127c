"""alertmanager.yml: who is told of which alert, how soon, and with which credentials."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from slipway.monitoring_objects import routing
from slipway.service import external_secrets
from slipway.settings.settings import Settings
from tests.conftest import Changed
from tests.monitoring_objects.declared import CLUSTER, MAIL, RECEIVERS, SERVERS, receiver

SECRETS = {
    "receiver-pager": "https://pager.example.com/token'1\"",
    "receiver-team": "https://hooks.slack.com/services/2",
    "receiver-mail": "p{{ass: #word'",
    "receiver-wecom": "wecom-secret-4",
}


def settings(receivers: dict[str, Any]) -> Settings:
    """Return a stack with these receivers."""
    monitoring = {**SERVERS, "receivers": receivers}
    stack = {"cluster": {"context": "dev"}, "tier": "dev", "services": {"api": {}}, "monitoring": monitoring}
    return Settings.model_validate(stack)


def config(receivers: dict[str, Any]) -> dict[str, Any]:
    """Return alertmanager.yml as Alertmanager reads it."""
    return yaml.safe_load(routing.config(settings(receivers), SECRETS))


def test_a_page_is_reported_at_once_and_tickets_are_grouped():
    route = config(RECEIVERS)["route"]
    [page] = route["routes"]
    assert (page["matchers"], page["group_wait"], page["receiver"]) == (['severity="page"'], "0s", "page")
    assert "alertname" in page["group_by"]
    assert (route["receiver"], route["group_by"]) == ("ticket", ["service"])


def test_each_kind_of_receiver_gets_its_credentials_and_is_told_of_the_end():
    page = config(RECEIVERS)["receivers"][0]
    told = {"send_resolved": True}
    assert page["webhook_configs"] == [{**told, "url": SECRETS["receiver-pager"]}]
    [slack] = page["slack_configs"]
    assert (slack["api_url"], slack["channel"]) == (SECRETS["receiver-team"], "#alerts")
    assert "{{ .Annotations.runbook_url }}" in slack["text"]
    [mail] = page["email_configs"]
    assert mail == {
        **told,
        "to": "a@example.com",
        "from": "b@example.com",
        "smarthost": "smtp.example.com:587",
        "auth_username": "b@example.com",
        "auth_password": SECRETS["receiver-mail"],
    }
    [wecom] = page["wechat_configs"]
    assert wecom == {
        **told,
        "corp_id": "ww1",
        "agent_id": "1000002",
        "to_user": "@all",
        "api_secret": SECRETS["receiver-wecom"],
    }


def test_a_receiver_of_pages_alone_hears_of_no_ticket():
    page, ticket = config(RECEIVERS)["receivers"]
    assert ("webhook_configs" in page, "webhook_configs" in ticket) == (True, False)
    assert len(ticket["slack_configs"]) == len(page["slack_configs"]) == 1


def test_a_severity_that_nobody_wants_has_a_receiver_that_tells_nobody():
    assert config({"pager": receiver("webhook", severities=["page"])})["receivers"][1] == {"name": "ticket"}


def test_a_page_of_an_objective_silences_its_ticket_and_no_other():
    [rule] = config(RECEIVERS)["inhibit_rules"]
    assert rule["equal"] == ["namespace", "service", "slo"]
    # Without it, alerts that have no label slo would be equal in it.
    assert 'slo!=""' in rule["source_matchers"]
    assert 'slo!=""' in rule["target_matchers"]


def test_mail_without_a_login_needs_no_secret():
    assert settings({"mail": MAIL}).receiver_secrets == []
    [mail] = config({"mail": MAIL})["receivers"][0]["email_configs"]
    assert "auth_password" not in mail


@pytest.mark.feature("C2", part="receivers of alerts")
def test_credentials_of_receivers_are_a_secret_and_in_no_other_object(changed: Changed):
    program = changed("dev", CLUSTER)
    assert program.manifests()["Secret", "alertmanager-secret"]["stringData"] == {"alertmanager.yml": "***"}


def test_an_external_store_fills_in_the_credentials(changed: Changed):
    store = {"name": "vault", "entries": "maps", "path": "slipway/prod"}
    program = changed("prod", {**CLUSTER, "secretStore": store})
    external = program.manifests()["ExternalSecret", "alertmanager-secret"]["spec"]
    assert {entry["secretKey"] for entry in external["data"]} == SECRETS.keys()
    [text] = external["target"]["template"]["data"].values()
    assert "{{ index . `receiver-pager` | toJson }}" in text


def test_the_template_of_an_external_store_gives_the_same_file_as_the_values_would():
    """The operator fills in the template as Go does; what it does with these two forms is done here."""
    stack = settings(RECEIVERS)
    template = external_secrets.template([*SECRETS], lambda values: routing.config(stack, values))
    filled = re.sub(
        r"{{ index \. `([a-z-]+)` \| toJson }}", lambda name: yaml.safe_dump(SECRETS[name[1]]).split("\n")[0], template
    )
    assert yaml.safe_load(filled.replace("{{ `{{` }}", "{{")) == yaml.safe_load(routing.config(stack, SECRETS))
