"""Requests at a constant rate, sent by vegeta: counts the requests that users would lose during an operation."""

from __future__ import annotations

import json
import signal
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e import go_programs
from tests.e2e.conftest import ROOT, environment, run

# Requests on reused connections, and requests on a new connection each.
MODES = {"kept": "-keepalive=true", "new": "-keepalive=false"}


def vegeta() -> Path:
    """Return the path of vegeta, compiled on first use."""
    return go_programs.compiled("github.com/tsenart/vegeta/v12", ROOT / "tests/load/vegeta")


@dataclass
class Attack:
    """Sends `rate` GET requests per second during the `with` block, half of them on a new connection each."""

    host: str
    path: str
    folder: Path
    rate: int = 200
    sent: int = 0
    lost: Counter[str] = field(default_factory=Counter[str])
    """Number of requests that were not answered with 200, by status or error."""
    p99: float = 0
    """99th percentile in milliseconds, of the slower of the two modes."""

    def __enter__(self) -> Attack:
        target = f"GET https://{self.host}{self.path}\n"
        self._running = [self._start(target, mode, flag) for mode, flag in MODES.items()]
        return self

    def __exit__(self, *_: object) -> None:
        # The first SIGINT stops sending; vegeta then waits for the pending requests.
        for process, _results in self._running:
            process.send_signal(signal.SIGINT)
        for process, results in self._running:
            process.wait(timeout=60)
            self._count(results)

    def _start(self, target: str, mode: str, flag: str) -> tuple[subprocess.Popen[str], Path]:
        results = self.folder / f"{mode}.bin"
        command = [
            *(vegeta(), "attack", flag, f"-rate={self.rate // len(MODES)}/s", "-duration=0", "-timeout=10s"),
            *(f"-root-certs={ROOT / '.slipway' / 'ca.crt'}", f"-connect-to={self.host}:443:127.0.0.1:443"),
            *("-redirects=-1", "-max-workers=500", f"-output={results}"),
        ]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, env=environment())
        assert process.stdin
        process.stdin.write(target)
        process.stdin.close()
        return process, results

    def _count(self, results: Path) -> None:
        report = json.loads(run(str(vegeta()), "report", "-type=json", str(results)).stdout)
        self.sent += report["requests"]
        answered = {code: count for code, count in report["status_codes"].items() if code not in ("0", "200")}
        self.lost.update({f"status {code}": count for code, count in answered.items()})
        if unanswered := report["status_codes"].get("0"):
            self.lost["; ".join(report["errors"])[:200] or "no answer"] += unanswered
        self.p99 = max(self.p99, report["latencies"]["99th"] / 1e6)
