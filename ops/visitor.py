"""Somebody who signs up, adds a shop and reviews it during a drill, and of whom nothing is left after it."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any

from urllib3.exceptions import HTTPError

from ops.stage import Stage, Unmet
from ops.traffic import Pool, Target

UNAUTHORIZED = 401
# No address of anybody: https://www.rfc-editor.org/rfc/rfc2606
_GONE = (
    "DELETE r FROM reviews r JOIN users u ON r.author_id = u.id WHERE u.email = '{email}'; "
    "DELETE s FROM shops s JOIN users u ON s.creator_id = u.id WHERE u.email = '{email}'; "
    "DELETE FROM users WHERE email = '{email}'"
)


@dataclass
class Visitor:
    """A user of the API with tokens."""

    pool: Pool
    email: str = field(default_factory=lambda: f"drill-{token_hex(8)}@example.com")
    password: str = field(default_factory=lambda: token_hex(16))
    access: str = ""
    _refresh: str = ""

    def sign_up(self) -> None:
        """Be a user, and log in."""
        self._ask("POST", "/v1/users", 201, name="Drill", email=self.email, password=self.password)
        self._takes(self._ask("POST", "/v1/sessions", 201, email=self.email, password=self.password))

    def refresh(self) -> None:
        """Take new tokens for the old session."""
        self._takes(self._ask("POST", "/v1/sessions/refresh", 200, refreshToken=self._refresh))

    def is_known_by(self, token: str) -> bool:
        """Whether an access token is taken. What it asks for is refused in any case, so that nothing is done."""
        status, _ = self._answer("POST", "/v1/shops", token, {})
        return status != UNAUTHORIZED

    def adds_a_shop(self) -> str:
        """Its id."""
        name = f"Drill {token_hex(4)}"
        return self._ask("POST", "/v1/shops", 201, name=name, city="Drill", description="")["id"]

    def reviews(self, shop: str) -> str:
        """The id of the review."""
        return self._ask("POST", f"/v1/shops/{shop}/reviews", 201, stars=4, text="")["id"]

    def likes(self, review: str) -> None:
        """One like."""
        self._ask("PUT", f"/v1/reviews/{review}/like", 204)

    def counted(self, shop: str, what: str) -> int:
        """How many `reviews` or `likes` the page of the shop tells of."""
        return self._ask("GET", f"/v1/shops/{shop}", 200)["rating"][what]

    def _takes(self, tokens: dict[str, Any]) -> None:
        self.access, self._refresh = tokens["accessToken"], tokens["refreshToken"]

    def _ask(self, method: str, path: str, expected: int, **body: Any) -> Any:
        status, content = self._answer(method, path, self.access, body or None)
        if status != expected:
            raise Unmet(f"{method} {path} is answered with {status} instead of {expected}: {content[:300]}")
        return json.loads(content) if content else None

    def _answer(self, method: str, path: str, token: str, body: dict[str, Any] | None) -> tuple[int, str]:
        headers = {**self.pool.headers, "Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        content = json.dumps(body).encode() if body is not None else None
        try:
            answer = self.pool.request(method, path, body=content, headers=headers)
        except (HTTPError, OSError) as error:
            raise Unmet(f"{method} {path} is not answered: {error}") from None
        return answer.status, answer.data.decode(errors="replace")


@contextmanager
def visitor(stage: Stage) -> Generator[Visitor]:
    """Somebody who has signed up; after the block the database knows nothing of them any more."""
    target: Target = stage.traffic.target
    with target.pool(keeps=False) as pool:
        found = Visitor(pool)
        try:
            found.sign_up()
            yield found
        finally:
            stage.surely(lambda: stage.sql(_GONE.format(email=found.email)), "the drill's user is forgotten")
