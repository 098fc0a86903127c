"""What every version of the reference app promises its clients: reading and writing, at the address of any stack.

`./slipway rollback --rehearse` runs it by `make contract-tests` while the former version runs on the new schema, in
staging too: it removes what it has written.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any

import pytest

from slipway.ops.drills.drill import AUTHORITY
from slipway.ops.drills.traffic import Pool, Target
from slipway.ops.program import config
from tests.e2e import json_api

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

STACK = os.environ.get("SLIPWAY_STACK", "local")


@dataclass
class Client:
    """A user of the API, who has signed up and logged in."""

    pool: Pool
    # example.com belongs to nobody: https://www.rfc-editor.org/rfc/rfc2606
    email: str = field(default_factory=lambda: f"contract-{token_hex(8)}@example.com")
    password: str = field(default_factory=lambda: token_hex(16))
    token: str = ""

    def ask(self, method: str, path: str, expected: int = 200, **body: Any) -> Any:
        """Send a request as this user, check the status, and return the JSON of the response."""
        return json_api.send(self.pool, self.token, method, path, expected=expected, body=body)


@pytest.fixture(scope="module")
def client() -> Generator[Client]:
    ingress = config.settings(STACK).services["api"].ingress
    assert ingress is not None
    is_local = ingress.tls is not None and ingress.tls.secret_files and AUTHORITY.is_file()
    with Target(ingress.url, AUTHORITY if is_local else None).pool() as pool:
        client = Client(pool)
        client.ask("POST", "/v1/users", 201, name="Contract", email=client.email, password=client.password)
        client.token = client.ask("POST", "/v1/sessions", 201, email=client.email, password=client.password)[
            "accessToken"
        ]
        yield client
        client.ask("POST", "/v1/users/me/deletion", 204, password=client.password)


@pytest.fixture
def shop(client: Client) -> Generator[dict[str, Any]]:
    shop = client.ask("POST", "/v1/shops", 201, name=f"Café {token_hex(4)}", city="Graz", description="Contract")
    yield shop
    client.ask("DELETE", f"/v1/shops/{shop['id']}", 204)


def test_anybody_reads_the_shops(client: Client):
    shops = Client(client.pool).ask("GET", "/v1/shops")
    assert isinstance(shops["items"], list)


def test_a_shop_that_was_added_is_read_and_changed(client: Client, shop: dict[str, Any]):
    path = f"/v1/shops/{shop['id']}"
    read = client.ask("GET", path)
    assert (read["name"], read["city"], read["description"]) == (shop["name"], "Graz", "Contract")
    assert client.ask("PUT", path, name=shop["name"], city="Linz", description="")["city"] == "Linz"


def test_a_review_is_written_liked_changed_and_removed(client: Client, shop: dict[str, Any]):
    review = client.ask("POST", f"/v1/shops/{shop['id']}/reviews", 201, stars=4, text="Good coffee.")
    path = f"/v1/reviews/{review['id']}"
    client.ask("PUT", f"{path}/like", 204)
    client.ask("DELETE", f"{path}/like", 204)
    changed = client.ask("PUT", path, stars=5, text="")
    assert (changed["stars"], changed["text"]) == (5, "")
    client.ask("DELETE", path, 204)
