"""A user who signs up, adds a shop and reviews it during a drill, and whose data is deleted after it."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any

from urllib3.exceptions import HTTPError

from slipway.ops.drills.context import DrillContext, ExpectationError
from slipway.ops.drills.requirements import has_reference_api
from slipway.ops.drills.traffic import Pool

UNAUTHORIZED = 401
_DELETE_USER = (
    "DELETE r FROM reviews r JOIN users u ON r.author_id = u.id WHERE u.email = '{email}'; "
    "DELETE s FROM shops s JOIN users u ON s.creator_id = u.id WHERE u.email = '{email}'; "
    "DELETE FROM users WHERE email = '{email}'"
)


@dataclass
class DrillUser:
    """A user of the API, with tokens."""

    pool: Pool
    # example.com belongs to nobody: https://www.rfc-editor.org/rfc/rfc2606
    email: str = field(default_factory=lambda: f"drill-{token_hex(8)}@example.com")
    password: str = field(default_factory=lambda: token_hex(16))
    access: str = ""
    _refresh: str = ""

    def sign_up(self) -> None:
        """Create the user, and log in."""
        self._call("POST", "/v1/users", 201, name="Drill", email=self.email, password=self.password)
        self._store_tokens(self._call("POST", "/v1/sessions", 201, email=self.email, password=self.password))

    def refresh(self) -> None:
        """Get new tokens for the session."""
        self._store_tokens(self._call("POST", "/v1/sessions/refresh", 200, refreshToken=self._refresh))

    def is_accepted(self, token: str) -> bool:
        """Whether the API accepts an access token. The request itself is invalid, so that it changes nothing."""
        status, _ = self._send("POST", "/v1/shops", token, {})
        return status != UNAUTHORIZED

    def add_shop(self) -> str:
        """Add a shop, and return its id."""
        name = f"Drill {token_hex(4)}"
        return self._call("POST", "/v1/shops", 201, name=name, city="Drill", description="")["id"]

    def add_review(self, shop: str) -> str:
        """Review a shop, and return the id of the review."""
        return self._call("POST", f"/v1/shops/{shop}/reviews", 201, stars=4, text="")["id"]

    def like(self, review: str) -> None:
        """Like a review."""
        self._call("PUT", f"/v1/reviews/{review}/like", 204)

    def count(self, shop: str, what: str) -> int:
        """Return the number of `reviews` or `likes` of a shop, as the API counts them."""
        return self._call("GET", f"/v1/shops/{shop}", 200)["rating"][what]

    def _store_tokens(self, tokens: dict[str, Any]) -> None:
        self.access, self._refresh = tokens["accessToken"], tokens["refreshToken"]

    def _call(self, method: str, path: str, expected: int, **body: Any) -> Any:
        """Return the answer to an authenticated request. Raises `ExpectationError` if its status is another one."""
        status, content = self._send(method, path, self.access, body or None)
        if status != expected:
            raise ExpectationError(f"{method} {path} is answered with {status} instead of {expected}: {content[:300]}")
        return json.loads(content) if content else None

    def _send(self, method: str, path: str, token: str, body: dict[str, Any] | None) -> tuple[int, str]:
        headers = {**self.pool.headers, "Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        content = json.dumps(body).encode() if body is not None else None
        try:
            answer = self.pool.request(method, path, body=content, headers=headers)
        except (HTTPError, OSError) as error:
            raise ExpectationError(f"{method} {path} is not answered: {error}") from None
        return answer.status, answer.data.decode(errors="replace")


@contextmanager
def test_user(context: DrillContext) -> Generator[DrillUser | None]:
    """Yield a user who has signed up; delete the user and all their data after the block.

    Yield None, and say so, for an app without the API of the reference app.
    """
    if not has_reference_api(context.cluster, context.service):
        check = context.settings.services[context.service].check_path
        context.note(f"only GET {check} is measured: signing up and writing takes the API of the reference app")
        yield None
        return
    with context.traffic.target.pool(reused=False) as pool:
        user = DrillUser(pool)
        try:
            user.sign_up()
            yield user
        finally:
            context.put_back(lambda: context.sql(_DELETE_USER.format(email=user.email)), "the drill's user is deleted")
