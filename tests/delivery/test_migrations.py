"""Which migrations are new between two commits, by a repository of the test."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from slipway.ops.delivery import migrations
from slipway.ops.delivery.columns import Schema
from slipway.ops.delivery.migrations import Migration, UnknownMigrationsError

FOLDER = "app/migrations"


class Repository:
    """A project in a subfolder of a repository."""

    def __init__(self, root: Path) -> None:
        self.project = root / "shop"
        (self.project / FOLDER).mkdir(parents=True)
        self.git("init", "--quiet", "..")

    def git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=Jane Doe", "-c", "user.email=jane@example.com")
        command = ["git", *identity, *arguments]
        done = subprocess.run(command, cwd=self.project, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def commit(self, **files: str | None) -> str:
        """Write these files without their suffix, or delete them, and return the commit."""
        for name, text in files.items():
            file = self.project / FOLDER / f"{name}.sql"
            if text is None:
                file.unlink()
            else:
                file.write_text(text)
        self.git("add", "--all", ".")
        self.git("commit", "--quiet", "--message", "another")
        return self.git("rev-parse", "--short=8", "HEAD")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    found = Repository(tmp_path)
    monkeypatch.setattr(migrations, "ROOT", found.project)
    return found


@pytest.mark.feature("P7", part="the migrations between the two releases are those of git")
def test_what_was_added_between_two_commits_is_new_in_the_order_of_the_names(repository: Repository):
    before = repository.commit(m1="CREATE TABLE a (id INT)")
    repository.commit(m3="DROP TABLE a")
    after = repository.commit(m2="CREATE TABLE b (id INT)")
    assert migrations.between(before, after, [FOLDER]) == [
        Migration(f"{FOLDER}/m2.sql", "A", "CREATE TABLE b (id INT)"),
        Migration(f"{FOLDER}/m3.sql", "A", "DROP TABLE a"),
    ]
    assert migrations.between(before, before, [FOLDER]) == []


def test_what_was_changed_or_deleted_is_no_migration_but_an_error(repository: Repository):
    before = repository.commit(m1="CREATE TABLE a (id INT)", m2="CREATE TABLE b (id INT)")
    after = repository.commit(m1="CREATE TABLE a (id BIGINT)", m2=None)
    found = migrations.between(before, after, [FOLDER])
    assert list(migrations.losses(found, Schema("mysql"))) == [
        "m1.sql was changed after it may have run; add another one instead",
        "m2.sql was deleted after it may have run; add another one instead",
    ]


def test_the_way_back_of_a_migration_in_a_file_of_its_own_is_not_read(repository: Repository):
    before = repository.commit(m1="CREATE TABLE a (id INT)")
    (repository.project / FOLDER / "m2.down.sql").write_text("DROP TABLE b")
    after = repository.commit(m2="CREATE TABLE b (id INT)")
    assert [found.file for found in migrations.between(before, after, [FOLDER])] == [f"{FOLDER}/m2.sql"]


@pytest.mark.feature("P7", part="what the version before may fail to write is refused by name")
def test_what_the_version_before_may_write_is_what_its_own_migrations_say(repository: Repository):
    before = repository.commit(
        m1="CREATE TABLE a (name VARCHAR(9) NULL)", m2="ALTER TABLE a MODIFY name VARCHAR(5) NULL"
    )
    (repository.project / FOLDER / "m1.down.sql").write_text("DROP TABLE a")
    after = repository.commit(m3="ALTER TABLE a MODIFY name VARCHAR(7) NULL", m4="ALTER TABLE a MODIFY name VARCHAR(6)")
    schema = migrations.known_schema(before, [FOLDER, "other"], "mysql")
    assert list(migrations.losses(migrations.between(before, after, [FOLDER]), schema)) == [
        "m4.sql changes column a.name from VARCHAR(7) to VARCHAR(6), which may not hold what the version before writes"
    ]


def test_other_folders_do_not_count(repository: Repository):
    before = repository.commit(m1="CREATE TABLE a (id INT)")
    (repository.project / "other.sql").write_text("DROP TABLE a")
    assert migrations.between(before, repository.commit(), [FOLDER]) == []


def test_a_commit_that_a_shallow_clone_lacks_is_named(repository: Repository):
    after = repository.commit(m1="CREATE TABLE a (id INT)")
    with pytest.raises(UnknownMigrationsError, match="commit 0a0a0a0a is not in this clone; fetch the whole history"):
        migrations.between("0a0a0a0a", after, [FOLDER])


def test_a_file_whose_name_has_other_letters_is_read(repository: Repository):
    before = repository.commit(m1="CREATE TABLE a (id INT)")
    after = repository.commit(**{"m2 Übergang": "DROP TABLE a"})
    assert migrations.between(before, after, [FOLDER]) == [Migration(f"{FOLDER}/m2 Übergang.sql", "A", "DROP TABLE a")]


def test_a_folder_that_is_in_no_commit_is_named(repository: Repository):
    before = repository.commit(m1="CREATE TABLE a (id INT)")
    with pytest.raises(UnknownMigrationsError, match=f"commit {before} has no folder app/migratoins"):
        migrations.between(before, before, ["app/migratoins"])


def test_a_folder_that_has_moved_since_is_no_empty_database(repository: Repository):
    before = repository.commit(m1="CREATE TABLE a (id INT)")
    repository.git("mv", FOLDER, "moved")
    after = repository.commit()
    with pytest.raises(UnknownMigrationsError, match=f"commit {before} has no folder moved, so it is not known"):
        migrations.between(before, after, ["moved"])


def test_numbers_in_names_are_ordered_as_numbers(repository: Repository):
    before = repository.commit(**{"1_a": "CREATE TABLE a (id INT)"})
    after = repository.commit(**{"10_c": "DROP TABLE b", "9_b": "CREATE TABLE b (id INT)"})
    names = [migration.file.rpartition("/")[2] for migration in migrations.between(before, after, [FOLDER])]
    assert names == ["9_b.sql", "10_c.sql"]


def test_a_file_that_this_clone_has_not_fetched_is_no_empty_migration(repository: Repository):
    before = repository.commit(m1="CREATE TABLE a (id INT)")
    after = repository.commit(m2="DROP TABLE a")
    blob = repository.git("rev-parse", f"HEAD:./{FOLDER}/m2.sql")
    (repository.project.parent / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(UnknownMigrationsError, match="; fetch the whole history with all files"):
        migrations.between(before, after, [FOLDER])


def test_without_git_it_is_not_known_what_is_new(repository: Repository, monkeypatch: pytest.MonkeyPatch):
    commit = repository.commit(m1="CREATE TABLE a (id INT)")
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(UnknownMigrationsError, match="no `git` on the PATH"):
        migrations.between(commit, commit, [FOLDER])
