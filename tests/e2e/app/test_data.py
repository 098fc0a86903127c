"""MySQL (MariaDB locally) and Redis of the local stack: accounts, restarts, backup and restore."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.e2e.conftest import LOCAL, Edit, eventually, kubectl, run, up

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

TABLE = "e2e_shops"


def sql(statement: str) -> str:
    """Run a statement as the account of migrations, and return the output."""
    login = ("mysql", "--defaults-file=/run/mysqld/login.cnf", "--batch", "--skip-column-names", "slipway")
    return kubectl("exec", "mysql-0", "--", *login, f"--execute={statement}").strip()


def sql_of_services(statement: str) -> str:
    """Run a statement as the account of the services, and return the output or error."""
    ask = 'MYSQL_PWD=$(cat "$PASSWORD_DIR/mysql-password") mysql --no-defaults --socket=/run/mysqld/mysqld.sock "$@"'
    words = ("--user=slipway", "--batch", "--skip-column-names", "slipway", f"--execute={statement}")
    return kubectl("exec", "mysql-0", "--", "sh", "-c", f"{{ {ask}; }} 2>&1", "mysql", *words, ok=False).strip()


def redis(*words: str) -> str:
    ask = 'REDISCLI_AUTH=$(cat "$PASSWORD_DIR/redis-password") exec redis-cli "$@"'
    return kubectl("exec", "redis-0", "--", "sh", "-c", ask, "redis-cli", *words).strip()


def restart(pod: str, *delete_flags: str) -> None:
    """Delete a pod, and wait until its successor is ready."""
    uid = ("get", "pod", pod, "-o", "jsonpath={.metadata.uid}")
    before = kubectl(*uid)
    kubectl("delete", "pod", pod, *delete_flags)
    eventually(lambda: kubectl(*uid, ok=False) not in ("", before), 60, f"another {pod}")
    kubectl("wait", "--for=condition=Ready", f"pod/{pod}", "--timeout=120s")


@pytest.fixture
def shops() -> Generator[str]:
    """A table with 1000 rows, and a view on it."""
    sql(f"CREATE TABLE {TABLE} (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(50), logo BLOB)")
    sql(f"INSERT INTO {TABLE} (name, logo) SELECT CONCAT('Café ', seq), UNHEX(HEX(seq)) FROM seq_1_to_1000")  # noqa: S608
    sql(f"CREATE VIEW {TABLE}_names AS SELECT name FROM {TABLE}")  # noqa: S608
    yield TABLE
    sql(f"DROP VIEW IF EXISTS {TABLE}_names; DROP TABLE IF EXISTS {TABLE}")


def content(table: str) -> str:
    return sql(f"SELECT COUNT(*), MD5(GROUP_CONCAT(id, name, HEX(logo) ORDER BY id)) FROM {table}")  # noqa: S608


@pytest.mark.feature("G2")
@pytest.mark.parametrize("delete_flags", [(), ("--grace-period=0", "--force")], ids=["asked to stop", "killed"])
def test_the_app_s_user_logs_in_and_what_it_wrote_survives_the_pod(shops: str, delete_flags: tuple[str, ...]):
    assert sql("SELECT CURRENT_USER()") == "slipway_migrator@%"
    assert sql_of_services("SELECT CURRENT_USER()") == "slipway@%"
    before = content(shops)
    restart("mysql-0", *delete_flags)
    assert content(shops) == before


def test_the_services_account_reads_and_writes_rows_and_nothing_else(shops: str):
    assert sql_of_services(f"SELECT COUNT(*) FROM {shops}") == "1000"  # noqa: S608
    changes = (f"UPDATE {shops} SET name = 'x' WHERE id = 1", f"DELETE FROM {shops} WHERE id = 1")  # noqa: S608
    assert [sql_of_services(statement) for statement in changes] == ["", ""]
    for statement in (f"DROP TABLE {shops}", f"ALTER TABLE {shops} ADD x INT", "CREATE TABLE x (id INT)"):
        assert "denied to user 'slipway'" in sql_of_services(statement)


def test_an_account_for_migrations_is_added_on_a_volume_that_has_one_account(edit: Edit):
    edit(LOCAL, "    migrationUser: slipway_migrator\n", "")
    up()
    assert sql("SELECT CURRENT_USER()") == "slipway@%"
    assert sql_of_services("CREATE TABLE e2e_before (id INT)") == ""
    edit(LOCAL, "  slipway:mysql:\n", "  slipway:mysql:\n    migrationUser: slipway_migrator\n")
    # The migration of this update logs in with the new account, so the server has to create it before.
    up()
    assert "denied to user 'slipway'" in sql_of_services("DROP TABLE e2e_before")
    sql("DROP TABLE e2e_before")


@pytest.mark.feature("G1")
def test_a_key_and_a_stream_survive_the_pod():
    assert redis("SET", "e2e", "value") == "OK"
    redis("XADD", "e2e-stream", "*", "work", "to do")
    restart("redis-0")
    assert redis("GET", "e2e") == "value"
    assert redis("XLEN", "e2e-stream") == "1"
    assert redis("DEL", "e2e", "e2e-stream") == "2"


def test_redis_refuses_clients_without_the_password():
    assert "NOAUTH" in kubectl("exec", "redis-0", "--", "redis-cli", "GET", "e2e")


@pytest.mark.feature("G4")
def test_a_dropped_table_comes_back_with_the_same_rows(shops: str):
    before = content(shops)
    assert f"rows   {shops} 1000" in run("./slipway", "backup", "-s", "local").stdout
    sql(f"DROP TABLE {shops}; CREATE TABLE e2e_other (id INT)")
    output = run("./slipway", "restore", "-s", "local", "--yes").stdout
    assert "same rows, same checksum" in output
    assert content(shops) == before
    assert "e2e_other" not in sql("SHOW TABLES")
    kubectl("rollout", "status", "deployment/api", "--timeout=120s")


def test_restoring_an_unknown_backup_changes_nothing(shops: str):
    before = content(shops)
    refused = run("./slipway", "restore", "nope", "-s", "local", "--yes", ok=False)
    assert refused.returncode == 1
    assert "there is no backup nope" in refused.stdout
    assert content(shops) == before
    # A failed Job makes the stack unhealthy as long as it is there.
    restores = [job for job in kubectl("get", "jobs", "-o", "name").split() if "mysql-backup-restore" in job]
    kubectl("delete", *restores)
