"""Requests to the JSON API of the reference app, as a client with a token sends them."""

from __future__ import annotations

import json
import time
from typing import Any

from slipway.ops.drills.traffic import Pool

# Status of the API while too many clients log in at once.
BUSY = 503


def send(pool: Pool, token: str, method: str, path: str, *, expected: int, body: dict[str, Any]) -> Any:
    """Send a request, check the status, and return the JSON of the response. Waits while too many clients log in."""
    headers = {**pool.headers, "Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    content = json.dumps(body).encode() if body else None
    answer = pool.request(method, path, body=content, headers=headers)
    while answer.status == BUSY and "too many logins" in answer.data.decode():
        time.sleep(int(answer.headers["Retry-After"]))
        answer = pool.request(method, path, body=content, headers=headers)
    assert answer.status == expected, f"{method} {path}: {answer.status} {answer.data[:500]}"
    return json.loads(answer.data) if answer.data else None
