"""alertmanager.yml: a page is reported at once and to itself, tickets are grouped and can wait."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from slipway.settings.names import receiver_secret
from slipway.settings.sections.monitoring import Receiver
from slipway.settings.sections.slo import Severity
from slipway.settings.settings import Settings

# The default text of Slack is empty; that of the other receivers has all annotations.
SLACK_TEXT = (
    "{{ range .Alerts }}*{{ .Annotations.summary }}*\n{{ .Annotations.description }}\n"
    "{{ .Annotations.runbook_url }}\n{{ end }}"
)
BY_ALERT = ["alertname", "service", "slo"]
# How long other alerts of a group are waited for, changes of it collected, and an unresolved one repeated.
PAGE = {"group_by": BY_ALERT, "group_wait": "0s", "group_interval": "1m", "repeat_interval": "1h"}
TICKET = {"group_by": ["service"], "group_wait": "2m", "group_interval": "15m", "repeat_interval": "24h"}


def config(settings: Settings, secrets: Mapping[str, str]) -> str:
    """Return alertmanager.yml with the values of the receivers' secrets, given by name."""
    receivers = settings.monitoring.receivers
    document: dict[str, Any] = {
        # An alert without a severity is a ticket.
        "route": {
            "receiver": "ticket",
            **TICKET,
            "routes": [{"receiver": "page", "matchers": ['severity="page"'], **PAGE}],
        },
        # A budget that burns fast burns slowly, too: the page says it already.
        "inhibit_rules": [
            {
                "source_matchers": ['severity="page"', 'slo!=""'],
                "target_matchers": ['severity="ticket"', 'slo!=""'],
                "equal": ["namespace", "service", "slo"],
            }
        ],
        "receivers": [_receivers("page", receivers, secrets), _receivers("ticket", receivers, secrets)],
    }
    # Wide enough for any line: external_secrets.py replaces parts of it.
    return yaml.safe_dump(document, sort_keys=False, width=100_000)


def _receivers(severity: Severity, receivers: Mapping[str, Receiver], secrets: Mapping[str, str]) -> dict[str, Any]:
    """Return what Alertmanager calls one receiver: everybody who is told of alerts of a severity."""
    configs: dict[str, Any] = {}
    for name, receiver in receivers.items():
        if severity in receiver.severities:
            kind, fields = _config(receiver, secrets.get(receiver_secret(name), ""))
            configs.setdefault(kind, []).append({"send_resolved": True, **fields})
    return {"name": severity, **configs}


def _config(receiver: Receiver, secret: str) -> tuple[str, dict[str, Any]]:
    """Return Alertmanager's name of the kind, and the settings of one receiver."""
    if receiver.kind == "mail":
        login = {"auth_username": receiver.username, "auth_password": secret} if receiver.username else {}
        smarthost = f"{receiver.host}:{receiver.port}"
        return "email_configs", {"to": receiver.to, "from": receiver.sender, "smarthost": smarthost, **login}
    if receiver.kind == "slack":
        channel = {"channel": receiver.channel} if receiver.channel else {}
        return "slack_configs", {"api_url": secret, **channel, "text": SLACK_TEXT}
    if receiver.kind == "wecom":
        users = {"to_user": receiver.to_user, "to_party": receiver.to_party}
        recipients = {key: value for key, value in users.items() if value}
        app = {"corp_id": receiver.corp_id, "agent_id": receiver.agent_id, "api_secret": secret}
        return "wechat_configs", {**app, **recipients}
    return "webhook_configs", {"url": secret}
