"""What a migration takes away from the version before: each statement that does, and those that do not."""

from __future__ import annotations

import pytest

from slipway.ops.delivery import schema_changes
from tests.paths import HAS_REFERENCE_APP, REPOSITORY

MIGRATIONS = REPOSITORY / "app/internal/store/mysql/migrations"


def losses(text: str, dialect: str = "mysql") -> list[str]:
    return schema_changes.losses(text, dialect, set())


@pytest.mark.feature("P7", part="a dropped or renamed column or table is refused by name")
@pytest.mark.parametrize(
    ("statement", "loss"),
    [
        ("DROP TABLE reviews", "drops table reviews"),
        ("DROP TABLE IF EXISTS `my shops`", "drops table my shops"),
        ("DROP VIEW best", "drops view best"),
        ("ALTER TABLE reviews DROP COLUMN text", "drops column reviews.text"),
        ("ALTER TABLE reviews DROP text", "drops column reviews.text"),
        ("ALTER TABLE reviews ADD COLUMN a INT NULL, DROP COLUMN text", "drops column reviews.text"),
        ("ALTER TABLE reviews RENAME COLUMN text TO body", "renames column reviews.text to body"),
        ("ALTER TABLE reviews CHANGE text body TEXT NOT NULL", "renames column reviews.text to body"),
        ("ALTER TABLE reviews RENAME TO opinions", "renames reviews to opinions"),
        ("RENAME TABLE reviews TO `opinions`", "renames table reviews to opinions"),
        ("TRUNCATE TABLE reviews", "empties table reviews"),
        ("DELETE FROM reviews", "empties table reviews"),
        ("CREATE OR REPLACE TABLE reviews (id INT)", "replaces table reviews"),
        (
            "ALTER TABLE reviews ADD COLUMN mood INT NOT NULL",
            "requires column reviews.mood, which the version before does not write: give it a default",
        ),
        ("LOAD DATA INFILE 'x' INTO TABLE t", "cannot be read: "),
        ("LOCK TABLES reviews WRITE", "cannot be judged: LOCK TABLES reviews WRITE"),
        ("ALTER TABLE reviews ADD (", "cannot be read: "),
        ("this is not sql", "cannot be judged: "),
        ("DROP USER reader", "cannot be judged: DROP USER reader"),
        ("ALTER TABLE reviews TRUNCATE PARTITION p0", "cannot be judged: ALTER TABLE reviews TRUNCATE PARTITION p0"),
        ("INSERT INTO reviews VALUES ('no end", "cannot be read: "),
        ("/*!40101 DROP TABLE reviews */", "cannot be judged: /*!40101 DROP TABLE reviews */"),
        ("-- +migrate Down\nDROP TABLE a;\n-- +migrate Up\nDROP TABLE b;", "drops table b"),
    ],
)
def test_what_the_version_before_reads_or_does_not_write_is_named(statement: str, loss: str):
    [found] = losses(statement)
    assert found.startswith(loss)


@pytest.mark.parametrize(
    ("statement", "loss"),
    [
        ("ALTER TABLE reviews DROP COLUMN IF EXISTS text CASCADE", "drops column reviews.text"),
        (
            "ALTER TABLE reviews ALTER COLUMN mood SET NOT NULL",
            "requires column reviews.mood, which the version before",
        ),
        ("TRUNCATE reviews, likes", "empties table reviews"),
        ("ALTER TYPE mood RENAME VALUE 'good' TO 'fine'", "cannot be judged: ALTER TYPE mood RENAME VALUE"),
        ("WITH gone AS (DELETE FROM likes RETURNING id) SELECT id FROM gone", "cannot be judged: WITH gone AS"),
    ],
)
def test_postgresql_is_read_as_such(statement: str, loss: str):
    assert losses(statement, "postgres")[0].startswith(loss)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE moods (id INT NOT NULL PRIMARY KEY)",
        "ALTER TABLE reviews ADD COLUMN mood INT NULL, ADD KEY by_mood (mood)",
        "ALTER TABLE reviews ADD COLUMN mood INT NOT NULL DEFAULT 0",
        "ALTER TABLE reviews ADD COLUMN n BIGINT NOT NULL AUTO_INCREMENT",
        "ALTER TABLE reviews ADD COLUMN twice INT GENERATED ALWAYS AS (stars * 2) STORED NOT NULL",
        "ALTER TABLE reviews DROP KEY by_mood, DROP FOREIGN KEY of_shop, DROP CHECK positive",
        "ALTER TABLE shops MODIFY creator_id BINARY(16) NULL",
        "DROP INDEX by_mood ON reviews",
        "DELETE FROM sessions WHERE expires_at < NOW()",
        "UPDATE shops SET score = 0",
        "INSERT INTO recounts (shop_id) SELECT id FROM shops",
    ],
)
def test_what_only_adds_is_no_loss(statement: str):
    assert losses(statement) == []


def test_the_part_that_undoes_a_migration_is_not_read():
    assert losses("-- +goose Up\nCREATE TABLE a (id INT);\n\n-- +goose Down\nDROP TABLE b;\n") == []
    assert losses("-- migrate:up\nCREATE TABLE a (id INT);\n-- migrate:down\nDROP TABLE b;\n") == []


def test_a_table_that_the_version_before_does_not_know_may_change_as_it_likes():
    added: set[str] = set()
    assert schema_changes.losses("CREATE TABLE moods (id INT)", "mysql", added) == []
    assert schema_changes.losses("ALTER TABLE moods ADD COLUMN a INT NOT NULL, DROP COLUMN id", "mysql", added) == []
    assert schema_changes.losses("DROP TABLE moods", "mysql", added) == []


@pytest.mark.skipif(not HAS_REFERENCE_APP, reason="the reference app is not in this repository")
def test_the_migrations_of_the_reference_app_are_read_and_take_nothing_away():
    found = {file.name: losses(file.read_text()) for file in sorted(MIGRATIONS.glob("*.sql"))}
    assert len(found) > 10
    assert {name: lost for name, lost in found.items() if lost} == {}
