"""The app's own Go tests pass with a real MariaDB and Redis, which are started for them."""

from __future__ import annotations

import re
import secrets
import socket
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.bootstrap import debian
from local.node.certificates import SERVER, CertificateFolder, Leaf
from slipway.image.compiler import toolchain
from tests.e2e.conftest import ROOT, eventually, provide, run
from tests.plugins.watchdog import child

# On a busy machine the tests of all packages, one after the other, take nine minutes.
COMMAND_SECONDS = 1200
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(2 * COMMAND_SECONDS)]

PASSWORD = secrets.token_hex(16)
# Packages that handle requests or data, and their minimum test coverage in percent.
COVERED = {"api": 80, "store": 80, "store/mysql": 80, "cache": 80, "limit": 80, "recount": 80}


@dataclass(frozen=True)
class Redis:
    """Addresses of a Redis: without TLS at `url`, and with TLS on another port."""

    url: str
    tls_port: int


@pytest.fixture
def certificates(tmp_path: Path) -> CertificateFolder:
    """The certificate `server` for 127.0.0.1, and the authority `ca` that issued it."""
    folder = CertificateFolder(tmp_path / "tls")
    folder.authority("ca", "test")
    folder.issue(Leaf("server", "test", (SERVER,), names=("127.0.0.1",)))
    return folder


@pytest.fixture
def mysql(tmp_path: Path, certificates: CertificateFolder) -> Generator[str]:
    """Start a MariaDB for one test, and yield its DSN."""
    provide(tmp_path, {"mariadbd": "mariadb-server-core", "my_print_defaults": "mariadb-client-core"})
    data, port = tmp_path / "mysql", free_port()
    run("mariadb-install-db", "--no-defaults", f"--datadir={data}", "--skip-test-db", "--user=root")
    users = tmp_path / "users.sql"
    # One statement per line: the server reads only one from each line.
    users.write_text(f"CREATE USER t@'%' IDENTIFIED BY '{PASSWORD}';\nGRANT ALL ON *.* TO t@'%' WITH GRANT OPTION;\n")
    # The data is temporary, so writes need not wait for the disk.
    quick = ("--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=OFF")
    options = (
        f"--datadir={data}",
        f"--port={port}",
        f"--socket={tmp_path}/s",
        f"--init-file={users}",
        "--user=root",
        f"--ssl-ca={certificates.certificate('ca')}",
        f"--ssl-cert={certificates.certificate('server')}",
        f"--ssl-key={certificates.key('server')}",
        *quick,
    )
    with running(port, "mariadbd", "--no-defaults", "--skip-name-resolve", "--bind-address=127.0.0.1", *options):
        yield f"t:{PASSWORD}@tcp(127.0.0.1:{port})/"


@pytest.fixture
def redis(tmp_path: Path, certificates: CertificateFolder) -> Generator[Redis]:
    """Start a Redis for one test."""
    provide(tmp_path, {"redis-server": "redis-server"})
    port, tls_port = free_port(), free_port()
    settings = tmp_path / "redis.conf"
    settings.write_text(f"""bind 127.0.0.1
port {port}
requirepass {PASSWORD}
save ""
dir {tmp_path}
tls-port {tls_port}
tls-ca-cert-file {certificates.certificate("ca")}
tls-cert-file {certificates.certificate("server")}
tls-key-file {certificates.key("server")}
tls-auth-clients no
""")
    with running(port, "redis-server", str(settings)):
        yield Redis(f"redis://:{PASSWORD}@127.0.0.1:{port}", tls_port)


@contextmanager
def running(port: int, program: str, *arguments: str) -> Generator[None]:
    """Run the program during the block, which begins once it answers on the port."""
    path = debian.which(program)
    assert path, f"{program} is not installed"
    with child([path, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            eventually(lambda: answers(port), 30, f"{program} answers on port {port}")
            yield
        finally:
            process.terminate()
            process.wait(timeout=30)


def answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def test_the_app_keeps_its_promises_with_a_real_mysql_and_redis_and_no_data_race(
    mysql: str, redis: Redis, certificates: CertificateFolder
):
    app = ROOT / "app"
    servers = {
        "TEST_MYSQL_DSN": mysql,
        "TEST_REDIS_URL": redis.url,
        "TEST_REDIS_TLS_PORT": str(redis.tls_port),
        "GOTOOLCHAIN": toolchain(app / "go.mod"),
        "TEST_CA_FILE": str(certificates.certificate("ca")),
    }
    # Compile with all cores first: on a new machine that takes minutes, and -p=1 would use only one.
    run("go", "test", "-race", "-count=1", "-cover", "-run=^$", "./...", cwd=app, env=servers, seconds=COMMAND_SECONDS)
    # The packages share the servers, so they are tested one after the other.
    output = run(
        *("go", "test", "-race", "-p=1", "-count=1", "-v", "-cover", "./..."),
        cwd=app,
        env=servers,
        seconds=COMMAND_SECONDS,
    ).stdout
    assert "--- SKIP" not in output
    covered = {
        name: float(part) for name, part in re.findall(r"^ok\s+slipway/app/internal/(\S+).* ([\d.]+)% of", output, re.M)
    }
    print(
        "coverage of a package by its own tests:",
        *(f"{name} {part:.0f} %" for name, part in covered.items()),
        sep="\n  ",
    )
    assert {name: covered[name] for name, minimum in COVERED.items() if covered[name] < minimum} == {}
