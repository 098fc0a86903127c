"""The checks of the checklist that concern the way back: a backup that was proved, a rollback that was rehearsed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from slipway.objects import dig
from slipway.ops.delivery import migrations
from slipway.ops.delivery.checklist import Finding
from slipway.ops.delivery.evidence import short
from slipway.ops.delivery.migrations import UnknownMigrationsError
from slipway.ops.delivery.plan import PromotionPlan
from slipway.ops.releases.backup import PROVED, taken_at
from slipway.settings.names import MYSQL_BACKUP

# Clocks of a node and of this machine may differ a little.
_CLOCK_SKEW = timedelta(minutes=5)


def backed_up(plan: PromotionPlan, now: datetime | None = None) -> Finding:
    """Find out whether a fresh backup of the target's database was proved, if a migration comes."""
    target, settings = plan.target, plan.target.settings
    managed = settings.postgres or (settings.mysql if settings.mysql and settings.mysql.source == "managed" else None)
    if why := migrations.nothing_to_go_back_from(plan) or _no_migration(plan):
        return Finding(True, why)
    if managed:
        return Finding(False, f"{managed.host} is operated elsewhere: say which of its backups was restored where")
    if settings.mysql is None:
        return Finding(True, f"{target.stack} has no database")
    fix = f"./slipway backup --prove -s {target.stack}"
    schedule = target.cluster.get("batch/v1", "CronJob", MYSQL_BACKUP)
    name = dig(schedule or {}, "metadata.annotations", PROVED)
    if not name:
        return Finding(False, f"no backup of {target.stack} was proved by a restore: {fix}")
    return _fresh(name, timedelta(hours=settings.promotion.backup_hours), fix, now or datetime.now(UTC))


def _fresh(name: str, limit: timedelta, fix: str, now: datetime) -> Finding:
    """Find out whether the backup that was proved is fresh enough."""
    try:
        age = now - taken_at(name)
    except ValueError:
        return Finding(False, f"the backup that is noted as proved, {name}, is not the name of a backup: {fix}")
    hours = f"{age / timedelta(hours=1):.0f} h old"
    if age < -_CLOCK_SKEW:
        return Finding(
            False,
            f"the backup that is noted as proved, {name}, was taken in the future: compare the clocks of the node "
            f"and of this machine, then {fix}",
        )
    if age > limit:
        return Finding(False, f"the newest backup that was proved, {name}, is {hours}: {fix}")
    return Finding(True, f"backup {name} was restored and is the same; {hours}")


def _no_migration(plan: PromotionPlan) -> str:
    """Return that no migration comes; empty if one does, or may."""
    try:
        return "" if migrations.between_images(plan) else "no migration is new"
    except UnknownMigrationsError:
        return ""


def rehearsed(plan: PromotionPlan) -> Finding:
    """Find out whether a rollback from these images to what the target runs was rehearsed in the source."""
    if plan.target.in_force is None:
        return Finding(True, f"{plan.target.stack} runs nothing yet that it could go back to")
    if rehearsal := _rehearsal(plan):
        when = f"in {plan.source.stack} at {rehearsal['at']}"
        return Finding(True, f"{when}: release {rehearsal['to']} answered on the new schema")
    return Finding(False, _not_rehearsed(plan))


def contract_tested(plan: PromotionPlan) -> Finding:
    """Find out whether what the target runs has passed its contract tests on the new schema, if a migration comes."""
    if why := migrations.nothing_to_go_back_from(plan) or _no_migration(plan):
        return Finding(True, why)
    target, command = plan.target, plan.target.settings.promotion.contract_tests
    if not command:
        return Finding(
            False,
            f"slipway:promotion.contractTests of {target.stack} names no command, so nobody knows whether what it runs "
            "can work on the new schema",
        )
    rehearsal = _rehearsal(plan)
    if not rehearsal:
        return Finding(False, _not_rehearsed(plan))
    ran = rehearsal.get("contractTests") or []
    if ran != command:
        what = f"ran `{' '.join(ran)}`" if isinstance(ran, list) and ran else "notes none that it ran"
        fix = f"./slipway rollback {rehearsal['to']} --rehearse -s {plan.source.stack}"
        return Finding(False, f"the rehearsal {what}, and not `{' '.join(command)}`: {fix}")
    passed = ", ".join(map(short, _running(plan).values()))
    return Finding(True, f"{passed} passed `{' '.join(command)}` in {plan.source.stack} at {rehearsal['at']}")


def _rehearsal(plan: PromotionPlan) -> Mapping[str, Any]:
    """Return the rehearsal of a rollback from the new images to what the target runs; empty without one."""
    noted = plan.source.record.rehearsal if plan.source.record else {}
    images: dict[str, str] = noted.get("images", {})
    running = _running(plan)
    return noted if noted and running and {**images, **running} == images else {}


def _running(plan: PromotionPlan) -> dict[str, str]:
    """Return the images that the target runs today, without those that are new to it."""
    return {name: image for name, image in plan.replaced.items() if image}


def _not_rehearsed(plan: PromotionPlan) -> str:
    """Return that the rollback was not rehearsed, and the command for it."""
    source, target = plan.source, plan.target
    running = _running(plan)
    former = [known.revision for known in source.records if {**known.images, **running} == known.images]
    today = f"what {target.stack} runs ({', '.join(map(short, running.values()))})"
    if not former:
        return f"not rehearsed, and {source.stack} has no record of {today}"
    return f"not rehearsed to {today}: ./slipway rollback {former[0]} --rehearse -s {source.stack}"
