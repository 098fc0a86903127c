"""The checklist of prod: the migration, the backup and the rehearsal that staging does without.

staging runs the new images, which bring a migration, and prod the old ones (conftest.py). All evidence is at hand, and
each test takes one piece away.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from slipway.ops.delivery import promote, way_back
from slipway.ops.delivery.migrations import Migration
from slipway.ops.releases import up
from slipway.ops.supply_chain import evidence as supply_chain
from tests.delivery.conftest import MYSQL, NEW, OLD, PROMOTED, World, record, state_of

TESTS = ["make", "contract-tests"]
REHEARSAL = {"at": "2026-11-30T10:00:00+00:00", "to": "eeee1111", "images": {"api": OLD}, "contractTests": TESTS}
HARMLESS = "ALTER TABLE reviews ADD COLUMN mood INT NULL"


def proved(age: timedelta) -> dict[str, Any]:
    """Return the schedule of backups, of which one was proved so long ago."""
    name = f"{datetime.now(UTC) - age:%Y%m%dT%H%M%SZ}"
    return {"metadata": {"name": "mysql-backup", "annotations": {"slipway/proved-backup": name}}}


@pytest.fixture
def ready(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """All that prod demands is there."""
    rehearse(world, REHEARSAL)
    world.change("prod", {"mysql": MYSQL})
    schedule(world, proved(timedelta(hours=2)))
    world.migrates(HARMLESS)
    monkeypatch.setattr(up, "command", lambda *_, **__: 0)
    return world


def schedule(world: World, cron_job: dict[str, Any]) -> None:
    world.clusters["prod"].objects = {**world.clusters["prod"].objects, "cronjobs": [cron_job]}


def rehearse(world: World, rehearsal: dict[str, Any] | None) -> None:
    notes = {**PROMOTED, "slipway/image-commit": "2b2b2b2b"}
    noted = {"slipway/rollback-rehearsal": json.dumps(rehearsal)} if rehearsal else {}
    world.runs("staging", "eeee2222", NEW, {**notes, **noted}, record("eeee1111", OLD))


def outcome(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, tuple[str, str]]]:
    code = promote.command("staging", "prod", preview=False, yes=True, as_json=True)
    rows = json.loads(capsys.readouterr().out)["evidence"]
    return code, {row["item"]: (row["state"], row["why"]) for row in rows}


@pytest.mark.feature("J2", part="all evidence there passes")
def test_with_all_evidence_prod_is_updated(ready: World, capsys: pytest.CaptureFixture[str]):
    code, found = outcome(capsys)
    assert code == 0
    assert {state for state, _ in found.values()} == {"passed"}
    assert found["migration"][1] == "2.sql: no statement takes away what prod runs on today, or refuses what it writes"
    assert found["backup"][1].endswith("was restored and is the same; 2 h old")
    assert (
        found["rehearsal"][1] == "in staging at 2026-11-30T10:00:00+00:00: release eeee1111 answered on the new schema"
    )
    passed = "src-1 sha256:111111111111 passed `make contract-tests` in staging at 2026-11-30T10:00:00+00:00"
    assert found["contract-tests"] == ("passed", passed)
    assert ready.commits == ["1a1a1a1a", "2b2b2b2b"]


def dropped_column(world: World) -> None:
    world.migrates(HARMLESS, "ALTER TABLE reviews DROP COLUMN text")


def renamed_table(world: World) -> None:
    world.migrates("RENAME TABLE reviews TO opinions")


def edited_migration(world: World) -> None:
    world.pending = [Migration("migrations/1.sql", "M", HARMLESS)]


def no_folder(world: World) -> None:
    world.change("prod", {"mysql": MYSQL, "promotion": {"migrations": [], "contractTests": TESTS}})


def unknown_commit(world: World) -> None:
    world.runs("prod", "ffff1111", OLD)
    schedule(world, proved(timedelta(hours=2)))


def dirty_commit(world: World) -> None:
    rehearse(world, REHEARSAL)
    found = world.clusters["staging"].objects["configmaps"][0]["metadata"]["annotations"]
    found["slipway/image-commit"] = "2b2b2b2b-dirty"


def no_proof(world: World) -> None:
    schedule(world, {"metadata": {"name": "mysql-backup"}})


def odd_proof(world: World) -> None:
    schedule(world, {"metadata": {"name": "mysql-backup", "annotations": {"slipway/proved-backup": "yesterday"}}})


def future_proof(world: World) -> None:
    schedule(world, proved(timedelta(hours=-2)))


def old_proof(world: World) -> None:
    schedule(world, proved(timedelta(hours=25)))


def managed_database(world: World) -> None:
    managed = {"source": "managed", "host": "mysql.example.com", "cidr": "10.0.0.0/24"}
    world.change("prod", {"mysql": managed})


def not_rehearsed(world: World) -> None:
    rehearse(world, None)


def rehearsed_to_another(world: World) -> None:
    rehearse(world, {**REHEARSAL, "images": {"api": NEW}})


def without_contract_tests(world: World) -> None:
    rehearse(world, {**REHEARSAL, "contractTests": []})


def with_other_contract_tests(world: World) -> None:
    rehearse(world, {**REHEARSAL, "contractTests": ["true"]})


def of_an_earlier_slipway(world: World) -> None:
    rehearse(world, {**REHEARSAL, "contractTests": True})


def no_contract_tests(world: World) -> None:
    world.change("prod", {"mysql": MYSQL, "promotion": {"migrations": ["migrations"]}})


def nothing_to_rehearse(world: World) -> None:
    world.runs("staging", "eeee2222", NEW, {**PROMOTED, "slipway/image-commit": "2b2b2b2b"})


MATRIX: dict[str, tuple[Callable[[World], None], str, str]] = {
    "a dropped column": (dropped_column, "migration", "2.sql drops column reviews.text"),
    "a renamed table": (renamed_table, "migration", "2.sql renames table reviews to opinions"),
    "an edited migration": (edited_migration, "migration", "1.sql was changed after it may have run"),
    "no folder": (no_folder, "migration", "slipway:promotion.migrations of prod names no folder"),
    "a commit that is not known": (unknown_commit, "migration", "the commit that the images of prod were built from"),
    "a commit with other changes": (dirty_commit, "migration", "built from 2b2b2b2b-dirty: from files that no commit"),
    "no backup that was proved": (no_proof, "backup", "no backup of prod was proved by a restore: ./slipway backup"),
    "a proof of no backup": (
        odd_proof,
        "backup",
        "proved, yesterday, is not the name of a backup: ./slipway backup --prove",
    ),
    "a backup of tomorrow": (
        future_proof,
        "backup",
        "was taken in the future: compare the clocks of the node and of this machine, then ./slipway backup --prove",
    ),
    "an old backup": (old_proof, "backup", "is 25 h old: ./slipway backup --prove -s prod"),
    "a managed database": (managed_database, "backup", "mysql.example.com is operated elsewhere"),
    "no rehearsal": (not_rehearsed, "rehearsal", "./slipway rollback eeee1111 --rehearse -s staging"),
    "a rehearsal to another image": (rehearsed_to_another, "rehearsal", "not rehearsed to what prod runs (src-1"),
    "a rehearsal without contract tests": (
        without_contract_tests,
        "contract-tests",
        "the rehearsal notes none that it ran, and not `make contract-tests`: ./slipway rollback eeee1111 --rehearse",
    ),
    "a rehearsal with others": (
        with_other_contract_tests,
        "contract-tests",
        "ran `true`, and not `make contract-tests`",
    ),
    "a rehearsal that did not note which": (
        of_an_earlier_slipway,
        "contract-tests",
        "the rehearsal notes none that it ran",
    ),
    "no contract tests": (
        no_contract_tests,
        "contract-tests",
        "slipway:promotion.contractTests of prod names no command",
    ),
    "nothing to rehearse with": (nothing_to_rehearse, "rehearsal", "staging has no record of what prod runs (src-1"),
}


@pytest.mark.feature("P7", part="without its contract tests passed there is no evidence")
@pytest.mark.feature("J2", part="each missing piece of evidence refuses with its reason")
@pytest.mark.feature("P7", part="a promotion to prod is refused for it")
@pytest.mark.parametrize("missing", MATRIX)
def test_each_missing_piece_refuses_with_its_reason(ready: World, capsys: pytest.CaptureFixture[str], missing: str):
    remove, item, words = MATRIX[missing]
    remove(ready)
    code, found = outcome(capsys)
    # Contract tests are run by a rehearsal.
    refused = {item, "contract-tests"} if item == "rehearsal" else {item}
    assert code == 2
    assert {name: state for name, (state, _) in found.items() if state != "passed"} == dict.fromkeys(refused, "refused")
    assert words in found[item][1]


def test_an_image_that_is_new_to_prod_needs_no_rehearsal_of_its_own():
    noted = SimpleNamespace(rehearsal={"images": {"api": OLD}, "at": "today", "to": "eeee1111"})
    source = SimpleNamespace(stack="staging", record=noted, records=[])
    target = SimpleNamespace(stack="prod", in_force="cccc1111")
    plan: Any = SimpleNamespace(source=source, target=target, replaced={"api": OLD, "web": ""})
    assert way_back.rehearsed(plan).passes
    plan.replaced = {"api": NEW, "web": ""}
    assert not way_back.rehearsed(plan).passes


def test_without_a_migration_no_backup_is_asked_for(ready: World, capsys: pytest.CaptureFixture[str]):
    ready.pending = []
    no_proof(ready)
    code, found = outcome(capsys)
    items = ("backup", "migration", "contract-tests")
    assert (code, *(found[item] for item in items)) == (0, *[("passed", "no migration is new")] * 3)


def test_the_first_release_has_nothing_to_go_back_to(ready: World, capsys: pytest.CaptureFixture[str]):
    ready.states["prod"] = state_of("prod", None)
    rehearse(ready, None)
    dropped_column(ready)
    code, found = outcome(capsys)
    assert code == 0
    assert found["rehearsal"][1] == "prod runs nothing yet that it could go back to"


def test_a_stack_whose_services_migrate_nothing_is_asked_for_neither(ready: World, capsys: pytest.CaptureFixture[str]):
    ready.change("prod", {"services.api.migration": None})
    assert outcome(capsys)[1]["migration"] == ("passed", "no service has a migration")


@pytest.mark.feature("J2", part="the evidence of the supply chain refuses as well")
def test_the_supply_chain_of_the_images_is_verified_for_the_target(
    ready: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    asked: list[tuple[str, Any]] = []

    def problems(stack: str, images: Any) -> list[str]:
        asked.append((stack, dict(images)))
        return ["image api has no signature", "image api has no SBOM"]

    monkeypatch.setattr(supply_chain, "problems", problems)
    code, found = outcome(capsys)
    assert (code, found["supply-chain"]) == (2, ("refused", "image api has no signature; image api has no SBOM"))
    assert asked == [("prod", {"api": NEW})]
