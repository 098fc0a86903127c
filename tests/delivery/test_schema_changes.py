"""What a migration takes away from the version before: each statement that does, and those that do not."""

from __future__ import annotations

import pytest

from slipway.ops.delivery import schema_changes
from slipway.ops.delivery.columns import Schema
from tests.paths import HAS_REFERENCE_APP, REPOSITORY

MIGRATIONS = REPOSITORY / "app/internal/store/mysql/migrations"


# What the version before knows.
TABLES = {
    "mysql": """
        CREATE TABLE reviews (
          id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, text VARCHAR(100) NOT NULL, mood INT NULL, stars INT UNSIGNED,
          kind ENUM('a', 'b') NOT NULL DEFAULT 'a', price DECIMAL(10, 2), at DATETIME NOT NULL, name CHAR(3)
        );
    """,
    "postgres": """
        CREATE TABLE reviews (
          id BIGSERIAL PRIMARY KEY, text VARCHAR(100) NOT NULL, mood INT NULL, price NUMERIC(10, 2), code INT DEFAULT 1,
          kind INT NOT NULL DEFAULT 1, at TIMESTAMP NOT NULL
        );
    """,
}


def losses(text: str, dialect: str = "mysql") -> list[str]:
    schema = Schema(dialect)
    schema_changes.losses(TABLES[dialect], schema)
    return schema_changes.losses(text, schema.in_force())


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
        "DROP INDEX by_mood ON reviews",
        "DELETE FROM sessions WHERE expires_at < NOW()",
        "UPDATE shops SET score = 0",
        "INSERT INTO recounts (shop_id) SELECT id FROM shops",
    ],
)
def test_what_only_adds_is_no_loss(statement: str):
    assert losses(statement) == []


MAY_NOT_MEET = "which the version before does not know and may not meet"
UNKNOWN = "no migration that can be read says what it was"


