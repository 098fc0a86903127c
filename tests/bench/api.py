"""What requests cost the app, beside podinfo: requests in a second of CPU time, the 99th percentile, logins."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import urllib3

from tests.bench import go_servers
from tests.bench.go_servers import Server, attack, p99
from tests.bench.measure import Figures, actions_in_turns
from tests.bench.page import Section, table

SECONDS = 1
STEADY_RATE = 500
SHOPS = 20
ACCOUNT = {"email": "bench@example.com", "password": "correct horse battery staple 9"}


def measured(runs: int) -> Section:
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder:
        api, podinfo = go_servers.compiled(Path(folder))
        with go_servers.app(api) as ours, go_servers.podinfo(podinfo) as other:
            shop = fill(ours)
            requests = {
                "podinfo, `GET /version`": (other, "/version"),
                "podinfo, `GET /`": (other, "/"),
                "the app, `GET /version`": (ours, "/version"),
                f"the app, `GET /v1/shops` ({SHOPS} shops)": (ours, "/v1/shops"),
                "the app, `GET /v1/shops/ID`": (ours, shop),
            }
            capacity = actions_in_turns({name: partial(per_cpu_second, *at) for name, at in requests.items()}, runs)
            steady = actions_in_turns({name: partial(_p99, *at) for name, at in requests.items()}, runs)
            [logins] = actions_in_turns({"the app, `POST /v1/sessions`": partial(_logins, ours)}, runs)
    rows = [
        [many.name, many.text(0), f"{many.ratio(capacity[0]):.2f}", one.text()]
        for many, one in zip(capacity, steady, strict=True)
    ]
    rows.append(_login_row(logins))
    heads = [
        "request",
        "requests in a second of CPU time",
        "times that of podinfo's `/version`",
        f"p99 at {STEADY_RATE} requests per second, ms",
    ]
    text = (
        "Each server is on one core, and vegeta on the other. CPU time is that of the server alone, so that the "
        "load generator is no limit. The app keeps its data in memory, and has no limits per address; each request "
        "is counted, limited and given a request ID. A login is one argon2id hash with 19 MiB, as OWASP "
        "recommends: that is what takes its time, and is meant to. Left out: the same handlers on gin, which would "
        "be a second app."
    )
    return Section("Requests to the app", text, table(heads, rows))


def fill(server: Server) -> str:
    """Add a user and shops; return the path of a shop."""
    http = urllib3.PoolManager(retries=False)
    url = f"http://127.0.0.1:{server.port}/v1"
    _post(http, f"{url}/users", {**ACCOUNT, "name": "Bench"})
    token = _post(http, f"{url}/sessions", ACCOUNT).json()["accessToken"]
    path = ""
    for number in range(SHOPS):
        shop = {"name": f"Shop {number}", "city": "Berlin", "description": "Open every day."}
        path = _post(http, f"{url}/shops", shop, {"Authorization": f"Bearer {token}"}).headers["Location"]
    return path


def _post(http: urllib3.PoolManager, url: str, body: Any, headers: dict[str, str] | None = None) -> Any:
    answer = http.request("POST", url, json=body, headers=headers or {})
    if answer.status >= 300:
        raise SystemExit(f"make bench: POST {url}: {answer.status} {answer.data.decode()}")
    return answer


def per_cpu_second(server: Server, path: str) -> float:
    """Return how many requests the server answers in a second of its CPU time, with all it can take."""
    before = server.cpu_seconds()
    report = attack(server, path, "-rate=0", "-max-workers=16", seconds=SECONDS)
    return report["requests"] / (server.cpu_seconds() - before)


def _p99(server: Server, path: str) -> float:
    return p99(attack(server, path, f"-rate={STEADY_RATE}/s", seconds=SECONDS))


def _logins(server: Server) -> float:
    """Return the logins in a second, one after the other."""
    report = attack(server, "/v1/sessions", "-rate=0", "-max-workers=1", seconds=SECONDS, body=ACCOUNT)
    return report["throughput"]


def _login_row(logins: Figures) -> list[str]:
    return [logins.name, f"{logins.text(1)} in a second", "", ""]
