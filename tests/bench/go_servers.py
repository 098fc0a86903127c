"""The app and podinfo as processes of this machine, on one core, with the load generator on the other one."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipway.image.compiler import toolchain
from tests.load.attack import vegeta
from tests.paths import REPOSITORY
from tests.plugins.watchdog import child
from tests.reference_app.test_real_servers import answers, free_port

PODINFO = "github.com/stefanprodan/podinfo/cmd/podinfo"
SERVER_CORE, LOAD_CORE = "0", "1"
# Limits are for attackers; here one address sends everything.
CONFIG = "rateLimit: {requests: 0, logins: 0, guesses: 0}\n"


def compiled(folder: Path) -> tuple[Path, Path]:
    """Return the app and podinfo, both compiled as for an empty image."""
    compiler = toolchain(REPOSITORY / "app" / "go.mod")
    environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": compiler, "GOFLAGS": "-trimpath -buildvcs=false"}
    programs = folder / "api", folder / "podinfo"
    sources = ("app", "./cmd/api"), ("tests/bench/podinfo", PODINFO)
    for program, (module, package) in zip(programs, sources, strict=True):
        words = ("go", "build", "-ldflags", "-s -w", "-o", str(program), package)
        subprocess.run(words, cwd=REPOSITORY / module, env=environment, check=True)
    return programs


@dataclass(frozen=True)
class Server:
    """A process that answers on a port."""

    port: int
    process: subprocess.Popen[Any]
    seconds: float
    """From its start to its first connection."""

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def app(program: Path, environment: Mapping[str, str] | None = None) -> Generator[Server]:
    """Run the app without limits, with its data in memory unless the environment names a store."""
    config, port = program.parent / "config.yaml", free_port()
    config.write_text(CONFIG)
    own = {"HTTP_PORT": str(port), "ADMIN_PORT": "0", "LOG_LEVEL": "error", "CONFIG_FILE": str(config)}
    with _running(port, [program], {**own, **(environment or {})}) as server:
        yield server


@contextmanager
def podinfo(program: Path) -> Generator[Server]:
    port = free_port()
    with _running(port, [program, f"--port={port}", "--level=error"], {}) as server:
        yield server


@contextmanager
def _running(port: int, command: list[str | Path], environment: Mapping[str, str]) -> Generator[Server]:
    started = time.perf_counter()
    with child(
        ["taskset", "-c", SERVER_CORE, *command],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        while not answers(port):
            if process.poll() is not None or time.perf_counter() > started + 30:
                raise SystemExit(f"make bench: {command[0]} does not answer on port {port} within 30 s")
            time.sleep(0.001)
        yield Server(port, process, time.perf_counter() - started)


def attack(server: Server, path: str, *options: str, seconds: int, body: Any = None) -> dict[str, Any]:
    """Send requests, and return vegeta's report. Ends the measurement if one was not answered with success."""
    target: dict[str, Any] = {
        "method": "GET" if body is None else "POST",
        "url": f"http://127.0.0.1:{server.port}{path}",
    }
    if body is not None:
        target["body"] = base64.b64encode(json.dumps(body).encode()).decode()
        target["header"] = {"Content-Type": ["application/json"]}
    pinned = ("taskset", "-c", LOAD_CORE, str(vegeta()))
    words = (*pinned, "attack", "-format=json", f"-duration={seconds}s", *options)
    sent = subprocess.run(words, input=json.dumps(target).encode() + b"\n", capture_output=True, check=True).stdout
    answer = subprocess.run((*pinned, "report", "-type=json"), input=sent, capture_output=True, check=True).stdout
    report = json.loads(answer)
    if report["success"] < 1:
        raise SystemExit(f"make bench: requests for {path} fail: {report['status_codes']} {report['errors'][:3]}")
    return report


def p99(report: dict[str, Any]) -> float:
    """Return the 99th percentile of a report in milliseconds."""
    return report["latencies"]["99th"] / 1e6