@pytest.mark.feature("P7", part="what the version before may fail to write is refused by name")
@pytest.mark.parametrize(
    ("dialect", "statement", "loss"),
    [
        ("mysql", "ADD UNIQUE (mood, text)", f"adds a unique key on reviews(mood, text), {MAY_NOT_MEET}"),
        ("mysql", "ADD UNIQUE KEY u (text(10), mood DESC)", "adds a unique key on reviews(text, mood)"),
        ("mysql", "ADD CONSTRAINT u UNIQUE (mood)", "adds a unique key on reviews(mood)"),
        ("mysql", "ADD COLUMN a INT NOT NULL DEFAULT 0 UNIQUE", "adds a unique key on reviews(a)"),
        ("mysql", "ADD COLUMN a INT NOT NULL DEFAULT 0, ADD UNIQUE (a)", "adds a unique key on reviews(a)"),
        ("mysql", "ADD PRIMARY KEY (mood)", "adds a primary key on reviews(mood)"),
        ("mysql", "ADD CONSTRAINT c CHECK (mood > 0)", "adds a check on reviews(mood)"),
        ("mysql", "ADD COLUMN a INT NULL, ADD CONSTRAINT c CHECK (a IS NOT NULL)", "adds a check on reviews(a)"),
        ("mysql", "ADD COLUMN a INT NULL, ADD CONSTRAINT c CHECK (a < mood)", "adds a check on reviews(a, mood)"),
        ("mysql", "ADD CONSTRAINT f FOREIGN KEY (mood) REFERENCES moods (id)", "adds a foreign key on reviews(mood)"),
        ("mysql", "ADD CHECK (mood > 0)", "cannot be judged: ALTER TABLE reviews ADD CHECK (mood > 0)"),
        ("mysql", "MODIFY mood INT NOT NULL", "requires column reviews.mood, which the version before may leave NULL"),
        ("mysql", "CHANGE mood mood INT NOT NULL DEFAULT 0", "requires column reviews.mood"),
        ("mysql", "MODIFY kind ENUM('a', 'b') NOT NULL", "takes the default from column reviews.kind"),
        ("mysql", "ALTER COLUMN kind DROP DEFAULT", "takes the default from column reviews.kind"),
        ("mysql", "MODIFY id BIGINT NOT NULL", "takes the default from column reviews.id"),
        ("mysql", "MODIFY mood INT AS (stars * 2) STORED", "computes column reviews.mood"),
        (
            "mysql",
            "MODIFY text VARCHAR(20) NOT NULL",
            "changes column reviews.text from VARCHAR(100) to VARCHAR(20), which may not hold what the version before",
        ),
        ("mysql", "MODIFY text TINYTEXT NOT NULL", "changes column reviews.text from VARCHAR(100) to TINYTEXT"),
        ("mysql", "MODIFY text VARCHAR(100) CHARACTER SET latin1 NOT NULL", "changes column reviews.text from VARCHAR"),
        ("mysql", "MODIFY id INT NOT NULL AUTO_INCREMENT", "changes column reviews.id from BIGINT to INT"),
        ("mysql", "MODIFY mood INT UNSIGNED", "changes column reviews.mood from INT to INT UNSIGNED"),
        ("mysql", "MODIFY stars INT", "changes column reviews.stars from INT UNSIGNED to INT"),
        ("mysql", "MODIFY kind ENUM('a', 'c') NOT NULL DEFAULT 'a'", "changes column reviews.kind from ENUM"),
        ("mysql", "MODIFY price DECIMAL(10, 4)", "changes column reviews.price from DECIMAL(10, 2) to DECIMAL(10, 4)"),
        ("mysql", "MODIFY at DATE NOT NULL", "changes column reviews.at from DATETIME to DATE"),
        ("mysql", "MODIFY name CHAR(5)", "changes column reviews.name from CHAR(3) to CHAR(5)"),
        ("mysql", "MODIFY other INT NOT NULL", f"changes column reviews.other, and {UNKNOWN}"),
        ("postgres", "ADD UNIQUE (text)", "adds a unique key on reviews(text)"),
        ("postgres", "ADD COLUMN a INT, ADD UNIQUE NULLS NOT DISTINCT (a)", "adds a unique key on reviews(a)"),
        ("postgres", "ADD CONSTRAINT c CHECK (mood > 0) NOT VALID", "adds a check on reviews(mood)"),
        ("postgres", "ADD CONSTRAINT x EXCLUDE USING gist (at WITH =)", "adds an exclusion on reviews(at)"),
        ("postgres", "ADD CONSTRAINT u UNIQUE USING INDEX i", "cannot be judged: ALTER TABLE reviews ADD CONSTRAINT u"),
        (
            "postgres",
            "ALTER mood SET NOT NULL",
            "requires column reviews.mood, which the version before may leave NULL",
        ),
        ("postgres", "ALTER COLUMN kind DROP DEFAULT", "takes the default from column reviews.kind"),
        ("postgres", "ALTER text TYPE VARCHAR(20)", "changes column reviews.text from VARCHAR(100) to VARCHAR(20)"),
        ("postgres", "ALTER id SET DATA TYPE INT", "changes column reviews.id from BIGINT to INT"),
        ("postgres", "ALTER mood TYPE TEXT", "changes column reviews.mood from INT to TEXT"),
        ("postgres", "ALTER at TYPE TIMESTAMP(3)", "changes column reviews.at from TIMESTAMP to TIMESTAMP(3)"),
        ("postgres", "ALTER price TYPE NUMERIC(9, 2)", "changes column reviews.price from DECIMAL(10, 2)"),
        ("postgres", "ALTER other TYPE INT", f"changes the type of column reviews.other, and {UNKNOWN}"),
        ("postgres", "RENAME text TO body", "renames column reviews.text to body"),
    ],
)
def test_what_the_version_before_may_fail_to_write_is_named(dialect: str, statement: str, loss: str):
    [found] = losses(f"ALTER TABLE reviews {statement}", dialect)
    assert found.startswith(loss)


@pytest.mark.parametrize("dialect", ["mysql", "postgres"])
def test_a_unique_index_is_a_unique_key(dialect: str):
    [found] = losses("CREATE UNIQUE INDEX u ON reviews (text)", dialect)
    assert found == f"adds a unique key on reviews(text), {MAY_NOT_MEET}"
    assert losses("CREATE INDEX i ON reviews (text)", dialect) == []


