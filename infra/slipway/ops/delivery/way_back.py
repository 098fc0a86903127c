"""The checks of the checklist that concern the way back: a backup that was proved, a rollback that was rehearsed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from slipway.objects import dig
from slipway.ops.delivery import migrations
from slipway.ops.delivery.checklist import Finding
from slipway.ops.delivery.evidence import short
from slipway.ops.delivery.migrations import UnknownMigrationsError
from slipway.ops.delivery.plan import PromotionPlan
from slipway.ops.releases.backup import PROVED, taken_at
from slipway.settings.names import MYSQL_BACKUP


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
        return Finding(False, f"the backup that is noted as proved, {name}, is the name of none: {fix}")
    hours = f"{age / timedelta(hours=1):.0f} h old"
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
    source, target = plan.source, plan.target
    if target.in_force is None:
        return Finding(True, f"{target.stack} runs nothing yet that it could go back to")
    record = source.record
    rehearsal = record.rehearsal if record else {}
    if record and {**rehearsal.get("images", {}), **plan.replaced} == rehearsal.get("images"):
        tests = " and the contract tests" if rehearsal.get("contractTests") else ""
        when = f"in {source.stack} at {rehearsal['at']}"
        return Finding(True, f"{when}: release {rehearsal['to']} answered{tests} on the new schema")
    former = [known.revision for known in source.records if {**known.images, **plan.replaced} == known.images]
    today = f"what {target.stack} runs ({', '.join(map(short, plan.replaced.values()))})"
    if not former:
        return Finding(False, f"not rehearsed, and {source.stack} has no record of {today}")
    fix = f"./slipway rollback {former[0]} --rehearse -s {source.stack}"
    return Finding(False, f"not rehearsed to {today}: {fix}")
