"""Rules about the contract of apps that need more than their own section."""

from __future__ import annotations

from collections.abc import Iterator

from slipway.project import ROOT
from slipway.settings.errors import InvalidSetting
from slipway.settings.settings import Settings


def check(settings: Settings) -> Iterator[InvalidSetting]:
    """Report files that cannot be read, and migrations that log in as the wrong user."""
    for name, service in settings.services.items():
        if service.variables and not (ROOT / service.variables).is_file():
            rule = "there is no such file; name one that lists the variables the app reads, or take it out"
            yield InvalidSetting(("services", name, "variables"), rule, service.variables)
        other_user = settings.mysql and settings.mysql.migration_user and "mysql" in service.needs
        if other_user and service.migration and not service.reads_contract:
            rule = (
                "with contract: none nothing tells the migration that it logs in as mysql.migrationUser; take that out"
            )
            yield InvalidSetting(("services", name, "migration"), rule)