@pytest.mark.parametrize(
    ("dialect", "statement"),
    [
        ("mysql", "MODIFY mood BIGINT NULL"),
        ("mysql", "MODIFY text VARCHAR(200) NULL"),
        ("mysql", "MODIFY text VARCHAR(200) CHARACTER SET utf8mb4 NOT NULL"),
        ("mysql", "MODIFY text TEXT NOT NULL"),
        ("mysql", "MODIFY stars BIGINT"),
        ("mysql", "MODIFY kind ENUM('a', 'b', 'c') NOT NULL DEFAULT 'b'"),
        ("mysql", "MODIFY price DECIMAL(14, 4)"),
        ("mysql", "MODIFY at DATETIME(3) NOT NULL"),
        ("mysql", "MODIFY id BIGINT NOT NULL AUTO_INCREMENT"),
        ("mysql", "ALTER COLUMN mood SET DEFAULT 1"),
        ("mysql", "ADD COLUMN a INT NULL, ADD UNIQUE (a, text), ADD CONSTRAINT c CHECK (a > 0 AND a < 9)"),
        ("mysql", "ADD COLUMN a BIGINT NULL, ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES shops (id)"),
        ("mysql", "ADD COLUMN n BIGINT NOT NULL AUTO_INCREMENT UNIQUE"),
        ("mysql", "ADD COLUMN a INT NULL, MODIFY a VARCHAR(9) NOT NULL DEFAULT '', DROP COLUMN a"),
        ("postgres", "ALTER text TYPE TEXT, ALTER mood TYPE BIGINT, ALTER text DROP NOT NULL"),
        ("postgres", "ALTER kind SET NOT NULL, ALTER code DROP DEFAULT, ALTER price TYPE NUMERIC"),
        ("postgres", "ADD COLUMN a BIGSERIAL, ADD COLUMN b INT REFERENCES shops (id)"),
        ("postgres", "ADD COLUMN IF NOT EXISTS mood INT NOT NULL"),
    ],
)
def test_what_holds_and_accepts_all_that_the_version_before_writes_is_no_loss(dialect: str, statement: str):
    assert losses(f"ALTER TABLE reviews {statement}", dialect) == []


def test_a_column_is_what_the_latest_migration_made_of_it():
    widened = "ALTER TABLE reviews MODIFY text VARCHAR(500) NOT NULL, RENAME COLUMN mood TO tone;"
    [first, second] = losses(f"{widened} ALTER TABLE reviews MODIFY text VARCHAR(200) NOT NULL;")
    assert (first, second.split(",")[0]) == (
        "renames column reviews.mood to tone",
        "changes column reviews.text from VARCHAR(500) to VARCHAR(200)",
    )


@pytest.mark.parametrize(
    "unread",
    [
        "ALTER TABLE reviews ALTER CHECK c ENFORCED",
        "ALTER TABLE IF EXISTS ONLY shop.`reviews` ALTER CHECK c ENFORCED",
        "CALL change_it()",
        "ALTER TABLE reviews ADD (",
    ],
)
def test_after_a_statement_that_cannot_be_judged_nobody_knows_what_a_column_is(unread: str):
    schema = Schema("mysql")
    schema_changes.losses(TABLES["mysql"], schema)
    schema_changes.losses(unread, schema)
    [found] = schema_changes.losses("ALTER TABLE reviews MODIFY text VARCHAR(200) NOT NULL", schema.in_force())
    assert found == f"changes column reviews.text, and {UNKNOWN}"


def test_a_table_that_is_only_made_if_it_does_not_exist_may_be_one_that_the_version_before_knows():
    made = "CREATE TABLE IF NOT EXISTS reviews (id INT); ALTER TABLE reviews DROP COLUMN text"
    assert losses(made) == ["drops column reviews.text"]
    assert losses(made.replace("reviews", "Reviews"), "postgres") == ["drops column Reviews.text"]


def test_the_part_that_undoes_a_migration_is_not_read():
    assert losses("-- +goose Up\nCREATE TABLE a (id INT);\n\n-- +goose Down\nDROP TABLE b;\n") == []
    assert losses("-- migrate:up\nCREATE TABLE a (id INT);\n-- migrate:down\nDROP TABLE b;\n") == []


def test_a_table_that_the_version_before_does_not_know_may_change_as_it_likes():
    schema = Schema("mysql")
    assert schema_changes.losses("CREATE TABLE moods (id INT)", schema) == []
    assert schema_changes.losses("ALTER TABLE moods ADD COLUMN a INT NOT NULL, DROP COLUMN id", schema) == []
    assert schema_changes.losses("ALTER TABLE moods ADD UNIQUE (a), MODIFY a TINYINT NOT NULL", schema) == []
    assert schema_changes.losses("CREATE UNIQUE INDEX by_a ON moods (a)", schema) == []
    assert schema_changes.losses("DROP TABLE moods", schema) == []


