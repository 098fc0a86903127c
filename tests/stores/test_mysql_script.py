"""mysql.sh on its own, with stand-ins for MySQL's programs: accounts, backups and restores."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.paths import REPOSITORY

NASTY = 'it\'s a "p\\word" #1'
DUMP = "CREATE TABLE `shops` (id int);\nINSERT INTO `shops` VALUES (1);\nINSERT INTO `shops` VALUES (2);\n"


@dataclass(frozen=True)
class Pod:
    """The folders and programs of a pod, in a temporary folder."""

    root: Path

    @property
    def backups(self) -> Path:
        return self.root / "backup"

    def program(self, name: str, body: str) -> None:
        file = self.root / "bin" / name
        file.write_text(f"#!/bin/sh\n{body}\n")
        file.chmod(0o755)

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        text = (REPOSITORY / "infra/slipway/stores/mysql.sh").read_text()
        for path in ("/run/mysqld", "/backup", "/var/lib/mysql"):
            text = text.replace(f"={path}", f"={self.root}{path}").replace(f" {path}/", f" {self.root}{path}/")
        env = {"PATH": f"{self.root}/bin:/usr/bin:/bin", "PASSWORD_DIR": str(self.root / "secrets"), "KEEP": "2"}
        env |= {"MYSQL_DATABASE": "my_shop", "MYSQL_USER": "shop", "MYSQL_HOST": "mysql"}
        env |= variables
        return subprocess.run(
            ["sh", "-s", *arguments], input=text, capture_output=True, text=True, env=env, check=False
        )

    def keep(self, name: str, text: str, checksum: str = "") -> None:
        (self.backups / f"{name}.sql.gz").write_bytes(gzip.compress(text.encode()))
        (self.backups / f"{name}.sha256").write_text(checksum or hashlib.sha256(text.encode()).hexdigest())


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    for folder in ("bin", "secrets", "run/mysqld", "backup", "var/lib/mysql"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "secrets" / "mysql-password").write_text(NASTY)
    pod = Pod(tmp_path)
    pod.program("mysqldump", f"cat <<'END'\n{DUMP}END")
    pod.program(
        "mysql", f'echo "$@" >>{tmp_path}/asked; case "$*" in *information_schema*) echo shops;; *COUNT*) echo 2;; esac'
    )
    return pod


@pytest.mark.feature("G4", part="backup")
def test_a_backup_keeps_the_dump_and_its_checksum_and_prints_the_number_of_rows(pod: Pod):
    done = pod.run("backup")
    assert done.returncode == 0, done.stderr
    [file] = pod.backups.glob("*.sql.gz")
    assert gzip.decompress(file.read_bytes()).decode() == DUMP
    checksum = hashlib.sha256(DUMP.encode()).hexdigest()
    assert file.with_name(file.name.replace("sql.gz", "sha256")).read_text().strip() == checksum
    assert f"sha256 {checksum}" in done.stdout
    assert "rows   shops 2" in done.stdout


def test_a_dump_that_fails_leaves_no_backup_and_deletes_none(pod: Pod):
    for number in range(3):
        pod.keep(f"2026010{number}T000000Z", DUMP)
    pod.program("mysqldump", "echo half; exit 2")
    done = pod.run("backup")
    assert done.returncode != 0
    assert len(list(pod.backups.glob("*.sql.gz"))) == 3
    assert not list(pod.backups.glob(".work*"))


def test_the_newest_backups_are_kept(pod: Pod):
    for number in range(3):
        pod.keep(f"2026010{number}T000000Z", DUMP)
    assert "forgot 20260101T000000Z" in pod.run("backup").stdout
    names = sorted(file.name.removesuffix(".sql.gz") for file in pod.backups.glob("*.sql.gz"))
    assert names[0] == "20260102T000000Z"
    assert len(names) == len(list(pod.backups.glob("*.sha256"))) == 2


@pytest.mark.feature("G4", part="restore")
def test_a_restore_takes_the_newest_backup_and_verifies_the_result(pod: Pod):
    pod.keep("20260101T000000Z", "older")
    pod.keep("20260102T000000Z", DUMP)
    pod.keep("20260103T000000Z-before-restore", "not this one")
    done = pod.run("restore")
    assert done.returncode == 0, done.stderr
    assert "restored 20260102T000000Z: same rows, same checksum" in done.stdout
    assert "DROP DATABASE `my_shop`; CREATE DATABASE `my_shop`" in (pod.root / "asked").read_text()


def test_a_restore_first_backs_up_what_can_be_read_of_the_database(pod: Pod):
    pod.keep("20260102T000000Z", DUMP)
    # Until it is restored the database has a view on a table that is gone.
    broken = f'case "$*" in *--force*) echo "{"rest"}"; exit 2;; esac\ncat <<\'END\'\n{DUMP}END'
    pod.program("mysqldump", broken)
    done = pod.run("restore")
    assert done.returncode == 0, done.stderr
    [before] = pod.backups.glob("*-before-restore.sql.gz")
    assert gzip.decompress(before.read_bytes()) == b"rest\n"


@pytest.mark.feature("G4", part="a backup is proved beside the database that serves")
def test_a_backup_is_proved_in_a_second_database_which_is_dropped_again(pod: Pod):
    pod.program("mysqldump", f"echo \"dump $*\" >>{pod.root}/asked\ncat <<'END'\n{DUMP}END")
    done = pod.run("prove")
    assert done.returncode == 0, done.stderr
    [file] = pod.backups.glob("*.sql.gz")
    name = file.name.removesuffix(".sql.gz")
    assert done.stdout.splitlines()[0] == f"backup {name}"
    assert f"restored {name}: same rows, same checksum" in done.stdout
    asked = (pod.root / "asked").read_text().splitlines()
    created = [line for line in asked if line.endswith(" my_shop")]
    assert len(created) == 2, "the dump, and what makes the second database"
    assert "DROP DATABASE IF EXISTS `my_shop_proof`; CREATE DATABASE `my_shop_proof`" in created[1]
    assert "DROP DATABASE IF EXISTS `my_shop_proof`" in asked[-1]
    assert not any("DATABASE `my_shop`" in line for line in asked)


def test_a_backup_that_does_not_restore_is_no_proof_and_leaves_no_second_database(pod: Pod):
    differs = f"case \"$*\" in *_proof*) echo other;; *) cat <<'END'\n{DUMP}END\n;; esac"
    pod.program("mysqldump", differs)
    done = pod.run("prove")
    assert done.returncode == 3
    assert "the database is not what backup " in done.stderr
    assert "DROP DATABASE IF EXISTS `my_shop_proof`" in (pod.root / "asked").read_text().splitlines()[-1]


def test_a_proof_that_is_stopped_leaves_no_second_database(pod: Pod):
    stopped = f"case \"$*\" in *my_shop_proof*) kill -TERM $PPID; sleep 0.2;; esac\ncat <<'END'\n{DUMP}END"
    pod.program("mysqldump", stopped)
    assert pod.run("prove").returncode == 3
    assert "DROP DATABASE IF EXISTS `my_shop_proof`" in (pod.root / "asked").read_text().splitlines()[-1]
    assert not list(pod.backups.glob(".work*"))


@pytest.mark.parametrize("code", [5, 137])
def test_a_database_that_cannot_be_kept_for_want_of_room_is_not_replaced(pod: Pod, code: int):
    pod.keep("20260102T000000Z", DUMP)
    pod.program("mysqldump", f"echo half; exit {code}")
    done = pod.run("restore")
    assert done.returncode == 3
    assert f"cannot be kept (mysqldump ends with {code}): is the volume of the backups full?" in done.stderr
    assert not (pod.root / "asked").exists()
    assert len(list(pod.backups.iterdir())) == 2


def test_a_text_that_cannot_be_written_is_no_backup(pod: Pod):
    pod.program("sed", 'case "$*" in *DEFINER*) echo half; exit 4;; esac; exec /bin/sed "$@"')
    pod.keep("20260102T000000Z", DUMP)
    for verb in ("backup", "prove", "restore"):
        assert pod.run(verb).returncode == 3
    assert sorted(file.name for file in pod.backups.iterdir()) == ["20260102T000000Z.sha256", "20260102T000000Z.sql.gz"]
    assert not (pod.root / "asked").exists()


def test_a_backup_whose_compression_fails_leaves_no_part_of_it(pod: Pod):
    pod.program("gzip", "echo half; exit 1")
    assert pod.run("backup").returncode == 3
    assert list(pod.backups.iterdir()) == []


def test_what_the_script_does_not_know_is_no_success(pod: Pod):
    done = pod.run("verify")
    assert (done.returncode, done.stderr) == (3, "mysql.sh of this release does not know verify\n")


@pytest.mark.parametrize(
    ("name", "message"),
    [("nope", "there is no backup nope; there are: 20260101T000000Z"), ("20260101T000000Z", "is damaged")],
)
def test_a_backup_that_is_missing_or_damaged_changes_nothing(pod: Pod, name: str, message: str):
    pod.keep("20260101T000000Z", DUMP, checksum="0" * 64)
    done = pod.run("restore", name)
    assert done.returncode == 3
    assert message in done.stderr
    assert not (pod.root / "asked").exists()


def test_a_restore_fails_if_the_database_differs_from_the_backup(pod: Pod):
    pod.keep("20260101T000000Z", DUMP.replace("(2)", "(3)"))
    done = pod.run("restore")
    assert done.returncode == 1
    assert "the database is not what backup 20260101T000000Z holds" in done.stderr


def test_rows_are_counted_in_the_database_and_not_only_in_its_dump(pod: Pod):
    pod.keep("20260101T000000Z", DUMP)
    pod.program("mysql", 'case "$*" in *information_schema*) echo shops;; *COUNT*) echo 1;; esac')
    done = pod.run("restore")
    assert done.returncode == 1
    assert "shops 2" in done.stderr


def test_any_password_is_quoted_in_sql_and_in_the_option_file_and_is_in_no_argument(pod: Pod):
    pod.program("mariadb-install-db", 'for word; do case $word in --datadir=*) mkdir "${word#*=}";; esac; done')
    pod.program("mysqld", f'echo "$@" >{pod.root}/arguments')
    done = pod.run("start")
    assert done.returncode == 0, done.stderr
    escaped = r"it\'s a \"p\\word\" #1"
    assert f"IDENTIFIED BY '{escaped}'" in (pod.root / "run/mysqld/init.sql").read_text()
    assert f'password = "{escaped}"' in (pod.root / "run/mysqld/login.cnf").read_text()
    assert r"GRANT ALL ON `my\_shop\_proof`.*" in (pod.root / "run/mysqld/init.sql").read_text()
    assert r"GRANT ALL ON `my\_shop`.*" in (pod.root / "run/mysqld/init.sql").read_text()
    assert "#1" not in (pod.root / "arguments").read_text()
    assert (pod.root / "run/mysqld/login.cnf").stat().st_mode & 0o077 == 0


@pytest.fixture
def migrator(pod: Pod) -> dict[str, str]:
    """Return the variable that gives migrations an account, whose password is provided."""
    (pod.root / "secrets" / "mysql-migration-password").write_text(NASTY[::-1])
    (pod.root / "var/lib/mysql/data").mkdir()
    pod.program("mysqld", f'echo "$@" >{pod.root}/arguments')
    return {"MYSQL_MIGRATION_USER": "migrator"}


def test_the_services_account_may_only_change_rows_if_migrations_have_their_own_account(
    pod: Pod, migrator: dict[str, str]
):
    assert pod.run("start", **migrator).returncode == 0
    # One statement a line: MariaDB reads no more of each.
    lines = (pod.root / "run/mysqld/init.sql").read_text().splitlines()
    assert all(line.endswith(";") for line in lines)
    [revoked] = [number for number, line in enumerate(lines) if line.startswith("REVOKE")]
    assert lines[revoked] == "REVOKE ALL PRIVILEGES, GRANT OPTION FROM 'shop'@'%';"
    given = [line for line in lines[revoked:] if line.startswith("GRANT")]
    assert given == [r"GRANT SELECT, INSERT, UPDATE, DELETE ON `my\_shop`.* TO 'shop'@'%';"]
    assert r"GRANT ALL ON `my\_shop`.* TO 'migrator'@'%';" in lines
    assert "GRANT" not in "".join(line for line in lines[:revoked] if "'shop'" in line)


def test_each_account_has_the_password_of_its_own_file_and_people_log_in_with_the_stronger_account(
    pod: Pod, migrator: dict[str, str]
):
    assert pod.run("start", **migrator).returncode == 0
    sql, login = ((pod.root / "run/mysqld" / name).read_text() for name in ("init.sql", "login.cnf"))
    assert r"ALTER USER 'shop'@'%' IDENTIFIED BY 'it\'s a \"p\\word\" #1';" in sql
    assert r"ALTER USER 'migrator'@'%' IDENTIFIED BY '1# \"drow\\p\" a s\'ti';" in sql
    assert "user = migrator" in login
    assert r'password = "1# \"drow\\p\" a s\'ti"' in login
    assert "#1" not in (pod.root / "arguments").read_text()
    assert "1#" not in (pod.root / "arguments").read_text()


def test_a_server_does_not_start_without_its_password(pod: Pod, migrator: dict[str, str]):
    (pod.root / "secrets" / "mysql-migration-password").unlink()
    done = pod.run("start", **migrator)
    assert done.returncode != 0
    assert "mysql-migration-password" in done.stderr
    assert not (pod.root / "arguments").exists()


def test_backups_log_in_with_the_account_that_may_restore_them(pod: Pod, migrator: dict[str, str]):
    pod.program("mysqldump", f"cat {pod.root}/run/mysqld/login.cnf")
    assert pod.run("backup", **migrator).returncode == 0
    [file] = pod.backups.glob("*.sql.gz")
    assert "user = migrator" in gzip.decompress(file.read_bytes()).decode()


VIEW = "/*!50013 DEFINER=`shop`@`%` SQL SECURITY DEFINER */\n"
ROW = "INSERT INTO `shops` VALUES ('DEFINER=`shop`@`%`');\n"


def test_views_of_another_account_are_restored_as_those_of_the_restoring_account(pod: Pod):
    pod.keep("20260101T000000Z", VIEW + ROW)
    pod.program("mysqldump", f"cat <<'END'\n{VIEW}{ROW}END")
    pod.program(
        "mysql",
        f'case "$*" in *information_schema*) echo shops;; *COUNT*) echo 1;; *exec*) ;; *) cat >{pod.root}/fed;; esac',
    )
    done = pod.run("restore")
    assert done.returncode == 0, done.stderr
    assert (pod.root / "fed").read_text() == "/*!50013  SQL SECURITY DEFINER */\n" + ROW


def test_an_interrupted_set_up_starts_again_and_a_complete_one_is_kept(pod: Pod):
    pod.program("mariadb-install-db", 'for word; do case $word in --datadir=*) mkdir "${word#*=}";; esac; done')
    pod.program("mysqld", "true")
    (pod.root / "var/lib/mysql/data.new/half").mkdir(parents=True)
    assert "setting up an empty volume" in pod.run("start").stdout
    assert list((pod.root / "var/lib/mysql/data").iterdir()) == []
    (pod.root / "var/lib/mysql/data/table").write_text("rows")
    assert pod.run("start").stdout == ""
    assert (pod.root / "var/lib/mysql/data/table").read_text() == "rows"