@pytest.mark.skipif(not HAS_REFERENCE_APP, reason="the reference app is not in this repository")
def test_the_migrations_of_the_reference_app_are_read_and_take_nothing_away():
    schema, found = Schema("mysql"), {}
    for file in sorted(MIGRATIONS.glob("*.sql")):
        # Each after all those before it.
        found[file.name] = schema_changes.losses(file.read_text(), schema)
        schema = schema.in_force()
    assert len(found) > 10
    assert {name: lost for name, lost in found.items() if lost} == {}


FILLED = "ALTER TABLE reviews ADD COLUMN lang VARCHAR(5) DEFAULT 'de'"


@pytest.mark.feature("P7", part="a column that is newly required is refused by name")
@pytest.mark.parametrize(
    ("text", "dialect", "loss"),
    [
        (f"{FILLED}; ALTER TABLE reviews MODIFY lang VARCHAR(5) NOT NULL", "mysql", "requires column reviews.lang"),
        (
            "ALTER TABLE reviews ADD COLUMN a INT DEFAULT NULL; ALTER TABLE reviews ALTER COLUMN a SET NOT NULL",
            "postgres",
            "requires column reviews.a",
        ),
        ("ALTER TABLE reviews ALTER COLUMN kind SET DEFAULT NULL", "postgres", "takes the default from column"),
        ("ALTER VIEW best AS SELECT id FROM reviews", "mysql", "cannot be judged: "),
        ("CREATE OR REPLACE VIEW best AS SELECT 1", "mysql", "cannot be judged: "),
        ("ALTER TABLE reviews DROP SYSTEM VERSIONING, DROP COLUMN text", "mysql", "cannot be judged: "),
        (
            "CREATE TRIGGER x BEFORE UPDATE ON reviews FOR EACH ROW EXECUTE FUNCTION reject()",
            "postgres",
            "cannot be judged: ",
        ),
        ("UPDATE reviews SET mood = NULL", "mysql", "empties column reviews.mood"),
        (
            "ALTER TABLE reviews ADD COLUMN n BIGSERIAL, ADD CONSTRAINT c CHECK (n > 0 AND mood > 0)",
            "postgres",
            "adds a check on reviews(n, mood)",
        ),
        (
            "ALTER TABLE reviews ADD COLUMN region INT NOT NULL DEFAULT 0 REFERENCES regions (id)",
            "postgres",
            "adds a foreign key on reviews(region)",
        ),
    ],
)
def test_a_statement_that_breaks_the_version_before_is_named(text: str, dialect: str, loss: str):
    assert [found.startswith(loss) for found in losses(text, dialect)] == [True]


@pytest.mark.parametrize("before", ["TINYTEXT", "TEXT"])
def test_a_text_may_have_held_more_characters_than_the_column_does_after(before: str):
    schema = Schema("mysql")
    schema_changes.losses(f"CREATE TABLE t (a {before})", schema)
    [found] = schema_changes.losses("ALTER TABLE t MODIFY a VARCHAR(100)", schema.in_force())
    assert "may not hold what the version before writes" in found


@pytest.mark.parametrize(
    ("text", "dialect"),
    [
        ("ALTER TABLE reviews ADD COLUMN email VARCHAR(255) DEFAULT NULL, ADD UNIQUE (email)", "mysql"),
        ("ALTER INDEX i RENAME TO j", "postgres"),
        ("UPDATE reviews SET mood = NULL WHERE mood < 0", "mysql"),
        ("ALTER TABLE reviews ADD COLUMN slug TEXT, ADD CONSTRAINT c CHECK (char_length(slug) < 80)", "postgres"),
        (
            "ALTER TABLE reviews ADD COLUMN slug TEXT; CREATE UNIQUE INDEX u ON reviews (slug) WHERE at IS NULL",
            "postgres",
        ),
    ],
)
def test_a_statement_that_the_version_before_does_not_notice_is_no_loss(text: str, dialect: str):
    assert losses(text, dialect) == []
